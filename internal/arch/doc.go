// Package arch holds the project to its map: who may import whom.
package arch

//go:build race

package scim_test

// The race detector makes a database some ten times slower.
const raceOn = true

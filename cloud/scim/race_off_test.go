//go:build !race

package scim_test

const raceOn = false

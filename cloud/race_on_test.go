//go:build race

package cloud_test

// The race detector makes a database some ten times slower.
const raceOn = true

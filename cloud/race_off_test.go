//go:build !race

package cloud_test

const raceOn = false

//go:build !race

package osdp_test

// raced says that the race detector is on.
const raced = false

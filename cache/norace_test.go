//go:build !race

package cache

// raced says that the race detector is on.
const raced = false

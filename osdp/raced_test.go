//go:build race

package osdp_test

// raced says that the race detector is on, which makes the long tests some ten
// times slower: they do less.
const raced = true

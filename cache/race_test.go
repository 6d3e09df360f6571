//go:build race

package cache

// raced says that the race detector is on, under which SQLite is some ten times
// slower: tests of many rounds do fewer of them.
const raced = true

// Package peer runs libosdp, which is somebody else's OSDP, as the other end of
// the line in tests and benchmarks: its PD and its control panel from the Python
// package, and its control panel in C. scripts/libosdp builds it; where that
// could not be done, the tests that want a peer skip. The programs run on
// pseudo-terminals, and end with the test that started them.
package peer

// Package capture reads and writes traces of an OSDP line, and says what stands
// in them.
//
// A [Writer] takes records and writes .osdpcap, the JSON lines that OSDP tools
// exchange, or pcapng, which Wireshark shows. A [Reader] reads both, and the
// pcap files of libosdp, and finds out which one it has. A [Decoder] follows
// the secure channels of a trace whose keys are known, and gives each frame its
// meaning and a verdict; [Describe] prints that, and [Stats] sums it up.
//
// A trace leaves the building in an e-mail. So a Writer blanks card bits, PINs,
// keys, templates and files unless it is told to keep them; see [Options].
//
// The package opens no file and no port.
package capture

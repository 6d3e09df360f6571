package capture

import "fmt"

// A Format is a way to write traces to a file.
type Format uint8

const (
	// OSDPCap is the .osdpcap format of SIA's libosdp-conformance and of
	// OSDP.Net: one JSON object a line.
	OSDPCap Format = iota
	// PCAPNG is what Wireshark writes. The link type is USER15, as in the files
	// of libosdp, whose dissector shows them.
	PCAPNG
	// PCAP is what libosdp writes. It knows no lines and no comments: it is
	// read, not written.
	PCAP
)

// String is the name that ParseFormat takes, and what such a file's name ends
// with.
func (f Format) String() string {
	if f > PCAP {
		return fmt.Sprintf("format %d", uint8(f))
	}
	return [...]string{"osdpcap", "pcapng", "pcap"}[f]
}

// ParseFormat gives the format of that name, for a Writer.
func ParseFormat(name string) (Format, error) {
	for _, f := range []Format{OSDPCap, PCAPNG} {
		if name == f.String() {
			return f, nil
		}
	}
	return 0, fmt.Errorf("capture: format %q: want %v or %v", name, OSDPCap, PCAPNG)
}

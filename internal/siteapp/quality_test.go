package siteapp

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"latchkey/agent"
	"latchkey/internal/readerkeys"
	"latchkey/osdp"
)

// The numbers of a line that has everything wrong with it, in words.
func TestQualityInWords(t *testing.T) {
	s := osdp.PDStats{
		Addr: 7, Online: true, Polls: 1000, Retries: 3, CRCErrors: 2, Echoes: 5, OtherPanel: 4, Unasked: 6, MACErrors: 8, ClearReplies: 9,
		WorstPollGap: 250 * time.Millisecond, ID: osdp.PDID{Serial: 1},
	}
	for _, code := range []osdp.NAKCode{0x13, osdp.NAKUnknown, osdp.NAKUnknown, osdp.NAKNoCard} {
		s.NAKCodes.Add(code)
	}
	s.Latency.Counts[3], s.Latency.Max = 100, 3*time.Millisecond
	q := qualityOf(s)
	q.Line, q.Readers = "bus-1", []string{"in", "out"}
	gone := readerQuality{Line: "bus-1", Address: 9, Readers: []string{"far"}}
	odd := readerQuality{Line: "bus-1", Address: 10, Readers: []string{"odd"}, Trouble: osdp.WrongKey.String()}
	var out bytes.Buffer
	if err := printQuality(&out, []readerQuality{q, gone, odd}); err != nil {
		t.Fatal(err)
	}
	want := `READER   LINE   ADDRESS  STATE          POLLS  RETRIES  CRC ERRORS  REPLY p50/p99/max  WORST GAP  REFUSALS
in, out  bus-1  7        NOT ENCRYPTED  1000   3        2           3ms/3ms/3ms        250ms      card not found 1, other 1, unknown command 2
far      bus-1  9        offline        0      0        0           -                  -          -
odd      bus-1  10       not served     0      0        0           -                  -          -
- in, out: 5 of our own frames came back: the adapter hears itself; that is harmless
- in, out: 4 commands that are not ours: another panel is on this line
- in, out: 6 replies that nobody asked for: two devices may have this address
- in, out: 8 replies were not authentic: noise, or somebody on the line
- in, out: 9 replies without encryption inside the secure channel were not believed
- odd: it has another key
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// A line that was renamed in the site file has lost its readers' keys, and a
// person is told.
func TestKeysOfNobody(t *testing.T) {
	cfg := &agent.Config{OSDP: []agent.OSDPConfig{{Name: "bus-2", Readers: []agent.OSDPReader{{Address: 5}}}}}
	places := []string{readerkeys.Place("bus-1", 5), readerkeys.Place("bus-2", 5)}
	got := strangers(cfg, places)
	if len(got) != 1 || !strings.Contains(got[0], "bus-1 address 5") {
		t.Errorf("got %q, want one about bus-1 address 5", got)
	}
}

package osdp_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"latchkey/osdp"
)

// TestNotSent: what no PD can carry out is refused before it is sent, with what
// was wrong; and so is what would put two PDs at one address.
func TestNotSent(t *testing.T) {
	steady := osdp.Blink{Code: osdp.LEDSet, On: time.Second, OnColor: osdp.Green}
	part := func(total, offset uint16, data string) osdp.GENAUTH {
		return osdp.GENAUTH{Part: osdp.Part{Total: total, Offset: offset, Length: uint16(len(data))}, Data: []byte(data)}
	}
	for _, tt := range []struct {
		cmd  osdp.Command
		want string // in the error; empty: it is sent
	}{
		{osdp.OUT{}, "OUT without a record"},
		{osdp.OUT{{Action: 7}}, "OUT action 7, want 0 to 6"},
		{osdp.OUT{{Action: 6}}, ""},
		{osdp.LED{}, "LED without a record"},
		{osdp.LED{{Temporary: osdp.Blink{Code: 3}}}, "LED temporary code 3, want 0 to 2"},
		{osdp.LED{{Permanent: osdp.Blink{Code: 2}}}, "LED permanent code 2, want 0 to 1"},
		{osdp.LED{{Temporary: osdp.Blink{Code: osdp.LEDSet, On: time.Second, OnColor: 8}}}, "LED temporary colour 8, want 0 to 7"},
		{osdp.LED{{Temporary: steady, Permanent: osdp.Blink{Code: osdp.LEDPerm, Off: time.Second, OffColor: 9}}}, "LED permanent colour 9, want 0 to 7"},
		{osdp.LED{{Temporary: osdp.Blink{Code: osdp.LEDSet, OnColor: osdp.Red}}}, "on for 0 s and off for 0 s"},
		{osdp.LED{{Temporary: osdp.Blink{Code: osdp.LEDCancel}}, {Temporary: steady}}, ""},
		{osdp.BUZ{Tone: 3}, "BUZ tone 3, want 0 to 2"},
		{osdp.TEXT{Mode: 5, Row: 1, Col: 1}, "TEXT mode 5, want 1 to 4"},
		{osdp.TEXT{Mode: 1, Row: 0, Col: 1}, "row 0, column 1, want them from 1"},
		{osdp.TEXT{Mode: 1, Row: 1, Col: 1, Text: "Zürich"}, "byte 0xc3 at 1, want ASCII"},
		{osdp.TEXT{Mode: 4, Row: 1, Col: 1, Text: "Zurich"}, ""},
		{part(1, 0, "abc"), "fragment of 3 bytes at 0 of 1"},
		{part(3, 0, "abc"), ""},
		{osdp.COMSET{Addr: 0x7f, Baud: 9600}, "address 127, want 0 to 126"},
		{osdp.COMSET{Addr: 9, Baud: 300}, "300 bit/s, want"},
		{osdp.COMSET{Addr: 6, Baud: 9600}, "address 6, which another PD of this line has"},
		{osdp.COMSET{Addr: 5, Baud: 9600}, ""},
		{osdp.RawCommand{Op: osdp.CodeCOMSET, Data: []byte{6, 0x80, 0x25, 0, 0}}, "address 6, which another PD of this line has"},
		{osdp.RawCommand{Op: osdp.CodeBUZ, Data: []byte{0, 9, 0, 0, 0}}, "BUZ tone 9, want 0 to 2"},
		{osdp.RawCommand{Op: osdp.CodeBUZ, Data: []byte{9}}, ""},
	} {
		h := newHand(t, osdp.Options{}, 5, 6)
		h.up()
		_, err := h.bus.Submit(h.now, 5, []osdp.Command{tt.cmd}, func([]osdp.Reply, error) {})
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%v: %v", tt.cmd, err)
		case tt.want != "" && (!errors.Is(err, osdp.ErrValue) || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%v: error %v, want one with %q", tt.cmd, err, tt.want)
		}
	}
}

// TestTolerated: what is taken although others would not take it, is counted.
func TestTolerated(t *testing.T) {
	oddly := func(f osdp.Frame, r osdp.Reply) osdp.Frame {
		f.Reply, f.Code = true, r.Code()
		f.Data, _ = r.AppendData(nil)
		return f
	}
	for _, tt := range []struct {
		name string
		cmd  osdp.Command
		odd  osdp.Reply
		even osdp.Reply
		of   func(osdp.PDStats) uint64
	}{
		{"an OSTATR to OUT", osdp.OUT{{}}, osdp.OSTATR{1}, osdp.ACK{}, func(s osdp.PDStats) uint64 { return s.OutputStates }},
		{"three inputs of two", osdp.ISTAT{}, osdp.ISTATR{0, 1, 0}, osdp.ISTATR{0, 1}, func(s osdp.PDStats) uint64 { return s.OtherInputs }},
		{"an answer as a presence", osdp.XWR{Mode: osdp.ModeTransparent, Command: 1}, osdp.XRD{Mode: osdp.ModeTransparent, Reply: 1, Data: []byte{0, 0, 0x90, 0}},
			osdp.XRD{Mode: osdp.ModeTransparent, Reply: 2, Data: []byte{0, 0, 0x90, 0}}, func(s osdp.PDStats) uint64 { return s.OtherXRD }},
		{"a checksum for a CRC", osdp.LSTAT{}, nil, osdp.LSTATR{}, func(s osdp.PDStats) uint64 { return s.OtherCheck }},
	} {
		h := newHand(t, osdp.Options{}, 5)
		for !h.bus.Stats()[0].Online {
			f := h.next()
			if f.Code == osdp.CodeCAP {
				h.answer(f, osdp.PDCAP{{Function: osdp.CapInputs, Number: 2}})
				continue
			}
			h.answer(f, plain(f))
		}
		exchange := func(r osdp.Reply) {
			if _, err := h.bus.Submit(h.now, 5, []osdp.Command{tt.cmd}, func([]osdp.Reply, error) {}); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			f := h.next()
			for ; f.Code != tt.cmd.Code(); f = h.next() {
				h.answer(f, plain(f))
			}
			if r == nil {
				odd := oddly(f, tt.even)
				odd.Checksum = true
				h.bus.Answer(h.now, odd)
				return
			}
			h.answer(f, r)
		}
		before := tt.of(h.bus.Stats()[0])
		exchange(tt.even)
		if n := tt.of(h.bus.Stats()[0]) - before; n != 0 {
			t.Errorf("%s: counted %d where there was none", tt.name, n)
		}
		exchange(tt.odd)
		if n := tt.of(h.bus.Stats()[0]) - before; n != 1 {
			t.Errorf("%s: counted %d, want 1", tt.name, n)
		}
	}
}

package peer

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"latchkey/osdp"
)

// These tests have libosdp at both ends: they prove the programs, so that a
// failure of the sequence is ours.

func testKey(first byte) (key osdp.Key) {
	for i := range key {
		key[i] = first + byte(i*i)
	}
	return key
}

func keySet(key osdp.Key) osdp.Command { return osdp.KEYSET{Kind: osdp.KeyAES128, Key: key[:]} }

// fileContent is what libosdp's control panel in C makes up as well.
func fileContent(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i*31 + i/251)
	}
	return b
}

func TestPeersSecureChannel(t *testing.T) {
	t.Parallel()
	wire := NewWire(t, 2)
	key, next, content := testKey(0x10), testKey(0x80), fileContent(100_000)
	d := StartPD(t, PDConfig{Line: wire.Path(1), Addr: 3, Key: key[:], Enforce: true, Outputs: 1})
	p := StartCP(t, CPConfig{Line: wire.Path(0), PDs: map[uint8][]byte{3: key[:]}, Enforce: true})
	p.AwaitOnline(t, 3, true)
	p.AwaitSecure(t, 3, true)
	d.AwaitSecure(t, true)
	card := osdp.RAW{CardFormat: osdp.FormatWiegand, Bits: 26, Data: []byte{0x7f, 0xe4, 0x24, 0x00}}
	d.Tell(t, card)
	p.AwaitReply(t, 3, card)
	p.SendFile(t, 3, 1, content)
	d.AwaitFile(t, 1, content)
	if n := wire.Count(0, osdp.CodeFILETRANSFER); n < len(content)/1440 {
		t.Errorf("the wire saw %d frames of the file", n)
	}

	p.Send(t, 3, keySet(next))
	d.AwaitCommand(t, keySet(next))
	for _, up := range []bool{false, true} {
		d.AwaitSecure(t, up)
		p.AwaitSecure(t, 3, up)
	}
	p.AwaitOnline(t, 3, false) // while it handshakes again
	p.AwaitOnline(t, 3, true)
	out := osdp.OUT{{Action: osdp.OutputOn}}
	p.Send(t, 3, out)
	d.AwaitCommand(t, out)
}

// TestPeersInstall has a PD in install mode given its key, as libosdp's panel
// does of itself.
func TestPeersInstall(t *testing.T) {
	t.Parallel()
	wire := NewWire(t, 2)
	key := testKey(0x42)
	d := StartPD(t, PDConfig{Line: wire.Path(1), Addr: 3})
	p := StartCP(t, CPConfig{Line: wire.Path(0), PDs: map[uint8][]byte{3: key[:]}})
	d.AwaitCommand(t, keySet(key))
	p.AwaitOnline(t, 3, true)
	p.AwaitSecure(t, 3, true)
}

// TestPeersMultiDrop has two PDs on one line, one of them in the clear.
func TestPeersMultiDrop(t *testing.T) {
	t.Parallel()
	wire := NewWire(t, 3)
	key := testKey(0x20)
	first := StartPD(t, PDConfig{Line: wire.Path(1), Addr: 1, Key: key[:]})
	second := StartPD(t, PDConfig{Line: wire.Path(2), Addr: 2})
	p := StartCP(t, CPConfig{Line: wire.Path(0), PDs: map[uint8][]byte{1: key[:], 2: nil}})
	for i, d := range []*PD{first, second} {
		addr := uint8(i + 1)
		p.AwaitOnline(t, addr, true)
		keys := osdp.KEYPAD{Keys: []byte{'0' + addr}}
		d.Tell(t, keys)
		p.AwaitReply(t, addr, keys)
		buz := osdp.BUZ{Tone: osdp.ToneDefault, On: time.Second, Count: addr}
		p.Send(t, addr, buz)
		d.AwaitCommand(t, buz)
	}
	p.AwaitSecure(t, 1, true)
}

// TestPanelInC has the control panel of the benchmarks do all that they want.
func TestPanelInC(t *testing.T) {
	key := testKey(0x30)
	for _, tt := range []struct {
		name string
		key  []byte
	}{{"clear", nil}, {"secure", key[:]}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			master, path := Pty(t)
			d := StartPD(t, PDConfig{Line: path, Addr: 9, Key: tt.key, Outputs: 1})
			p := StartPanel(t, PanelConfig{Master: master, Refresh: time.Millisecond, Addrs: []uint8{9}, Keys: [][]byte{tt.key}, Patient: true})
			p.Await(t, Report{"is": "online", "pd": 0, "up": true})
			if tt.key != nil {
				p.Await(t, Report{"is": "secure", "pd": 0, "up": true})
			}

			p.Order(t, "badge 0 5 20")
			d.Tell(t, osdp.RAW{Bits: 26, Data: make([]byte, 4)})
			p.Await(t, Report{"is": "event", "pd": 0, "name": "RAW"})
			d.AwaitCommand(t, osdp.OUT{{Action: osdp.OutputOnFor, Timer: 2 * time.Second}})
			p.Await(t, Report{"is": "done", "pd": 0, "ok": true})
			p.Order(t, "out 0 0 1 0")
			d.AwaitCommand(t, osdp.OUT{{Action: osdp.OutputOff}})

			const size = 20_000
			p.Order(t, fmt.Sprintf("file 0 7 %d", size))
			d.AwaitFile(t, 7, fileContent(size))
			p.Await(t, Report{"is": "sent", "pd": 0, "ok": true, "size": size})

			p.Order(t, "usage")
			if r := p.Await(t, Report{"is": "usage"}); r.Int("cpu_ns") <= 0 || r.Int("polls") <= 0 {
				t.Errorf("usage %v", r)
			}
		})
	}
}

// TestWire tests the wire without a peer.
func TestWire(t *testing.T) {
	w := NewWire(t, 3)
	var ends []*serialEnd
	for i := range 3 {
		ends = append(ends, openEnd(t, w.Path(i)))
	}
	poll := frame(t, osdp.Frame{Addr: 1, Code: osdp.CodePOLL})
	ack := frame(t, osdp.Frame{Addr: 1, Reply: true, Code: osdp.CodeACK})
	ends[0].write(t, poll)
	ends[1].wants(t, poll)
	ends[2].wants(t, poll)
	ends[1].write(t, ack)
	ends[0].wants(t, ack)
	ends[2].wants(t, ack)
	if n := w.Count(0, osdp.CodePOLL); n != 1 || w.Bytes(0) != len(poll) || w.Count(1, osdp.CodeACK) != 1 {
		t.Errorf("%d polls in %d bytes; want 1 in %d", n, w.Bytes(0), len(poll))
	}

	began := time.Now()
	const late = 30 * time.Millisecond
	w.Meddle(0, func(b []byte) ([]byte, time.Duration) { b[len(b)-1] ^= 1; return b, late })
	ends[0].write(t, poll)
	bad := bytes.Clone(poll)
	bad[len(bad)-1] ^= 1
	ends[1].wants(t, bad)
	if d := time.Since(began); d < late {
		t.Errorf("a chunk held up for %v came after %v", late, d)
	}
	lost := make(chan struct{}, 1)
	w.Meddle(0, func([]byte) ([]byte, time.Duration) { lost <- struct{}{}; return nil, 0 })
	ends[0].write(t, poll)
	ends[2].write(t, ack) // goes through
	ends[0].wants(t, ack)
	ends[1].wants(t, ack)
	<-lost // each end has its own pump: the ack says nothing of the poll
	if n := w.Count(0, osdp.CodePOLL); n != 3 {
		t.Errorf("%d polls, want 3: those lost and spoilt count as well", n)
	}
}

package peer

import (
	"bytes"
	"slices"
	"sync"
	"testing"

	"latchkey/osdp"
	"latchkey/osdp/osdptest"
)

// TestWrongKey: without the key a PD is served by no panel of ours, and a PD of
// ours serves no panel.
func TestWrongKey(t *testing.T) {
	ours, theirs := testKey(0x10), testKey(0x80)
	devices := map[string]func(t *testing.T, line string){
		"our ACU and libosdp PD": func(t *testing.T, line string) {
			StartPD(t, PDConfig{Line: line, Addr: firstAddr, Key: theirs[:]})
		},
		"our ACU and our PD": func(t *testing.T, line string) { startReader(t, line, osdptest.Config{SCBK: &theirs}) },
	}
	for name, start := range devices {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wire := NewWire(t, 2)
			start(t, wire.Path(1))
			a := startACU(t, wire.Path(0), osdp.PDConfig{Keys: osdp.Keys{Current: &ours}})
			if e := a.await(t, firstAddr, osdp.Untrusted); e.Trouble != osdp.WrongKey {
				t.Errorf("%v, want the wrong key", e)
			}
			if n := wire.Count(0, osdp.CodePOLL); n > 0 || a.line.Stats()[0].Online {
				t.Errorf("polled %d times without a channel", n)
			}
		})
	}
	t.Run("libosdp CP and our PD", func(t *testing.T) {
		t.Parallel()
		wire := NewWire(t, 2)
		d := startReader(t, wire.Path(1), osdptest.Config{SCBK: &theirs, RequireSecure: true})
		p := StartCP(t, CPConfig{Line: wire.Path(0), PDs: map[uint8][]byte{firstAddr: ours[:]}})
		p.AwaitOnline(t, firstAddr, true) // so it says, and polls in the clear
		p.AwaitOnline(t, firstAddr, false)
		done := d.commands.last()
		if wire.Count(0, osdp.CodePOLL) == 0 || slices.ContainsFunc(done, func(c osdp.Command) bool { return c.Code() == osdp.CodePOLL }) || d.pd.Secure() {
			t.Errorf("%d polls in the clear; carried out: %v", wire.Count(0, osdp.CodePOLL), done)
		}
	})
}

// TestClearReplies: what libosdp's PD sends unencrypted in a channel is counted,
// and does not end the channel. Older ones send states so; this one tells so
// that it has none of its inputs and outputs.
func TestClearReplies(t *testing.T) {
	t.Parallel()
	wire := NewWire(t, 2)
	key := testKey(0x10)
	StartPD(t, PDConfig{Line: wire.Path(1), Addr: firstAddr, Key: key[:], Inputs: inputs, Outputs: outputs})
	var mu sync.Mutex
	var codes []byte
	wire.Watch(1, func(f osdp.Frame) {
		if f.SCBType >= osdp.SCS15 && f.SCBType < osdp.SCS17 && len(f.Data) > 0 {
			mu.Lock()
			defer mu.Unlock()
			codes = append(codes, f.Code)
		}
	})
	a := startACU(t, wire.Path(0), osdp.PDConfig{Keys: osdp.Keys{Current: &key}})
	a.await(t, firstAddr, osdp.ReaderStatus) // the last that it is asked for
	mu.Lock()
	defer mu.Unlock()
	want := []byte{osdp.CodeNAK, osdp.CodeNAK}
	if s := a.line.Stats()[0]; !bytes.Equal(codes, want) || s.ClearData != uint64(len(want)) || !s.Secure || s.Handshakes != 1 {
		t.Errorf("clear replies % x, want % x; %d counted; secure %v, %d handshakes", codes, want, s.ClearData, s.Secure, s.Handshakes)
	}
}

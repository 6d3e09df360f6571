package osdptest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"latchkey/osdp"
	"latchkey/osdp/osdptest"
)

// TestIndicators take what makes sense, and what they take is seen.
func TestIndicators(t *testing.T) {
	const s = time.Second
	shine := func(on, off osdp.Color) osdp.Blink {
		return osdp.Blink{Code: osdp.LEDPerm, On: s, Off: s, OnColor: on, OffColor: off}
	}
	lit := func(l osdp.LEDControl) osdp.LED { return osdp.LED{l} }
	bad := nak(osdp.NAKRecord)
	for _, tt := range []struct {
		name string
		c    osdp.Command
		want osdp.Reply
	}{
		{"LED", lit(osdp.LEDControl{Reader: 1, LED: 1, Permanent: shine(osdp.Red, osdp.Black)}), osdp.ACK{}},
		{"LED that does nothing", lit(osdp.LEDControl{}), osdp.ACK{}},
		{"no such LED", lit(osdp.LEDControl{LED: 2, Permanent: shine(osdp.Red, osdp.Black)}), bad},
		{"no such reader", lit(osdp.LEDControl{Reader: 2, Permanent: shine(osdp.Red, osdp.Black)}), bad},
		{"no such colour", lit(osdp.LEDControl{Permanent: shine(osdp.White+1, osdp.Black)}), bad},
		{"no such temporary code", lit(osdp.LEDControl{Temporary: osdp.Blink{Code: osdp.LEDSet + 1}}), bad},
		{"neither on nor off", lit(osdp.LEDControl{Temporary: osdp.Blink{Code: osdp.LEDSet}}), bad},
		{"BUZ", osdp.BUZ{Tone: osdp.ToneDefault, On: s}, osdp.ACK{}},
		{"BUZ off", osdp.BUZ{Tone: osdp.ToneOff}, osdp.ACK{}},
		{"a tone of no length", osdp.BUZ{Tone: osdp.ToneDefault}, bad},
		{"no such tone", osdp.BUZ{Tone: 3, On: s}, bad},
		{"BUZ of no reader", osdp.BUZ{Reader: 2, Tone: osdp.ToneDefault, On: s}, bad},
		{"TEXT", osdp.TEXT{Mode: osdp.TextPermanent, Row: 1, Col: 1, Text: "Hello"}, osdp.ACK{}},
		{"row 0", osdp.TEXT{Mode: osdp.TextPermanent, Col: 1}, bad},
		{"no such mode", osdp.TEXT{Mode: 5, Row: 1, Col: 1}, bad},
	} {
		synctest.Test(t, func(t *testing.T) {
			seen := 0
			pd := osdptest.NewPD(osdptest.Config{
				Addr: 3, Readers: 2, LEDs: 2,
				OnLED: func(osdp.LEDControl) { seen++ }, OnBuzzer: func(osdp.BUZ) { seen++ }, OnText: func(osdp.TEXT) { seen++ },
			})
			expect(t, tt.name, newACU(serve(t, pd)).inClear(tt.c), tt.want)
			if done := tt.want.Code() == osdp.CodeACK; done != (seen == 1) {
				t.Errorf("%s: seen %d times", tt.name, seen)
			}
		})
	}
}

// TestTemporaryColour gives way to the permanent one when its time is over, or
// when the panel says so.
func TestTemporaryColour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pd := osdptest.NewPD(osdptest.Config{Addr: 3})
		a := newACU(serve(t, pd))
		blink := func(code uint8, c osdp.Color) osdp.Blink { return osdp.Blink{Code: code, On: time.Second, OnColor: c} }
		green := osdp.LEDControl{Temporary: blink(osdp.LEDSet, osdp.Green), Timer: 5 * time.Second, Permanent: blink(osdp.LEDPerm, osdp.Red)}
		see := func(want osdp.Color) {
			t.Helper()
			if got := pd.LED(0, 0); got != want {
				t.Errorf("colour %d, want %d", got, want)
			}
		}
		a.inClear(osdp.LED{green})
		see(osdp.Green)
		time.Sleep(5 * time.Second)
		see(osdp.Red)
		a.inClear(osdp.LED{green})
		a.inClear(osdp.LED{{Temporary: osdp.Blink{Code: osdp.LEDCancel}}})
		see(osdp.Red)
		a.inClear(osdp.LED{{Permanent: osdp.Blink{Code: osdp.LEDPerm, Off: time.Second, OnColor: osdp.Red, OffColor: osdp.Blue}}})
		see(osdp.Blue)
	})
}

// TestStatesAreNeverLost: of more cards than the queue holds the oldest are
// gone, and what changed is told all the same.
func TestStatesAreNeverLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pd := osdptest.NewPD(osdptest.Config{Addr: 3, Inputs: 2, Readers: 2})
		p := serve(t, pd)
		p.wait = 10 * time.Millisecond
		a := newACU(p)
		a.inClear(osdp.ID{})
		pd.SetInput(1, true)
		pd.SetTamper(true)
		pd.SetReader(1, osdp.ReaderTamper)
		for range 100 {
			pd.Present(0, bits(t))
		}
		pd.KeyAt(1, "7*#")
		pd.SetPowerFail(true)
		expect(t, "inputs", a.inClear(osdp.POLL{}), osdp.ISTATR{osdp.InputInactive, osdp.InputActive})
		expect(t, "local status", a.inClear(osdp.POLL{}), osdp.LSTATR{Tamper: 1, Power: 1})
		expect(t, "readers", a.inClear(osdp.POLL{}), osdp.RSTATR{osdp.ReaderNormal, osdp.ReaderTamper})
		cards := 0
		for ; cards < 100; cards++ {
			if r := a.inClear(osdp.POLL{}); r.Code() != osdp.CodeRAW {
				expect(t, "keys", r, osdp.KEYPAD{Reader: 1, Keys: []byte{'7', osdp.KeyStar, osdp.KeyPound}})
				break
			}
		}
		if cards < 20 || cards > 32 {
			t.Errorf("%d cards", cards)
		}
		expect(t, "nothing more", a.inClear(osdp.POLL{}), osdp.ACK{})
		for c, want := range map[osdp.Command]osdp.Reply{
			osdp.LSTAT{}: osdp.LSTATR{Tamper: 1, Power: 1}, osdp.RSTAT{}: osdp.RSTATR{0, osdp.ReaderTamper},
			osdp.ISTAT{}: osdp.ISTATR{0, 1}, osdp.OSTAT{}: osdp.OSTATR{},
		} {
			expect(t, osdp.CommandName(c.Code()), a.inClear(c), want)
		}
	})
}

// TestChecksumOnly: a PD that knows no CRC says so, and answers a checksum.
func TestChecksumOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := serve(t, osdptest.NewPD(osdptest.Config{Addr: 3, ChecksumOnly: true}))
		f, r := reply(t, p.send(command(t, 3, 0, osdp.ID{})))
		if !equal(r, nak(osdp.NAKCheck)) || !f.Checksum {
			t.Errorf("CRC: %v %v", f, r)
		}
		f, r = reply(t, p.send(encode(t, osdp.Frame{Addr: 3, Checksum: true, Code: osdp.CodeCAP, Data: []byte{0}})))
		caps, ok := r.(osdp.PDCAP)
		if check, _ := caps.Find(osdp.CapCheck); !ok || !f.Checksum || check.Compliance != 0 {
			t.Errorf("checksum: %v %v", f, r)
		}
	})
}

// TestSwappedKey is noticed by the next handshake.
func TestSwappedKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pd, a := start(t, secure())
		k := nextKey
		pd.SetSCBK(&k)
		expect(t, "the session", a.do(osdp.POLL{}), osdp.ACK{})
		if err := a.shake(siteKey, false); err == nil {
			t.Error("the old key still holds")
		}
		pd.Mute(true)
		if got := a.send(encode(t, a.next(osdp.POLL{}))); len(got) != 0 {
			t.Errorf("mute: % x", got)
		}
	})
}

package peer

import (
	"testing"
	"time"

	"latchkey/osdp"
	"latchkey/osdp/osdptest"
)

// A panel is what the sequence asks of a control panel with one PD.
type panel interface {
	AwaitOnline(t testing.TB, addr uint8, online bool)
	AwaitSecure(t testing.TB, addr uint8, up bool)
	Install(t testing.TB, addr uint8, key osdp.Key)
	Rekey(t testing.TB, addr uint8, key osdp.Key)
	Send(t testing.TB, addr uint8, c osdp.Command)
	SendFile(t testing.TB, addr uint8, kind uint8, content []byte)
	AwaitReply(t testing.TB, addr uint8, r osdp.Reply)
}

// A device is what the sequence asks of a PD.
type device interface {
	AwaitSecure(t testing.TB, up bool)
	Tell(t testing.TB, r osdp.Reply)
	AwaitCommand(t testing.TB, c osdp.Command)
	AwaitFile(t testing.TB, kind uint8, content []byte)
}

// The PD of the sequence.
const (
	firstAddr = 5
	nextAddr  = 17 // after COMSET
	inputs    = 2
	outputs   = 2
)

const second = time.Second

// A footing is what the two ends have of each other at the start.
type footing uint8

const (
	inClear   footing = iota // no keys, and none wanted
	withKeys                 // the same key, and nothing without it
	toInstall                // the PD is in install mode and has none yet
)

// play runs f for libosdp at either end of the line, and for ours at both. With
// libosdp at both it tests the programs themselves.
func play(t *testing.T, s footing, f func(t *testing.T, p panel, d device)) {
	key := testKey(0x10)
	panels := map[string]func(t *testing.T, line string) panel{
		"our ACU": func(t *testing.T, line string) panel {
			switch s {
			case inClear:
				return startACU(t, line, osdp.PDConfig{Security: osdp.AllowClear})
			case withKeys:
				return startACU(t, line, osdp.PDConfig{Keys: osdp.Keys{Current: &key}})
			}
			return startACU(t, line, osdp.PDConfig{})
		},
		"libosdp CP": func(t *testing.T, line string) panel {
			c := CPConfig{Line: line, PDs: map[uint8][]byte{firstAddr: key[:]}, Enforce: s == withKeys}
			if s == inClear {
				c.PDs[firstAddr] = nil
			}
			return StartCP(t, c)
		},
	}
	devices := map[string]func(t *testing.T, line string) device{
		"our PD": func(t *testing.T, line string) device {
			c := osdptest.Config{InstallMode: s == toInstall, RequireSecure: s != inClear}
			if s == withKeys {
				c.SCBK = &key
			}
			return startReader(t, line, c)
		},
		"libosdp PD": func(t *testing.T, line string) device {
			c := PDConfig{Line: line, Addr: firstAddr, Inputs: inputs, Outputs: outputs}
			if s == withKeys {
				c.Key, c.Enforce = key[:], true
			}
			return StartPD(t, c)
		},
	}
	for panelName, startPanel := range panels {
		for deviceName, startDevice := range devices {
			t.Run(panelName+" and "+deviceName, func(t *testing.T) {
				t.Parallel()
				wire := NewWire(t, 2)
				d := startDevice(t, wire.Path(1))
				f(t, startPanel(t, wire.Path(0)), d)
			})
		}
	}
}

// TestSequence plays one day of a reader in the clear.
func TestSequence(t *testing.T) {
	play(t, inClear, func(t *testing.T, p panel, d device) {
		p.AwaitOnline(t, firstAddr, true)
		day(t, p, d)
		move(t, p, d)
	})
}

// TestSecureSequence plays the same day in a secure channel, with a file of the
// size of a controller's table and a new key.
func TestSecureSequence(t *testing.T) {
	play(t, withKeys, func(t *testing.T, p panel, d device) {
		p.AwaitOnline(t, firstAddr, true)
		p.AwaitSecure(t, firstAddr, true)
		d.AwaitSecure(t, true)
		day(t, p, d)
		content := fileContent(100_000)
		p.SendFile(t, firstAddr, osdp.FilePrivate, content)
		d.AwaitFile(t, osdp.FilePrivate, content)
		next := testKey(0x80)
		p.Rekey(t, firstAddr, next)
		d.AwaitCommand(t, keySet(next))
		move(t, p, d)
	})
}

// TestInstall gives a PD its first key, over SCBK-D.
func TestInstall(t *testing.T) {
	play(t, toInstall, func(t *testing.T, p panel, d device) {
		key := testKey(0x10)
		p.Install(t, firstAddr, key)
		d.AwaitCommand(t, keySet(key))
		p.AwaitOnline(t, firstAddr, true)
		p.AwaitSecure(t, firstAddr, true)
		d.AwaitSecure(t, true)
		day(t, p, d)
	})
}

// day is what a reader does all day.
func day(t *testing.T, p panel, d device) {
	t.Helper()
	for _, c := range []osdp.Command{
		osdp.LED{{Permanent: osdp.Blink{Code: osdp.LEDPerm, On: second / 2, Off: second / 5, OnColor: osdp.Red, OffColor: osdp.Black}}},
		osdp.LED{{Temporary: osdp.Blink{Code: osdp.LEDSet, On: second / 10, OnColor: osdp.Green}, Timer: 3 * second}},
		osdp.BUZ{Tone: osdp.ToneDefault, On: second / 5, Off: second / 10, Count: 3},
		osdp.OUT{{Output: 1, Action: osdp.OutputOnFor, Timer: 5 * second}},
		osdp.TEXT{Mode: osdp.TextFor, Time: 4 * second, Row: 1, Col: 2, Text: "come in"},
		osdp.MFG{Vendor: vendor, Data: []byte("how are you?")},
	} {
		p.Send(t, firstAddr, c)
		d.AwaitCommand(t, c)
	}
	for _, r := range []osdp.Reply{
		osdp.RAW{CardFormat: osdp.FormatWiegand, Bits: 26, Data: []byte{0x7f, 0xe4, 0x24, 0x00}},
		osdp.KEYPAD{Keys: []byte{'1'}},
		osdp.KEYPAD{Keys: []byte{'2', '0', osdp.KeyStar, osdp.KeyPound}},
		osdp.RAW{Bits: 56, Data: []byte{0x04, 0xa1, 0xb2, 0xc3, 0xd4, 0xe5, 0xf6}},
		osdp.ISTATR{osdp.InputInactive, osdp.InputActive},
		osdp.LSTATR{Tamper: 1},
		osdp.MFGREP{Vendor: vendor, Data: []byte("well")},
	} {
		d.Tell(t, r)
		p.AwaitReply(t, firstAddr, r)
	}
}

var vendor = [3]byte{0xfe, 0xca, 0x00}

// move gives the PD another address and speed, and finds it there.
func move(t *testing.T, p panel, d device) {
	t.Helper()
	com := osdp.COMSET{Addr: nextAddr, Baud: 38400}
	p.Send(t, firstAddr, com)
	d.AwaitCommand(t, com)
	out := osdp.OUT{{Output: 0, Action: osdp.OutputOn}}
	p.Send(t, nextAddr, out)
	d.AwaitCommand(t, out)
	card := osdp.RAW{CardFormat: osdp.FormatWiegand, Bits: 34, Data: []byte{0x12, 0x34, 0x56, 0x78, 0x80}}
	d.Tell(t, card)
	p.AwaitReply(t, nextAddr, card)
}

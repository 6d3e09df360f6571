package peer

import (
	"context"
	"reflect"
	"sync"
	"testing"
	"time"

	"latchkey/osdp"
	"latchkey/osdp/osdptest"
	"latchkey/serialline"
)

// A panel is what the sequence asks of a control panel with one PD.
type panel interface {
	AwaitOnline(t testing.TB, addr uint8, online bool)
	Send(t testing.TB, addr uint8, c osdp.Command)
	AwaitReply(t testing.TB, addr uint8, r osdp.Reply)
}

// A device is what the sequence asks of a PD.
type device interface {
	Tell(t testing.TB, r osdp.Reply)
	AwaitCommand(t testing.TB, c osdp.Command)
}

// The PD of the sequence.
const (
	firstAddr = 5
	nextAddr  = 17 // after COMSET
	inputs    = 2
	outputs   = 2
)

// TestSequence plays one day of a reader with libosdp at either end of the line,
// and with ours at both. With libosdp at both it tests the programs themselves.
func TestSequence(t *testing.T) {
	panels := map[string]func(t *testing.T, line string) panel{
		"our ACU": func(t *testing.T, line string) panel { return startACU(t, line) },
		"libosdp CP": func(t *testing.T, line string) panel {
			return StartCP(t, CPConfig{Line: line, PDs: map[uint8][]byte{firstAddr: nil}})
		},
	}
	devices := map[string]func(t *testing.T, line string) device{
		"our PD": func(t *testing.T, line string) device { return startReader(t, line) },
		"libosdp PD": func(t *testing.T, line string) device {
			return StartPD(t, PDConfig{Line: line, Addr: firstAddr, Inputs: inputs, Outputs: outputs})
		},
	}
	for panelName, startPanel := range panels {
		for deviceName, startDevice := range devices {
			t.Run(panelName+" and "+deviceName, func(t *testing.T) {
				t.Parallel()
				wire := NewWire(t, 2)
				d := startDevice(t, wire.Path(1))
				p := startPanel(t, wire.Path(0))
				p.AwaitOnline(t, firstAddr, true)
				clearSequence(t, p, d)
			})
		}
	}
}

// clearSequence is what needs no secure channel.
func clearSequence(t *testing.T, p panel, d device) {
	for _, c := range []osdp.Command{
		osdp.LED{{Permanent: osdp.Blink{Code: osdp.LEDPerm, On: second / 2, Off: second / 5, OnColor: osdp.Red, OffColor: osdp.Black}}},
		osdp.LED{{Temporary: osdp.Blink{Code: osdp.LEDSet, On: second / 10, OnColor: osdp.Green}, Timer: 3 * second}},
		osdp.BUZ{Tone: osdp.ToneDefault, On: second / 5, Off: second / 10, Count: 3},
		osdp.OUT{{Output: 1, Action: osdp.OutputOnFor, Timer: 5 * second}},
		osdp.TEXT{Mode: osdp.TextFor, Time: 4 * second, Row: 1, Col: 2, Text: "come in"},
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
	} {
		d.Tell(t, r)
		p.AwaitReply(t, firstAddr, r)
	}

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

const second = time.Second

// An acu is our end as a control panel: a Bus and a Line on a serial port.
type acu struct {
	line   *osdp.Line
	events inbox[osdp.Event]
}

func startACU(t *testing.T, path string) *acu {
	a := &acu{}
	a.line = osdp.NewLine(osdp.NewBus([]osdp.PDConfig{{Addr: firstAddr, Name: "reader", Security: osdp.AllowClear}}), func(context.Context) (osdp.Port, error) {
		return serialline.Open(serialline.Config{Path: path, Baud: 115200})
	}, nil)
	background(t, func(ctx context.Context) error { return a.line.Run(ctx, a.events.put) })
	return a
}

// background runs f until the test ends.
func background(t *testing.T, f func(context.Context) error) {
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait) // the test's context ends before
	wg.Go(func() {
		if err := f(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func (a *acu) await(t testing.TB, what string, match func(osdp.Event) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := a.events.await(ctx, match); err != nil {
		t.Fatalf("our ACU: no %s: %v; PDs %+v", what, err, a.line.Stats())
	}
}

func (a *acu) AwaitOnline(t testing.TB, addr uint8, online bool) {
	t.Helper()
	kind := osdp.Offline
	if online {
		kind = osdp.Online
	}
	a.await(t, kind.String(), func(e osdp.Event) bool { return e.Addr == addr && e.Kind == kind })
}

func (a *acu) Send(t testing.TB, addr uint8, c osdp.Command) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := a.line.Send(ctx, addr, c); err != nil {
		t.Fatalf("our ACU: command 0x%02x: %v", c.Code(), err)
	}
}

func (a *acu) AwaitReply(t testing.TB, addr uint8, r osdp.Reply) {
	t.Helper()
	var want osdp.Event
	switch r := r.(type) {
	case osdp.RAW:
		want = osdp.Event{Kind: osdp.Card, Reader: r.Reader, CardFormat: r.CardFormat, Bits: r.Bits, Data: r.Data}
	case osdp.KEYPAD:
		want = osdp.Event{Kind: osdp.Keypad, Reader: r.Reader}
		for _, k := range r.Keys {
			switch k {
			case osdp.KeyStar:
				k = '*'
			case osdp.KeyPound:
				k = '#'
			}
			want.Digits += string(rune(k))
		}
	case osdp.ISTATR:
		want = osdp.Event{Kind: osdp.Inputs, Inputs: r}
	case osdp.LSTATR:
		want = osdp.Event{Kind: osdp.LocalStatus, Tamper: r.Tamper != 0, PowerFail: r.Power != 0}
	default:
		t.Fatalf("our ACU: reply 0x%02x is not in the sequence", r.Code())
	}
	want.Addr = addr
	a.await(t, want.String(), func(e osdp.Event) bool {
		e.At = time.Time{}
		return reflect.DeepEqual(e, want)
	})
}

// A reader is our end as a PD: the simulated one on a serial port.
type reader struct {
	pd       *osdptest.PD
	commands inbox[osdp.Command]
}

func startReader(t *testing.T, path string) *reader {
	r := &reader{}
	r.pd = osdptest.NewPD(osdptest.Config{Addr: firstAddr, Inputs: inputs, Outputs: outputs, OnCommand: r.commands.put})
	port, err := serialline.Open(serialline.Config{Path: path, Baud: 115200})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { port.Close() })
	background(t, func(ctx context.Context) error { return r.pd.Serve(ctx, port) })
	return r
}

func (r *reader) Tell(_ testing.TB, reply osdp.Reply) { r.pd.Queue(reply) }

func (r *reader) AwaitCommand(t testing.TB, c osdp.Command) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := r.commands.await(ctx, func(got osdp.Command) bool { return reflect.DeepEqual(got, c) }); err != nil {
		t.Fatalf("our PD: no command 0x%02x: %v", c.Code(), err)
	}
}

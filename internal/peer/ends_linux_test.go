package peer

import (
	"bytes"
	"context"
	"reflect"
	"sync"
	"testing"
	"time"

	"latchkey/osdp"
	"latchkey/osdp/osdptest"
	"latchkey/serialline"
)

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

// take takes the first item for which match is true, or ends the test.
func take[T any](t testing.TB, from *inbox[T], what string, match func(T) bool) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	v, err := from.await(ctx, match)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return v
}

func openSerial(t testing.TB, path string) serialline.Port {
	t.Helper()
	port, err := serialline.Open(serialline.Config{Path: path, Baud: 115200})
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// An acu is our end as a control panel: a Bus and a Line on a serial port.
type acu struct {
	line   *osdp.Line
	events inbox[osdp.Event]
}

func startACU(t *testing.T, path string, c osdp.PDConfig) *acu {
	a := &acu{}
	c.Addr, c.Name = firstAddr, "reader"
	a.line = osdp.NewLine(osdp.NewBus([]osdp.PDConfig{c}, osdp.Options{Baud: 115200}), func(context.Context) (osdp.Port, error) {
		return serialline.Open(serialline.Config{Path: path, Baud: 115200})
	}, nil)
	background(t, func(ctx context.Context) error { return a.line.Run(ctx, a.events.put) })
	return a
}

// await takes the first event of a kind at addr, and says of the PDs what is
// known when it does not come.
func (a *acu) await(t testing.TB, addr uint8, kind osdp.Kind) osdp.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	e, err := a.events.await(ctx, func(e osdp.Event) bool { return e.Addr == addr && e.Kind == kind })
	if err != nil {
		t.Fatalf("our ACU: PD %d not %v: %v; PDs %+v", addr, kind, err, a.line.Stats())
	}
	return e
}

func (a *acu) AwaitOnline(t testing.TB, addr uint8, online bool) {
	t.Helper()
	kind := osdp.Offline
	if online {
		kind = osdp.Online
	}
	a.await(t, addr, kind)
}

// AwaitSecure waits for a channel. Without one, our ACU serves no PD that ever
// had one.
func (a *acu) AwaitSecure(t testing.TB, addr uint8, up bool) {
	t.Helper()
	kind := osdp.Offline
	if up {
		kind = osdp.Secured
	}
	a.await(t, addr, kind)
}

// do calls f with a time limit, and ends the test with its error.
func (a *acu) do(t testing.TB, what string, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := f(ctx); err != nil {
		t.Fatalf("our ACU: %s: %v; PDs %+v", what, err, a.line.Stats())
	}
}

func (a *acu) Install(t testing.TB, addr uint8, key osdp.Key) {
	t.Helper()
	a.do(t, "install", func(ctx context.Context) error { return a.line.Install(ctx, addr, key) })
}

func (a *acu) Rekey(t testing.TB, addr uint8, key osdp.Key) {
	t.Helper()
	a.do(t, "new key", func(ctx context.Context) error { return a.line.SetKey(ctx, addr, key) })
	if !a.line.HasKey(addr, key) {
		t.Errorf("our ACU: PD %d is not served under its new key", addr)
	}
}

func (a *acu) Send(t testing.TB, addr uint8, c osdp.Command) {
	t.Helper()
	a.do(t, osdp.CommandName(c.Code()), func(ctx context.Context) error { return a.line.Send(ctx, addr, c) })
}

func (a *acu) SendFile(t testing.TB, addr uint8, kind uint8, content []byte) {
	t.Helper()
	f := osdp.File{Type: kind, Content: content, Credentials: a.line.Stats()[0].Secure}
	a.do(t, "file", func(ctx context.Context) error { return a.line.SendFile(ctx, addr, f, nil) })
}

func (a *acu) AwaitReply(t testing.TB, addr uint8, r osdp.Reply) {
	t.Helper()
	want := eventOf(t, r)
	want.Addr = addr
	take(t, &a.events, "our ACU: "+want.String(), func(e osdp.Event) bool {
		e.At = time.Time{}
		return reflect.DeepEqual(e, want)
	})
}

// eventOf is how our ACU tells of r.
func eventOf(t testing.TB, r osdp.Reply) (e osdp.Event) {
	t.Helper()
	switch r := r.(type) {
	case osdp.RAW:
		return osdp.Event{Kind: osdp.Card, Reader: r.Reader, CardFormat: r.CardFormat, Bits: r.Bits, Data: r.Data}
	case osdp.KEYPAD:
		e = osdp.Event{Kind: osdp.Keypad, Reader: r.Reader}
		for _, k := range r.Keys {
			switch k {
			case osdp.KeyStar:
				k = '*'
			case osdp.KeyPound:
				k = '#'
			}
			e.Digits += string(rune(k))
		}
		return e
	case osdp.ISTATR:
		return osdp.Event{Kind: osdp.Inputs, Inputs: r}
	case osdp.LSTATR:
		return osdp.Event{Kind: osdp.LocalStatus, Tamper: r.Tamper != 0, PowerFail: r.Power != 0}
	case osdp.MFGREP:
		return osdp.Event{Kind: osdp.Other, Reply: r}
	}
	t.Fatalf("our ACU: reply 0x%02x is not in the sequence", r.Code())
	return e
}

// A reader is our end as a PD: the simulated one on a serial port.
type reader struct {
	pd       *osdptest.PD
	commands inbox[osdp.Command]
	replies  inbox[byte] // their codes
	files    inbox[osdp.File]
}

func startReader(t *testing.T, path string, c osdptest.Config) *reader {
	r := &reader{}
	c.Addr, c.Inputs, c.Outputs = firstAddr, inputs, outputs
	c.OnCommand = r.commands.put
	c.OnKey = func(k osdp.Key) error { r.commands.put(keySet(k)); return nil }
	c.OnMFG = func(osdp.MFG) osdp.Reply { return nil }
	c.OnReply = func(code byte, _ bool) { r.replies.put(code) }
	c.Files = &osdp.ReceiverOptions{Limit: 1 << 20, Action: osdp.FTInterleave, Commit: func(f osdp.File) int16 {
		r.files.put(f)
		return osdp.FTProcessed
	}}
	r.pd = osdptest.NewPD(c)
	port := openSerial(t, path)
	t.Cleanup(func() { port.Close() })
	background(t, func(ctx context.Context) error { return r.pd.Serve(ctx, port) })
	return r
}

func (r *reader) Tell(_ testing.TB, reply osdp.Reply) { r.pd.Queue(reply) }

func (r *reader) AwaitCommand(t testing.TB, c osdp.Command) {
	t.Helper()
	take(t, &r.commands, "our PD: "+osdp.CommandName(c.Code()), func(got osdp.Command) bool { return reflect.DeepEqual(got, c) })
}

// AwaitSecure does not wait: the panel has had the PD's word when it is asked.
func (r *reader) AwaitSecure(t testing.TB, up bool) {
	t.Helper()
	if r.pd.Secure() != up {
		t.Errorf("our PD: in a session: %v, want %v", !up, up)
	}
}

func (r *reader) AwaitFile(t testing.TB, kind uint8, content []byte) {
	t.Helper()
	take(t, &r.files, "our PD: file", func(f osdp.File) bool { return f.Type == kind && bytes.Equal(f.Content, content) })
}

package building

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"sync"

	"latchkey/access"
	"latchkey/osdp"
	"latchkey/osdp/osdptest"
	"latchkey/serialline/linktest"
	"latchkey/wiegand"
)

// addLine puts the PDs of one RS-485 line on a pty.
func (b *Building) addLine(l Line) error {
	master, shut, err := openPTY(b.link(l.Name))
	if err != nil {
		return err
	}
	b.closers = append(b.closers, shut)
	var pds []*osdptest.PD
	for _, rc := range l.Readers {
		r, pd, err := b.newPD(l, rc)
		if err != nil {
			return err
		}
		if err := b.add(r); err != nil {
			return err
		}
		pds = append(pds, pd)
	}
	b.tasks = append(b.tasks, task{"line " + l.Name, func(ctx context.Context) error {
		return osdptest.ServeLine(ctx, master, pds...)
	}})
	return nil
}

// newPD is one reader with a strike, and what a person sees of it: the strike
// moves, or the light is red. Its key is in a file, as a real one keeps it in
// its flash; one without a key is as it came from its maker.
func (b *Building) newPD(l Line, rc Reader) (*reader, *osdptest.PD, error) {
	key, err := readKey(b.cfg.Dir, rc.Name)
	if err != nil {
		return nil, nil, err
	}
	w := &watcher{}
	var pd *osdptest.PD
	pd = osdptest.NewPD(osdptest.Config{
		SCBK: key, InstallMode: key == nil, RequireSecure: key != nil,
		OnKey: func(k osdp.Key) error {
			if err := PairReader(b.cfg.Dir, rc.Name, k); err != nil {
				return err
			}
			pd.SetRequireSecure(true)
			return nil
		},
		Addr: rc.Address, Outputs: 1, Inputs: 2,
		ID: osdp.PDID{Vendor: [3]byte{0x4c, 0x4b, 0x59}, Model: 1, Version: 1, Serial: serialOf(l.Name, rc.Name)},
		OnCommand: func(c osdp.Command) {
			if d := sign(c); d != "" {
				w.say(d)
			}
		},
	})
	r := &reader{name: rc.Name, site: l.Site, decidedBy: access.ByAgent, mute: pd.Mute}
	r.hold = func(ctx context.Context, bits wiegand.Bits) string {
		answer := w.watch()
		pd.Present(0, bits)
		select {
		case d := <-answer:
			return d
		case <-ctx.Done():
			pd.Withdraw(0) // who walks away takes the card along
			w.watch()
			return DecisionNone
		}
	}
	return r, pd, nil
}

// sign is what a command of the panel means to the person at the reader: an
// output that is switched on lets them in, a light that turns red for a moment
// does not. Other commands mean nothing.
func sign(c osdp.Command) string {
	switch c := c.(type) {
	case osdp.OUT:
		for _, o := range c {
			switch o.Action {
			case osdp.OutputOn, osdp.OutputOnAfter, osdp.OutputOnFor:
				return DecisionGranted
			}
		}
	case osdp.LED:
		for _, l := range c {
			if l.Temporary.Code == osdp.LEDSet && l.Temporary.OnColor == osdp.Red {
				return DecisionDenied
			}
		}
	}
	return ""
}

// A watcher is the person before a reader: the first sign after the card was
// shown is the answer.
type watcher struct {
	mu     sync.Mutex
	answer chan string // of the card at the reader; takes one
}

// watch forgets what was before.
func (w *watcher) watch() <-chan string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = make(chan string, 1)
	return w.answer
}

func (w *watcher) say(decision string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.answer <- decision:
	default: // nobody there, or answered already
	}
}

// addController puts a door controller on a pty; its table is in a folder of
// its own.
func (b *Building) addController(c Controller) error {
	master, shut, err := openPTY(b.link(c.Name))
	if err != nil {
		return err
	}
	b.closers = append(b.closers, shut)
	var serial [8]byte
	binary.BigEndian.PutUint32(serial[4:], serialOf(c.Site, c.Name))
	hw, err := linktest.OpenController(linktest.Config{
		Dir: filepath.Join(b.cfg.Dir, "controllers", c.Name), Addr: c.Address, Serial: serial, Model: "latchkey-sim",
		Readers: c.Readers, Log: b.log,
	})
	if err != nil {
		return err
	}
	b.closers = append(b.closers, hw.Close)
	for i, name := range c.Readers {
		err := b.add(&reader{name: name, site: c.Site, decidedBy: access.ByController,
			hold: func(_ context.Context, bits wiegand.Bits) string {
				if hw.Present(i, bits).Granted {
					return DecisionGranted
				}
				return DecisionDenied
			},
			mute: hw.Mute,
		})
		if err != nil {
			return err
		}
	}
	b.tables = append(b.tables, table{c, hw})
	b.tasks = append(b.tasks, task{"controller " + c.Name, func(ctx context.Context) error { return hw.Serve(ctx, master) }})
	return nil
}

func (b *Building) link(name string) string { return filepath.Join(b.cfg.Dir, "dev", name) }

// serialOf gives a device a serial number that stays, and that no other has.
func serialOf(where, name string) uint32 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s", where, name))
	return binary.BigEndian.Uint32(sum[:])
}

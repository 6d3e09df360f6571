package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"latchkey/osdp"
	"latchkey/wiegand"
)

// An OSDPReader is one reader on an OSDP line, and the door that it stands at.
type OSDPReader struct {
	Name   string // in the site file; unique on its line
	Addr   uint8  // of the PD, 0 to 126
	Door   string // ID; several readers may stand at one door
	Output uint8  // of the PD: the strike, from 0. Of several readers at one door the first one's counts.
	Reader uint8  // reader head at the PD, from 0
	// ContactInput is the PD's input that is active while the door is open, and
	// ExitInput the one that is active while somebody asks to leave; both
	// counted from 1, 0 is none.
	ContactInput, ExitInput int
	// ContactInverted is set where the contact is active while the door is shut.
	ContactInverted bool
	// Security is osdp.RequireSCBK, unless a clear line is what the site wants.
	Security osdp.Security
}

// An OSDPConfig is one RS-485 line of OSDP readers that hold no table: the
// agent decides.
type OSDPConfig struct {
	Name    string
	Port    string // for people, such as "/dev/ttyUSB0"
	Open    func(context.Context) (osdp.Port, error)
	Baud    int           // bits per second, 9600 when 0
	Poll    time.Duration // from one poll of a reader to the next; 0 is as osdp.Options has it
	Readers []OSDPReader
	Keys    KeyStore     // nil: there are no keys, and no reader that requires one is served
	Log     *slog.Logger // nil is none
}

// Check says what is wrong with the configuration, or nil.
func (c OSDPConfig) Check() error {
	if len(c.Readers) == 0 {
		return fmt.Errorf("controller: %s: no readers, want at least one", c.Name)
	}
	for i, r := range c.Readers {
		if r.Addr > 126 {
			return fmt.Errorf("controller: %s: reader %s: address %d, want 0 to 126", c.Name, r.Name, r.Addr)
		}
		if r.ContactInput < 0 || r.ContactInput > 255 || r.ExitInput < 0 || r.ExitInput > 255 {
			return fmt.Errorf("controller: %s: reader %s: inputs %d and %d, want 0 to 255", c.Name, r.Name, r.ContactInput, r.ExitInput)
		}
		for _, o := range c.Readers[:i] {
			if o.Name == r.Name {
				return fmt.Errorf("controller: %s: two readers %s, want different names", c.Name, r.Name)
			}
			if o.Addr == r.Addr && o.Reader == r.Reader {
				return fmt.Errorf("controller: %s: readers %s and %s are both head %d of address %d", c.Name, o.Name, r.Name, r.Reader, r.Addr)
			}
		}
	}
	return nil
}

const (
	greenSettle = 2 * time.Second         // the lights of a reader that came online may take this long
	denyTime    = 1500 * time.Millisecond // how long a refusal blinks
	pinPause    = 5 * time.Second         // between two keys of one PIN; digits before a longer pause are forgotten
	pinShort    = 4                       // so many digits in one reply are a whole PIN
	pinLong     = 16                      // more digits than that are no PIN
)

// An OSDP is the Driver of one line of OSDP readers.
type OSDP struct {
	cfg  OSDPConfig
	log  *slog.Logger
	line *osdp.Line
	err  error // of cfg
	post func(...Event)
	wg   sync.WaitGroup // lights on their way
	ctx  context.Context

	keying map[uint8]*sync.Mutex // by address; held while the PD's key is changed or stored
	keeper keeper
	looks  looks

	mu      sync.Mutex
	running bool
	pds     map[uint8]*osdpPD
	doors   map[string]*osdpDoor
}

// An osdpPD is what a PD said last.
type osdpPD struct {
	online     bool
	since      time.Time
	tamper     bool
	power      bool
	headTamper map[uint8]bool
	exits      map[int]bool // by input, from 1
	digits     map[uint8]string
	digitAt    time.Time
}

// An osdpDoor is what is known of a door.
type osdpDoor struct {
	contact string // "open", "closed" or "unknown"
	until   time.Time
}

// The states of a door's contact.
const (
	contactOpen    = "open"
	contactClosed  = "closed"
	contactUnknown = "unknown"
)

// NewOSDP returns the driver of one line. A configuration that Check refuses
// makes Run fail.
func NewOSDP(cfg OSDPConfig) *OSDP {
	d := &OSDP{cfg: cfg, log: cmp.Or(cfg.Log, slog.New(slog.DiscardHandler)), err: cfg.Check(),
		pds: make(map[uint8]*osdpPD), doors: make(map[string]*osdpDoor),
		keying: make(map[uint8]*sync.Mutex), keeper: keeper{wake: make(chan struct{}, 1), changing: make(map[uint8]bool)}, post: func(...Event) {}}
	for _, r := range cfg.Readers {
		if d.doors[r.Door] == nil {
			d.doors[r.Door] = &osdpDoor{contact: contactUnknown}
		}
		if d.pds[r.Addr] == nil {
			d.pds[r.Addr] = &osdpPD{headTamper: make(map[uint8]bool), exits: make(map[int]bool), digits: make(map[uint8]string)}
			d.keying[r.Addr] = new(sync.Mutex)
		}
	}
	if d.err == nil {
		d.line = osdp.NewLine(osdp.NewBus(d.pdConfigs(), osdp.Options{Baud: cfg.Baud, Poll: cfg.Poll}), cfg.Open, d.log)
	}
	return d
}

// Name is the line's name in the site file.
func (d *OSDP) Name() string { return d.cfg.Name }

// Run works the line: see Driver.
func (d *OSDP) Run(ctx context.Context, sink Sink) error {
	if d.err != nil {
		return d.err
	}
	c := newCourier(sink, d.log)
	stop, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { c.run(stop) })
	wg.Go(func() { d.keep(stop) })
	wg.Go(func() { d.looks.keep(stop, d.look) })

	d.mu.Lock()
	d.post, d.ctx, d.running = c.post, stop, true
	d.mu.Unlock()
	err := d.line.Run(ctx, d.event)
	d.mu.Lock()
	d.running = false
	d.mu.Unlock()
	cancel()
	d.wg.Wait()
	wg.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("controller: %s: %w", d.cfg.Name, err)
}

// Unlock opens the strike with a timed output (OUT, temporary on), shows green
// and sounds the buzzer: see Driver.
func (d *OSDP) Unlock(ctx context.Context, door string, dur time.Duration) error {
	i := slices.IndexFunc(d.cfg.Readers, func(r OSDPReader) bool { return r.Door == door })
	if i < 0 || d.err != nil {
		return fmt.Errorf("%w: %s has no door %s", ErrUnknownDoor, d.cfg.Name, door)
	}
	if dur < MinUnlock || dur > MaxUnlock {
		return fmt.Errorf("%w: door %s for %v, want %v to %v", ErrDuration, door, dur, MinUnlock, MaxUnlock)
	}
	dur = dur.Round(100 * time.Millisecond)
	r := d.cfg.Readers[i]
	d.mu.Lock()
	held := time.Now().Before(d.doors[door].until)
	d.mu.Unlock()
	open := osdp.OUT{{Output: r.Output, Action: osdp.OutputOnFor, Timer: dur}}
	err := d.send(ctx, r, append([]osdp.Command{open}, granted(r, dur, held)...)...)
	if err != nil && !refusedOnly(err, osdp.CodeLED, osdp.CodeBUZ) { // a reader without light or buzzer opens its door as well
		return fmt.Errorf("controller: %s: door %s: unlock: %w", d.cfg.Name, door, err)
	}
	d.mu.Lock()
	d.doors[door].until = time.Now().Add(dur)
	d.mu.Unlock()
	for _, o := range d.cfg.Readers[i+1:] {
		if o.Door == door {
			d.show(o, granted(o, dur, held)...)
		}
	}
	return nil
}

func (d *OSDP) reader(name string) (OSDPReader, error) {
	i := slices.IndexFunc(d.cfg.Readers, func(r OSDPReader) bool { return r.Name == name })
	if i < 0 || d.err != nil {
		return OSDPReader{}, fmt.Errorf("%w: %s has no reader %s", ErrUnknownDoor, d.cfg.Name, name)
	}
	return d.cfg.Readers[i], nil
}

// Deny shows red and sounds the buzzer twice: see Denier.
func (d *OSDP) Deny(ctx context.Context, reader string) error {
	r, err := d.reader(reader)
	if err != nil {
		return err
	}
	err = d.send(ctx, r,
		osdp.LED{{Reader: r.Reader, Temporary: osdp.Blink{Code: osdp.LEDSet, On: 200 * time.Millisecond, Off: 200 * time.Millisecond,
			OnColor: osdp.Red, OffColor: osdp.Black}, Timer: denyTime}},
		osdp.BUZ{Reader: r.Reader, Tone: osdp.ToneDefault, On: 200 * time.Millisecond, Off: 100 * time.Millisecond, Count: 3})
	if err != nil && !refusedOnly(err, osdp.CodeLED, osdp.CodeBUZ) {
		return fmt.Errorf("controller: %s: reader %s: deny: %w", d.cfg.Name, reader, err)
	}
	return nil
}

// granted is what a reader shows while its door is open, and sounds if the
// strike was not held already.
func granted(r OSDPReader, dur time.Duration, held bool) []osdp.Command {
	light := osdp.LED{{Reader: r.Reader, Temporary: osdp.Blink{Code: osdp.LEDSet, On: 100 * time.Millisecond,
		OnColor: osdp.Green, OffColor: osdp.Green}, Timer: dur}}
	if held {
		return []osdp.Command{light}
	}
	return []osdp.Command{light,
		osdp.BUZ{Reader: r.Reader, Tone: osdp.ToneDefault, On: 100 * time.Millisecond, Off: 100 * time.Millisecond, Count: 1}}
}

// idle is what a reader shows, and its strike does, when nothing happens. A
// strike that a timer still holds keeps its time.
func idle(r OSDPReader) []osdp.Command {
	return []osdp.Command{
		osdp.OUT{{Output: r.Output, Action: osdp.OutputOffAfter}},
		osdp.LED{{Reader: r.Reader, Permanent: osdp.Blink{Code: osdp.LEDPerm, On: 100 * time.Millisecond, OnColor: osdp.Red, OffColor: osdp.Red}}},
	}
}

// send gives commands to a reader's PD and waits for its answers.
func (d *OSDP) send(ctx context.Context, r OSDPReader, cmds ...osdp.Command) error {
	d.mu.Lock()
	ready := d.running && d.pds[r.Addr].online
	d.mu.Unlock()
	if !ready {
		return fmt.Errorf("%w: reader %s", ErrOffline, r.Name)
	}
	err := d.line.Send(ctx, r.Addr, cmds...)
	if errors.Is(err, osdp.ErrOffline) {
		return fmt.Errorf("%w: reader %s: %w", ErrOffline, r.Name, err)
	}
	return err
}

// show gives commands to a reader's PD without waiting: it is called where the
// line must not wait. A refusal is logged.
func (d *OSDP) show(r OSDPReader, cmds ...osdp.Command) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.running {
		return
	}
	parent := d.ctx
	d.wg.Go(func() {
		ctx, cancel := context.WithTimeout(parent, greenSettle)
		defer cancel()
		if err := d.line.Send(ctx, r.Addr, cmds...); err != nil && parent.Err() == nil && !refusedOnly(err, osdp.CodeLED, osdp.CodeBUZ, osdp.CodeOUT) {
			d.log.Warn("reader lights not set", "controller", d.cfg.Name, "reader", r.Name, "err", err)
		}
	})
}

// refusedOnly reports whether all that went wrong is that the PD refused
// commands of these codes.
func refusedOnly(err error, codes ...byte) bool {
	switch e := err.(type) {
	case *osdp.NAKError:
		return slices.Contains(codes, e.Command)
	case interface{ Unwrap() []error }:
		return len(e.Unwrap()) > 0 && !slices.ContainsFunc(e.Unwrap(), func(err error) bool { return !refusedOnly(err, codes...) })
	case interface{ Unwrap() error }:
		return e.Unwrap() != nil && refusedOnly(e.Unwrap(), codes...)
	}
	return false
}

// event is called by the line, on its goroutine; it must not block.
func (d *OSDP) event(e osdp.Event) {
	var out []Event
	d.mu.Lock()
	pd := d.pds[e.Addr]
	if pd == nil {
		d.mu.Unlock()
		return
	}
	readers := slices.DeleteFunc(slices.Clone(d.cfg.Readers), func(r OSDPReader) bool { return r.Addr != e.Addr })
	at := e.At.UTC()
	of := func(r OSDPReader, kind Kind) Event {
		return Event{Kind: kind, At: at, Controller: d.cfg.Name, Reader: r.Name, Door: r.Door}
	}
	head := func() (OSDPReader, bool) {
		i := slices.IndexFunc(readers, func(r OSDPReader) bool { return r.Reader == e.Reader })
		if i < 0 {
			return OSDPReader{}, false
		}
		return readers[i], true
	}
	var settle bool
	switch e.Kind {
	case osdp.Online, osdp.Restarted:
		settle = true
		if e.Kind == osdp.Restarted {
			for _, r := range readers {
				d.dropped(r) // its outputs are as after power-up
			}
		}
		clear(pd.exits)
		clear(pd.digits)
		if !pd.online {
			pd.online, pd.since = true, at
			for _, r := range readers {
				out = append(out, of(r, ReaderOnline))
			}
		}
		if e.Kind == osdp.Online {
			d.learn(e)
		}
	case osdp.Secured:
		d.learn(e)
	case osdp.Offline:
		out = append(out, d.offline(pd, readers, at, of)...)
	case osdp.Untrusted:
		out = append(out, d.offline(pd, readers, at, of)...)
		for _, r := range readers {
			ev := of(r, Alarm)
			ev.Text = troubleText(e.Trouble)
			out = append(out, ev)
		}
	case osdp.Altered:
		for _, r := range readers {
			ev := of(r, Alarm)
			ev.Text = alteredText
			out = append(out, ev)
		}
	case osdp.Card:
		r, ok := head()
		if !ok {
			d.log.Warn("card at a reader head that is not in the site file", "controller", d.cfg.Name, "address", e.Addr, "head", e.Reader)
			break
		}
		bits, err := wiegand.MakeBits(e.Bits, e.Data)
		if err != nil {
			d.log.Warn("card not readable", "controller", d.cfg.Name, "reader", r.Name, "err", err)
			break
		}
		ev := of(r, CardRead)
		ev.Bits = bits
		out = append(out, ev)
	case osdp.StaleCard:
		if r, ok := head(); ok {
			ev := of(r, Alarm)
			ev.Text = "A card or a PIN from while nobody asked the reader was dropped."
			out = append(out, ev)
		}
	case osdp.CardText:
		d.log.Warn("reader sends cards as text, which carries no bits: set it to raw", "controller", d.cfg.Name, "address", e.Addr)
	case osdp.Keypad:
		if r, ok := head(); ok {
			for _, pin := range pd.keys(e.Reader, e.Digits, e.At) {
				ev := of(r, CardRead)
				ev.Digits = pin
				out = append(out, ev)
			}
		}
	case osdp.Inputs:
		for _, r := range readers {
			out = append(out, d.inputs(pd, r, e.Inputs, of)...)
		}
	case osdp.LocalStatus:
		for _, r := range readers {
			if e.Tamper && !pd.tamper {
				out = append(out, of(r, Tamper))
			}
			if e.PowerFail && !pd.power {
				out = append(out, of(r, PowerFail))
			}
		}
		pd.tamper, pd.power = e.Tamper, e.PowerFail
	case osdp.ReaderStatus:
		for _, r := range readers {
			if int(r.Reader) >= len(e.Readers) {
				continue
			}
			tamper := e.Readers[r.Reader] == osdp.ReaderTamper
			if tamper && !pd.headTamper[r.Reader] {
				out = append(out, of(r, Tamper))
			}
			pd.headTamper[r.Reader] = tamper
		}
	case osdp.Nak, osdp.Malformed:
		d.log.Debug("reader", "controller", d.cfg.Name, "event", e.String())
	}
	post := d.post
	d.mu.Unlock()
	post(out...)
	if settle {
		for _, r := range readers {
			d.show(r, idle(r)...) // lights and strikes are as after power-up: OSDP v2.2, re-established link
		}
	}
}

// offline notes that a PD is not served any more; d.mu is held.
func (d *OSDP) offline(pd *osdpPD, readers []OSDPReader, at time.Time, of func(OSDPReader, Kind) Event) (out []Event) {
	if !pd.online && !pd.since.IsZero() {
		return nil
	}
	pd.online, pd.since = false, at
	for _, r := range readers {
		out = append(out, of(r, ReaderOffline))
		if r.ContactInput > 0 {
			d.doors[r.Door].contact = contactUnknown
		}
	}
	return out
}

// dropped notes that r's PD let go of its strike; d.mu is held.
func (d *OSDP) dropped(r OSDPReader) {
	i := slices.IndexFunc(d.cfg.Readers, func(o OSDPReader) bool { return o.Door == r.Door })
	if d.cfg.Readers[i].Addr == r.Addr { // r's PD is the one that drives it
		d.doors[r.Door].until = time.Time{}
	}
}

// inputs compares a reader's two inputs with what they were; d.mu is held.
func (d *OSDP) inputs(pd *osdpPD, r OSDPReader, in []osdp.InputState, of func(OSDPReader, Kind) Event) (out []Event) {
	if n := r.ContactInput; n > 0 {
		door := d.doors[r.Door]
		contact, lost := contactUnknown, "the wiring of the door contact is cut or shorted"
		switch {
		case n > len(in): // a reader that was exchanged, or set up otherwise
			lost = fmt.Sprintf("the door contact is at input %d, and the reader tells of %d", n, len(in))
		case in[n-1] == osdp.InputActive:
			contact = contactOpen
		case in[n-1] == osdp.InputInactive:
			contact = contactClosed
		}
		if r.ContactInverted && contact != contactUnknown {
			contact = map[string]string{contactOpen: contactClosed, contactClosed: contactOpen}[contact]
		}
		if was := door.contact; was != contact {
			door.contact = contact
			switch {
			case contact == contactOpen:
				out = append(out, of(r, DoorOpened))
			case contact == contactClosed && was == contactOpen:
				out = append(out, of(r, DoorClosed))
			case contact == contactUnknown:
				e := of(r, Tamper)
				e.Text = lost
				out = append(out, e)
			}
		}
	}
	if n := r.ExitInput; n > 0 && n <= len(in) {
		active := in[n-1] == osdp.InputActive
		if was, known := pd.exits[n]; active && known && !was {
			out = append(out, of(r, ExitRequest))
		}
		pd.exits[n] = active
	}
	return out
}

// keys gathers digits into PINs: # ends one, * begins anew, and a reader that
// sends several digits at once has gathered them itself.
func (p *osdpPD) keys(reader uint8, digits string, at time.Time) (pins []string) {
	have := p.digits[reader]
	if at.Sub(p.digitAt) > pinPause {
		have = ""
	}
	p.digitAt = at
	if len(digits) >= pinShort && !strings.ContainsAny(digits, "*#") {
		digits += "#"
	}
	for _, k := range digits {
		switch k {
		case '*':
			have = ""
		case '#':
			if have != "" && len(have) <= pinLong {
				pins = append(pins, have)
			}
			have = ""
		default:
			if have += string(k); len(have) > pinLong {
				have = have[:pinLong+1] // too long for a PIN, however it goes on
			}
		}
	}
	p.digits[reader] = have
	return pins
}

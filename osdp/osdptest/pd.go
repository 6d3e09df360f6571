// Package osdptest is a simulated OSDP PD, a reader, for tests and for a
// building that stands on no wall. It answers as the standard wants, in the
// clear and through a secure channel, checks the panel's sequence and values
// strictly, and lies when it is told to.
package osdptest

import (
	"cmp"
	"io"
	"sync"
	"time"

	"latchkey/osdp"
)

// A Config describes a simulated PD. The functions may be nil. All but OnComm
// are called before the reply goes out, on the goroutine of Serve or of a timer,
// and may call the PD's methods.
type Config struct {
	Addr    uint8      // 0 to 126
	ID      osdp.PDID  // what it says it is
	Caps    osdp.PDCAP // nil: worked out from what follows
	Readers int        // reader heads, 1 when 0
	LEDs    int        // of each reader head, 1 when 0
	Inputs  int
	Outputs int
	Baud    uint32   // of the line at the start, in bits per second; 9600 when 0
	Bauds   []uint32 // what COMSET may make of it; nil: the speeds of the standard

	CardFormat    osdp.CardFormat // how it calls the bits of its cards
	OutputReply   bool            // answers OUT with OSTATR, as some do, instead of ACK
	ChecksumOnly  bool            // knows no CRC: answers it with NAK 1
	QuietBadCheck bool            // stays silent when a check is wrong, as libosdp does, instead of NAK 1

	SCBK            *osdp.Key // key of the secure channel; nil for none
	InstallMode     bool      // serves the default key too, until a KEYSET
	RequireSecure   bool      // refuses all but ID, CAP and COMSET without a session
	DropAfterKeyset bool      // ends the session after KEYSET, as libosdp does; else it goes on, and the new key holds from the next handshake
	AllowWeakKeys   bool      // takes keys that osdp.Key.Check refuses
	CUID            [8]byte   // what it calls itself in a handshake; zero: the first 8 bytes of ID
	Rand            io.Reader // its random numbers; nil: crypto/rand's

	// OnKey stores the key of a KEYSET. Its error refuses the key, and the PD
	// keeps the one it has.
	OnKey func(k osdp.Key) error

	SmartCards bool          // reads the smart cards of Insert: XWR, PIVDATA, GENAUTH, CRAUTH, KEEPACTIVE
	ExtendedID osdp.EXTPDID  // what ID tells who asks for more; nil: nothing more
	Takes      time.Duration // how long a scan or a smart card takes: the PD says ACK, and the answer comes on a POLL after that; 0: it is the answer itself

	Files      *osdp.ReceiverOptions // the files that it takes; nil: none
	CommitTime time.Duration         // how long it works on a whole file before it tells what Commit says
	BootTime   time.Duration         // how long it hears nothing after a Reboot, or after a file with FTRebooting

	// These answer commands that the PD refuses without them; nil is ACK. Their
	// other answers may be NAK and BUSY, MFGREP of OnMFG, and of OnBioRead and
	// OnBioMatch BIOREADR and BIOMATCHR.
	OnMFG      func(c osdp.MFG) osdp.Reply
	OnClock    func(c osdp.TDSET) osdp.Reply
	OnBioRead  func(c osdp.BIOREAD) osdp.Reply
	OnBioMatch func(c osdp.BIOMATCH) osdp.Reply

	// OnComm sets the port to what a COM reply told: the line is to have that
	// speed from then on. It is called once the reply has gone out.
	OnComm func(c osdp.COM)

	OnCommand func(c osdp.Command)         // each command carried out; not repeats, nor KEYSET and the handshake
	OnOutput  func(output int, on bool)    // each change of an output
	OnLED     func(l osdp.LEDControl)      // each record of LED
	OnBuzzer  func(b osdp.BUZ)             // each BUZ
	OnText    func(t osdp.TEXT)            // each TEXT
	OnReply   func(code byte, repeat bool) // each reply, before any Lie is applied to it
}

// A PD is a simulated reader. Its methods may be called from anywhere.
type PD struct {
	cfg Config

	turn   sync.Mutex // held while a frame is answered; taken before mu
	engine engine     // turn
	work   work       // turn

	mu        sync.Mutex
	baud      uint32
	later     []func() // what to change under turn before the next frame
	muted     bool
	deafUntil time.Time // it boots
	secure    bool      // as of the last frame
	stats     Stats     // as of the last frame
	due       []due
	queue     []waiting
	inputs    []osdp.InputState
	outputs   []output
	readers   []osdp.ReaderState
	tamper    bool
	powerFail bool
	leds      map[[2]uint8]led
	cards     map[uint8]*SmartCard // by reader head
	calls     []func()             // to be made once mu is free
}

// NewPD returns a PD that is switched on and waits for its panel.
func NewPD(c Config) *PD {
	c.Readers, c.LEDs = max(c.Readers, 1), max(c.LEDs, 1)
	if c.Bauds == nil {
		c.Bauds = []uint32{9600, 19200, 38400, 57600, 115200, 230400}
	}
	p := &PD{cfg: c, baud: cmp.Or(c.Baud, 9600), cards: map[uint8]*SmartCard{}, work: newWork(&c)}
	p.engine = engine{cfg: &p.cfg, do: p.execute, lost: p.panelLost, addr: c.Addr, takes: osdp.MaxFrame, most: assumed}
	if c.Caps != nil {
		p.engine.takes = c.Caps.ReceiveSize()
	}
	p.engine.key, p.engine.install, p.engine.strict = c.SCBK, c.InstallMode, c.RequireSecure
	p.inputs = make([]osdp.InputState, c.Inputs)
	p.readers = make([]osdp.ReaderState, c.Readers)
	p.outputs = make([]output, c.Outputs)
	p.power()
	return p
}

// power sets everything as it is after power-up. The wiring outside stays as it
// is, and so do the address and the key, which a PD stores.
func (p *PD) power() {
	for i := range p.outputs {
		p.drive(i, func(o *output) { p.stop(o); o.on = false })
	}
	p.queue, p.leds, p.secure = nil, map[[2]uint8]led{}, false
}

// locked runs f under the lock, and what f wants called after it.
func (p *PD) locked(f func()) {
	p.mu.Lock()
	f()
	calls := p.calls
	p.calls = nil
	p.mu.Unlock()
	for _, call := range calls {
		call()
	}
}

// Mute makes the PD silent and deaf, as if its cable were cut, or undoes it.
// Cards can still be shown to it.
func (p *PD) Mute(on bool) { p.locked(func() { p.muted = on }) }

// Reboot takes the PD's power away for a moment: sequence, session, queue,
// outputs and lights are as at the start.
func (p *PD) Reboot() {
	p.locked(func() {
		p.power()
		p.deafUntil = time.Now().Add(p.cfg.BootTime)
		p.later = append(p.later, p.begin)
	})
}

// begin sets what turn guards as it is after power-up.
func (p *PD) begin() {
	p.engine.restart()
	p.work = newWork(&p.cfg)
}

// SetInstallMode makes the PD serve the default key, or no longer. The session
// that stands goes on.
func (p *PD) SetInstallMode(on bool) {
	p.locked(func() { p.later = append(p.later, func() { p.engine.install = on }) })
}

// SetRequireSecure makes the PD refuse what Config.RequireSecure says, or no
// longer.
func (p *PD) SetRequireSecure(on bool) {
	p.locked(func() { p.later = append(p.later, func() { p.engine.strict = on }) })
}

// SetSCBK gives the PD a key as a service tool does, or takes it (nil). The
// session that stands goes on.
func (p *PD) SetSCBK(k *osdp.Key) {
	p.locked(func() { p.later = append(p.later, func() { p.engine.key = k }) })
}

// Secure tells whether a session stood after the last frame that the PD heard.
func (p *PD) Secure() (on bool) { p.locked(func() { on = p.secure }); return on }

// Stats is what the PD has met so far.
func (p *PD) Stats() (s Stats) { p.locked(func() { s = p.stats }); return s }

// hear takes a frame from the line (whose check is wrong if damaged) and gives
// what the PD sends.
func (p *PD) hear(f osdp.Frame, damaged bool) (out []sending) {
	p.turn.Lock()
	defer p.turn.Unlock()
	if !p.ready() || !p.engine.mine(f) {
		return nil
	}
	now := time.Now()
	if a, ok := p.engine.usable(f, damaged); !ok {
		out = send(a.b)
	} else {
		p.engine.wake(now)
		out = p.tell(p.nextLie(f), now, f)
	}
	p.locked(func() { p.stats, p.secure = p.engine.stats, p.engine.session != nil })
	return out
}

// ready brings the engine up to date, and tells whether the PD hears at all.
func (p *PD) ready() (ok bool) {
	p.locked(func() {
		for _, change := range p.later {
			change()
		}
		p.later, ok = nil, !p.muted && !time.Now().Before(p.deafUntil)
	})
	return ok
}

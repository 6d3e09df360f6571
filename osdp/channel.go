package osdp

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Security is what a reader's line must be, whatever the PD says of itself.
type Security uint8

const (
	// RequireSCBK serves a PD in a secure channel under its own key alone.
	RequireSCBK Security = iota
	// AllowClear serves a PD that we have no key for in the clear. One that we
	// have a key for is served under it alone, as with RequireSCBK: a wrong key
	// never makes a line clear.
	AllowClear
)

// Keys are the two slots of a PD's key. While a new key is on its way to the PD
// both are set, and a handshake tells which one it has.
type Keys struct{ Current, Pending *Key }

// A Slot says under which key a channel stands.
type Slot uint8

// The slots.
const (
	SlotNone Slot = iota
	SlotCurrent
	SlotPending
	slotDefault // SCBK-D; such a channel only ever carries a key
)

// An Identity is what must stay the same of a PD; firmware may change.
type Identity struct {
	Vendor [3]byte
	Serial uint32
}

// Identity is the part of r that is pinned.
func (r PDID) Identity() Identity { return Identity{r.Vendor, r.Serial} }

var (
	// ErrKeyNotTaken means that the PD answers under its old key still.
	ErrKeyNotTaken = errors.New("osdp: the PD kept its old key")
	// ErrInstall means that the time of an Install is over, or that it was taken back.
	ErrInstall = errors.New("osdp: installation did not succeed")
	// ErrNotSent comes with why a new key was not sent: the PD has what it had.
	ErrNotSent = errors.New("osdp: the key was not sent")
	// ErrNotSecure means that something is for a secure channel alone.
	ErrNotSecure = errors.New("osdp: not in a secure channel")
)

const (
	handshakeTries = 3           // of one key, for an answer may be late or damaged
	holdFirst      = time.Second // from one round of failed handshakes to the next, doubling
	holdMost       = time.Minute
	guessesMost    = 3           // wrong MACs that a channel survives ...
	guessRefill    = time.Minute // ... and how long one of them counts
	provenAfter    = time.Minute // a channel that lived so long makes the next failure the first
	identifyEvery  = 5 * time.Second
	MaxInstall     = 10 * time.Minute // that an Install may last
)

// A secured is what a PD's secure channel needs. The zero value has none.
type secured struct {
	channel   *Session
	under     Slot // key of the channel
	since     time.Time
	shake     *ACUHandshake
	candidate int // of candidates
	tries     int // of it
	failures  Trouble
	refusals  int       // of handshakes, in a row, that were not counted as tries
	proven    time.Time // last reply inside a channel
	holds     int       // rounds of failures in a row
	guesses   int       // wrong MACs that still count
	guessed   time.Time // when the last was added
	badMACs   int       // of the command outstanding, and clear refusals of it
	swapped   bool      // said another identity in the clear
	claims    PDCAP     // capabilities in the clear, nil if it told none
	unproved  bool      // its capabilities are those, and to be asked for in the channel
	rekey     *rekeying
	install   *installing
}

// A rekeying is a SetKey under way.
type rekeying struct {
	key      Key
	request  uint64
	sent     bool  // so the PD may have it, whatever came of the exchange
	answered bool  // a handshake tells which key the PD has, and nothing else does
	refusal  error // the answer, if it was a NAK
	done     func(error)
}

// An installing is an Install under way: the one case in which SCBK-D is used.
type installing struct {
	key   Key
	until time.Time
	sent  int // times; 0 once the only one was refused
	done  func(error)
}

type candidate struct {
	slot Slot
	key  Key
}

// secureOnly says whether p is served in a channel alone.
func (p *pd) secureOnly() bool {
	return p.cfg.Security == RequireSCBK || p.cfg.Keys.Current != nil || p.cfg.Keys.Pending != nil || p.install != nil
}

// candidates are the keys that p may have, the likeliest first. SCBK-D is one
// of them only while somebody installs p.
func (p *pd) candidates() (list []candidate) {
	add := func(s Slot, k *Key) {
		if k != nil {
			list = append(list, candidate{s, *k})
		}
	}
	likely := p.rekey != nil && p.rekey.answered && p.rekey.refusal == nil || p.install != nil && p.install.sent > 0
	if likely {
		add(SlotPending, p.cfg.Keys.Pending)
	}
	if p.install != nil {
		def := DefaultKey()
		add(slotDefault, &def)
		return list
	}
	add(SlotCurrent, p.cfg.Keys.Current)
	if !likely {
		add(SlotPending, p.cfg.Keys.Pending)
	}
	return list
}

// openChannel begins a handshake with p under the next key that it may have.
func (b *Bus) openChannel(now time.Time, p *pd) {
	keys := p.candidates()
	if len(keys) == 0 {
		b.distrust(now, p, NoKey, identifyEvery)
		return
	}
	p.candidate %= len(keys)
	c := keys[p.candidate]
	shake, err := NewACUHandshake(b.opt.Rand, c.key, c.slot == slotDefault)
	if err != nil { // no random numbers: nothing is safe now
		b.distrust(now, p, NoChannel, holdMost)
		return
	}
	p.shake, p.under, p.step, p.due = shake, c.slot, stepChallenge, now
}

// distrust takes p out of service and looks at it again after wait.
func (b *Bus) distrust(now time.Time, p *pd, why Trouble, wait time.Duration) {
	if p.stats.Online {
		b.offline(now, p)
	}
	p.candidate, p.tries, p.failures = 0, 0, NoTrouble
	if p.stats.Trouble != why {
		p.stats.Trouble = why
		b.emit(now, p, Event{Kind: Untrusted, Trouble: why, ID: p.stats.ID})
	}
	p.misses, p.probes = 0, 0
	p.begin(now.Add(wait))
}

// unproven deals with a handshake that failed: the same key is tried again,
// for an answer may have been a late one; then the next key; then p must wait.
func (b *Bus) unproven(now time.Time, p *pd, why Trouble) {
	p.stats.Refused++
	if why == NoChannel && b.patient(now, p) {
		return
	}
	p.channel, p.failures = nil, max(p.failures, why)
	if p.tries++; p.tries >= handshakeTries {
		p.tries = 0
		if p.candidate++; p.candidate >= len(p.candidates()) {
			if why = p.failures; p.swapped {
				why = Swapped
			}
			b.distrust(now, p, why, p.hold())
			return
		}
	}
	p.begin(now)
	b.openChannel(now, p)
}

// patient says whether p, which refused a handshake, is asked again without
// counting that as a try. One that had a channel a moment ago has a key still; until
// it would be offline for silence, it is busy with something else.
func (b *Bus) patient(now time.Time, p *pd) bool {
	left := p.proven.Add(b.opt.Offline).Sub(now)
	if !p.stats.Online || p.install != nil || left <= 0 {
		return false
	}
	if p.refusals++; p.refusals >= handshakeTries {
		now = now.Add(min(retryFirst<<min(p.refusals-handshakeTries, 8), holdFirst, left))
	}
	p.begin(now)
	b.openChannel(now, p)
	return true
}

// hold is how long the next round of handshakes waits.
func (p *pd) hold() time.Duration {
	if p.install != nil {
		return holdFirst // somebody stands there
	}
	p.holds++
	return min(holdFirst<<min(p.holds-1, 8), holdMost)
}

// rehandshake makes the channel of p anew, without asking who it is.
func (b *Bus) rehandshake(now time.Time, p *pd) {
	p.begin(now)
	p.candidate, p.tries, p.failures = 0, 0, NoTrouble
	b.openChannel(now, p)
}

// shakeHands takes p's answer to CHLNG or SCRYPT.
func (b *Bus) shakeHands(now time.Time, p *pd, f Frame) {
	if f.Code == CodeNAK {
		b.refusal(p, f.Data)
		b.unproven(now, p, NoChannel)
		return
	}
	if p.step == stepChallenge {
		cuid, err := p.shake.Client(f)
		if err != nil {
			b.unproven(now, p, WrongKey)
			return
		}
		p.stats.CUID, p.step = cuid, stepServer
		return
	}
	channel, err := p.shake.Session(f)
	if err != nil {
		b.unproven(now, p, WrongKey)
		return
	}
	p.channel, p.shake, p.since = channel, nil, now
	p.badMACs, p.tries, p.refusals = 0, 0, 0
	p.stats.Handshakes++
	p.step = stepIdentity
}

// identified goes on once p has said inside the channel who it is: what is
// said in the clear anybody on the line may have written.
func (b *Bus) identified(now time.Time, p *pd, id PDID) {
	p.stats.ID = id
	if pin := p.cfg.Identity; pin != nil && id.Identity() != *pin {
		b.distrust(now, p, Swapped, p.hold())
		return
	}
	switch {
	case p.under == slotDefault:
		p.step = stepKeyset
	case p.stats.Online && !p.unproved: // it has lost its channel, not its nature
		b.trusted(now, p)
	default:
		p.step = stepClaims
	}
}

// claimed compares p's capabilities with those that were said in the clear.
func (b *Bus) claimed(now time.Time, p *pd, caps PDCAP) {
	if p.claims != nil && !slices.Equal(p.claims, caps) {
		p.stats.AlteredClaims++
		b.emit(now, p, Event{Kind: Altered, Caps: slices.Clone(caps)})
	}
	p.stats.Caps, p.claims, p.unproved = caps, nil, false
	b.trusted(now, p)
}

// trusted goes on once p has proven its own key and its identity.
func (b *Bus) trusted(now time.Time, p *pd) {
	slot := p.under
	if slot == SlotPending {
		p.cfg.Keys = Keys{Current: p.cfg.Keys.Pending}
		p.under = SlotCurrent
	}
	p.candidate, p.failures, p.swapped = 0, NoTrouble, false
	p.stats.Trouble = NoTrouble
	b.emit(now, p, Event{Kind: Secured, Slot: slot, ID: p.stats.ID})
	if i := p.install; i != nil && slot == SlotPending {
		p.install = nil
		i.done(nil)
	}
	if r := p.rekey; r != nil && (r.answered || slot == SlotPending) {
		b.Cancel(now, r.request) // it has the key although we never heard so
		p.rekey = nil
		var err error
		if *p.cfg.Keys.Current != r.key {
			err = fmt.Errorf("%w: PD %d", ErrKeyNotTaken, p.addr)
			if r.refusal != nil {
				err = fmt.Errorf("%w: %w", ErrKeyNotTaken, r.refusal)
			}
			p.cfg.Keys.Pending = nil
		}
		r.done(err)
	}
	b.receive(now, p)
}

// opened takes a frame of p while its channel is up, and says whether it ends
// the exchange. Only BUSY and refusals may be clear, and of those none is
// believed further than: ask again, or make the channel anew (OSDP v2.2 §7.19,
// annex D.1.4).
func (b *Bus) opened(now time.Time, p *pd, f Frame) (done bool) {
	if !hasMAC(f.SCBType) {
		return b.clear(now, p, f)
	}
	if f.Seq != p.seq {
		b.ignore(&p.stats.Late, p)
		return false
	}
	data, err := p.channel.Open(&f)
	switch {
	case errors.Is(err, ErrMAC):
		return b.guessed(now, p)
	case err != nil && !(errors.Is(err, ErrClear) && noSecret(f.Code)):
		// It has the key, and sends what it should encrypt in the clear, or
		// nothing that can be read. What it says is not taken.
		p.stats.ClearData++
		b.emit(now, p, Event{Kind: Malformed, Reply: RawReply{Op: f.Code}})
		b.restart(now, p)
		return true
	case err != nil:
		p.stats.ClearData++
	}
	f.Data, p.proven = data, now
	b.accept(now, p, f)
	return true
}

// noSecret says whether a reply is taken although its data is not encrypted. So
// libosdp's PD answers state requests, and so it says that it has no such state.
func noSecret(code byte) bool {
	return code >= CodeLSTATR && code <= CodeRSTATR || code == CodeNAK
}

// clear takes a clear frame inside a channel.
func (b *Bus) clear(now time.Time, p *pd, f Frame) (done bool) {
	switch {
	case f.Code == CodeBUSY && len(f.Data) == 0 && (f.Seq == 0 || f.Seq == p.seq):
		b.busy(now, p)
	case f.Code == CodeNAK && len(f.Data) > 0 && NAKCode(f.Data[0]) == NAKCheck && f.Seq == p.seq:
		b.refusal(p, f.Data)
		b.audible = true
		b.miss(now, p) // noise: as good as lost
	case f.Code == CodeNAK && len(f.Data) > 0 && NAKCode(f.Data[0]) == NAKSecurity && f.Seq == p.seq:
		b.refusal(p, f.Data)
		b.restart(now, p) // it has no session, and says so as the standard wants
	case f.Code == CodeNAK && len(f.Data) > 0 && (NAKCode(f.Data[0]) == NAKSequence || NAKCode(f.Data[0]) != NAKCheck && f.Seq == p.seq):
		// It has no session; or it was not the PD who said so, and the true answer,
		// which may be a card, is lost with the session. The PD that has one repeats
		// it, and the other its refusal. Only NAK 4 may have a sequence of its own.
		b.refusal(p, f.Data)
		p.badMACs++
		b.audible = true
		b.miss(now, p)
	default:
		p.stats.ClearReplies++
		b.ignore(nil, p)
		return false
	}
	return true
}

// guessed counts a reply whose MAC is wrong. One may be noise that its CRC did
// not see, and the true answer may be behind it; many are somebody who guesses,
// and four bytes are soon guessed by who may try for ever.
func (b *Bus) guessed(now time.Time, p *pd) (done bool) {
	p.stats.MACErrors++
	p.badMACs++
	p.guesses = max(0, p.guesses-int(now.Sub(p.guessed)/guessRefill)) + 1
	p.guessed = now
	if p.guesses <= guessesMost {
		return false
	}
	p.guesses = 0
	b.distrust(now, p, Forged, p.hold())
	return true
}

// SetKey gives the PD at addr a new key inside its channel, and makes the
// channel anew. done is called once, and within the time that it takes to find
// out that a PD is offline: nil when the PD has proven the new key,
// ErrKeyNotTaken, with its NAKError if there was one, when it has proven the old
// one, and ErrOffline when it went away in between: then both keys stay in their
// slots, and the next Secured event tells which one it has. A NAK alone decides
// nothing, for it may answer a repeat of what was taken. The caller keeps key
// where a power cut cannot reach it before it calls.
func (b *Bus) SetKey(now time.Time, addr uint8, key Key, done func(error)) error {
	p := b.find(addr)
	if err := key.Check(); err != nil {
		return err
	}
	if p == nil || !p.stats.Online {
		return fmt.Errorf("%w: PD %d", ErrOffline, addr)
	}
	if p.channel == nil || p.under == slotDefault {
		return fmt.Errorf("%w: PD %d: a key is sent in a channel alone", ErrNotSecure, addr)
	}
	if p.rekey != nil || p.install != nil {
		return fmt.Errorf("osdp: PD %d: its key is being changed already", addr)
	}
	r := &rekeying{key: key, done: done}
	id, err := b.submit(now, p, []Command{keyset(key)}, func(_ []Reply, err error) {
		if errors.Is(err, ErrOffline) {
			p.rekey = nil
			done(err)
			return
		}
		r.answered, r.refusal = true, err
	})
	if err != nil {
		return err
	}
	r.request = id
	p.rekey, p.cfg.Keys.Pending = r, &key
	return nil
}

// EndSetKey takes a SetKey back whose key is not sent yet; done is not called
// then. One that is sent goes on.
func (b *Bus) EndSetKey(now time.Time, addr uint8) (ended bool) {
	p := b.find(addr)
	if p == nil || p.rekey == nil || p.rekey.sent {
		return false
	}
	b.Cancel(now, p.rekey.request)
	p.rekey, p.cfg.Keys.Pending = nil, nil
	return true
}

// keySent notes that a KEYSET goes out: from now on p may have its key.
func (p *pd) keySent() {
	switch {
	case p.rekey != nil:
		p.rekey.sent = true
	case p.install != nil:
		p.install.sent++
		p.claims = nil // among them is whether it has a key
	}
}

func keyset(k Key) Command { return KEYSET{Kind: 1, Key: k[:]} }

// Install opens a channel under SCBK-D with the PD at addr, gives it key and
// proves it, until the given time, MaxInstall from now at the most. It is the
// one case in which SCBK-D is used, it ends with the first success, and until
// then the PD is not served. done is called once: nil, or an ErrInstall that
// says what stood in the way. Whoever listens to the line meanwhile has the
// key.
func (b *Bus) Install(now time.Time, addr uint8, key Key, until time.Time, done func(error)) error {
	p := b.find(addr)
	if err := key.Check(); err != nil {
		return err
	}
	switch {
	case p == nil:
		return fmt.Errorf("%w: no PD has address %d on this line", ErrOffline, addr)
	case until.Sub(now) > MaxInstall:
		return fmt.Errorf("%w: PD %d: open for %v, want %v at the most", ErrInstall, addr, until.Sub(now), MaxInstall)
	case p.install != nil || p.rekey != nil:
		return fmt.Errorf("osdp: PD %d: its key is being changed already", addr)
	}
	p.install = &installing{key: key, until: until, done: done}
	p.cfg.Keys.Pending = &key
	b.again(now, p)
	return nil
}

// EndInstall takes an Install back. Once the key is on its way it stays in its
// slot: the PD may have it.
func (b *Bus) EndInstall(now time.Time, addr uint8) {
	if p := b.find(addr); p != nil && p.install != nil {
		b.endInstall(now, p)
	}
}

func (b *Bus) endInstall(now time.Time, p *pd) {
	i, err := p.install, ErrInstall
	p.install = nil
	if i.sent == 0 {
		p.cfg.Keys.Pending = nil
		err = fmt.Errorf("%w: %w", ErrInstall, ErrNotSent)
	}
	why := "it does not answer"
	if p.stats.Trouble != NoTrouble {
		why = p.stats.Trouble.String()
	}
	b.again(now, p)
	i.done(fmt.Errorf("%w: PD %d: %s", err, p.addr, why))
}

// HasKey reports whether a channel with the PD at addr is up under key.
func (b *Bus) HasKey(addr uint8, key Key) bool {
	p := b.find(addr)
	return p != nil && p.channel != nil && p.step >= stepReceive && p.cfg.Keys.Current != nil && p.cfg.Keys.Current.Equal(key)
}

// UseKeys replaces the keys of the PD at addr, which come from elsewhere, and
// proves them.
func (b *Bus) UseKeys(now time.Time, addr uint8, keys Keys) error {
	for _, k := range []*Key{keys.Current, keys.Pending} {
		if k != nil && k.Check() != nil {
			return k.Check()
		}
	}
	p := b.find(addr)
	if p == nil {
		return fmt.Errorf("%w: no PD has address %d on this line", ErrOffline, addr)
	}
	if p.install != nil || p.rekey != nil {
		return fmt.Errorf("osdp: PD %d: its key is being changed already", addr)
	}
	p.cfg.Keys = keys
	b.again(now, p)
	return nil
}

// Pin sets who the PD at addr must be; nil takes whoever is there.
func (b *Bus) Pin(now time.Time, addr uint8, id *Identity) {
	p := b.find(addr)
	if p == nil {
		return
	}
	p.cfg.Identity = id
	if id == nil || p.stats.Online && p.stats.ID.Identity() != *id {
		b.again(now, p)
	}
}

// again asks p anew who it is, at once: what it must prove has changed.
func (b *Bus) again(now time.Time, p *pd) {
	if b.cur == p {
		b.cur = nil // what comes now is the answer to an old question
	}
	p.holds, p.candidate, p.tries, p.failures = 0, 0, 0, NoTrouble
	p.misses, p.probes = 0, 0
	p.begin(now)
}

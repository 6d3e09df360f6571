package controller

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"latchkey/osdp"
)

// A KeyStore keeps what a site must know of its readers across restarts: keys,
// in two slots, and who they are. A reader is named by its line and address.
// What a method has done is on the disk when it returns nil.
type KeyStore interface {
	// Load gives what is kept of a reader; nil for none. With a pending key the
	// reader may have either.
	Load(line string, addr uint8) (current, pending *osdp.Key, identity *osdp.PDID)
	// Begin keeps key as the pending one, before anybody tells the reader.
	Begin(line string, addr uint8, key osdp.Key) error
	// Commit makes the pending key the current one: the reader has proven it.
	Commit(line string, addr uint8) error
	// Abandon forgets the pending key: the reader has proven the current one,
	// and the pending one is not on its way.
	Abandon(line string, addr uint8) error
	// Pin keeps who the reader is; it is an error where somebody else is kept.
	Pin(line string, addr uint8, id osdp.PDID) error
	// Forget lets another reader take the place.
	Forget(line string, addr uint8) error
}

var (
	// ErrNoKeyStore says that a line has nowhere to keep keys.
	ErrNoKeyStore = errors.New("controller: no place to keep readers' keys")
	// ErrKeyChange says that somebody is changing the reader's key already.
	ErrKeyChange = errors.New("controller: the reader's key is being changed already")
)

// importCheck is how often Import looks whether the reader has proven the key.
const importCheck = 50 * time.Millisecond

// A keeper carries what a line learns of its readers' keys to the store, on a
// goroutine of its own: a disk that hesitates must not stop the polls.
type keeper struct {
	wake chan struct{} // capacity 1

	// Guarded by the driver's mu.
	todo     []keeping
	changing map[uint8]bool // by address: an operator changes its key
}

// A keeping is what a PD has proven, or says of itself on a clear line.
type keeping struct {
	addr uint8
	slot osdp.Slot
	id   osdp.PDID
}

// pdConfigs are the PDs of the line as the Bus wants them: where several heads
// belong to one PD, the strictest setting counts.
func (d *OSDP) pdConfigs() (pds []osdp.PDConfig) {
	for _, r := range d.cfg.Readers {
		i := slices.IndexFunc(pds, func(p osdp.PDConfig) bool { return p.Addr == r.Addr })
		if i >= 0 {
			pds[i].Security = min(pds[i].Security, r.Security)
			continue
		}
		c := osdp.PDConfig{Addr: r.Addr, Name: r.Name, Security: r.Security}
		if d.cfg.Keys != nil {
			current, pending, id := d.cfg.Keys.Load(d.cfg.Name, r.Addr)
			c.Keys = osdp.Keys{Current: current, Pending: pending}
			if id != nil {
				c.Identity = new(id.Identity())
			}
		}
		pds = append(pds, c)
	}
	return pds
}

// learn hands to the keeper what an event tells; d.mu is held.
func (d *OSDP) learn(e osdp.Event) {
	if d.cfg.Keys == nil {
		return
	}
	d.keeper.todo = append(d.keeper.todo, keeping{e.Addr, e.Slot, e.ID})
	signal(d.keeper.wake)
}

// keep works the keeper until ctx ends.
func (d *OSDP) keep(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.keeper.wake:
		}
		for addr, lock := range d.keying {
			if lock.TryLock() { // whoever holds it wakes us
				d.settle(addr, false)
				lock.Unlock()
			}
		}
	}
}

// settle stores what the reader at addr has proven so far; its lock is held.
// With identity only, that is who it is, and not which key it has.
func (d *OSDP) settle(addr uint8, identityOnly bool) {
	for _, k := range d.learned(addr) {
		if identityOnly {
			k.slot = osdp.SlotNone
		}
		if err := d.store(k); err != nil {
			d.alarm(k.addr, "What this reader has proven could not be stored; after a restart it may have to prove it again: "+err.Error())
		}
	}
}

// learned takes from the keeper what it has of the reader at addr.
func (d *OSDP) learned(addr uint8) (list []keeping) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keeper.todo = slices.DeleteFunc(d.keeper.todo, func(k keeping) bool {
		if k.addr != addr {
			return false
		}
		list = append(list, k)
		return true
	})
	return list
}

// store keeps what a reader has proven. It is not called while the reader's key
// is being changed: a proof of the old key is no reason then to forget the new.
func (d *OSDP) store(k keeping) (err error) {
	switch k.slot {
	case osdp.SlotPending:
		err = d.cfg.Keys.Commit(d.cfg.Name, k.addr)
	case osdp.SlotCurrent:
		if current, _, _ := d.cfg.Keys.Load(d.cfg.Name, k.addr); current != nil {
			err = d.cfg.Keys.Abandon(d.cfg.Name, k.addr)
		}
	}
	if _, _, id := d.cfg.Keys.Load(d.cfg.Name, k.addr); id == nil && k.id != (osdp.PDID{}) { // which is one that would not say
		err = errors.Join(err, d.cfg.Keys.Pin(d.cfg.Name, k.addr, k.id))
		d.line.Pin(k.addr, new(k.id.Identity()))
	}
	return err
}

// alarm tells of a PD what a person must hear.
func (d *OSDP) alarm(addr uint8, text string) {
	d.mu.Lock()
	post := d.post
	d.mu.Unlock()
	for _, r := range d.cfg.Readers {
		if r.Addr == addr {
			post(Event{Kind: Alarm, At: time.Now().UTC(), Controller: d.cfg.Name, Reader: r.Name, Door: r.Door, Text: text})
			return
		}
	}
}

// change runs f, which changes the key of the named reader, with nobody else
// changing or storing it. What the reader proved before is stored first: it says
// nothing of a key that is set afterwards.
func (d *OSDP) change(reader string, f func(addr uint8) error) error {
	r, err := d.reader(reader)
	if err != nil {
		return err
	}
	addr := r.Addr
	if d.cfg.Keys == nil {
		return fmt.Errorf("%w: %s", ErrNoKeyStore, d.cfg.Name)
	}
	if !d.claim(addr) {
		return fmt.Errorf("%w: reader %s", ErrKeyChange, reader)
	}
	defer d.release(addr)
	d.keying[addr].Lock() // the keeper holds it for as long as a disk takes
	defer d.keying[addr].Unlock()
	d.settle(addr, false)
	err = f(addr)
	d.resolve(addr)
	if err != nil {
		return fmt.Errorf("controller: %s: reader %s: %w", d.cfg.Name, reader, err)
	}
	return nil
}

// claim makes the caller the one who changes the key of the PD at addr.
func (d *OSDP) claim(addr uint8) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.keeper.changing[addr] {
		return false
	}
	d.keeper.changing[addr] = true
	return true
}

func (d *OSDP) release(addr uint8) {
	d.mu.Lock()
	delete(d.keeper.changing, addr)
	d.mu.Unlock()
	signal(d.keeper.wake)
}

// resolve has the reader at addr prove anew which key it has, if that is open.
// What it proved while the new key was on its way says nothing: it may have
// taken it since.
func (d *OSDP) resolve(addr uint8) {
	d.settle(addr, true)
	current, pending, _ := d.cfg.Keys.Load(d.cfg.Name, addr)
	if pending == nil {
		return
	}
	if err := d.line.UseKeys(addr, osdp.Keys{Current: current, Pending: pending}); err != nil {
		d.log.Warn("reader not asked which key it has", "controller", d.cfg.Name, "address", addr, "err", err)
	}
}

// Rotate gives the named reader a new random key inside its secure channel, and
// returns nil once it has proven it. The key is on the disk before it is sent.
// After an error the reader has its old key, or, if it went offline in between,
// one of the two, and both are kept.
func (d *OSDP) Rotate(ctx context.Context, reader string) error {
	return d.change(reader, func(addr uint8) error {
		key, err := osdp.NewKey(rand.Reader)
		if err != nil {
			return err
		}
		return d.give(ctx, addr, key, d.line.SetKey)
	})
}

// Install gives the named reader, which is in installation mode, a random first
// key under SCBK-D, until ctx ends: see osdp.Bus.Install. That it may is an
// alarm, for whoever did not ask for it. One that was on its
// way to the reader before, and may have arrived, is the one that it gets.
func (d *OSDP) Install(ctx context.Context, reader string) error {
	return d.change(reader, func(addr uint8) error {
		d.alarm(addr, "An operator lets this reader have a key over the default key, which everybody knows. Whoever listens to its line meanwhile has the key.")
		_, pending, _ := d.cfg.Keys.Load(d.cfg.Name, addr)
		if pending != nil {
			return d.give(ctx, addr, *pending, d.line.Install)
		}
		key, err := osdp.NewKey(rand.Reader)
		if err != nil {
			return err
		}
		return d.give(ctx, addr, key, d.line.Install)
	})
}

// give has send bring key to the PD at addr, between its two entries in the
// store.
func (d *OSDP) give(ctx context.Context, addr uint8, key osdp.Key, send func(context.Context, uint8, osdp.Key) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, pending, _ := d.cfg.Keys.Load(d.cfg.Name, addr)
	if err := d.cfg.Keys.Begin(d.cfg.Name, addr, key); err != nil {
		return err
	}
	err := send(ctx, addr, key)
	switch {
	case err == nil:
		return d.cfg.Keys.Commit(d.cfg.Name, addr)
	case errors.Is(err, osdp.ErrKeyNotTaken), pending == nil && errors.Is(err, osdp.ErrNotSent):
		return errors.Join(err, d.cfg.Keys.Abandon(d.cfg.Name, addr))
	}
	return err // it may have either: the next handshake tells
}

// Import takes key for the named reader, which has it already, and returns nil
// once it has proven it. If it has not when ctx ends, the key is forgotten.
func (d *OSDP) Import(ctx context.Context, reader string, key osdp.Key) error {
	return d.change(reader, func(addr uint8) error {
		current, pending, _ := d.cfg.Keys.Load(d.cfg.Name, addr)
		if err := d.cfg.Keys.Begin(d.cfg.Name, addr, key); err != nil {
			return err
		}
		if err := d.line.UseKeys(addr, osdp.Keys{Current: current, Pending: &key}); err != nil {
			return errors.Join(err, d.cfg.Keys.Abandon(d.cfg.Name, addr))
		}
		tick := time.NewTicker(importCheck)
		defer tick.Stop()
		for {
			s := d.pdStats(addr)
			if s.Secure && d.line.HasKey(addr, key) {
				return d.cfg.Keys.Commit(d.cfg.Name, addr)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				why := "it does not answer"
				if s.Trouble != osdp.NoTrouble {
					why = s.Trouble.String()
				} else if s.Online {
					why = "it has proven another"
				}
				err := fmt.Errorf("the reader has not proven this key: %s: %w", why, ctx.Err())
				return errors.Join(err, d.cfg.Keys.Abandon(d.cfg.Name, addr), d.line.UseKeys(addr, osdp.Keys{Current: current, Pending: pending}))
			}
		}
	})
}

// Forget lets another device take the place of the named reader.
func (d *OSDP) Forget(reader string) error {
	return d.change(reader, func(addr uint8) error {
		if err := d.cfg.Keys.Forget(d.cfg.Name, addr); err != nil {
			return err
		}
		d.line.Pin(addr, nil)
		return nil
	})
}

func (d *OSDP) pdStats(addr uint8) osdp.PDStats {
	for _, s := range d.line.Stats() {
		if s.Addr == addr {
			return s
		}
	}
	return osdp.PDStats{}
}

// Quality is what the line knows of its PDs, by the first reader of each; nil
// if it was never made.
func (d *OSDP) Quality() []osdp.PDStats {
	if d.err != nil {
		return nil
	}
	return d.line.Stats()
}

// Tap is osdp.Line.Tap.
func (d *OSDP) Tap(f func(osdp.Captured)) (stop func()) {
	if d.err != nil {
		return func() {}
	}
	return d.line.Tap(f)
}

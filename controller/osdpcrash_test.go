package controller_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/internal/readerkeys"
	"latchkey/osdp"
	"latchkey/osdp/osdptest"
)

var errDead = errors.New("the agent is dead")

// A fuse kills an agent at a given step of a change of keys: a reply of the
// reader, or before or after an entry in the store. Or whoever asked for the
// change goes away then, and the agent lives.
type fuse struct {
	mu     sync.Mutex
	left   int // steps to go; negative is for ever
	blown  bool
	caller bool // it ends the caller alone
	kill   func()
}

func (f *fuse) step() (dead bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left--; f.left == -1 {
		f.blown = true
		f.kill()
	}
	return f.blown && !f.caller
}

// disarm makes further steps harmless, and reports whether it blew.
func (f *fuse) disarm() (blown bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left = -1
	return f.blown
}

// A mortal store is dead with its agent.
type mortal struct {
	*readerkeys.Store
	fuse  *fuse
	begun func() // called when a new key is in the store, and next to be sent
}

func (s mortal) do(f func() error) error {
	if s.fuse.step() {
		return errDead
	}
	err := f()
	s.fuse.step()
	return err
}

func (s mortal) Begin(line string, addr uint8, key osdp.Key) error {
	defer s.begun()
	return s.do(func() error { return s.Store.Begin(line, addr, key) })
}

func (s mortal) Commit(line string, addr uint8) error {
	return s.do(func() error { return s.Store.Commit(line, addr) })
}

func (s mortal) Abandon(line string, addr uint8) error {
	return s.do(func() error { return s.Store.Abandon(line, addr) })
}

// A giving is how a reader gets a key.
type giving struct {
	name    string
	install bool         // the first one
	drops   bool         // the reader drops its session at KEYSET
	reboots bool         // the reader restarts at KEYSET
	once    bool         // the reader refuses a second KEYSET
	lie     osdptest.Lie // of the reply to KEYSET
}

// TestAgentDiesAnywhere kills the agent at each step of giving a reader a key,
// the first and the next, at readers that go on and at readers that drop their
// session, on a line that loses a reply of the reader or not. The agent that is
// started after it always serves the reader, or, before the reader had any key,
// gets one into it. The same holds, and for the agent that goes on too, where
// only the caller's time is over.
func TestAgentDiesAnywhere(t *testing.T) {
	for _, tt := range []giving{
		{name: "rotate"}, {name: "rotate, session dropped", drops: true}, {name: "rotate, answer lost", lie: osdptest.Drop},
		{name: "rotate, answer lost and session dropped", drops: true, lie: osdptest.Drop},
		{name: "rotate, answer lost and reader restarted", reboots: true, lie: osdptest.Drop},
		{name: "rotate, answer lost, reader restarted, and a second key refused", reboots: true, once: true, lie: osdptest.Drop},
		{name: "rotate, command lost", lie: osdptest.Deaf},
		{name: "install", install: true}, {name: "install, session dropped", install: true, drops: true},
		{name: "install, answer lost", install: true, lie: osdptest.Drop},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, caller := range []bool{false, true} {
				at := 0
				for died := true; died; at++ {
					synctest.Test(t, func(t *testing.T) { died = dies(t, tt, at, caller) })
				}
				if t.Logf("caller alone %v: %d steps", caller, at); at < 8 {
					t.Error("so few steps show little")
				}
			}
		})
	}
}

// dies gives a reader a key as g says, kills the agent at step at, or ends the caller
// alone, starts another and has it serve the reader. It reports whether there
// were so many steps.
func dies(t *testing.T, g giving, at int, caller bool) (died bool) {
	options := readerkeys.Options{Dir: t.TempDir(), Key: make([]byte, 32)}
	store, err := readerkeys.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	var flash *osdp.Key // the reader's
	if !g.install {
		flash = &osdp.Key{7, 7, 3}
		if err := errors.Join(store.Begin("line", 5, *flash), store.Commit("line", 5)); err != nil {
			t.Fatal(err)
		}
	}
	f := &fuse{left: -1, caller: caller}
	b := &secureBench{t: t}
	spoil, shaken, sets := func() {}, false, 0
	b.store = mortal{store, f, func() {
		if !g.install {
			spoil()
		}
	}}
	device := func() *osdptest.PD {
		return osdptest.NewPD(osdptest.Config{Addr: 5, Outputs: 2, SCBK: flash, InstallMode: flash == nil, RequireSecure: flash != nil, DropAfterKeyset: g.drops,
			OnKey: func(k osdp.Key) error {
				if sets++; g.once && sets > 1 {
					return errors.New("it took one")
				}
				if flash = &k; g.reboots {
					b.pd.Reboot()
				}
				return nil
			},
			OnReply: func(code byte, _ bool) {
				f.step()
				if g.install && shaken && code == osdp.CodePDID { // the key is next
					spoil()
				}
				shaken = code == osdp.CodeRMACI
			},
		})
	}
	b.start(device())
	give := b.driver.Rotate
	if g.install {
		give = b.driver.Install
	}
	ctx, cancel := context.WithCancel(t.Context())
	f.mu.Lock()
	f.left, f.kill = at, func() {
		cancel()
		if !caller {
			b.cancel()
		}
	}
	f.mu.Unlock()
	if g.lie != 0 {
		spoil = sync.OnceFunc(func() { b.pd.Lie(g.lie, 1) })
	}
	err = give(ctx, "front reader")
	cancel()
	died = f.disarm()
	when := fmt.Sprintf("killed at step %d", at)
	check := func() {
		t.Helper()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if r := b.reader(); !r.Online || !r.Secure {
			t.Errorf("%s: %+v", when, r)
		}
		if current, pending, _ := store.Load("line", 5); current == nil || *current != *flash || pending != nil {
			t.Errorf("%s: the store does not say which key the reader has", when)
		}
	}
	if caller {
		when = fmt.Sprintf("caller gone at step %d, %v", at, err)
		if flash != nil {
			check()
		}
	}
	b.stop()
	if !died && (err != nil || b.pd.Lies() > 0) {
		t.Fatalf("alive, and yet: %v; %d lies not told", err, b.pd.Lies())
	}

	if store, err = readerkeys.Open(options); err != nil {
		t.Fatal(err)
	}
	b.store = store
	b.start(device())
	if g.install && flash == nil {
		if err := b.within(time.Minute, b.driver.Install); err != nil {
			t.Fatalf("%s, before the reader had a key: %v", when, err)
		}
	}
	when += ", started again"
	check()
	b.stop()
	return died
}

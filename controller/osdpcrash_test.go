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
// reader, or before or after an entry in the store.
type fuse struct {
	mu   sync.Mutex
	left int // steps to go; negative is for ever
	dead bool
	kill func()
}

func (f *fuse) step() (dead bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left--; f.left == -1 {
		f.dead = true
		f.kill()
	}
	return f.dead
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

// TestAgentDiesAnywhere kills the agent at each step of giving a reader a key,
// the first and the next, at readers that go on and at readers that drop their
// session, on a line that loses a reply of the reader or not. The agent that is
// started after it always serves the reader, or, before the reader had any key,
// gets one into it.
func TestAgentDiesAnywhere(t *testing.T) {
	for _, tt := range []struct {
		name           string
		install, drops bool
		lie            osdptest.Lie // of the reply to KEYSET
	}{
		{name: "rotate"}, {name: "rotate, session dropped", drops: true}, {name: "rotate, answer lost", lie: osdptest.Drop},
		{name: "rotate, answer lost and session dropped", drops: true, lie: osdptest.Drop},
		{name: "rotate, command lost", lie: osdptest.Deaf},
		{name: "install", install: true}, {name: "install, session dropped", install: true, drops: true},
		{name: "install, answer lost", install: true, lie: osdptest.Drop},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for at := 0; ; at++ {
				died := false
				synctest.Test(t, func(t *testing.T) { died = dies(t, at, tt.install, tt.drops, tt.lie) })
				if !died {
					if t.Logf("%d steps", at); at < 8 {
						t.Error("so few steps show little")
					}
					return
				}
			}
		})
	}
}

// dies gives a reader a key, kills the agent at step at, starts another and has
// it serve the reader. It reports whether there were so many steps.
func dies(t *testing.T, at int, install, drops bool, lie osdptest.Lie) (died bool) {
	options := readerkeys.Options{Dir: t.TempDir(), Key: make([]byte, 32)}
	store, err := readerkeys.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	var flash *osdp.Key // the reader's
	if !install {
		flash = &osdp.Key{7, 7, 3}
		if err := errors.Join(store.Begin("line", 5, *flash), store.Commit("line", 5)); err != nil {
			t.Fatal(err)
		}
	}
	f := &fuse{left: -1}
	b := &secureBench{t: t}
	spoil, shaken := func() {}, false
	b.store = mortal{store, f, func() {
		if !install {
			spoil()
		}
	}}
	device := func() *osdptest.PD {
		return osdptest.NewPD(osdptest.Config{Addr: 5, Outputs: 2, SCBK: flash, InstallMode: flash == nil, RequireSecure: flash != nil, DropAfterKeyset: drops,
			OnKey: func(k osdp.Key) error { flash = &k; return nil },
			OnReply: func(code byte, _ bool) {
				f.step()
				if install && shaken && code == osdp.CodePDID { // the key is next
					spoil()
				}
				shaken = code == osdp.CodeRMACI
			},
		})
	}
	b.start(device())
	give := b.driver.Rotate
	if install {
		give = b.driver.Install
	}
	ctx, cancel := context.WithCancel(t.Context())
	f.mu.Lock()
	f.left, f.kill = at, func() { cancel(); b.cancel() }
	f.mu.Unlock()
	if lie != 0 {
		spoil = sync.OnceFunc(func() { b.pd.Lie(lie, 1) })
	}
	err = give(ctx, "front reader")
	cancel()
	b.stop()
	f.left, died = -1, f.dead // nobody else steps on it now
	if !died && (err != nil || b.pd.Lies() > 0) {
		t.Fatalf("alive, and yet: %v; %d lies not told", err, b.pd.Lies())
	}

	if store, err = readerkeys.Open(options); err != nil {
		t.Fatal(err)
	}
	b.store = store
	b.start(device())
	when := fmt.Sprintf("killed at step %d", at)
	if install && flash == nil {
		if err := b.within(time.Minute, b.driver.Install); err != nil {
			t.Fatalf("%s, before the reader had a key: %v", when, err)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
	}
	if r := b.reader(); !r.Online || !r.Secure {
		t.Errorf("%s: %+v", when, r)
	}
	if current, pending, _ := store.Load("line", 5); current == nil || *current != *flash || pending != nil {
		t.Errorf("%s: the store does not say which key the reader has", when)
	}
	b.stop()
	return died
}

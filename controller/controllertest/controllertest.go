// Package controllertest is the contract that every Driver keeps, as a test.
package controllertest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/controller"
	"latchkey/wiegand"
)

// A Rig is a driver on simulated hardware that has one door with one reader.
type Rig struct {
	Driver controller.Driver
	Door   string // ID
	Reader string

	// Serve works the simulated hardware until ctx ends.
	Serve func(ctx context.Context)
	// Mute makes the hardware silent, and answer again.
	Mute func(on bool)
	// Present shows a card to the reader.
	Present func(b wiegand.Bits)
	// Released reports whether the strike lets go now.
	Released func() bool

	// Logs is set where the hardware keeps its events until they are acked: then
	// a sink's error must bring them again.
	Logs bool
}

// settle is how long any driver may take to find hardware that answers.
const settle = 40 * time.Second

// A tape is a sink that remembers.
type tape struct {
	mu     sync.Mutex
	events []controller.Event
	refuse int // so many events with a Device are refused first
}

func (t *tape) sink(_ context.Context, e controller.Event) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.Device != nil && t.refuse > 0 {
		t.refuse--
		return errors.New("the disk is full")
	}
	t.events = append(t.events, e)
	return nil
}

// of are the events of these kinds, in the order in which they came.
func (t *tape) of(kinds ...controller.Kind) (out []controller.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.events {
		for _, k := range kinds {
			if e.Kind == k {
				out = append(out, e)
			}
		}
	}
	return out
}

// Run holds a driver to the contract. newRig is called for each part, inside a
// synctest bubble.
func Run(t *testing.T, newRig func(t *testing.T) *Rig) {
	t.Helper()
	part := func(name string, f func(t *testing.T, r *Rig, tape *tape)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, tape := newRig(t), &tape{}
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				wg.Go(func() { r.Serve(ctx) })
				ended := make(chan error, 1)
				run, stop := context.WithCancel(ctx)
				go func() { ended <- r.Driver.Run(run, tape.sink) }()

				f(t, r, tape)

				began := time.Now()
				stop()
				err := <-ended
				if err != nil {
					t.Errorf("Run returned %v after its stop, want nil", err)
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("Run took %v to stop, want at most 1s", took)
				}
				if err := r.Driver.Unlock(ctx, r.Door, time.Second); err == nil {
					t.Error("Unlock of a driver that was stopped: no error")
				}
				cancel()
				wg.Wait()
			})
		})
	}

	part("unlock before the hardware answers", func(t *testing.T, r *Rig, _ *tape) {
		r.Mute(true)
		synctest.Wait()
		began := time.Now()
		err := r.Driver.Unlock(t.Context(), r.Door, time.Second)
		if !errors.Is(err, controller.ErrOffline) || time.Since(began) > 0 {
			t.Errorf("Unlock: %v after %v, want ErrOffline at once", err, time.Since(began))
		}
		if s := r.Driver.Status(); s.Online || s.Name != r.Driver.Name() {
			t.Errorf("Status: online %v, name %q", s.Online, s.Name)
		}
	})

	part("unlock", func(t *testing.T, r *Rig, _ *tape) {
		Online(t, r.Driver)
		if err := r.Driver.Unlock(t.Context(), r.Door, 3*time.Second); err != nil {
			t.Fatal(err)
		}
		if !r.Released() {
			t.Error("the strike holds after Unlock returned")
		}
		if s := r.Driver.Status(); len(s.Doors) != 1 || !s.Doors[0].Unlocked {
			t.Errorf("Status of doors: %+v, want one, unlocked", s.Doors)
		}
		time.Sleep(2 * time.Second)
		if err := r.Driver.Unlock(t.Context(), r.Door, 3*time.Second); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if !r.Released() {
			t.Error("the second Unlock did not start the time anew")
		}
		time.Sleep(2 * time.Second)
		if r.Released() {
			t.Error("the strike did not fall back by itself")
		}
	})

	part("the strike falls back without the driver", func(t *testing.T, r *Rig, _ *tape) {
		Online(t, r.Driver)
		if err := r.Driver.Unlock(t.Context(), r.Door, 3*time.Second); err != nil {
			t.Fatal(err)
		}
		r.Mute(true)
		time.Sleep(4 * time.Second)
		if r.Released() {
			t.Error("the strike is still released")
		}
	})

	part("what cannot be unlocked", func(t *testing.T, r *Rig, _ *tape) {
		Online(t, r.Driver)
		if err := r.Driver.Unlock(t.Context(), "no such door", time.Second); !errors.Is(err, controller.ErrUnknownDoor) {
			t.Errorf("unknown door: %v, want ErrUnknownDoor", err)
		}
		for _, d := range []time.Duration{-time.Second, 0, controller.MaxUnlock + time.Second} {
			if err := r.Driver.Unlock(t.Context(), r.Door, d); !errors.Is(err, controller.ErrDuration) {
				t.Errorf("for %v: %v, want ErrDuration", d, err)
			}
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.Driver.Unlock(gone, r.Door, time.Second); err == nil || r.Released() {
			t.Errorf("with a context that ended: error %v, released %v", err, r.Released())
		}
	})

	part("silence is offline, and comes back", func(t *testing.T, r *Rig, tape *tape) {
		Online(t, r.Driver)
		r.Mute(true)
		for range 100 {
			if time.Sleep(100 * time.Millisecond); !r.Driver.Status().Online {
				break
			}
		}
		if r.Driver.Status().Online {
			t.Fatal("online after 10 s of silence")
		}
		began := time.Now()
		if err := r.Driver.Unlock(t.Context(), r.Door, time.Second); !errors.Is(err, controller.ErrOffline) || time.Since(began) > 0 {
			t.Errorf("Unlock: %v after %v, want ErrOffline at once", err, time.Since(began))
		}
		r.Mute(false)
		Online(t, r.Driver)
		if err := r.Driver.Unlock(t.Context(), r.Door, time.Second); err != nil {
			t.Errorf("Unlock after it came back: %v", err)
		}
		synctest.Wait()
		on := len(tape.of(controller.ReaderOnline, controller.ControllerOnline))
		off := len(tape.of(controller.ReaderOffline, controller.ControllerOffline))
		if on < 2 || off < 1 {
			t.Errorf("%d events of coming and %d of going, want at least 2 and 1", on, off)
		}
	})

	part("cards in order", func(t *testing.T, r *Rig, tape *tape) {
		Online(t, r.Driver)
		cards := Cards(t, 12)
		for _, c := range cards {
			r.Present(c)
			time.Sleep(500 * time.Millisecond)
		}
		check(t, r, tape, cards)
	})

	part("a sink that fails", func(t *testing.T, r *Rig, tape *tape) {
		if !r.Logs {
			t.Skip("this hardware keeps no events")
		}
		Online(t, r.Driver)
		tape.mu.Lock()
		tape.refuse = 5
		tape.mu.Unlock()
		cards := Cards(t, 7)
		for _, c := range cards {
			r.Present(c)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		check(t, r, tape, cards)
	})
}

// check compares the cards that came with those that were shown.
func check(t *testing.T, r *Rig, tape *tape, cards []wiegand.Bits) {
	t.Helper()
	synctest.Wait()
	got := tape.of(controller.CardRead, controller.Decided)
	if len(got) != len(cards) {
		t.Fatalf("%d cards came, want %d", len(got), len(cards))
	}
	for i, e := range got {
		if e.Bits != cards[i] || e.Reader != r.Reader || e.Door != r.Door || e.Controller != r.Driver.Name() {
			t.Errorf("card %d: right bits %v, reader %q, door %q, controller %q", i, e.Bits == cards[i], e.Reader, e.Door, e.Controller)
		}
		if e.At.IsZero() || time.Since(e.At) > settle*2 {
			t.Errorf("card %d came at %v", i, e.At)
		}
	}
}

// Online waits until the driver has found its hardware.
func Online(t *testing.T, d controller.Driver) {
	t.Helper()
	for range int(settle / (50 * time.Millisecond)) {
		time.Sleep(50 * time.Millisecond)
		if s := d.Status(); s.Online && len(s.Readers) > 0 && s.Readers[0].Online {
			synctest.Wait()
			return
		}
	}
	t.Fatalf("not online after %v: %+v", settle, d.Status())
}

// Cards are n different cards of 26 to 37 bits.
func Cards(t *testing.T, n int) (out []wiegand.Bits) {
	t.Helper()
	for i := range n {
		b, err := wiegand.MakeBits(26+i%12, []byte{byte(i >> 8), byte(i), 0xA5, byte(i * 37), 0x5A})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	return out
}

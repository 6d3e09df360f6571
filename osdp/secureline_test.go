package osdp_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/osdp"
	"latchkey/osdp/osdptest"
)

// TestSecureReader comes up, tells a card, opens a door, and comes back after a
// reboot with no more than a moment lost.
func TestSecureReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, osdp.Options{}, secured(5), config(6))
		r.up()
		if !r.stats(0).Secure || r.stats(1).Secure {
			t.Errorf("secure: %v and %v, want the first alone", r.stats(0).Secure, r.stats(1).Secure)
		}
		r.pds[0].Present(0, card)
		got := r.passEvents(200 * time.Millisecond)
		if len(got) != 1 || got[0].Kind != osdp.Card || !slices.Equal(got[0].Data, card.Bytes()) {
			t.Fatalf("events %v, want the card", got)
		}
		if err := r.line.Send(t.Context(), 5, osdp.OUT{{Output: 1, Action: osdp.OutputOnFor, Timer: time.Second}}); err != nil || !r.pds[0].Output(1) {
			t.Errorf("unlock: %v, output on: %v", err, r.pds[0].Output(1))
		}
		r.pds[0].Reboot()
		if got := r.pass(500 * time.Millisecond); !slices.Contains(got, osdp.Restarted) || slices.Contains(got, osdp.Offline) {
			t.Errorf("after a reboot: %v", got)
		}
		if s := r.stats(0); !s.Secure || s.Handshakes != 2 {
			t.Errorf("secure %v, %d handshakes", s.Secure, s.Handshakes)
		}
	})
}

// TestKeysOfALine installs a reader, gives it another key and takes it into
// service, by the methods that an operator's tools use.
func TestKeysOfALine(t *testing.T) {
	for _, drops := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			fresh := config(5)
			fresh.InstallMode, fresh.RequireSecure, fresh.DropAfterKeyset = true, true, drops
			var stored []osdp.Key
			fresh.OnKey = func(k osdp.Key) error { stored = append(stored, k); return nil }
			r := newRig(t, osdp.Options{}, fresh)
			r.line.Pin(5, &osdp.Identity{Serial: 1005})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := r.line.SetKey(ctx, 5, keyB); err == nil {
				t.Error("a key before there is a channel")
			}
			if err := r.line.Install(ctx, 5, keyA); err != nil {
				t.Fatal(err)
			}
			r.pass(time.Second)
			if err := r.line.SetKey(ctx, 5, keyB); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(stored, []osdp.Key{keyA, keyB}) || !r.stats(0).Secure {
				t.Errorf("%d keys stored, secure %v", len(stored), r.stats(0).Secure)
			}
			if err := r.line.Install(ctx, 5, keyA); !errors.Is(err, osdp.ErrInstall) {
				t.Errorf("a reader that is no longer in installation mode: %v", err)
			}
			r.pass(time.Second)
			if !r.stats(0).Secure {
				t.Error("the old key no longer serves")
			}
		})
	}
}

// TestTap tells every frame once, and no more once it is stopped.
func TestTap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, osdp.Options{}, config(5))
		r.up()
		var commands, replies int
		stop := r.line.Tap(func(c osdp.Captured) {
			if c.FromACU {
				commands++
			} else {
				replies++
			}
			if len(c.Wire) < osdp.MinFrame {
				t.Errorf("a frame of %d bytes", len(c.Wire))
			}
		})
		r.pass(time.Second)
		stop()
		was := commands
		r.pass(time.Second)
		if was < 15 || was != replies || commands != was {
			t.Errorf("%d commands, %d replies, %d commands after the stop", was, replies, commands-was)
		}
	})
}

// TestWhatIsOnTheLine: the counts say what is wrong with a line.
func TestWhatIsOnTheLine(t *testing.T) {
	for _, tt := range []struct {
		lie  osdptest.Lie
		what func(osdp.PDStats) uint64
	}{
		{osdptest.Echo, func(s osdp.PDStats) uint64 { return s.Echoes }},
		{osdptest.Foreign, func(s osdp.PDStats) uint64 { return s.Foreign }},
		{osdptest.WrongSeq, func(s osdp.PDStats) uint64 { return s.Late }},
		{osdptest.Repeat, func(s osdp.PDStats) uint64 { return s.Unasked }},
		{osdptest.Repeat, func(s osdp.PDStats) uint64 { return s.Twice }},
		{osdptest.NotReply, func(s osdp.PDStats) uint64 { return s.OtherPanel }},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, osdp.Options{}, config(5))
			r.up()
			r.pds[0].Lie(tt.lie, 5)
			if got := r.pass(5 * time.Second); len(got) > 0 {
				t.Errorf("lie %d: events %v", tt.lie, got)
			}
			if s := r.stats(0); tt.what(s) != 5 || s.Ignored != 5 {
				t.Errorf("lie %d: counted %d, ignored %d, want 5", tt.lie, tt.what(s), s.Ignored)
			}
		})
	}
}

// TestStoppedLineKeepsNobodyWaiting: when Run ends, so does all that was under
// way; what comes after it ends too, an Install by its own time.
func TestStoppedLineKeepsNobodyWaiting(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(context.Context, *osdp.Line) error
		want error
	}{
		{"file", func(ctx context.Context, l *osdp.Line) error {
			return l.SendFile(ctx, 5, osdp.File{Type: 1, Content: make([]byte, 5000)}, nil)
		}, osdp.ErrOffline},
		{"install", func(ctx context.Context, l *osdp.Line) error { return l.Install(ctx, 5, keyB) }, osdp.ErrInstall},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := secured(5)
			c.Files = &osdp.ReceiverOptions{Limit: 1 << 20, Action: osdp.FTInterleave, Delay: time.Second}
			r := newRig(t, osdp.Options{}, c)
			r.up()
			result := make(chan error, 1)
			go func() { result <- tt.do(t.Context(), r.line) }()
			synctest.Wait()
			r.stop()
			began := time.Now()
			if err := <-result; !errors.Is(err, tt.want) || time.Since(began) > 0 {
				t.Errorf("%s: %v after %v, want %v at once", tt.name, err, time.Since(began), tt.want)
			}
			if err := tt.do(t.Context(), r.line); !errors.Is(err, tt.want) || time.Since(began) > osdp.MaxInstall {
				t.Errorf("%s after the end: %v after %v, want %v", tt.name, err, time.Since(began), tt.want)
			}
		})
	}
}

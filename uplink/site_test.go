package uplink

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/delta"
)

func TestQueueKeepsChangesAndDropsRubbishFirst(t *testing.T) {
	q := newQueue(4)
	q.put(Inbound{Up: true})
	for range 10 {
		q.put(Inbound{Err: delta.ErrForm})
	}
	for range 10 {
		q.put(Inbound{Message: &delta.Beat{}})
	}
	q.put(Inbound{Down: true})
	q.put(Inbound{Up: true})
	var got []string
	for {
		ctx, cancel := context.WithCancel(t.Context())
		if len(got) == 6 {
			cancel() // it must be empty now
		}
		in, err := q.next(ctx)
		cancel()
		if err != nil {
			break
		}
		switch {
		case in.Up:
			got = append(got, "up")
		case in.Down:
			got = append(got, "down")
		case in.Err != nil:
			got = append(got, "bad")
		default:
			got = append(got, "good")
		}
	}
	if got, want := strings.Join(got, " "), "up bad bad good good up"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := q.dropped(), uint64(16); got != want {
		t.Errorf("dropped %d, want %d", got, want)
	}
}

func TestBackoff(t *testing.T) {
	for attempt, most := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
		if got := backoff(attempt, 0.999999999); got > most*time.Second || got < most*time.Second*9/10 {
			t.Errorf("attempt %d: up to %v, want %v", attempt, got, most*time.Second)
		}
		if got := backoff(attempt, 0); got != 0 {
			t.Errorf("attempt %d: from %v, want 0", attempt, got)
		}
	}
}

// A connection on which no beat comes is no connection, but a cloud that is
// away must not be knocked for ever more often.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := quietSite(t)
		for _, want := range []time.Duration{75, 150, 300, 600, 600} {
			s.opened()
			time.Sleep(want*time.Second - time.Millisecond)
			if s.silent(time.Time{}) {
				t.Fatalf("silent before %v s", want)
			}
			time.Sleep(time.Millisecond)
			if !s.silent(time.Time{}) {
				t.Fatalf("not silent after %v s", want)
			}
		}
		s.opened()
		if err := s.Send(t.Context(), hello("one")); !errors.Is(err, ErrClosed) {
			t.Fatalf("send without a connection: %v, want %v", err, ErrClosed)
		}
		hear(s, hello("one").Nonce)
		time.Sleep(75 * time.Second)
		if !s.silent(time.Time{}) {
			t.Error("after a beat the patience is not the first one again")
		}
	})
}

// A hello is said again until a beat echoes it, and no longer.
func TestHelloIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := quietSite(t)
		var mu sync.Mutex
		var sent []string
		s.publish = func(_ context.Context, _ string, _ bool, envelope []byte) error {
			payload, _, err := delta.Open(testKey("north").Keys(), delta.UpTyp, envelope)
			if err != nil {
				return nil // the state topic
			}
			m, err := delta.Decode(payload)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, delta.HeaderOf(m).Type)
			return nil
		}
		r := run(func(ctx context.Context) error { s.answer(ctx); return nil })
		s.opened()
		h := hello("one")
		h.Head = delta.Head{Epoch: 1}
		if err := s.Send(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		time.Sleep(70 * time.Second)
		hear(s, hello("other").Nonce)
		hear(s, "")
		hear(s, h.Nonce)
		time.Sleep(10 * time.Minute)
		hear(s, hello("overtaken").Nonce)
		time.Sleep(40 * time.Second)
		r.stop(t)
		// After half a second, then after twice as long each time, up to 30 s.
		want := strings.Repeat("hello ", 8) + "applied " + strings.Repeat("hello ", 6)
		if got := strings.Join(sent, " ") + " "; got != want {
			t.Errorf("sent %q, want %q", got, want)
		}
	})
}

func TestConfigsAreChecked(t *testing.T) {
	good := SiteConfig{Broker: "mqtt://broker", Site: "north", Key: testKey("north"), CloudKeys: testKey("cloud-1").Keys()}
	if _, err := NewSite(good); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(c *SiteConfig){
		"scheme":   func(c *SiteConfig) { c.Broker = "http://user:secret@broker" },
		"no host":  func(c *SiteConfig) { c.Broker = "mqtt://user:secret@" },
		"not URL":  func(c *SiteConfig) { c.Broker = "mqtt://user:secret@broker:port" },
		"site":     func(c *SiteConfig) { c.Site = "North" },
		"cloud":    func(c *SiteConfig) { c.Site = "cloud" },
		"no key":   func(c *SiteConfig) { c.Key = delta.Key{ID: "north"} },
		"no cloud": func(c *SiteConfig) { c.CloudKeys = nil },
		"QoS":      func(c *SiteConfig) { c.QoS = 2 },
	} {
		c := good
		edit(&c)
		if _, err := NewSite(c); err == nil {
			t.Errorf("%s: taken", name)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
	if _, err := NewCloud(CloudConfig{Broker: "mqtt://broker", Key: testKey("c")}); err == nil {
		t.Error("cloud without a source: taken")
	}
	for text, want := range map[string]string{
		"mqtt://broker": "tcp://broker:1883", "mqtts://broker": "ssl://broker:8883", "mqtt://[::1]:7": "tcp://[::1]:7",
	} {
		if u, err := parseBroker(text); err != nil || u.String() != want {
			t.Errorf("%s: got %v, %v; want %s", text, u, err, want)
		}
	}
}

func quietSite(t *testing.T) *Site {
	t.Helper()
	s, err := NewSite(SiteConfig{Broker: "mqtt://none", Site: "north", Key: testKey("north"), CloudKeys: testKey("cloud-1").Keys()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// hear has s hear a beat of this moment, and tells whether it goes by it.
func hear(s *Site, re string) bool {
	beat := &delta.Beat{Re: re, Time: time.Now()}
	return s.heard(beat, delta.HashOf([]byte(re+beat.Time.String())))
}

// A broker that plays old beats again, in any order, or holds them back, must
// not make a site that is cut off believe that it has contact.
func TestOldBeatsAreNoContact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := quietSite(t)
		s.opened()
		h := hello("one")
		if err := s.Send(t.Context(), h); !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
		type stored struct {
			beat *delta.Beat
			hash delta.Hash
		}
		var tape []stored
		for i := range 4 {
			beat := &delta.Beat{Re: h.Nonce, Time: time.Now()}
			tape = append(tape, stored{beat, delta.HashOf([]byte{byte(i)})})
			if i < 3 && !s.heard(beat, tape[i].hash) {
				t.Fatalf("beat %d is not taken", i)
			}
			time.Sleep(30 * time.Second)
		}
		contact := s.Stats().LastBeat
		for range 3 {
			for i, b := range tape[:3] {
				if s.heard(b.beat, b.hash) {
					t.Errorf("beat %d is taken again", i)
				}
			}
		}
		time.Sleep(46 * time.Second) // the last one was held back for 76 s
		if s.heard(tape[3].beat, tape[3].hash) {
			t.Error("a beat that was held back is taken")
		}
		if got := s.Stats().LastBeat; !got.Equal(contact) {
			t.Errorf("contact at %v, want it to stay at %v", got, contact)
		}
		if !s.silent(time.Time{}) {
			t.Error("a connection that brings only old beats is taken to be alive")
		}
		s.opened()
		if err := s.Send(t.Context(), hello("two")); !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
		if !hear(s, hello("two").Nonce) {
			t.Error("after a new hello a beat is not taken")
		}
	})
}

func hello(nonce string) *delta.Hello {
	var random [16]byte
	copy(random[:], nonce)
	return &delta.Hello{Nonce: delta.NonceOf(random), Versions: []int{1}}
}

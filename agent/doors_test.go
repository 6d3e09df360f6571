package agent

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	_ "modernc.org/sqlite" // to damage a cache

	"latchkey/access"
	"latchkey/cache"
	"latchkey/controller"
	"latchkey/delta"
	"latchkey/wiegand"
)

func drivers(d ...controller.Driver) []controller.Driver { return d }

// A broken driver cannot work.
type broken struct{ *lock }

func (broken) Run(context.Context, controller.Sink) error { return errors.New("no readers") }

// damage takes a row out of the cache behind its back.
func damage(t *testing.T, dir string) {
	t.Helper()
	db := must(sql.Open("sqlite", filepath.Join(dir, "cache.db")))
	defer db.Close()
	res, err := db.ExecContext(t.Context(), `DELETE FROM records WHERE kind = 'group'`)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := res.RowsAffected(); n != 1 || err != nil {
		t.Fatalf("damaged %d rows: %v", n, err)
	}
}

// Audit first: when the strike moves, the decision is on disk.
func TestEventIsOnDiskBeforeTheDoorOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, t.TempDir())
		s.join(1)
		var atUnlock []access.Event
		s.lock.onUnlock = func(context.Context) error {
			atUnlock = s.accesses()
			return nil
		}
		if !s.lock.opens(t, 1) {
			t.Fatal("the door stayed shut")
		}
		if len(atUnlock) != 1 || !atUnlock[0].Granted || atUnlock[0].Credential != "c1" {
			t.Errorf("on disk when the strike moved: %+v, want the decision", atUnlock)
		}
		s.end()
	})
}

func TestSlowDiskOpensAndCounts(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		store := s.agent.doors.append
		s.agent.doors.append = func(ctx context.Context, e access.Event) (access.Event, error) {
			time.Sleep(80 * time.Millisecond)
			return store(ctx, e)
		}
		began := time.Now()
		var after time.Duration
		onDisk := -1
		s.lock.onUnlock = func(context.Context) error {
			after, onDisk = time.Since(began), len(s.accesses())
			return nil
		}
		if err := s.lock.happens(controller.Event{Kind: controller.CardRead, Bits: card(1)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if after != auditWait || onDisk != 0 {
			t.Errorf("the door opened after %v with %d events on disk, want after %v without", after, onDisk, auditWait)
		}
		if n := s.agent.Status(t.Context()).Events.Unaudited; n != 1 {
			t.Errorf("%d openings counted, want 1", n)
		}
		if len(s.accesses()) != 1 {
			t.Error("the event never came to the disk")
		}
	})
}

func TestFailingDiskDoesNotShutDoors(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.agent.doors.append = func(_ context.Context, e access.Event) (access.Event, error) {
			return e, fmt.Errorf("%w: disk full", cache.ErrDeferred)
		}
		if !s.lock.opens(t, 1) {
			t.Error("the door stayed shut")
		}
		if n := s.agent.doors.unaudited.Load(); n != 1 {
			t.Errorf("%d openings counted, want 1", n)
		}
		// A controller keeps its own events until they are on our disk.
		err := s.lock.happens(controller.Event{Kind: controller.Decided, Device: &access.Device{Serial: "1", Boot: 1, Seq: 1}})
		if !errors.Is(err, cache.ErrDeferred) {
			t.Errorf("the sink took a controller's event that is not on disk: %v", err)
		}
	})
}

func TestControllersEventIsStoredOnce(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		e := controller.Event{Kind: controller.Decided, Bits: card(1), Granted: true, Reason: access.Granted, Device: &access.Device{Serial: "ab", Boot: 2, Seq: 7}}
		for range 3 {
			if err := s.lock.happens(e); err != nil {
				t.Fatal(err)
			}
		}
		list := s.accesses()
		if len(list) != 1 || list[0].DecidedBy != access.ByController || list[0].Credential != "c1" {
			t.Errorf("stored %+v, want it once, by the controller", list)
		}
		if len(s.lock.opened) != 0 {
			t.Error("the agent unlocked a door that its controller decides for")
		}
	})
}

// A slow lock at one door holds up neither the cloud's changes nor its own
// stop.
func TestSlowLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, t.TempDir())
		s.join(2)
		s.lock.onUnlock = func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		for range 3 {
			if err := s.lock.happens(controller.Event{Kind: controller.CardRead, Bits: card(1)}); err != nil {
				t.Fatal(err)
			}
		}
		s.tell(s.world.publish(nil, hired(3)...))
		if s.db.Held() != s.world.head {
			t.Error("a delta waits for a lock")
		}
		time.Sleep(unlockLimit + unlockLimit/2)
		synctest.Wait()
		if !slices.Contains(s.kinds(), access.EventAlarm) {
			t.Errorf("events %v, want an alarm: the lock does not answer", s.kinds())
		}
		began := time.Now()
		s.end()
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("the stop took %v, want less than 4 s", took)
		}
	})
}

// Whoever presented a card long ago has left: the door must not open for the
// next who comes along.
func TestStaleCardDoesNotOpen(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		first := true
		s.lock.onUnlock = func(context.Context) error {
			if first {
				first = false
				time.Sleep(2 * staleCard)
			}
			return nil
		}
		for range 2 {
			if err := s.lock.happens(controller.Event{Kind: controller.CardRead, Bits: card(1)}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(3 * staleCard)
		synctest.Wait()
		if n := len(s.lock.opened); n != 1 {
			t.Errorf("the door opened %d times, want once", n)
		}
		if e := s.last(); e.Granted || e.Reason != access.Fault || !strings.Contains(e.Text, "waited too long") {
			t.Errorf("last event %+v, want the second card refused as stale", e)
		}
	})
}

func TestReaderThatFloodsIsCounted(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.lock.onUnlock = func(context.Context) error { time.Sleep(time.Second); return nil }
		for range doorQueue + 10 {
			if err := s.lock.happens(controller.Event{Kind: controller.CardRead, Bits: card(1)}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := s.agent.doors.overflow.Load(); n < 9 || n > 10 {
			t.Errorf("%d events counted as dropped, want 9 or 10", n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if !slices.Contains(s.kinds(), access.EventGap) {
			t.Error("no gap tells of what was dropped")
		}
	})
}

func TestWrongFormatAndKeypad(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		if err := s.lock.happens(controller.Event{Kind: controller.CardRead, Digits: "4711"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if e := s.last(); e.Granted || e.Card != "keypad" {
			t.Errorf("event %+v, want a refusal at the keypad", e)
		}
		odd := must(wiegand.MakeBits(4, []byte{0xb0}))
		if err := s.lock.happens(controller.Event{Kind: controller.CardRead, Bits: odd}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if e := s.last(); e.Reason != access.WrongFormat || e.Card != "4 bits" {
			t.Errorf("event %+v, want the wrong format, 4 bits", e)
		}
		if strings.Contains(s.log.String(), "4711") {
			t.Error("the log has the digits")
		}
	})
}

func TestForcedAndHeldDoor(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		happens := func(k controller.Kind) {
			t.Helper()
			if err := s.lock.happens(controller.Event{Kind: k}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		s.lock.opens(t, 1)
		time.Sleep(access.DefaultUnlock)
		happens(controller.DoorOpened)
		happens(controller.DoorClosed)
		time.Sleep(time.Minute)
		happens(controller.DoorOpened) // with a crowbar
		time.Sleep(heldDefault + 2*heldLook)
		synctest.Wait()
		happens(controller.DoorClosed)
		happens(controller.ExitRequest)
		happens(controller.DoorOpened)
		time.Sleep(time.Second)
		happens(controller.DoorClosed)
		want := []string{
			access.EventAccess, access.EventDoorOpened, access.EventDoorClosed, access.EventDoorForced, access.EventDoorHeld,
			access.EventDoorClosed, access.EventExitRequest, access.EventDoorOpened, access.EventDoorClosed,
		}
		if got := s.kinds(); !slices.Equal(got, want) {
			t.Errorf("events\n%v, want\n%v", got, want)
		}
	})
}

// A door in mode unlocked is held open by timers that fall back by themselves,
// and shuts at once when the mode ends or a lockdown comes.
func TestUnlockedDoor(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		opened := func() []time.Duration {
			s.lock.mu.Lock()
			defer s.lock.mu.Unlock()
			got := s.lock.opened
			s.lock.opened = nil
			return got
		}
		s.tell(s.world.publish(nil, must(delta.Put(access.Posture{Scope: front, Origin: "cloud", Mode: access.ModeUnlocked}))))
		if got := opened(); !slices.Equal(got, []time.Duration{freeFor}) {
			t.Errorf("unlocked: the strike was told %v, want %v", got, freeFor)
		}
		time.Sleep(freeEvery + 2*heldLook)
		synctest.Wait()
		if got := opened(); !slices.Equal(got, []time.Duration{freeFor}) {
			t.Errorf("after %v: the strike was told %v, want %v once more", freeEvery, got, freeFor)
		}
		if !s.lock.opens(t, 1) {
			t.Error("unlocked: a card is refused")
		}
		if got := opened(); !slices.Equal(got, []time.Duration{freeFor}) {
			t.Errorf("unlocked: a card has the strike held for %v, which cuts short the %v that it is held anyway", got, freeFor)
		}
		lockdown := access.Posture{Scope: "*", Origin: "local", Mode: access.ModeLockdown}
		s.tell(s.world.publish([]access.Ref{lockdown.Ref()}, must(delta.Put(lockdown))))
		if got := opened(); !slices.Equal(got, []time.Duration{controller.MinUnlock}) {
			t.Errorf("lockdown: the strike was told %v, want %v, which shuts it", got, controller.MinUnlock)
		}
		if s.lock.opens(t, 1) || s.last().Reason != access.Lockdown {
			t.Errorf("in lockdown a card got the reason %q", s.last().Reason)
		}
		s.tell(unlock("one", s.nonce, front))
		if r := one[*delta.Result](t, s.wire); r.OK {
			t.Error("in lockdown a command opened the door")
		}
	})
}

// A gateway whose clock starts in the past must not open to expired cards, nor
// shut out valid ones.
func TestClockInThePast(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		future := time.Now().Add(365 * 24 * time.Hour)
		expired := hired(2)
		expired[1] = must(delta.Put(access.Credential{ID: "c2", Person: "p2", Technology: access.TechCard, Bits: card(2), Status: access.CredentialActive, ValidUntil: future.Add(-time.Hour).Unix()}))
		s.tell(s.world.publish(nil, expired...))
		if !s.lock.opens(t, 2) {
			t.Fatal("the card is not valid yet by this clock")
		}
		s.tell(message(&delta.Beat{Re: s.nonce, Head: s.world.head, Time: future}))
		if s.lock.opens(t, 2) {
			t.Error("a card that has expired by the cloud's time opened the door")
		}
		if !slices.ContainsFunc(s.agent.Status(t.Context()).Problems, func(p string) bool { return strings.Contains(p, "clock is") }) {
			t.Error("no problem tells of the clock")
		}
		s.restart() // without the cloud
		if s.lock.opens(t, 2) {
			t.Error("the restart forgot the cloud's time")
		}
		if !s.lock.opens(t, 1) {
			t.Error("a card without dates stays out")
		}
	})
}

// A gateway whose clock jumps ten years ahead must not shut out every card with
// a date, nor let in those that have expired.
func TestClockFarAhead(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		now := time.Now().AddDate(-10, 0, 0) // by the cloud's clock
		until := func(i int, at time.Time) []delta.Change {
			changes := hired(i)
			changes[1] = must(delta.Put(access.Credential{ID: fmt.Sprint("c", i), Person: fmt.Sprint("p", i), Technology: access.TechCard,
				Bits: card(i), Status: access.CredentialActive, ValidUntil: at.Unix()}))
			return changes
		}
		s.tell(s.world.publish(nil, append(until(2, now.Add(time.Hour)), until(3, now.Add(-time.Hour))...)...))
		s.connect()
		s.tell(message(&delta.Beat{Re: s.nonce, Head: s.world.head, Time: now}))
		if !s.lock.opens(t, 1) || !s.lock.opens(t, 2) {
			t.Errorf("a valid card is shut out by a clock that is ten years ahead: %q", s.last().Reason)
		}
		if s.lock.opens(t, 3) || s.last().Reason != access.Expired {
			t.Errorf("a card that had expired: %q", s.last().Reason)
		}
		time.Sleep(2 * time.Hour) // without the cloud
		if s.lock.opens(t, 2) {
			t.Error("the time of a card is never up")
		}
		// An error of a day is the machine's word against the cloud's.
		s.connect()
		s.tell(message(&delta.Beat{Re: s.nonce, Head: s.world.head, Time: time.Now().AddDate(0, 0, -1)}))
		if got := s.agent.Now(); !got.Equal(time.Now()) {
			t.Errorf("a day ahead: %v is not believed", time.Since(got))
		}
	})
}

// Card numbers, bits and keys typed stay out of logs, status and events.
func TestNothingSecretInLogsAndStatus(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		const pin = "73915"
		s.lock.opens(t, 1)
		s.lock.opens(t, 2345)
		if err := s.lock.happens(controller.Event{Kind: controller.CardRead, Digits: pin}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := len(s.accesses()); n != 3 {
			t.Fatalf("%d events, want 3: this shows nothing", n)
		}
		text := fmt.Sprintf("%s %+v %+v %s", s.log, s.agent.Status(t.Context()), s.accesses(), must(json.Marshal(s.accesses())))
		for _, canary := range []string{fmt.Sprint(numberOf(1)), fmt.Sprint(numberOf(2345)), card(1).Text(), card(1).Hex(), card(2345).Hex(), pin} {
			if strings.Contains(text, canary) {
				t.Errorf("%q is in the log, the status or the events", canary)
			}
		}
	})
}

func TestServiceManagerIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, t.TempDir())
		time.Sleep(3*watchdogEvery + time.Second)
		s.end()
		want := []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "STOPPING=1"}
		if !slices.Equal(s.notes, want) {
			t.Errorf("told %v, want %v", s.notes, want)
		}
	})
}

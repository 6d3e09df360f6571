package controller

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/access"
)

// A sink that hangs costs the oldest events that nobody else keeps, and says
// how many; what a controller keeps is never dropped.
func TestCourierTellsWhatItDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []Event
		hang := make(chan struct{})
		refuse := true
		c := newCourier(func(_ context.Context, e Event) error {
			<-hang
			mu.Lock()
			defer mu.Unlock()
			if e.Kind == EventsLost && refuse {
				refuse = false
				return errors.New("not now")
			}
			got = append(got, e)
			return nil
		}, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { c.run(ctx); close(done) }()
		const sent, kept = 2 * courierQueue, 10
		for i := range sent {
			c.post(Event{Kind: DoorOpened, At: time.Now(), Controller: "gate"})
			if i < kept {
				c.post(Event{Kind: Decided, At: time.Now(), Controller: "gate", Device: &access.Device{Seq: uint64(i)}})
			}
		}
		time.Sleep(time.Hour)
		close(hang)
		synctest.Wait()
		cancel()
		<-done
		opened, decided, lost := 0, 0, uint64(0)
		for _, e := range got {
			switch e.Kind {
			case DoorOpened:
				opened++
			case Decided:
				decided++
			case EventsLost:
				lost += e.Count
			}
		}
		if opened+int(lost) != sent || lost == 0 || decided != kept {
			t.Errorf("%d came and %d were told lost of %d; %d kept ones came of %d", opened, lost, sent, decided, kept)
		}
	})
}

package uplink

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/delta"
)

// A headBook is a book that tells all heads at once, and counts the questions.
type headBook struct {
	*book
	all, one atomic.Int64
}

func (b *headBook) Heads(context.Context) (map[string]delta.Head, error) {
	b.all.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	heads := make(map[string]delta.Head, len(b.sites))
	for site, p := range b.sites {
		heads[site] = p.head()
	}
	return heads, b.fail
}

func (b *headBook) Head(ctx context.Context, site string) (delta.Head, error) {
	b.one.Add(1)
	return b.book.Head(ctx, site)
}

// With a thousand sites a change of one of them costs what it does with one.
func TestChangeWakesItsSiteOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const sites = 1000
		b := &headBook{book: newBook(t)}
		for i := range sites {
			b.addSite(fmt.Sprint("site-", i))
		}
		c, err := NewCloud(CloudConfig{Broker: "mqtt://none", Key: testKey("cloud-1"), Source: b})
		if err != nil {
			t.Fatal(err)
		}
		down := make(chan string, 4*sites)
		c.publish = func(_ context.Context, topic string, _ bool, _ []byte) error {
			down <- topic
			return nil
		}
		r := run(func(ctx context.Context) error {
			var wg sync.WaitGroup
			wg.Go(func() { c.feed(ctx, &wg) })
			wg.Wait()
			return nil
		})
		time.Sleep(time.Second)
		site := "site-437"
		h := hello("one")
		h.Head = delta.Head{Epoch: 1}
		c.receive(upTopic(site), upFrom(t, site, h))
		time.Sleep(time.Second)
		for len(down) > 0 {
			<-down
		}
		all, one := b.all.Load(), b.one.Load()
		for i := range 5 {
			b.write(site, i, "x")
			synctest.Wait()
			select {
			case topic := <-down:
				if topic != downTopic(site) {
					t.Errorf("sent to %s", topic)
				}
			default:
				t.Fatal("nothing was sent at once")
			}
		}
		if got := b.all.Load() - all; got != 5 {
			t.Errorf("all heads were read %d times for 5 changes", got)
		}
		if got := b.one.Load() - one; got != 5 {
			t.Errorf("%d heads of single sites were read for 5 changes", got)
		}
		r.stop(t)
	})
}

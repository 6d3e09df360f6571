package siteapp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"latchkey/access"
	"latchkey/agent"
	"latchkey/cache"
	"latchkey/cloud"
	"latchkey/cloud/store"
	"latchkey/delta"
	"latchkey/uplink"
	"latchkey/uplink/broker"
)

// A premises is a cloud and the agent of its one property, hq, with a broker
// between them: all that a directory's call goes through but the hardware.
type premises struct {
	*testing.T
	log      *slog.Logger
	path     string // of the cloud's database
	caller   cloud.Caller
	key      [2]delta.Key // the cloud's, the site's
	broker   *broker.Broker
	secret   []byte
	service  *cloud.Service
	endCloud func()
	cache    *cache.DB
	agent    *agent.Agent
}

func newPremises(t *testing.T) *premises {
	t.Helper()
	b := &premises{
		T: t, log: slog.New(slog.NewTextHandler(t.Output(), nil)), path: filepath.Join(t.TempDir(), "cloud.db"),
		caller: cloud.Caller{Org: "acme"}, secret: []byte("a secret for tests, 32 bytes long"),
		key: [2]delta.Key{must(delta.NewKey("cloud-1")), must(delta.NewKey("hq-1"))},
	}
	b.broker = must(broker.Start(broker.Config{Port: freePort(), StoreDir: t.TempDir(), Secret: b.secret}))
	t.Cleanup(b.broker.Stop)
	b.startCloud()
	must(b.service.CreateOrg(t.Context(), "admin", cloud.Org{ID: "acme", Name: "Acme"}))
	public := must(delta.MarshalPublic("hq-1", b.key[1].Public()))
	must(b.service.PutProperty(t.Context(), "admin", "acme", cloud.Property{ID: "hq", Name: "HQ", Key: public}))
	must(b.service.PutDoor(t.Context(), "admin", "acme", "hq", access.Door{ID: "front", Name: "Front door"}))
	for _, group := range []string{"staff", "vip"} {
		must(b.service.PutAccessGroup(t.Context(), "admin", "acme", "hq", cloud.AccessGroup{ID: group, Name: group, Grants: []cloud.DoorAccess{{Door: "front"}}}))
	}
	must(b.service.CreateRule(t.Context(), "admin", "acme", "hq", cloud.Rule{ID: "all", Name: "All", Enabled: true, Groups: []string{"staff"}}))
	b.startAgent()
	return b
}

func freePort() int {
	_, port, err := net.SplitHostPort(freeAddr())
	if err != nil {
		panic(err)
	}
	return must(strconv.Atoi(port))
}

// startCloud serves the database at b.path until endCloud.
func (b *premises) startCloud() {
	b.Helper()
	db := must(store.Open(b.Context(), b.path))
	b.service = must(cloud.NewService(db, cloud.Options{Log: b.log, Batch: 10}))
	up := must(uplink.NewCloud(uplink.CloudConfig{Broker: b.broker.UserURL(b.secret, "cloud"), Key: b.key[0], Source: b.service, Log: b.log}))
	endUp, endService := background(b.T, up.Run), background(b.T, b.service.Run)
	ended := false
	b.endCloud = func() {
		if ended {
			return
		}
		ended = true
		endUp()
		endService()
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	}
	b.Cleanup(b.endCloud)
}

func (b *premises) startAgent() {
	b.Helper()
	opts := cache.Options{Dir: b.TempDir(), Key: make([]byte, cache.KeySize)}
	b.cache = must(cache.Open(b.Context(), opts))
	events := must(cache.OpenEvents(b.Context(), opts))
	link := must(uplink.NewSite(uplink.SiteConfig{Broker: b.broker.UserURL(b.secret, "hq"), Site: "hq", Key: b.key[1], CloudKeys: b.key[0].Keys(), Log: b.log}))
	b.agent = must(agent.New(agent.Options{Site: "hq", Cache: b.cache, Events: events, Link: siteLink{link}, Log: b.log}))
	endLink, endAgent := background(b.T, link.Run), background(b.T, b.agent.Run)
	b.Cleanup(func() {
		endAgent()
		endLink()
		if err := errors.Join(events.Close(), b.cache.Close()); err != nil {
			b.Error(err)
		}
	})
}

// background runs f until the func that it returns is called.
func background(t *testing.T, f func(context.Context) error) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// eventually returns once ok does so without an error.
func (b *premises) eventually(what string, ok func() error) {
	b.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for deadline := time.After(time.Minute); ; {
		err := ok()
		if err == nil {
			return
		}
		select {
		case <-look.C:
		case <-deadline:
			b.Fatalf("%s: %v", what, err)
		}
	}
}

// follows waits until the site holds all that the cloud's log says, with n
// openings, and refused nothing that it had not refused before.
func (b *premises) follows(what string, n int, refused uint64) {
	b.Helper()
	b.eventually(what, func() error {
		head := must(b.service.Head(b.Context(), "hq"))
		if got := b.cache.Held(); got != head || b.cache.Openings() != n {
			return fmt.Errorf("the site holds %d/%d with %d openings, want %d/%d with %d", got.Epoch, got.Seq, b.cache.Openings(), head.Epoch, head.Seq, n)
		}
		return nil
	})
	if got := b.agent.Status(b.Context()).Cloud.Mass; got != refused {
		b.Errorf("%s: the site refused %d times, want %d", what, got, refused)
	}
}

func (b *premises) hire(from, to int) (ids []string) {
	b.Helper()
	for i := from; i < to; i++ {
		name := fmt.Sprint("user", i)
		u := must(b.service.CreateUser(b.Context(), b.caller, map[string]any{"userName": name, "externalId": name, "active": true,
			cloud.EnterpriseURN: map[string]any{"cardNumber": fmt.Sprint(1000 + i)}}))
		ids = append(ids, u.ID)
	}
	return ids
}

// What the cloud's guard lets through on purpose a site never refuses: a change
// that takes all for a moment, a batch job that disables one after the other,
// and what an admin has confirmed.
func TestSiteObeysWhatTheGuardLetsThrough(t *testing.T) {
	b := newPremises(t)
	ids := b.hire(0, 60)
	b.follows("hired", 60, 0)
	must(b.service.PutRule(t.Context(), "admin", "acme", "hq", cloud.Rule{ID: "all", Name: "All", Enabled: true, Groups: []string{"vip"}})) // opens the same; more than a batch gain it later
	b.follows("other group", 60, 0)
	for _, id := range ids[:30] {
		must(b.service.UpdateUser(t.Context(), b.caller, id, "", false, func(attrs map[string]any) (map[string]any, error) {
			attrs["active"] = false
			return attrs, nil
		}))
	}
	b.follows("disabled one by one", 30, 0)
	_, err := b.service.PutAccessGroup(t.Context(), "admin", "acme", "hq", cloud.AccessGroup{ID: "vip", Name: "vip"})
	held, ok := errors.AsType[*cloud.Held](err)
	if !ok {
		t.Fatalf("got %v, want it held", err)
	}
	must(b.service.Confirm(t.Context(), "olga", "acme", held.Hold.ID, held.Hold.Preview.Lose.Openings))
	b.follows("confirmed", 0, 0)
}

// A cloud that is restored from a backup, and whose log grows past its sites',
// empties no building: the site keeps what it holds until a person says that it
// is meant. What stops one person does not wait.
func TestRestoredCloudEmptiesNothing(t *testing.T) {
	b := newPremises(t)
	early := b.hire(0, 2)
	b.follows("hired", 2, 0)
	b.endCloud()
	backup := must(os.ReadFile(b.path))
	b.startCloud()
	b.hire(2, 30)
	b.follows("more hired", 30, 0)
	lost := b.cache.Held()

	b.endCloud()
	if err := os.WriteFile(b.path, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	b.startCloud()
	for i := uint64(0); must(b.service.Head(t.Context(), "hq")).Seq <= lost.Seq; i++ {
		must(b.service.PutDoor(t.Context(), "admin", "acme", "hq", access.Door{ID: "front", Name: fmt.Sprint("Front door ", i)}))
	}
	var hold cloud.Hold
	b.eventually("refused", func() error {
		open := must(b.service.Holds(t.Context(), "acme", true))
		if len(open) != 1 || open[0].Kind != cloud.HoldSite {
			return fmt.Errorf("holds %+v, want what the site refuses", open)
		}
		hold = open[0]
		return nil
	})
	if p := hold.Preview; p.Lose != (cloud.Tally{People: 28, Openings: 28}) || p.Openings != 30 {
		t.Errorf("the site would lose %+v of %d", p.Lose, p.Openings)
	}
	if b.cache.Held() != lost || b.cache.Openings() != 30 {
		t.Errorf("the site holds %d openings, want all 30", b.cache.Openings())
	}
	must(b.service.UpdateUser(t.Context(), b.caller, early[0], "", false, func(attrs map[string]any) (map[string]any, error) {
		attrs["active"] = false
		return attrs, nil
	}))
	b.eventually("one person is stopped", func() error {
		if n := b.cache.Stats().Blocked; n == 0 {
			return errors.New("nothing is blocked")
		}
		return nil
	})
	must(b.service.Confirm(t.Context(), "olga", "acme", hold.ID, hold.Preview.Lose.Openings))
	b.endCloud() // rather than wait for the next beat
	b.startCloud()
	b.follows("confirmed", 1, b.agent.Status(t.Context()).Cloud.Mass)
	b.eventually("done", func() error {
		if st := must(b.service.SiteStatus(t.Context(), "acme", "hq")); st.LastNack != "" || st.Applied != st.Head {
			return fmt.Errorf("status %+v", st)
		}
		return nil
	})
	b.hire(30, 31)
	b.follows("as ever", 2, b.agent.Status(t.Context()).Cloud.Mass)
}

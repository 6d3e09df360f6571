package scim_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/cloud"
)

// status asks for path and gives the answer's status.
func (c *tenant) status(path string) (int, error) {
	req, err := http.NewRequest("GET", c.base+path, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}

// A truth is what the status of an answer has to be, and since which change: 0
// while a change is made, when the old one is right and so is the new one.
type truth struct{ change, status int }

// busy lets readers ask for path until stop is called. Whoever asked and was
// answered under one truth must have been told it.
func (c *tenant) busy(path string, now *atomic.Value) (stop func()) {
	var over atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !over.Load() {
				before := now.Load().(truth)
				got, err := c.status(path)
				if err != nil || before.status != 0 && now.Load() == before && got != before.status {
					c.t.Errorf("got %d, %v after a change that makes it %d", got, err, before.status)
					return
				}
			}
		})
	}
	return func() { over.Store(true); wg.Wait() }
}

// TestNothingOldIsServed: who asks after a change was made sees it, while many
// ask all the time (REQUIREMENTS D1, D11).
func TestNothingOldIsServed(t *testing.T) {
	onEachStore(t, func(t *testing.T, db cloud.Store) {
		c := cloudOver(t, db, cloud.Org{ID: "acme", Name: "Acme"})[0]
		ctx := context.Background()
		path := "/Users/" + c.create("/Users", `{"userName":"ada","title":"0"}`)
		var now atomic.Value
		changes := 0
		now.Store(truth{status: 200})
		change := func(to int, do func() error) {
			t.Helper()
			changes++
			now.Store(truth{changes, 0})
			if err := do(); err != nil {
				t.Fatal(err)
			}
			now.Store(truth{changes, to})
			if got, err := c.status(path); err != nil || got != to {
				t.Errorf("got %d, %v right after a change that makes it %d", got, err, to)
			}
		}
		defer c.busy(path, &now)()
		for i := range 20 {
			c.do(200, "PATCH", path, patch(fmt.Sprintf(`{"op":"replace","path":"title","value":"%d"}`, i)))
			if got := c.do(200, "GET", path, "")["title"]; got != fmt.Sprint(i) {
				t.Errorf("title %v after it became %d", got, i)
			}
			for _, on := range []bool{false, true} {
				change(map[bool]int{false: 403, true: 200}[on], func() error {
					_, err := c.svc.PatchOrg(ctx, "test", "acme", cloud.OrgPatch{SCIMEnabled: new(on)})
					return err
				})
			}
		}
		change(401, func() error { return c.svc.DeleteToken(ctx, "test", "acme", c.tokenID) })
	})
}

// TestS5KillOverHTTP: a directory only read, the cloud was killed, and the next
// one says so.
func TestS5KillOverHTTP(t *testing.T) {
	onEachStore(t, func(t *testing.T, db cloud.Store) {
		c := cloudOver(t, db, cloud.Org{ID: "acme", Name: "Acme"})[0]
		c.do(200, "GET", "/Users", "")
		later, err := cloud.NewService(db, cloud.Options{Now: func() time.Time { return time.Now().Add(time.Hour) }})
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		if err := later.TakeUp(ctx); err != nil {
			t.Fatal(err)
		}
		entries, err := later.Audit(ctx, "acme", "", 1)
		if err != nil || len(entries) != 1 || !strings.Contains(entries[0].What, "may be missing") || entries[0].Changes["since"].After == nil {
			t.Errorf("got %+v, %v", entries, err)
		}
	})
}

package signin_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
	"latchkey/cloud/store"
	"latchkey/cloud/store/pgtest"
)

// migrated is a PostgreSQL database in which nothing happened.
var migrated = pgtest.Template{Prepare: func(ctx context.Context, url string) error {
	db, err := store.OpenPostgres(ctx, store.PostgresConfig{URL: url})
	if err != nil {
		return err
	}
	return db.Close()
}}

// process is one of several clouds at a database.
func (w *world) process(url string) {
	w.Helper()
	db, err := store.OpenPostgres(w.Context(), store.PostgresConfig{URL: url})
	w.ok(err)
	w.Cleanup(func() { db.Close() })
	w.cloud, err = cloud.NewService(db, cloud.Options{Now: w.now})
	w.ok(err)
	w.signin = w.service(public)
	w.handler = w.signin.Handler()
}

// TestTwoProcesses: what one process lets in or out is in or out at the other,
// and a code is good once among them.
func TestTwoProcesses(t *testing.T) {
	url := migrated.Copy(t)
	one, two := newWorld(t), newWorld(t)
	two.provider = one.provider
	one.process(url)
	two.process(url)
	_, err := one.cloud.CreateOrg(t.Context(), operator, cloud.Org{ID: "acme"})
	one.ok(err)

	code := one.code()
	var in atomic.Int32
	var g sync.WaitGroup
	for i := range 8 {
		b := []*world{one, two}[i%2].browser()
		b.from = fmt.Sprintf("198.51.100.%d:1", i)
		g.Go(func() {
			switch rec := b.post(signInURL, codeForm(code)); rec.Code {
			case http.StatusSeeOther:
				in.Add(1)
			case http.StatusForbidden:
			default:
				t.Errorf("%d %s", rec.Code, rec.Body)
			}
		})
	}
	g.Wait()
	if in.Load() != 1 {
		t.Errorf("%d got in, want 1", in.Load())
	}

	one.connect()
	b := one.browser()
	callback := b.start("")
	b.world, b.handler = two, two.handler
	b.get(callback)
	b.isIn("begun at one, ended at the other", signin.Owner)
	b.world, b.handler = one, one.handler
	b.isIn("at the first", signin.Owner)
	two.administrator("bob@acme.example", "owner")
	two.administrator("ann@acme.example", "admin")
	b.isOut("another role, by the other")
	b.signIn()
	b.isIn("admin", signin.Admin)
	kept := b.copy()
	kept.world, kept.handler = two, two.handler
	kept.isIn("at the other", signin.Admin)
	b.post(public+"/admin/sign-out", nil)
	kept.isOut("signed out at the first")
}

package cloud_test

import (
	"fmt"
	"testing"

	"latchkey/cloud"
)

// benchWorld has 10,000 users, all with access at one site.
func benchWorld(b *testing.B) (*world, []string) {
	b.Helper()
	w := copyOf(b, b.Context(), b.TempDir())
	b.Cleanup(func() { w.db.Close() })
	w.rule("north", cloud.Rule{})
	var ids []string
	for i := range 10_000 {
		ids = append(ids, w.user(fmt.Sprintf("user%05d@example.com", i), fmt.Sprint(100_000+i)).ID)
	}
	return w, ids
}

func BenchmarkService(b *testing.B) {
	w, ids := benchWorld(b)
	b.Run("get", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			_, err := w.svc.User(w.ctx, w.caller, ids[i%len(ids)], true)
			w.ok(err)
		}
	})
	b.Run("filter", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			_, n, err := w.svc.Users(w.ctx, w.caller, cloud.Query{Terms: []cloud.Term{{Attr: "userName", Value: fmt.Sprintf("USER%05d@example.com", i%len(ids))}}, Count: 10})
			w.ok(err)
			if n != 1 {
				b.Fatal(n)
			}
		}
	})
	b.Run("patch", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			w.mustPatch(ids[i%len(ids)], map[string]any{"title": fmt.Sprint(i), "cardNumber": fmt.Sprint(1_000_000 + i)})
		}
	})
	b.Run("authenticate", func(b *testing.B) {
		_, secret, err := w.svc.CreateToken(w.ctx, admin, "acme", "bench")
		w.ok(err)
		for b.Loop() {
			_, err := w.svc.Authenticate(w.ctx, secret)
			w.ok(err)
		}
	})
	b.Run("member of a group of all", func(b *testing.B) {
		g := w.group("Everyone", ids...)
		for i := 0; b.Loop(); i++ {
			_, err := w.svc.UpdateGroup(w.ctx, w.caller, g.ID, "", func(e *cloud.GroupEdit) error {
				if i%2 == 1 {
					return e.Add(ids[0])
				}
				return e.Remove(ids[0])
			})
			w.ok(err)
		}
	})
	b.Run("rule change for all", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			w.rule("north", cloud.Rule{Groups: []string{"vip"}})
		}
	})
}

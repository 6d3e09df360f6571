package cloud_test

import (
	"errors"
	"testing"

	"latchkey/cloud"
)

// TestAllSitesAtOnce: what is read of all sites together is what each says.
func TestAllSitesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ok(w.svc.DeleteProperty(w.ctx, admin, "acme", "south"))
	progress, err := w.svc.Progress(w.ctx, "acme")
	w.ok(err)
	groups, err := w.svc.AllAccessGroups(w.ctx, "acme")
	w.ok(err)
	one, err := w.svc.SiteStatus(w.ctx, "acme", "north")
	w.ok(err)
	its, err := w.svc.AccessGroups(w.ctx, "acme", "north")
	w.ok(err)
	if got := progress["north"]; len(progress) != 1 || got.Site != "north" || got.Head != one.Head || got.Applied != one.Applied || one.Head.Seq == 0 {
		t.Errorf("got %+v, want north alone as in %+v", progress, one)
	}
	if got := groups["north"]; len(groups) != 1 || len(got) != len(its) || len(its) == 0 || got[0].ID != its[0].ID {
		t.Errorf("got %+v, want %+v of north alone", groups, its)
	}
	for _, err := range []error{two(w.svc.Progress(w.ctx, "none")), two(w.svc.AllAccessGroups(w.ctx, "none"))} {
		if !errors.Is(err, cloud.ErrNotFound) {
			t.Errorf("no such organisation: %v", err)
		}
	}
}

func two[T any](_ T, err error) error { return err }

package cloud_test

import (
	"errors"
	"maps"
	"testing"

	"latchkey/access"
	"latchkey/cloud"
)

// TestReadsOfMany: what pages read at once is that of one organisation alone,
// and no more doors than were asked for.
func TestReadsOfMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.rule("north", cloud.Rule{Name: "Staff", Groups: []string{"staff"}})
	south, err := w.svc.Doors(w.ctx, "acme", "south")
	w.ok(err)
	for _, d := range south {
		w.ok(w.svc.DeleteDoor(w.ctx, admin, "acme", "south", d.ID))
	}
	for _, id := range []string{"a", "b", "c"} {
		_, err = w.svc.PutDoor(w.ctx, admin, "acme", "south", access.Door{ID: id})
		w.ok(err)
	}
	north, err := w.svc.Doors(w.ctx, "acme", "north")
	w.ok(err)
	if len(north) == 0 {
		t.Fatal("north has no doors")
	}
	for _, tt := range []struct{ most, north, south int }{
		{2, 0, 0}, {2 + len(north) - 1, 0, 0}, {2 + len(north), len(north), 0}, {2 + len(north) + 2, len(north), 0}, {2 + len(north) + 3, len(north), 3}, {1000, len(north), 3},
	} {
		doors, err := w.svc.SomeDoors(w.ctx, "acme", tt.most)
		if err != nil || len(doors["north"]) != tt.north || len(doors["south"]) != tt.south {
			t.Errorf("at most %d: %d and %d doors, %v; want %d and %d", tt.most, len(doors["north"]), len(doors["south"]), err, tt.north, tt.south)
		}
	}
	rules, err := w.svc.RuleNames(w.ctx, "acme", []string{"north", "none"})
	if err != nil || len(rules) != 1 || !maps.Equal(rules["north"], map[string]string{r.ID: "Staff"}) {
		t.Errorf("rules %v, %v", rules, err)
	}
	p, err := w.svc.CreatePerson(w.ctx, admin, "acme", cloud.NewPerson{Name: "Ann"})
	w.ok(err)
	names, err := w.svc.PeopleNames(w.ctx, "acme", []string{p.ID, "none"})
	if err != nil || !maps.Equal(names, map[string]string{p.ID: "Ann"}) {
		t.Errorf("names %v, %v", names, err)
	}

	_, err = w.svc.CreateOrg(w.ctx, admin, cloud.Org{ID: "other", Name: "Other"})
	w.ok(err)
	doors, err := w.svc.SomeDoors(w.ctx, "other", 1000)
	if err != nil || len(doors) != 0 {
		t.Errorf("another organisation's doors: %v, %v", doors, err)
	}
	if rules, err = w.svc.RuleNames(w.ctx, "other", []string{"north"}); err != nil || len(rules) != 0 {
		t.Errorf("another organisation's rules: %v, %v", rules, err)
	}
	if names, err = w.svc.PeopleNames(w.ctx, "other", []string{p.ID}); err != nil || len(names) != 0 {
		t.Errorf("another organisation's people: %v, %v", names, err)
	}
	for _, err := range []error{two(w.svc.SomeDoors(w.ctx, "none", 1)), two(w.svc.RuleNames(w.ctx, "none", nil)), two(w.svc.PeopleNames(w.ctx, "none", nil))} {
		if !errors.Is(err, cloud.ErrNotFound) {
			t.Errorf("no organisation: %v, want ErrNotFound", err)
		}
	}
}

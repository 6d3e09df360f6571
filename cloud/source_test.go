package cloud_test

import (
	"errors"
	"testing"
	"time"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/delta"
)

func TestEventsExactlyOnce(t *testing.T) {
	w := newWorld(t)
	events := func(from, to uint64) []access.Event {
		var out []access.Event
		for n := from; n <= to; n++ {
			out = append(out, access.Event{N: n, At: time.Unix(int64(n), 0).UTC(), Kind: access.EventAccess, Door: "front"})
		}
		return out
	}
	for _, tt := range []struct {
		epoch    string
		from, to uint64
		want     uint64
	}{
		{"a", 1, 5, 5}, {"a", 1, 5, 5}, {"a", 4, 8, 8}, {"a", 10, 12, 8}, {"a", 9, 12, 12}, {"b", 3, 4, 0}, {"b", 1, 2, 2},
	} {
		got, err := w.svc.Events(w.ctx, "north", &delta.Events{EventEpoch: tt.epoch, Events: events(tt.from, tt.to)})
		w.ok(err)
		if got != tt.want {
			t.Errorf("%s %d..%d: stored up to %d, want %d", tt.epoch, tt.from, tt.to, got, tt.want)
		}
	}
	all, err := w.svc.SiteEvents(w.ctx, "acme", "north", 0, 0)
	w.ok(err)
	if len(all) != 14 {
		t.Fatalf("%d events, want 14", len(all))
	}
	for i, e := range all {
		want := uint64(i + 1)
		if e.Pos != want || i < 12 && (e.N != want || e.EventEpoch != "a") || i >= 12 && (e.N != want-12 || e.EventEpoch != "b") {
			t.Errorf("event %d is %s/%d at %d", i, e.EventEpoch, e.N, e.Pos)
		}
	}
	if got, err := w.svc.SiteEvents(w.ctx, "acme", "north", 13, 5); err != nil || len(got) != 1 {
		t.Errorf("after 13: %d events, %v", len(got), err)
	}
}

func TestStreamOfASite(t *testing.T) {
	w := newWorld(t)
	head, err := w.svc.Head(w.ctx, "north")
	w.ok(err)
	heads, err := w.svc.Heads(w.ctx)
	w.ok(err)
	sites, err := w.svc.Sites(w.ctx)
	w.ok(err)
	if heads["north"] != head || len(heads) != len(sites) {
		t.Errorf("%d heads of %d sites, north's at %d; want it at %d", len(heads), len(sites), heads["north"].Seq, head.Seq)
	}
	payloads, err := w.svc.Read(w.ctx, "north", head.Epoch, head.Seq-2, 10)
	w.ok(err)
	if len(payloads) != 2 || delta.HashOf(payloads[1]) != head.Hash {
		t.Errorf("%d payloads after %d", len(payloads), head.Seq-2)
	}
	if h, err := w.svc.HashAt(w.ctx, "north", head.Epoch, head.Seq); err != nil || h != head.Hash {
		t.Errorf("hash at head: %v, %v", h, err)
	}
	if h, err := w.svc.HashAt(w.ctx, "north", head.Epoch, 0); err != nil || h != (delta.Hash{}) {
		t.Errorf("hash at 0: %v, %v", h, err)
	}
	for _, at := range [][2]uint64{{uint64(head.Epoch), head.Seq + 1}, {uint64(head.Epoch) + 1, 1}, {uint64(head.Epoch), 1<<64 - 1}} {
		if _, err := w.svc.HashAt(w.ctx, "north", uint32(at[0]), at[1]); !errors.Is(err, cloud.ErrNoEntry) {
			t.Errorf("%v: %v, want ErrNoEntry", at, err)
		}
	}
	w.ok(w.svc.Hello(w.ctx, "north", &delta.Hello{Head: delta.Head{Epoch: head.Epoch, Seq: 1}, Software: "v1"}))
	w.ok(w.svc.Applied(w.ctx, "north", head))
	w.ok(w.svc.Applied(w.ctx, "north", delta.Head{Epoch: head.Epoch, Seq: 1})) // late
	w.ok(w.svc.Proof(w.ctx, "north", &delta.Proof{Controllers: []delta.ControllerProof{{Controller: "main", Wanted: 1, Held: 1, Equal: true}}}))
	w.ok(w.svc.Nack(w.ctx, "north", &delta.Nack{Epoch: head.Epoch, Seq: 2, Reason: "shape"}))
	w.ok(w.svc.Result(w.ctx, "north", &delta.Result{ID: "c1", OK: true}))
	st, err := w.svc.SiteStatus(w.ctx, "acme", "north")
	w.ok(err)
	if st.Applied != st.Head || st.Software != "v1" || len(st.Proof) != 1 || st.LastNack == "" || st.LastUp.IsZero() {
		t.Errorf("got %+v", st)
	}
}

// TestDeletedProperty: the agent hears that it has to forget everything, and a
// property that comes back starts a higher epoch.
func TestDeletedProperty(t *testing.T) {
	w := newWorld(t)
	w.rule("north", cloud.Rule{})
	u := w.user("ada", "1")
	before, err := w.svc.Head(w.ctx, "north")
	w.ok(err)
	w.ok(w.svc.DeleteProperty(w.ctx, admin, "acme", "north"))
	if held := w.fold("north"); len(held) != 0 {
		t.Errorf("%d records left", len(held))
	}
	if _, err := w.svc.Property(w.ctx, "acme", "north"); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	_, err = w.svc.PutProperty(w.ctx, admin, "acme", cloud.Property{ID: "north"})
	w.ok(err)
	after, err := w.svc.Head(w.ctx, "north")
	w.ok(err)
	if after.Epoch <= before.Epoch || after.Seq != 0 {
		t.Errorf("got %+v after %+v", after, before)
	}
	w.expect("north", u.ID, "")
}

// TestNarrowedSchedule: what a schedule, a door or a group takes away is in the
// deny lane.
func TestNarrowedSchedule(t *testing.T) {
	w := newWorld(t)
	put := func(from, to int, holidays ...string) {
		_, err := w.svc.PutSchedule(w.ctx, admin, "acme", "north", access.Schedule{
			ID: "day", Zone: "Europe/Berlin", Weekly: []access.Interval{{Day: 1, From: from, To: to}}, Holidays: holidays,
		})
		w.ok(err)
	}
	put(480, 1020)
	_, err := w.svc.PutAccessGroup(w.ctx, admin, "acme", "north", cloud.AccessGroup{ID: "day", Grants: []cloud.DoorAccess{{Door: "front", Schedule: "day"}}})
	w.ok(err)
	step := func(name string, want int, do func()) {
		seq := w.seq("north")
		do()
		if got := w.denied("north", seq); len(got) != want {
			t.Errorf("%s denied %v, want %d", name, got, want)
		}
	}
	step("wider", 0, func() { put(420, 1080) })
	step("same", 0, func() { put(420, 1080) })
	step("shifted", 1, func() { put(480, 1100) })
	step("holiday", 1, func() { put(480, 1100, "2026-12-25") })
	step("no holiday", 0, func() { put(480, 1100) })
	step("cabinet becomes door", 2, func() {
		_, err := w.svc.PutDoor(w.ctx, admin, "acme", "north", access.Door{ID: "keys", Name: "Keys"})
		w.ok(err)
	})
	step("door deleted", 3, func() { w.ok(w.svc.DeleteDoor(w.ctx, admin, "acme", "north", "front")) })
	w.fold("north")
	w.refused(w.svc.DeleteBadgeType(w.ctx, admin, "acme", "Default"))
}

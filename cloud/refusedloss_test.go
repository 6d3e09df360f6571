package cloud_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/delta"
)

// words are whose word the entries of a site after seq bear; entries reads them
// and fold, which tests call besides, holds each against what it takes.
func (w *world) words(site string, seq uint64) (words []string) {
	w.Helper()
	for _, d := range w.entries(site)[seq:] {
		if a := d.Approved; a != nil {
			words = append(words, fmt.Sprintf("%s %d", a.By, a.Removes))
		} else {
			words = append(words, "none")
		}
	}
	return words
}

// TestEveryLossBearsAWord: whatever the guard lets through says so, one person
// at a time or many, and what takes nothing says nothing.
func TestEveryLossBearsAWord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group, _, ids := w.crowd(12)
	at := w.seq("north")
	check := func(what string, want ...string) {
		t.Helper()
		if got := w.words("north", at); strings.Join(got, ", ") != strings.Join(want, ", ") {
			t.Errorf("%s: words %q, want %q", what, got, want)
		}
		w.fold("north")
		at = w.seq("north")
	}
	for _, id := range ids[:3] {
		w.mustPatch(id, map[string]any{"active": false})
	}
	check("a batch job disables people", "guard: person 2", "guard: person 2", "guard: person 2")
	w.mustPatch(ids[0], map[string]any{"active": true})
	check("somebody is back", "none")
	_, err := w.svc.UpdateGroup(w.ctx, w.caller, group.ID, "", func(e *cloud.GroupEdit) error { return errors.Join(e.Remove(ids[3]), e.Remove(ids[4])) })
	w.ok(err)
	check("two leave a group", "guard: directory 4")
	_, err = w.svc.PutAccessGroup(w.ctx, admin, "acme", "north", cloud.AccessGroup{ID: "staff", Name: "staff", Grants: []cloud.DoorAccess{{Door: "front"}}})
	w.ok(err)
	check("a group loses a door", "guard: change 8")
}

// TestLossesOnTheWay: a change that takes nothing may take very much before its
// last message: gains are written later, and doors and groups do not fit one
// message. The site must obey all the same.
func TestLossesOnTheWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.batch = 2
	w.restart()
	_, rule, _ := w.crowd(25)
	at := w.seq("north")
	rule.Groups = []string{"vip"} // which opens the same
	_, err := w.svc.PutRule(w.ctx, admin, "acme", "north", rule)
	w.ok(err)
	if got := w.words("north", at); len(got) != 1 || got[0] != "guard: change 50" {
		t.Errorf("words %q of what takes all for a moment", got)
	}
	w.ok(w.svc.Settle(w.ctx))
	w.fold("north")

	_, err = w.svc.PutSchedule(w.ctx, admin, "acme", "north", access.Schedule{ID: "hours", Zone: "UTC", Weekly: []access.Interval{{Day: 1, From: 0, To: 1440}}})
	w.ok(err)
	grants := func(front, tail string, n int) (g []cloud.DoorAccess) {
		for i := range n {
			g = append(g, cloud.DoorAccess{Door: fmt.Sprintf("%s%03d%s", tail, i, strings.Repeat("x", 50))})
		}
		return append(g, cloud.DoorAccess{Door: "front", Schedule: front})
	}
	put := func(g []cloud.DoorAccess) uint64 {
		at := w.seq("north")
		_, err := w.svc.PutAccessGroup(w.ctx, admin, "acme", "north", cloud.AccessGroup{ID: "vip", Name: "vip", Grants: g})
		w.confirmed(err)
		return at
	}
	put(grants("", "a", 500))
	at = put(grants("hours", "b", 500)) // the grant of the front door goes in one message, and comes back in another
	if got := w.words("north", at); len(got) < 2 || got[0] != "guard: change 25" {
		t.Errorf("words %q of what takes the front door for a moment", got)
	}
	w.fold("north")
}

// stands tells the service that a site has applied its log up to a seq.
func (w *world) stands(site string, seq uint64) {
	w.Helper()
	w.ok(w.svc.Hello(w.ctx, site, &delta.Hello{Head: w.headAt(site, seq)}))
}

func (w *world) headAt(site string, seq uint64) delta.Head {
	w.Helper()
	head, err := w.svc.Head(w.ctx, site)
	w.ok(err)
	if seq == head.Seq {
		return head
	}
	hash, err := w.svc.HashAt(w.ctx, site, head.Epoch, seq)
	w.ok(err)
	return delta.Head{Epoch: head.Epoch, Seq: seq, Hash: hash}
}

// snapshotWord is the word of the snapshot that the site would get.
func (w *world) snapshotWord(site string) string {
	w.Helper()
	_, _, word, err := w.svc.Snapshot(w.ctx, site)
	w.ok(err)
	if word == nil {
		return "none"
	}
	return fmt.Sprintf("%s %d", word.By, word.Removes)
}

// TestSnapshotBearsTheLogsWord: a snapshot may take what the log took since the
// site's place in it, and nothing where the log does not have that place, as
// after a restore from a backup.
func TestSnapshotBearsTheLogsWord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, _, ids := w.crowd(12)
	at := w.seq("north")
	for _, id := range ids[:7] {
		w.mustPatch(id, map[string]any{"active": false})
	}
	check := func(what, want string) {
		t.Helper()
		if got := w.snapshotWord("north"); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	w.stands("north", at)
	check("a site that is seven people behind", "guard: log 14")
	w.stands("north", at+6)
	check("a site that is one behind", "guard: log 2")
	w.stands("north", at+7)
	check("a site that is up to date", "guard: log 0")
	other := w.headAt("north", at)
	other.Hash[0]++
	w.ok(w.svc.Hello(w.ctx, "north", &delta.Hello{Head: other}))
	check("a site with another history", "none")
	other = w.headAt("north", at+7)
	other.Seq++
	w.ok(w.svc.Hello(w.ctx, "north", &delta.Hello{Head: other}))
	check("a site that is ahead", "none")
	other.Epoch--
	w.ok(w.svc.Hello(w.ctx, "north", &delta.Hello{Head: other}))
	check("a site of another epoch", "none")
	w.ok(w.svc.Hello(w.ctx, "north", &delta.Hello{}))
	check("a site that holds nothing", "none")
}

func (w *world) refuses(site string, head delta.Head, removes, people, openings int) {
	w.Helper()
	w.ok(w.svc.Nack(w.ctx, site, &delta.Nack{Epoch: head.Epoch, Seq: head.Seq, Reason: delta.ReasonMass, Removes: removes, People: people, Openings: openings}))
}

func (w *world) openHold() cloud.Hold {
	w.Helper()
	open, err := w.svc.Holds(w.ctx, "acme", true)
	w.ok(err)
	if len(open) != 1 {
		w.Fatalf("%d holds are open, want one: %+v", len(open), open)
	}
	return open[0]
}

// TestRefusedLossIsHeld: what a site refuses waits for a person, who is shown how
// much it is; the next snapshot then bears their word, until the site has taken
// it.
func TestRefusedLossIsHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, _, ids := w.crowd(12)
	fork := w.headAt("north", w.seq("north"))
	fork.Hash[0]++ // as a site has that knows another history
	w.ok(w.svc.Hello(w.ctx, "north", &delta.Hello{Head: fork}))
	w.mustPatch(ids[0], map[string]any{"active": false})
	w.refuses("north", w.headAt("north", w.seq("north")), 40, 30, 60)
	w.refuses("north", w.headAt("north", w.seq("north")), 40, 30, 60) // the next try
	h := w.openHold()
	if h.Kind != cloud.HoldSite || h.Site != "north" || h.Preview.Lose != (cloud.Tally{People: 30, Openings: 40}) || h.Preview.Openings != 60 || h.Preview.Limit != 20 {
		t.Errorf("hold %+v", h)
	}
	st, err := w.svc.SiteStatus(w.ctx, "acme", "north")
	w.ok(err)
	if !strings.HasSuffix(st.LastNack, ": mass, it would take 40 of 60 openings") || st.Holds != 1 {
		t.Errorf("the building says %q, and %d hold", st.LastNack, st.Holds)
	}
	sync, err := w.svc.SyncStatus(w.ctx, "acme")
	w.ok(err)
	if sync.Holds != 1 {
		t.Errorf("the sync page counts %d holds", sync.Holds)
	}
	if _, err := w.svc.Discard(w.ctx, admin, "acme", h.ID); err == nil {
		t.Error("it was discarded, and the log has it still")
	}
	if word, err := w.svc.Approved(w.ctx, "north"); word != nil || err != nil {
		t.Errorf("approved by %+v already (%v)", word, err)
	}
	if _, err := w.svc.Confirm(w.ctx, "olga", "acme", h.ID, 39); !errors.Is(err, cloud.ErrChanged) {
		t.Errorf("confirmed with 39 of 40: %v", err)
	}
	// It is more by now, and whoever was shown less is not taken at their word.
	w.refuses("north", w.headAt("north", w.seq("north")), 42, 31, 60)
	if again := w.openHold(); again.ID != h.ID || again.Preview.Lose.Openings != 42 {
		t.Errorf("refused again: %+v", again)
	}
	if got := w.snapshotWord("north"); got != "none" {
		t.Errorf("a snapshot bears the word %q before anybody gave it", got)
	}
	_, err = w.svc.Confirm(w.ctx, "olga", "acme", h.ID, 42)
	w.ok(err)
	// The next refusal crossed with it; and anybody at the broker can bring about
	// one of another kind.
	w.refuses("north", w.headAt("north", w.seq("north")), 42, 31, 60)
	w.ok(w.svc.Nack(w.ctx, "north", &delta.Nack{Epoch: 1, Seq: 1, Reason: "signature"}))
	if word, err := w.svc.Approved(w.ctx, "north"); err != nil || word == nil || *word != (delta.Approval{By: "olga", Removes: 42}) {
		t.Errorf("approved by %+v (%v)", word, err)
	}
	w.mustPatch(ids[1], map[string]any{"active": false})
	if got := w.snapshotWord("north"); got != "olga 44" { // with what the log took since
		t.Errorf("the snapshot bears the word %q", got)
	}
	// More than was confirmed is another matter.
	w.refuses("north", w.headAt("north", w.seq("north")), 58, 31, 60)
	more := w.openHold()
	if more.ID == h.ID || more.Preview.Lose.Openings != 58 {
		t.Errorf("held %+v, want another one", more)
	}
	// The site has followed: somebody gave back what it would have lost.
	w.ok(w.svc.Applied(w.ctx, "north", w.headAt("north", w.seq("north"))))
	all, err := w.svc.Holds(w.ctx, "acme", false)
	w.ok(err)
	if len(all) != 2 || all[0].State != cloud.HoldConfirmed || all[1].State != cloud.HoldResolved {
		t.Errorf("holds %+v", all)
	}
	st, err = w.svc.SiteStatus(w.ctx, "acme", "north")
	w.ok(err)
	if st.LastNack != "" || st.Holds != 0 {
		t.Errorf("the building says still %q, and %d holds", st.LastNack, st.Holds)
	}
	if got := w.snapshotWord("north"); got != "guard: log 0" {
		t.Errorf("the word %q is used again", got)
	}
	w.ok(w.svc.Hello(w.ctx, "north", &delta.Hello{Head: fork}))
	w.refuses("north", w.headAt("north", w.seq("north")), 2, 2, 20)
	if got := w.snapshotWord("north"); got != "none" {
		t.Errorf("the word %q is used again for another refusal", got)
	}
}

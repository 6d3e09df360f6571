package pages_test

import (
	"errors"
	"fmt"
	"regexp"
	"testing"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
	"latchkey/delta"
)

// holds makes n people, asks to disable the rule that gives them the front
// door, and returns the hold.
func (w *world) holds(n int) (ids []string, rule cloud.Rule, hold cloud.Hold) {
	w.Helper()
	ids, rule = w.staff(n)
	w.nobody()
	w.saves(w.post("properties/north/rules/" + rule.ID + "/disable"))
	return ids, rule, w.held()
}

// held is the one change that waits.
func (w *world) held() cloud.Hold {
	w.Helper()
	holds, err := w.cloud.Holds(w.ctx, "acme", true)
	w.ok(err)
	if len(holds) != 1 {
		w.Fatalf("%d held changes, want 1", len(holds))
	}
	return holds[0]
}

func (w *world) openings() int {
	w.Helper()
	st, err := w.cloud.SiteStatus(w.ctx, "acme", "north")
	w.ok(err)
	return st.Openings
}

func TestConfirmHold(t *testing.T) {
	w := newWorld(t)
	w.wants(w.get("holds"), 200, "Nothing waits")
	_, _, hold := w.holds(21)
	w.wants(w.get("holds"), 200, "Disable the rule “All staff”", "North building", "21 openings from 21 people", "ann@acme.example (owner)")
	at := "holds/" + hold.ID
	w.wants(w.get(at), 200, "Disable the rule “All staff”", "enabled", "disabled", "as of now", "Person000", "Confirm: take 21 openings from 21 people", "Discard it")

	w.as(signin.Viewer)
	if a := w.get(at); a.status != 200 || containsAny(a.body, "Confirm: take", "Discard it: change nothing") {
		t.Errorf("a viewer is offered what only admins may do:\n%s", a.body)
	}
	w.wants(w.post(at+"/confirm", "removes", "21"), 403)
	w.wants(w.post(at+"/discard"), 403)

	w.as(signin.Admin)
	w.wants(w.post(at+"/confirm"), 400)
	w.wants(w.post(at+"/confirm", "removes", "20"), 409, "It would take 21 openings by now, and you were shown 20", "Confirm: take 21 openings")
	if w.openings() != 21 {
		t.Errorf("%d openings, want all 21 while it is held", w.openings())
	}
	w.goes(w.post(at+"/confirm", "removes", "21"), at+"?did=hold-confirmed")
	if w.openings() != 0 || w.ruleNamed("All staff").Enabled {
		t.Errorf("%d openings after it was confirmed", w.openings())
	}
	w.wants(w.get(at), 200, "confirmed, by ann@acme.example (admin)", "as it was when it was held", "21 people lose access")
	w.wants(w.get("holds"), 200, "Nothing waits", "confirmed, by ann@acme.example (admin)")
	w.wants(w.post(at+"/confirm", "removes", "21"), 409, "Somebody decided about it meanwhile")
	w.wants(w.post(at+"/discard"), 409, "Somebody decided about it meanwhile")
}

func TestDiscardHold(t *testing.T) {
	w := newWorld(t)
	_, rule, hold := w.holds(21)
	at := "holds/" + hold.ID
	rule.Name = "Renamed"
	_, err := w.cloud.PutRule(w.ctx, by, "acme", "north", rule)
	w.ok(err)
	w.wants(w.post(at+"/confirm", "removes", "21"), 409, "What it changes has been changed by somebody since")
	w.goes(w.post(at+"/discard"), "holds?did=hold-discarded")
	w.wants(w.get("holds"), 200, "Nothing waits", "discarded, by ann@acme.example (owner)")
	if w.openings() != 21 {
		t.Errorf("%d openings after it was discarded", w.openings())
	}
}

// TestHoldOfWhatIsGone: what a held change is about may be deleted meanwhile.
func TestHoldOfWhatIsGone(t *testing.T) {
	w := newWorld(t)
	_, rule, hold := w.holds(21)
	err := w.cloud.DeleteRule(w.ctx, by, "acme", "north", rule.ID)
	held, ok := errors.AsType[*cloud.Held](err)
	if !ok {
		t.Fatalf("got %v, want it held", err)
	}
	_, err = w.cloud.Confirm(w.ctx, by, "acme", held.Hold.ID, 21)
	w.ok(err)
	w.wants(w.get("holds/"+hold.ID), 200, "It cannot be done any more", "What it changes is not there any more", "Discard it: change nothing")
	w.wants(w.post("holds/"+hold.ID+"/confirm", "removes", "21"), 409, "has been changed by somebody since")
}

// TestDirectoryHold: what the directory takes can be confirmed, not discarded.
func TestDirectoryHold(t *testing.T) {
	w := newWorld(t)
	w.staff(21)
	groups, err := w.cloud.DirectoryGroups(w.ctx, "acme")
	w.ok(err)
	_, err = w.cloud.UpdateGroup(w.ctx, w.caller, groups[0].ID, "", func(e *cloud.GroupEdit) error { return e.Replace(nil) })
	w.ok(err)
	hold := w.held()
	at := "holds/" + hold.ID
	const asked = "directory, token “Entra ID”"
	w.wants(w.get("holds"), 200, "What the directory takes away", "21 people", asked)
	home := w.get("")
	w.wants(home, 200, `href="/admin/`+at+`">What the directory takes away</a>`, "would take 21 people at North building")
	a := w.get(at)
	w.wants(a, 200, asked)
	w.wants(a, 200, "put it right in Entra ID or Okta", "Confirm: take 21 openings from 21 people", "Person000", "Front door")
	if containsAny(a.body, "Discard it") {
		t.Error("it is offered to be discarded")
	}
	w.wants(w.post(at+"/discard"), 409, "the directory took this away")
	w.goes(w.post(at+"/confirm", "removes", "21"), at+"?did=hold-confirmed")
	if w.openings() != 0 {
		t.Errorf("%d openings after it was confirmed", w.openings())
	}
}

// TestManyDecidedHolds come in pages.
func TestManyDecidedHolds(t *testing.T) {
	w := newWorld(t)
	_, rule := w.staff(1)
	w.nobody()
	_, err := w.cloud.PutProperty(w.ctx, by, "acme", cloud.Property{ID: "north", Name: "North building", Wallet: true, Guard: &cloud.Guard{}})
	w.ok(err)
	for i := range 51 {
		rule.Enabled, rule.Name = false, fmt.Sprintf("Try %02d", i)
		_, err := w.cloud.PutRule(w.ctx, by, "acme", "north", rule)
		held, ok := errors.AsType[*cloud.Held](err)
		if !ok {
			t.Fatalf("got %v, want it held", err)
		}
		_, err = w.cloud.Discard(w.ctx, by, "acme", held.Hold.ID)
		w.ok(err)
	}
	a := w.get("holds")
	w.wants(a, 200, "Try 50", "Try 01")
	w.lacks(a, "Try 00", "Newest")
	earlier := regexp.MustCompile(`holds\?before=[-0-9a-f]+`).FindString(a.body)
	a = w.get(earlier)
	w.wants(a, 200, "Try 00", "Newest")
	w.lacks(a, "Try 01", "Earlier")
	w.wants(w.get("holds?before=0"), 200, "That is all")
}

func TestHoldsOfOthers(t *testing.T) {
	w := newWorld(t)
	_, _, hold := w.holds(21)
	_, err := w.cloud.CreateOrg(w.ctx, by, cloud.Org{ID: "other", Name: "Other"})
	w.ok(err)
	w.visitor.Org = "other"
	w.wants(w.get("holds/"+hold.ID), 404)
	w.wants(w.post("holds/"+hold.ID+"/confirm", "removes", "21"), 404)
	w.wants(w.post("holds/"+hold.ID+"/discard"), 404)
	w.wants(w.get("holds"), 200, "Nothing waits")
}

// TestRefusedLoss: what a building's gateway refuses to lose is shown on its
// page, in the list and by itself, and can be confirmed, not discarded.
func TestRefusedLoss(t *testing.T) {
	w := newWorld(t)
	w.staff(2)
	head, err := w.cloud.Head(w.ctx, "north")
	w.ok(err)
	w.ok(w.cloud.Nack(w.ctx, "north", &delta.Nack{Epoch: head.Epoch, Seq: head.Seq, Reason: delta.ReasonMass, Removes: 30, People: 25, Openings: 40}))
	hold := w.held()
	at := "holds/" + hold.ID
	w.wants(w.get("properties/north/building"), 200, "mass, it would take 30 of 40 openings", "1 loss of access waits")
	w.wants(w.get(""), 200, "Its gateway refuses what it was sent")
	w.wants(w.get("holds"), 200, "What the gateway refuses to lose", "North building", "30 openings from 25 people")
	a := w.get(at)
	w.wants(a, 200, "restored from a backup", "It names nobody", "The property has 40 openings now", "Confirm: take 30 openings from 25 people")
	if containsAny(a.body, "Discard it", "at 0 doors", "Whose access changes, as of now") {
		t.Errorf("it is shown as what it is not:\n%s", a.body)
	}
	w.wants(w.post(at+"/discard"), 409, "give back what it would take")
	w.wants(w.post(at+"/confirm", "removes", "29"), 409, "It would take 30 openings by now, and you were shown 29")
	w.goes(w.post(at+"/confirm", "removes", "30"), at+"?did=hold-confirmed")
	w.wants(w.get(at), 200, "confirmed, by ann@acme.example")
	w.ok(w.cloud.Nack(w.ctx, "north", &delta.Nack{Epoch: head.Epoch, Seq: head.Seq, Reason: delta.ReasonMass, Removes: 31, People: 26, Openings: 40}))
	w.ok(w.cloud.Applied(w.ctx, "north", head))
	w.wants(w.get("holds"), 200, "Nothing waits", "ended by itself: the gateway follows again")
}

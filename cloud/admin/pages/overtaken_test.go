package pages_test

import (
	"slices"
	"strings"
	"testing"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

// bob changes something at north, as somebody else than who is signed in does.
func (w *world) bob(p cloud.Proposal) {
	w.Helper()
	p.Site = "north"
	w.ok(w.cloud.Do(w.ctx, "bob@acme.example (admin)", "acme", p, 1000))
}

// TestTwoAdminsEditOneRule: the second one to save sees who was first, and what
// the two differ in, before anything is written over.
func TestTwoAdminsEditOneRule(t *testing.T) {
	w := newWorld(t)
	_, staff := w.staff(2)
	at := "properties/north/rules/" + staff.ID
	bobs := func(name string) cloud.Proposal {
		r := w.ruleNamed(staff.Name)
		r.Name, r.Groups = name, []string{"science", "staff"}
		staff.Name = name
		return cloud.Proposal{Op: cloud.OpPutRule, Rule: &r}
	}
	form := func(mark string) []string {
		return []string{"mark", mark, "act", "review", "name", "Ann’s", "enabled", "yes", "who", "all", "row", "0", "kind.0", "group", "group.0", "Staff", "groups", "staff"}
	}
	const warning = "bob@acme.example (admin) changed this just now, after it was shown to you. Below is what yours would make of it"

	mark := w.hidden(w.get(at), "mark")
	w.bob(bobs("Bob’s"))
	a := w.post(at, form(mark)...)
	w.wants(a, 409, warning, `<td data-label="Before">Bob’s</td><td data-label="After">Ann’s</td>`, `<td data-label="Before">Science<br>Staff</td><td data-label="After">Staff</td>`,
		"2 people lose access", "Save mine all the same", `href="/admin/`+at+`">Drop mine`)
	back := w.post(at, "proposal", w.hidden(a, "proposal"), "act", "back")
	w.wants(back, 200, `value="Ann’s"`)
	if w.hidden(back, "mark") == mark {
		t.Error("whoever goes back to the form is told again of what they know")
	}

	w.bob(bobs("Bob’s second"))
	again := w.saves(a)
	w.wants(again, 409, warning, "Bob’s second", "Ann’s", "Save mine all the same")
	if got := w.order(); !slices.Equal(got, []string{"Bob’s second"}) {
		t.Errorf("rules %q: Bob's was written over unasked", got)
	}
	w.goes(w.saves(again), "properties/north?did=put-rule")
	if got := w.order(); !slices.Equal(got, []string{"Ann’s"}) {
		t.Errorf("rules %q", got)
	}

	// A form that is shown again for another condition is as old as it was.
	mark = w.hidden(w.get(at), "mark")
	staff.Name = "Ann’s"
	w.bob(bobs("Bob’s third"))
	more := w.post(at, "mark", mark, "act", "add group", "name", "Ann’s", "who", "all")
	w.wants(more, 200, `name="mark" value="`+mark+`"`)

	// What was shown of a rule to be disabled is what is disabled.
	a = w.post(at + "/disable")
	w.bob(bobs("Bob’s fourth"))
	w.wants(w.saves(a), 409, warning, "Bob’s fourth")
	if r := w.ruleNamed("Bob’s fourth"); !r.Enabled {
		t.Error("disabled all the same")
	}
}

// TestFormOfWhatIsDeleted: whoever has a form open of what somebody else deletes
// loses nothing of what they entered, is told, and can make another one of it.
func TestFormOfWhatIsDeleted(t *testing.T) {
	w := newWorld(t)
	w.rule("Everyone", nil)
	_, err := w.cloud.PutSchedule(w.ctx, by, "acme", "north", access.Schedule{ID: "day", Name: "Day", Zone: "UTC"})
	w.ok(err)
	r := w.rule("Lab", []string{"science"})
	ruleFields := []string{"enabled", "yes", "who", "any", "row", "0", "kind.0", "group", "group.0", "Chemists", "groups", "staff", "ble", "yes"}
	for _, tt := range []struct {
		noun, did, form, fresh, again string // again is the form of another one
		del                           cloud.Proposal
		fields                        []string
		kept                          []string // what was entered, in the form that is gone back to
	}{
		{"rule", "create-rule", "rules/" + r.ID, "rules/" + r.ID, "rules/new", cloud.Proposal{Op: cloud.OpDeleteRule, ID: r.ID}, ruleFields,
			[]string{"New rule", `value="Chemists"`, `value="any" checked`, `value="staff" checked`, `name="ble" value="yes" checked`}},
		{"door", "put-door", "doors/edit", "doors/edit?id=lab", "doors/edit", cloud.Proposal{Op: cloud.OpDeleteDoor, ID: "lab"}, []string{"was", "lab", "kind", "cabinet", "unlock", "2.5"},
			[]string{"Add a door", `name="id" value="lab"`, `value="2.5"`, `value="cabinet" selected`}},
		{"access group", "put-access-group", "groups/edit", "groups/edit?id=science", "groups/edit", cloud.Proposal{Op: cloud.OpDeleteGroup, ID: "science"}, []string{"was", "science", "grant", "front/"},
			[]string{"Add an access group", `value="front/" selected`}},
		{"schedule", "put-schedule", "schedules/edit", "schedules/edit?id=day", "schedules/edit", cloud.Proposal{Op: cloud.OpDeleteSchedule, ID: "day"},
			[]string{"was", "day", "zone", "Asia/Tokyo", "row", "0", "day-0", "1", "from-0", "08:00", "to-0", "09:00"}, []string{"Add a schedule", `value="Asia/Tokyo"`, `value="08:00"`}},
	} {
		at := "properties/north/"
		fields := append(tt.fields, "name", "Ann’s", "mark", w.hidden(w.get(at+tt.fresh), "mark"))
		fine := w.post(at+tt.form, fields...)
		w.wants(fine, 200, "Ann’s")
		w.bob(tt.del)
		warning := "Not saved.</strong> bob@acme.example (admin) deleted this " + tt.noun + " just now, after it was shown to you. What you entered is kept"
		list := strings.TrimSuffix(strings.TrimSuffix(at+strings.Split(tt.form, "rules/")[0], "/"), "/edit")
		var review answer
		for _, a := range []answer{w.post(at+tt.form, fields...), w.saves(fine)} {
			w.wants(a, 409, warning, "Ann’s", "What is new", "Save it as a new "+tt.noun, `href="/admin/`+list+`">Drop mine</a>`)
			review = a
		}
		w.wants(w.post(at+tt.again, "act", "back", "proposal", w.hidden(review, "proposal")), 200, append(tt.kept, `value="Ann’s"`)...)
		if tt.noun == "rule" { // what is wrong with it is said as ever
			w.wants(w.post(at+tt.form, append(fields, "row", "1", "kind.1", "attr", "attr.1", "title", "op.1", "gt", "value.1", "1")...), 422, "Not saved", `value="Ann’s"`)
		}
		w.goes(w.saves(review), list+"?did="+tt.did)
	}
	if n := w.ruleNamed("Ann’s"); n.ID == r.ID || n.Match != cloud.MatchAny || !slices.Equal(n.Groups, []string{"staff"}) || !n.Mobile.BLE {
		t.Errorf("rule %+v", n)
	}
}

// TestWhatIsDeletedTwice: who presses a button of a list about what somebody
// deleted meanwhile has lost nothing, and is told.
func TestWhatIsDeletedTwice(t *testing.T) {
	w := newWorld(t)
	w.rule("Everyone", nil)
	r := w.rule("Lab", []string{"science"})
	deletes := w.post("properties/north/rules/" + r.ID + "/delete")
	w.wants(deletes, 200, "Delete the rule “Lab”")
	disables := w.post("properties/north/rules/" + r.ID + "/disable")
	door := w.post("properties/north/doors/delete", "id", "lab")
	w.bob(cloud.Proposal{Op: cloud.OpDeleteRule, ID: r.ID})
	w.bob(cloud.Proposal{Op: cloud.OpDeleteDoor, ID: "lab"})
	w.goes(w.saves(deletes), "properties/north?did=gone")
	w.goes(w.saves(disables), "properties/north?did=gone")
	w.goes(w.saves(door), "properties/north/doors?did=gone")
	w.wants(w.get("properties/north?did=gone"), 200, "It was deleted already")
	w.wants(w.post("properties/north/rules/"+r.ID+"/delete"), 404, "That is not there any more")
}

// TestOrderOfRulesThatChanged: an order is shown again with a rule that somebody
// added meanwhile, or beside an order that somebody else saved.
func TestOrderOfRulesThatChanged(t *testing.T) {
	w := newWorld(t)
	one, two := w.rule("One", nil), w.rule("Two", nil)
	mark := w.hidden(w.get("properties/north"), "mark")
	a := w.post("properties/north/order", "mark", mark, "ids", two.ID, "ids", one.ID)
	w.wants(a, 200, "This order is not saved yet")
	three := w.rule("Three", nil)
	again := w.saves(a)
	w.wants(again, 409, "Somebody changed the rules after they were shown to you", "This order is not saved yet", "Three")
	if got := w.order(); !slices.Equal(got, []string{"One", "Two", "Three"}) {
		t.Errorf("order %q, want nothing saved", got)
	}
	w.bob(cloud.Proposal{Op: cloud.OpOrderRules, IDs: []string{three.ID, one.ID, two.ID}})
	w.wants(w.post("properties/north/order", "mark", w.hidden(again, "mark"), "ids", two.ID, "ids", one.ID, "ids", three.ID), 409,
		"bob@acme.example (admin) changed the rules just now, after", "This order is not saved yet")
	again = w.saves(again)
	w.wants(again, 409, "bob@acme.example (admin) changed the rules just now, after")
	w.goes(w.saves(again), "properties/north?did=order-rules")
	if got := w.order(); !slices.Equal(got, []string{"Two", "One", "Three"}) {
		t.Errorf("order %q", got)
	}
}

// TestOvertakenForms: settings, doors, access groups and schedules likewise.
func TestOvertakenForms(t *testing.T) {
	w := newWorld(t)
	_, err := w.cloud.PutSchedule(w.ctx, by, "acme", "north", access.Schedule{ID: "day", Name: "Day", Zone: "UTC", Weekly: []access.Interval{{Day: 1, From: 480, To: 1080}}})
	w.ok(err)
	for _, tt := range []struct {
		form, fresh string
		bobs        cloud.Proposal
		fields      []string
	}{
		{"settings", "settings", cloud.Proposal{Op: cloud.OpPutProperty, Property: &cloud.Property{ID: "north", Name: "Bob’s"}}, []string{"percent", "10", "openings", "20"}},
		{"doors/edit", "doors/edit?id=lab", cloud.Proposal{Op: cloud.OpPutDoor, Door: &access.Door{ID: "lab", Name: "Bob’s"}}, []string{"was", "lab", "kind", "door"}},
		{"groups/edit", "groups/edit?id=staff", cloud.Proposal{Op: cloud.OpPutGroup, Group: &cloud.AccessGroup{ID: "staff", Name: "Bob’s"}}, []string{"was", "staff"}},
		{"schedules/edit", "schedules/edit?id=day", cloud.Proposal{Op: cloud.OpPutSchedule, Schedule: &access.Schedule{ID: "day", Name: "Bob’s", Zone: "UTC"}}, []string{"was", "day", "zone", "UTC"}},
	} {
		at := "properties/north/"
		fields := append(tt.fields, "name", "Ann’s", "mark", w.hidden(w.get(at+tt.fresh), "mark"))
		fine := w.post(at+tt.form, fields...)
		w.wants(fine, 200, "Ann’s")
		w.bob(tt.bobs)
		for _, a := range []answer{w.post(at+tt.form, fields...), w.saves(fine)} {
			w.wants(a, 409, "bob@acme.example (admin) changed this just now, after it was shown", "Bob’s", "Ann’s", `href="/admin/`+at+tt.fresh+`">Drop mine`)
		}
		if strings.Contains(w.get(at+tt.fresh).body, `value="Ann’s"`) {
			t.Errorf("%s: saved all the same", tt.form)
		}
		w.goes(w.saves(w.saves(fine)), at+strings.TrimSuffix(tt.form, "/edit")+"?did="+strings.ReplaceAll(tt.bobs.Op, " ", "-"))
	}
	w.as(signin.Viewer)
	w.wants(w.post("properties/north/save"), 403)
}

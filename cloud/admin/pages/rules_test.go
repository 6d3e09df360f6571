package pages_test

import (
	"encoding/json"
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"
	"testing"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

// hidden is what a hidden field of a page has.
func (w *world) hidden(a answer, name string) string {
	w.Helper()
	m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(a.body)
	if m == nil {
		w.Fatalf("no field %q in\n%s", name, a.body)
	}
	return html.UnescapeString(m[1])
}

// saves presses the button of a review of north.
func (w *world) saves(review answer) answer {
	w.Helper()
	return w.post("properties/north/save", "proposal", w.hidden(review, "proposal"), "shown", w.hidden(review, "shown"), "form", w.hidden(review, "form"))
}

// staff makes n people with a card each in the group Staff, and a rule that
// gives them the front door.
func (w *world) staff(n int) (ids []string, rule cloud.Rule) {
	w.Helper()
	for i := range n {
		ids = append(ids, w.user(fmt.Sprintf("Person%03d", i), "Sales", fmt.Sprint(20000+i)))
	}
	w.group("Staff", ids...)
	return ids, w.rule("All staff", []string{"staff"}, cloud.Condition{Group: "Staff"})
}

// nobody adds a rule that matches nobody, so that the property is not frozen
// when the others go.
func (w *world) nobody() { w.rule("Nobody", nil, cloud.Condition{Group: "Nobody"}) }

func TestRules(t *testing.T) {
	w := newWorld(t)
	w.wants(w.get("properties/north"), 200, "there is no rule", "This property is frozen", "Add a rule")
	w.staff(2)
	r := w.rule("<Chemists>", []string{"science", "staff"}, cloud.Condition{Group: "Chemists"}, cloud.Condition{Attr: cloud.EnterpriseURN + ":department", Op: cloud.OpStarts, Value: "Sci"})
	r.Mobile, r.OnlyNew, r.Role, r.Match = cloud.Mobile{BLE: true, Wallet: true}, true, cloud.RoleAdmin, cloud.MatchAny
	_, err := w.cloud.PutRule(w.ctx, by, "acme", "north", r)
	w.ok(err)
	w.wants(w.get("properties/north"), 200, "In group “Staff”", "&lt;Chemists&gt;", "In group “Chemists” (no directory has sent it yet) or department starts with “Sci”",
		"waits for the group “Chemists”", "Science, Staff", "Bluetooth and Apple Wallet", "only new people", "<dd>Admin</dd>", "Whom none of them matches has no access here")
	w.wants(w.get("properties/none"), 404)

	w.as(signin.Viewer)
	if a := w.get("properties/north"); a.status != 200 || containsAny(a.body, "Delete", "Disable", "Add a rule", "up 0", `name="move"`) {
		t.Errorf("a viewer is offered what only admins may do:\n%s", a.body)
	}
	for _, path := range []string{"order", "save", "rules/" + r.ID + "/enable", "rules/" + r.ID + "/disable", "rules/" + r.ID + "/delete"} {
		w.wants(w.post("properties/north/"+path), 403)
	}
}

func TestOrderRules(t *testing.T) {
	w := newWorld(t)
	ids, staff := w.staff(2)
	lab := w.rule("Lab", []string{"science"})
	a := w.post("properties/north/order", "ids", staff.ID, "ids", lab.ID, "move", "up "+lab.ID)
	w.wants(a, 200, "This order is not saved yet", "“Lab” is number 1 of 2 now.", "2 people gain access", "2 openings more, at 1 door", "Laboratory", "people/"+ids[0], "Save this order")
	if m := regexp.MustCompile(`value="down ` + lab.ID + `"[^>]* autofocus`).FindString(a.body); m == "" {
		t.Errorf("the focus is not on the button that can still move the rule:\n%s", a.body)
	}
	if got := w.order(); !slices.Equal(got, []string{"All staff", "Lab"}) {
		t.Errorf("saved unasked: %q", got)
	}
	w.goes(w.saves(a), "properties/north?did=order-rules")
	if got := w.order(); !slices.Equal(got, []string{"Lab", "All staff"}) {
		t.Errorf("order %q", got)
	}
	w.wants(w.post("properties/north/order", "ids", lab.ID, "ids", staff.ID, "move", "up "+lab.ID), 200, "That is the order that is saved")
	w.wants(w.post("properties/north/order", "ids", staff.ID), 409, "Somebody changed the rules after they were shown to you", "This order is not saved yet", "All staff", "Lab")
	w.wants(w.post("properties/north/order", "ids", staff.ID, "ids", staff.ID, "ids", "gone"), 409, "Somebody changed the rules")
}

func TestSwitchAndDeleteRule(t *testing.T) {
	w := newWorld(t)
	ids, staff := w.staff(2)
	lab := w.rule("Lab", []string{"science"}, cloud.Condition{Group: "Chemists"})
	at := "properties/north/rules/"
	a := w.post(at + staff.ID + "/disable")
	w.wants(a, 200, "Disable the rule “All staff”", ">Disable it<", "enabled", "disabled", "2 people lose access", "2 openings less, at 1 door", "Front door", "The property has 2 openings now; up to 20 may go")
	w.goes(w.saves(a), "properties/north?did=put-rule")
	w.wants(w.get("properties/north"), 200, `<span class="badge">disabled</span>`)
	a = w.post(at + staff.ID + "/enable")
	w.wants(a, 200, "Enable the rule “All staff”", ">Enable it<", "2 people gain access", "Person000")
	w.goes(w.saves(a), "properties/north?did=put-rule")

	a = w.post(at + lab.ID + "/delete")
	w.wants(a, 200, "Delete the rule “Lab”", "Nobody’s access changes", "Delete it")
	w.goes(w.saves(a), "properties/north?did=delete-rule")
	if got := w.order(); !slices.Equal(got, []string{"All staff"}) {
		t.Errorf("rules %q", got)
	}
	w.goes(w.saves(a), "properties/north?did=gone")
	w.wants(w.post(at+staff.ID+"/delete"), 200, "Nobody’s access changes", "This leaves no rule in force")
	for _, act := range []string{"enable", "disable", "delete"} {
		w.wants(w.post(at+lab.ID+"/"+act), 404)
	}
	if p, err := w.cloud.Person(w.ctx, "acme", ids[0]); err != nil || len(p.Sites) != 1 {
		t.Errorf("%+v, %v", p.Sites, err)
	}
}

// TestSaveWhatWasShown: what would take more by now than was shown is shown
// again, and what would take too much is held.
func TestSaveWhatWasShown(t *testing.T) {
	w := newWorld(t)
	_, staff := w.staff(21)
	w.nobody()
	lab := w.rule("Lab", []string{"science"}, cloud.Condition{Attr: "department", Op: cloud.OpEqual, Value: "Science"})
	a := w.post("properties/north/rules/" + lab.ID + "/delete")
	w.user("Late", "Science", "30000")
	again := w.saves(a)
	w.wants(again, 409, "It would take more by now than you were shown", "Late", "2 openings less", "Delete it")
	if got := w.order(); len(got) != 3 {
		t.Errorf("done all the same: %q", got)
	}
	w.goes(w.saves(again), "properties/north?did=delete-rule")

	a = w.post("properties/north/rules/" + staff.ID + "/disable")
	w.wants(a, 200, "This takes more than may go unasked", "Ask for it to be confirmed")
	held := w.saves(a)
	holds, err := w.cloud.Holds(w.ctx, "acme", true)
	w.ok(err)
	if len(holds) != 1 {
		t.Fatalf("%d holds", len(holds))
	}
	w.goes(held, "holds/"+holds[0].ID+"?did=held")
}

func TestSaveRefuses(t *testing.T) {
	w := newWorld(t)
	_, staff := w.staff(1)
	w.nobody()
	_, err := w.cloud.CreateOrg(w.ctx, by, cloud.Org{ID: "other", Name: "Other"})
	w.ok(err)
	_, err = w.cloud.PutProperty(w.ctx, by, "other", cloud.Property{ID: "theirs", Name: "Theirs"})
	w.ok(err)
	proposal := func(p cloud.Proposal) string {
		doc, err := json.Marshal(p)
		w.ok(err)
		return string(doc)
	}
	remove := proposal(cloud.Proposal{Op: cloud.OpDeleteRule, Site: "elsewhere", ID: staff.ID})
	rename := proposal(cloud.Proposal{Op: cloud.OpPutProperty, Property: &cloud.Property{ID: "north", Name: "Ours"}})
	for _, tt := range []struct {
		name, path, proposal, shown string
		status                      int
	}{
		{"no proposal", "properties/north/save", "", "0", 400},
		{"an unknown field", "properties/north/save", `{"op":"delete rule","id":"x","site":"north","force":true}`, "0", 400},
		{"an unknown act", "properties/north/save", `{"op":"dance"}`, "0", 409},
		{"nothing shown", "properties/north/save", remove, "", 400},
		{"less than nothing shown", "properties/north/save", remove, "-1", 400},
		{"another organisation's property", "properties/theirs/save", remove, "0", 404},
		{"another organisation's property, to be changed", "properties/theirs/save", rename, "0", 404},
		{"a property that is not there", "properties/new/save", rename, "0", 404},
	} {
		if a := w.post(tt.path, "proposal", tt.proposal, "shown", tt.shown); a.status != tt.status {
			t.Errorf("%s: status %d, want %d", tt.name, a.status, tt.status)
		}
	}
	// The address decides about which property it is, and the form to go back to
	// is of that property.
	a := w.post("properties/north/save", "proposal", remove, "shown", "0", "form", "https://elsewhere.example/")
	w.wants(a, 409, "It would take more by now")
	if strings.Contains(a.body, "elsewhere") {
		t.Errorf("the page leads elsewhere:\n%s", a.body)
	}
}

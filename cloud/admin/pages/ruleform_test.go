package pages_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

// ruleNamed is north's rule of a name.
func (w *world) ruleNamed(name string) cloud.Rule {
	w.Helper()
	rules, err := w.cloud.Rules(w.ctx, "acme", "north")
	w.ok(err)
	i := slices.IndexFunc(rules, func(r cloud.Rule) bool { return r.Name == name })
	if i < 0 {
		w.Fatalf("no rule %q in %+v", name, rules)
	}
	return rules[i]
}

func TestNewRule(t *testing.T) {
	w := newWorld(t)
	ada := w.user("Ada", "Science", "10731")
	g := w.group("Chemists", ada)
	w.wants(w.get("properties/north/rules/new"), 200, "New rule", `value="everyone" checked`, `<option value="Chemists">1 member`, `<option value="department">`,
		`name="groups" value="science"`, "Front door, Laboratory", `name="wallet"`, "They never become owner")
	form := []string{
		"act", "review", "name", "Chemists & <friends>", "enabled", "yes", "who", "any", "groups", "science", "groups", "staff", "role", "Admin", "ble", "yes", "wallet", "yes",
		"row", "0", "kind.0", "group", "group.0", "Chemists",
		"row", "7", "kind.7", "attr", "attr.7", "metadata.city", "op.7", "sw", "value.7", "Ham",
		"row", "8", "kind.8", "group", "group.8", "",
		"row", "9", "kind.9", "attr", "attr.9", "", "op.9", "eq", "value.9", "",
		"row", "10", "kind.10", "attr", "attr.10", "title", "op.10", "pr", "value.10", "left over",
	}
	a := w.post("properties/north/rules/new", form...)
	w.wants(a, 200, "Add the rule “Chemists &amp; &lt;friends&gt;”", "In group “Chemists”<br>or metadata.city starts with “Ham”<br>or title has any value",
		"Bluetooth and Apple Wallet", "1 person gains access", "2 openings more, at 2 doors", "role: none → Admin", "Back to the form")
	if got := w.order(); len(got) != 0 {
		t.Errorf("saved unasked: %q", got)
	}

	back := w.post("properties/north/rules/new", "act", "back", "proposal", w.hidden(a, "proposal"))
	w.wants(back, 200, "New rule", `value="Chemists &amp; &lt;friends&gt;"`, `value="any" checked`, `value="metadata.city"`, `<option value="sw" selected>`, `value="Ham"`,
		`name="groups" value="staff" checked`, `value="Admin" checked`, `name="ble" value="yes" checked`, `name="wallet" value="yes" checked`)

	w.goes(w.saves(a), "properties/north?did=create-rule")
	r := w.ruleNamed("Chemists & <friends>")
	want := []cloud.Condition{{Group: "Chemists", GroupID: g}, {Attr: "metadata.city", Op: "sw", Value: "Ham"}, {Attr: "title", Op: "pr"}}
	if !slices.Equal(r.Conditions, want) || r.Match != cloud.MatchAny || !r.Enabled || r.OnlyNew || r.Role != cloud.RoleAdmin || r.Mobile != (cloud.Mobile{BLE: true, Wallet: true}) ||
		!slices.Equal(r.Groups, []string{"science", "staff"}) {
		t.Errorf("rule %+v", r)
	}
}

// TestRuleWithoutScript adds and removes conditions by the form alone.
func TestRuleWithoutScript(t *testing.T) {
	w := newWorld(t)
	at := "properties/north/rules/new"
	a := w.post(at, "act", "add group", "name", "Lab", "who", "everyone", "groups", "science")
	w.wants(a, 200, `name="group.0" value=""`, " autofocus", `value="all" checked`, `value="Lab"`, `value="science" checked`)
	a = w.post(at, "act", "add attribute", "name", "Lab", "who", "any", "row", "0", "kind.0", "group", "group.0", "Nobody yet")
	w.wants(a, 200, `name="group.0" value="Nobody yet"`, "waits for the group", `name="attr.1" value=""`, `value="any" checked`)
	a = w.post(at, "act", "remove 0", "name", "Lab", "who", "any", "row", "0", "kind.0", "group", "group.0", "Nobody yet", "row", "1", "kind.1", "attr", "attr.1", "title")
	w.wants(a, 200, `name="attr.1" value="title"`)
	if strings.Contains(a.body, "Nobody yet") {
		t.Error("the row is still there")
	}
}

// TestManyDirectoryGroups: a field suggests those with the most members, and
// takes the others all the same.
func TestManyDirectoryGroups(t *testing.T) {
	w := newWorld(t)
	ada := w.user("Ada", "", "")
	for i := range 1000 {
		w.group(fmt.Sprintf("Group %04d", i))
	}
	w.group("Zoologists", ada)
	for _, form := range []string{"rules/new", "settings"} {
		a := w.get("properties/north/" + form)
		w.wants(a, 200, `<option value="Zoologists">1 member`)
		if n := strings.Count(a.body, "<option value=\"Group "); n != 999 {
			t.Errorf("%s suggests %d groups without members, want 999", form, n)
		}
	}
	w.wants(w.post("properties/north/rules/new", "name", "Last", "who", "all", "row", "0", "kind.0", "group", "group.0", "Group 0999", "groups", "staff"), 200, "In group “Group 0999”<")
}

func TestEditRule(t *testing.T) {
	w := newWorld(t)
	_, staff := w.staff(2)
	w.nobody()
	at := "properties/north/rules/" + staff.ID
	w.wants(w.get(at), 200, "Rule “All staff”", `name="group.0" value="Staff"`, `value="all" checked`, `name="enabled" value="yes" checked`)
	a := w.post(at, "act", "review", "name", "All staff", "enabled", "yes", "who", "all", "row", "0", "kind.0", "group", "group.0", "Staff",
		"row", "1", "kind.1", "attr", "attr.1", "department", "op.1", "ne", "value.1", "sales", "groups", "staff")
	w.wants(a, 200, "Change the rule “All staff”", "and department is not “sales”", "2 people lose access")
	w.goes(w.saves(a), "properties/north?did=put-rule")
	if r := w.ruleNamed("All staff"); len(r.Conditions) != 2 || r.Conditions[0].GroupID == "" || r.Position != 1 {
		t.Errorf("rule %+v", r)
	}

	w.as(signin.Viewer)
	if a := w.get(at); a.status != 200 || containsAny(a.body, `action="/admin/properties`, "See what this changes") || !containsAny(a.body, "department is not “sales”") {
		t.Errorf("a viewer reads the rule and cannot change it:\n%s", a.body)
	}
	w.wants(w.post(at, "act", "review", "name", "Mine"), 403)
	w.wants(w.get("properties/north/rules/new"), 403)
	w.as(signin.Admin)
	w.wants(w.get("properties/north/rules/none"), 404)
	w.wants(w.post("properties/north/rules/none", "name", "Mine", "who", "everyone"), 404)
	w.wants(w.get("properties/none/rules/new"), 404)
	w.wants(w.post("properties/none/rules/new", "name", "Mine", "who", "everyone"), 404)
}

func TestRuleFormRefuses(t *testing.T) {
	w := newWorld(t)
	p, err := w.cloud.Property(w.ctx, "acme", "north")
	w.ok(err)
	p.Wallet = false
	_, err = w.cloud.PutProperty(w.ctx, by, "acme", p.Property)
	w.ok(err)
	if strings.Contains(w.get("properties/north/rules/new").body, `name="wallet"`) {
		t.Error("Apple Wallet is offered where it is not installed")
	}
	for _, tt := range []struct {
		name, want string
		fields     []string
	}{
		{"everyone, and conditions", "a rule for everyone takes none", []string{"who", "everyone", "row", "0", "kind.0", "group", "group.0", "Lab"}},
		{"some, and no conditions", "add one, or choose everyone", []string{"who", "all", "row", "0", "kind.0", "group", "group.0", ""}},
		{"a value of nothing", "has no name", []string{"who", "all", "row", "0", "kind.0", "attr", "op.0", "eq", "value.0", "Lab"}},
		{"nothing to compare with", "no value to compare with", []string{"who", "all", "row", "0", "kind.0", "attr", "attr.0", "title", "op.0", "eq"}},
		{"an operator that is none", "want eq, ne, co, sw or pr", []string{"who", "all", "row", "0", "kind.0", "attr", "attr.0", "title", "op.0", "gt", "value.0", "1"}},
		{"Wallet where it is not installed", "Apple Wallet is not installed", []string{"who", "everyone", "wallet", "yes"}},
		{"no such access group", "has no access group", []string{"who", "everyone", "groups", "none"}},
		{"no such role", "want User or Admin", []string{"who", "everyone", "role", "Owner"}},
	} {
		a := w.post("properties/north/rules/new", append([]string{"act", "review", "name", "Kept <name>"}, tt.fields...)...)
		if a.status != 422 || !containsAny(a.body, tt.want) || !containsAny(a.body, `value="Kept &lt;name&gt;"`) {
			t.Errorf("%s: status %d, want 422 with %q and what was entered:\n%s", tt.name, a.status, tt.want, a.body)
		}
	}
}

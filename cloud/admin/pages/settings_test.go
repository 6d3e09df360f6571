package pages_test

import (
	"slices"
	"testing"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

// agentKey is the public key of RFC 8032's first test.
const agentKey = "latchkey-ed25519:north-1:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

func TestSettings(t *testing.T) {
	w := newWorld(t)
	ids, _ := w.staff(2)
	w.group("Pilots", ids[0])
	at := "properties/north/settings"
	w.wants(w.get(at), 200, `value="North building"`, `name="wallet" value="yes" checked`, `name="percent" min="0" max="100" value="10"`, `value="20"`, "Delete this property")
	w.goes(w.saves(w.post(at, "name", "North", "wallet", "yes", "percent", "10", "openings", "20")), "properties/north/settings?did=put-property")
	if p, err := w.cloud.Property(w.ctx, "acme", "north"); err != nil || p.Guard != nil {
		t.Errorf("guard %+v, %v; want none of its own, so that it follows the default", p.Guard, err)
	}
	a := w.post(at, "name", "North <1>", "pilot", "Pilots", "pilot", "", "percent", "50", "openings", "3", "key", agentKey)
	w.wants(a, 200, "latchkey-ed25519:north-1", "Change the settings of", "North &lt;1&gt;", "not installed", "Pilots", "50 percent of all openings, or 3 where that is more", "1 person loses access")
	back := w.post(at, "act", "back", "proposal", w.hidden(a, "proposal"))
	w.wants(back, 200, `value="North &lt;1&gt;"`, `value="Pilots"`, `value="50"`)
	w.goes(w.saves(a), "properties/north/settings?did=put-property")
	p, err := w.cloud.Property(w.ctx, "acme", "north")
	w.ok(err)
	if p.Name != "North <1>" || p.Key != agentKey || p.Wallet || !slices.Equal(p.Pilot, []string{"Pilots"}) || p.Guard == nil || *p.Guard != (cloud.Guard{Percent: 50, Openings: 3}) {
		t.Errorf("property %+v", p)
	}
	// What is left alone stays, and is not shown as a change.
	a = w.post(at, "name", "North", "pilot", "Pilots", "percent", "50", "openings", "3")
	w.wants(a, 200, "North &lt;1&gt;", "Nobody’s access changes")
	if containsAny(a.body, "percent of all openings", "Gateway’s key") {
		t.Errorf("more is shown to change than the name:\n%s", a.body)
	}
	a = w.post(at, "name", "North <1>", "pilot", "Pilots", "percent", "10", "openings", "20")
	w.wants(a, 200, "10 percent of all openings, or 20 where that is more")
	w.goes(w.saves(a), "properties/north/settings?did=put-property")
	if p, err := w.cloud.Property(w.ctx, "acme", "north"); err != nil || p.Guard == nil || *p.Guard != cloud.DefaultGuard() || p.Key != agentKey {
		t.Errorf("property %+v, %v; want the guard that was entered, and the key as it was", p, err)
	}
	w.wants(w.get("properties/north"), 200, "the rules are only for people in “Pilots”")

	for _, tt := range [][2]string{{"percent", "many"}, {"openings", "many"}, {"percent", "101"}, {"openings", "-1"}, {"key", "no key"}} {
		fields := map[string]string{"name": "Kept", "percent": "10", "openings": "20"}
		fields[tt[0]] = tt[1]
		var form []string
		for k, v := range fields {
			form = append(form, k, v)
		}
		w.wants(w.post(at, form...), 422, "Not saved", `value="Kept"`)
	}
	more := w.post(at, "act", "more", "name", "Kept", "percent", "", "openings", "7", "pilot", "Pilots", "pilot", "", "pilot", "Guests")
	w.wants(more, 200, `value="Kept"`, `id="pilot-1" name="pilot" value="Guests"`, `id="pilot-3" name="pilot" value="" list="directory-groups" autocomplete="off" placeholder="Name of a directory group" autofocus`)
	w.as(signin.Viewer)
	if a := w.get(at); a.status != 200 || containsAny(a.body, `name="percent"`, "Delete this property") || !containsAny(a.body, "10 percent of all openings") {
		t.Errorf("a viewer reads the settings and cannot change them:\n%s", a.body)
	}
	w.wants(w.post(at, "name", "Mine"), 403)
	w.wants(w.post("properties/north/delete"), 403)
	w.as(signin.Admin)
	w.wants(w.get("properties/none/settings"), 404)
	w.wants(w.post("properties/none/settings", "name", "Mine"), 404)
}

func TestDeleteProperty(t *testing.T) {
	w := newWorld(t)
	w.staff(2)
	a := w.post("properties/north/delete")
	w.wants(a, 200, "Delete the property “North building”", "This cannot be undone", "2 people lose access", `name="confirm"`)
	w.wants(w.saves(a), 422, "Type “north”")
	confirmed := func(a answer) answer {
		t.Helper()
		return w.post("properties/north/save", "proposal", w.hidden(a, "proposal"), "shown", w.hidden(a, "shown"), "confirm", "north")
	}
	w.bob(cloud.Proposal{Op: cloud.OpPutSchedule, Schedule: &access.Schedule{ID: "night", Name: "Night", Zone: "UTC"}})
	again := confirmed(a)
	w.wants(again, 409, "bob@acme.example (admin) changed something of this property just now, after it was shown to you", "North building", "Delete it all the same", `name="confirm"`)
	w.goes(confirmed(again), "properties?did=property-deleted")
	w.wants(w.get("properties/north"), 404)
}

package pages_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

func TestDoors(t *testing.T) {
	w := newWorld(t)
	const at, edit = "properties/north/doors", "properties/north/doors/edit"
	w.wants(w.get(at), 200, "Front door", "5 s", "30 s", "Science, Staff", `aria-current="page">Doors`)
	w.wants(w.get(edit), 200, "Add a door")
	w.wants(w.post(edit, "id", "a b", "name", "Keys"), 422, "no blank", `value="a b"`)
	w.wants(w.post(edit, "id", "keys", "name", "Keys", "unlock", "301"), 422, "Opens for: got &#34;301&#34;, want 0.1 to 300 seconds", `value="301"`)
	w.wants(w.post(edit, "id", "keys", "name", "Keys", "unlock", "0"), 422, "Opens for: got &#34;0&#34;, want 0.1 to 300 seconds", `value="0"`)
	w.wants(w.post(edit, "id", "keys", "name", "Keys", "held", "NaN"), 422, "Held open after: got &#34;NaN&#34;, want 0.1 to 86400 seconds", `value="NaN"`)
	w.wants(w.post(edit, "id", "lab", "name", "Keys"), 422, "Name at the gateway &#34;lab&#34; is taken.")
	a := w.post(edit, "id", "keys", "name", "Keys", "kind", "cabinet", "unlock", "2.5", "held", "60", "no_data", "deny")
	w.wants(a, 200, "Save the door “Keys”", "2.5 s", "Nobody’s access changes")
	back := w.post(edit, "proposal", w.hidden(a, "proposal"), "act", "back")
	w.wants(back, 200, "Add a door", `value="2.5"`, `value="60"`, `value="cabinet" selected`, `value="deny" selected`)
	w.goes(w.saves(a), at+"?did=put-door")
	w.wants(w.get(at), 200, "Keys", "key cabinet", "2.5 s", "60 s", "none: nobody opens it")
	w.wants(w.get(edit+"?id=keys"), 200, "The gateway knows it as", `value="2.5"`)
	a = w.post(edit, "was", "keys", "name", "Key box", "kind", "door")
	w.wants(a, 200, "Key box", "2.5 s", "5 s")
	w.wants(w.post(edit, "proposal", w.hidden(a, "proposal"), "act", "back"), 200, `name="was" value="keys"`, `value="Key box"`)
	w.goes(w.saves(a), at+"?did=put-door")
	w.goes(w.saves(w.post(at+"/delete", "id", "keys")), at+"?did=delete-door")
	for _, a := range []answer{w.get(edit + "?id=keys"), w.post(edit, "was", "keys"), w.post(at+"/delete", "id", "keys"), w.get("properties/none/doors"), w.post("properties/none/doors/edit", "id", "x")} {
		w.wants(a, 404)
	}
}

func TestAccessGroups(t *testing.T) {
	w := newWorld(t)
	const at, edit = "properties/north/groups", "properties/north/groups/edit"
	_, err := w.cloud.PutSchedule(w.ctx, by, "acme", "north", access.Schedule{ID: "day", Name: "Day", Zone: "UTC", Weekly: []access.Interval{{Day: 1, From: 480, To: 1080}}})
	w.ok(err)
	_, err = w.cloud.PutSchedule(w.ctx, by, "acme", "north", access.Schedule{ID: "night", Name: "Night", Zone: "UTC"})
	w.ok(err)
	w.rule("All", []string{"staff"})
	ann := w.user("Ann", "", "55")
	w.wants(w.get(at), 200, "Staff", "at all hours", "All", "a rule gives it")
	w.wants(w.post(edit, "name", ""), 422, "Name: is required.")
	w.wants(w.post(edit, "name", "Staff"), 422, "is taken")
	w.wants(w.post(edit, "name", "Night", "grant", "lab/none"), 422, "no schedule", `value="Night"`)
	a := w.post(edit, "name", "Day staff", "grant", "", "grant", "lab/day")
	w.wants(a, 200, "Laboratory, during “Day”")
	w.wants(w.post(edit, "proposal", w.hidden(a, "proposal"), "act", "back"), 200, "Add an access group", `value="lab/day" selected`)
	w.goes(w.saves(a), at+"?did=put-access-group")
	w.wants(w.get(edit+"?id=day-staff"), 200, `value="Day staff"`, `value="lab/day" selected`)
	more := w.post(edit, "was", "day-staff", "name", "", "grant", "front/", "grant", "lab/day", "act", "add lab")
	w.wants(more, 200, `name="was" value="day-staff"`, `value="front/" selected`, `value="lab/day" selected`, `<select id="grant-2" name="grant" autofocus><option value="">never`)
	if n := strings.Count(more.body, "Other hours too for Laboratory"); n != 1 {
		t.Errorf("%d buttons to add hours of one door", n)
	}
	a = w.post(edit, "was", "day-staff", "name", "Day staff", "grant", "lab/day", "grant", "lab/night", "grant", "lab/day")
	w.wants(a, 200, "Laboratory, during “Day”<br>Laboratory, during “Night”")
	w.goes(w.saves(a), at+"?did=put-access-group")
	w.wants(w.get(edit+"?id=day-staff"), 200, `value="lab/day" selected`, `value="lab/night" selected`)
	a = w.post(edit, "was", "staff", "name", "Staff", "grant", "", "grant", "lab/")
	w.wants(a, 200, "1 person loses access", "1 person gains access", "Ann", "Front door", "Laboratory")
	w.goes(w.saves(a), at+"?did=put-access-group")
	w.wants(w.get("people/"+ann+"/why/north?door=lab"), 200, "Ann may open Laboratory")
	w.goes(w.saves(w.post(at+"/delete", "id", "day-staff")), at+"?did=delete-access-group")
	w.wants(w.post(at+"/delete", "id", "staff"), 409, "rule &#34;All&#34; gives this group")
	for _, a := range []answer{w.get(edit + "?id=none"), w.post(edit, "was", "none", "name", "None")} {
		w.wants(a, 404)
	}
}

// TestDoorsOfOneName: the hours of a door stay together in the form, whatever
// other doors are called.
func TestDoorsOfOneName(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"east", "west"} {
		_, err := w.cloud.PutDoor(w.ctx, by, "acme", "north", access.Door{ID: id, Name: "Side door"})
		w.ok(err)
	}
	for _, id := range []string{"day", "night"} {
		_, err := w.cloud.PutSchedule(w.ctx, by, "acme", "north", access.Schedule{ID: id, Zone: "UTC"})
		w.ok(err)
	}
	var rows []string
	a := w.post("properties/north/groups/edit", "name", "Sides", "grant", "west/day", "grant", "east/day", "grant", "west/night", "act", "add east")
	w.wants(a, 200, "Sides")
	for _, m := range regexp.MustCompile(`<tr data-door="(\d+)">[^§]*?<option value="(\w+)/"`).FindAllStringSubmatch(a.body, -1) {
		rows = append(rows, m[1]+" "+m[2])
	}
	if want := []string{"0 front", "1 lab", "2 east", "2 east", "3 west", "3 west"}; !slices.Equal(rows, want) {
		t.Errorf("rows %q, want %q", rows, want)
	}
}

func TestSchedules(t *testing.T) {
	w := newWorld(t)
	const at, edit = "properties/north/schedules", "properties/north/schedules/edit"
	w.wants(w.get(at), 200, "There is no schedule yet")
	w.wants(w.get(edit), 200, "Add a schedule", "Europe/Berlin", "Monday")
	form := []string{"name", "Working hours", "zone", "Europe/Berlin", "row", "0", "row", "7", "row", "2", "holidays", "2026-12-25\r\n2026-12-26"}
	for _, tt := range []struct {
		name, want string
		more       []string
	}{
		{"half a row", "Hours 1: want days, from and until", []string{"from-0", "08:00", "to-0", "18:00"}},
		{"no time at all", "Hours 1: want days, from and until", []string{"day-0", "1"}},
		{"from alone", "Hours 1: want days, from and until", []string{"day-0", "1", "from-0", "08:00"}},
		{"until alone", "Hours 1: want days, from and until", []string{"day-0", "1", "to-0", "18:00"}},
		{"a day that is none", "Hours 1: want days, from and until", []string{"day-0", "7", "day-0", "-1", "day-0", "Monday", "from-0", "08:00", "to-0", "18:00"}},
		{"no time between", "Hours 1: 08:00 is not after 08:00", []string{"day-0", "1", "from-0", "08:00", "to-0", "08:00"}},
		{"until no time", "Hours 1: want times such as 08:00", []string{"day-0", "1", "from-0", "08:00", "to-0", "25:00"}},
		{"past midnight", "Hours 1: 06:00 is not after 22:00; for hours past midnight", []string{"day-0", "1", "from-0", "22:00", "to-0", "06:00"}},
		{"no time", "Hours 1: want times such as 08:00", []string{"day-0", "1", "from-0", "8", "to-0", "18:00"}},
	} {
		w.wants(w.post(edit, append(slices.Clone(form), tt.more...)...), 422, tt.want, `value="Working hours"`, "2026-12-26")
	}
	for _, zone := range []string{"Berlin", "Local", ""} {
		fields := slices.Clone(form)
		fields[3] = zone
		w.wants(w.post(edit, fields...), 422, "Time zone: there is no &#34;"+zone+"&#34;", `value="Working hours"`, "2026-12-26")
	}
	nameless, many := slices.Clone(form), slices.Clone(form)
	nameless[1] = ""
	w.wants(w.post(edit, nameless...), 422, "Name: is required", "2026-12-26")
	for range 98 { // beside the 3 of the form
		many = append(many, "row", "3")
	}
	w.wants(w.post(edit, many...), 422, "Hours: got 101 spans, want at most 100", `value="Working hours"`)
	w.wants(w.post(edit, many[:len(many)-2]...), 200, "never, Europe/Berlin")
	spans := append(slices.Clone(form), "day-0", "1", "from-0", "08:00", "to-0", "12:00", "day-7", "1", "from-7", "13:00", "to-7", "18:00")
	w.wants(w.post(edit, append(slices.Clone(spans), "act", "add")...), 200, "Hours 4", `name="row" value="8"`, `name="day-8" value="1" autofocus`, `name="from-7" value="13:00"`, "2026-12-26")
	if a := w.post(edit, append(slices.Clone(spans), "act", "remove 7")...); a.status != 200 || containsAny(a.body, "13:00\"", "Hours 3") || !containsAny(a.body, `value="12:00"`) {
		t.Errorf("status %d, want the span removed and the others kept:\n%s", a.status, a.body)
	}
	w.wants(w.post(edit, spans...), 200, "Mon 08:00–12:00 and 13:00–18:00, Europe/Berlin")
	_, err := w.cloud.PutSchedule(w.ctx, by, "acme", "north", access.Schedule{ID: "odd", Name: "Odd", Zone: "UTC",
		Weekly: []access.Interval{{Day: 1, From: 480, To: 720}, {Day: 2, From: 480, To: 1080}, {Day: 3, From: 480, To: 720}}})
	w.ok(err)
	odd := w.get(edit + "?id=odd")
	w.wants(odd, 200, `name="day-0" value="1" checked`, `name="day-0" value="3" checked`, `name="to-0" value="12:00"`, `name="day-1" value="2" checked`, `name="to-1" value="18:00"`)
	if strings.Contains(odd.body, `name="day-0" value="2" checked`) {
		t.Error("days of other hours are in one row")
	}
	_, err = w.cloud.PutSchedule(w.ctx, by, "acme", "north", access.Schedule{ID: "odd", Name: "Odd", Zone: "UTC"})
	w.ok(err)
	w.wants(w.get(edit+"?id=odd"), 200, `name="row" value="0"`, `name="from-0" value=""`)
	w.ok(w.cloud.DeleteSchedule(w.ctx, by, "acme", "north", "odd"))
	a := w.post(edit, append(slices.Clone(form), "day-0", "1", "day-0", "2", "day-0", "3", "from-0", "08:00", "to-0", "18:00", "day-2", "6", "from-2", "20:00", "to-2", "00:00")...)
	const hours = "Mon–Wed 08:00–18:00, Sat 20:00–24:00, Europe/Berlin, not on 2 holidays"
	w.wants(a, 200, hours)
	w.wants(w.post(edit, "proposal", w.hidden(a, "proposal"), "act", "back"), 200, "Add a schedule", `name="to-1" value="00:00"`, `name="day-0" value="3" checked`)
	w.goes(w.saves(a), at+"?did=put-schedule")
	w.wants(w.get(at), 200, hours, "2026-12-25, 2026-12-26", "no access group")
	w.wants(w.post(edit, form...), 422, "Name &#34;Working hours&#34; is taken.")
	w.wants(w.post(edit, append(slices.Clone(form), "was", "working-hours", "holidays", "")...), 200, "not on 2 holidays")
	bad := slices.Clone(form)
	bad[1], bad[len(bad)-1] = "Other", "25.12."
	w.wants(w.post(edit, bad...), 422, "want a date such as 2026-12-25")
	_, err = w.cloud.PutAccessGroup(w.ctx, by, "acme", "north", cloud.AccessGroup{ID: "day", Name: "Day", Grants: []cloud.DoorAccess{{Door: "lab", Schedule: "working-hours"}}})
	w.ok(err)
	w.wants(w.get(at), 200, "in use")
	w.wants(w.post(at+"/delete", "id", "working-hours"), 409, "uses this schedule")
	w.ok(w.cloud.DeleteAccessGroup(w.ctx, by, "acme", "north", "day"))
	w.goes(w.saves(w.post(at+"/delete", "id", "working-hours")), at+"?did=delete-schedule")
	w.wants(w.get(edit+"?id=working-hours"), 404)
}

// TestViewersChangeNoSite: whoever may only look sees lists without acts.
func TestViewersChangeNoSite(t *testing.T) {
	w := newWorld(t)
	w.as(signin.Viewer)
	for _, tab := range []string{"doors", "groups", "schedules"} {
		a := w.get("properties/north/" + tab)
		w.wants(a, 200, "North building")
		if strings.Contains(a.body, "/edit") || strings.Contains(a.body, "Delete") {
			t.Errorf("%s: a viewer is shown acts: %s", tab, a.body)
		}
		w.wants(w.get("properties/north/"+tab+"/edit"), 403)
		w.wants(w.post("properties/north/"+tab+"/edit", "id", "x", "name", "x"), 403)
		w.wants(w.post("properties/north/"+tab+"/delete", "id", "front"), 403)
	}
	w.visitor.Org = "other"
	for _, tab := range []string{"doors", "groups", "schedules", "building"} {
		w.wants(w.get("properties/north/"+tab), 404)
	}
}

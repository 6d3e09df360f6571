package cloud_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"latchkey/access"
	"latchkey/cloud"
)

// TestD8MappingTableIsTrue sends each attribute of the table to a person who
// has access, and compares what changes at the site and in the product with
// what the table says of it.
func TestD8MappingTableIsTrue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.rule("north", cloud.Rule{Groups: []string{"staff"}, Conditions: []cloud.Condition{{Group: "Employees"}}})
	values := map[string]any{
		"userName": "ada2", "externalId": "x2", "active": false, "displayName": "Countess", "userType": "SMARTBOX",
		cloud.EnterpriseURN + ":cardNumber": "4711", cloud.EnterpriseURN + ":manager": map[string]any{"value": "boss"},
		"name": map[string]any{"familyName": "L"}, "emails": []any{map[string]any{"value": "a@x"}}, "metadata.NAME": map[string]any{"NAME": "v"},
		"id": "other", "groups": []any{map[string]any{"value": "g"}}, "schemas": []any{"urn:x"}, "meta": map[string]any{"version": "9"}, "password": "secret",
	}
	seen := 0
	for _, m := range cloud.MappingTable() {
		if m.Resource != "User" {
			continue
		}
		seen++
		d := doc("ada", "1")
		if m.SCIM == "name" {
			delete(d, "displayName")
		}
		u, err := w.svc.CreateUser(w.ctx, w.caller, d)
		w.ok(err)
		g := w.group("Employees", u.ID)
		before, fields := w.siteFields(u.ID), w.fields(u.ID)
		value, ok := values[m.SCIM]
		if !ok {
			value = "some value"
		}
		set(d, m.SCIM, value)
		u, err = w.svc.UpdateUser(w.ctx, w.caller, u.ID, "", true, func(map[string]any) (map[string]any, error) { return d, nil })
		w.ok(err)
		if got := changed(before, w.siteFields(u.ID)); !slices.Equal(got, sorted(m.Site)) {
			t.Errorf("%s: at the site %v changes, the table says %v", m.SCIM, got, m.Site)
		}
		has := len(changed(fields, w.fields(u.ID))) > 0
		switch own := m.Field != "" && m.Use != cloud.UseSystem; {
		case own != has && m.SCIM != cloud.EnterpriseURN+":manager" && m.SCIM != "emails" && m.SCIM != "externalId": // these are indexes
			t.Errorf("%s: a field of the product changed: %v; the table says %q", m.SCIM, has, m.Field)
		case (m.Use == cloud.UseSystem || m.Use == cloud.UseIgnored) == returned(attrs(t, u), m.SCIM):
			t.Errorf("%s: returned %v, the table says %s", m.SCIM, returned(attrs(t, u), m.SCIM), m.Use)
		}
		if m.Use == cloud.UseRequired {
			delete(d, m.SCIM)
			_, err := w.svc.UpdateUser(w.ctx, w.caller, u.ID, "", true, func(map[string]any) (map[string]any, error) { return d, nil })
			w.refused(err)
		}
		w.ok(w.svc.DeleteGroup(w.ctx, w.caller, g.ID, ""))
		w.ok(w.svc.DeleteUser(w.ctx, w.caller, u.ID, ""))
	}
	if seen < 25 {
		t.Errorf("%d attributes: this test would check little", seen)
	}
	// What a user's group brings to a site.
	u := w.user("ada", "1")
	before := w.siteFields(u.ID)
	w.group("Employees", u.ID)
	for _, m := range cloud.MappingTable() {
		kinds := map[string]bool{}
		for _, field := range changed(before, w.siteFields(u.ID)) {
			kinds[strings.Split(field, ".")[0]] = true
		}
		if m.Resource == "Group" && m.SCIM == "members" && !maps.Equal(kinds, map[string]bool{"person": true, "membership": true, "credential": true}) {
			t.Errorf("members bring %v, the table says %v", kinds, m.Site)
		}
	}
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

// set puts value at a path of a document.
func set(d map[string]any, path string, value any) {
	if name, ok := strings.CutPrefix(path, cloud.EnterpriseURN+":"); ok {
		ext := maps.Clone(d[cloud.EnterpriseURN].(map[string]any))
		ext[name] = value
		d[cloud.EnterpriseURN] = ext
		return
	}
	d[strings.TrimSuffix(path, ".NAME")] = value
}

func returned(attrs map[string]any, path string) bool {
	if name, ok := strings.CutPrefix(path, cloud.EnterpriseURN+":"); ok {
		ext, _ := attrs[cloud.EnterpriseURN].(map[string]any)
		return ext[name] != nil
	}
	return attrs[strings.TrimSuffix(path, ".NAME")] != nil
}

// siteFields are the fields of what north holds of a person, but ids; of a
// credential the whole counts as one.
func (w *world) siteFields(person string) map[string]string {
	w.Helper()
	all := map[string]string{}
	for ref, rec := range w.fold("north") {
		var fields map[string]json.RawMessage
		w.ok(json.Unmarshal([]byte(rec), &fields))
		owner, _, _ := strings.Cut(ref.Key, "/")
		if ref.Kind == access.KindCredential && strings.Contains(rec, person) {
			all["credential"] = rec
		}
		if owner != person {
			continue
		}
		for name, value := range fields {
			if name != "id" {
				all[string(ref.Kind)+"."+name] = string(value)
			}
		}
	}
	return all
}

// fields are those of the product that an admin sees of a person.
func (w *world) fields(person string) map[string]string {
	p := w.person(person)
	all := map[string]string{"user name": p.UserName, "name": p.Name, "kind": p.Kind, "state": p.State}
	for _, c := range p.Cards {
		all["card"] = c.Masked
	}
	return all
}

func changed(a, b map[string]string) []string {
	names := []string{}
	for name := range a {
		if a[name] != b[name] {
			names = append(names, name)
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// TestMappingOfAnOrganisation has the rules that test each attribute.
func TestMappingOfAnOrganisation(t *testing.T) {
	w := newWorld(t)
	w.rule("north", cloud.Rule{Name: "Lab", Conditions: []cloud.Condition{{Attr: "department", Op: "eq", Value: "Lab"}, {Attr: "metadata.city", Op: "pr"},
		{Attr: "urn:acme:2.0:User:floor", Op: "pr"}, {Attr: "name.familyName", Op: "pr"}, {Group: "Employees"}}})
	table, err := w.svc.Mapping(w.ctx, "acme")
	w.ok(err)
	used := map[string]bool{}
	for _, m := range table {
		if slices.Equal(m.UsedBy, []string{"north: Lab"}) {
			used[m.Resource+" "+m.SCIM] = true
		}
	}
	want := map[string]bool{"User " + cloud.EnterpriseURN + ":department": true, "User metadata.NAME": true, "User urn:acme:2.0:User:floor": true, "User name": true, "Group displayName": true}
	if !maps.Equal(used, want) {
		t.Errorf("used: %v, want %v", used, want)
	}
	for _, m := range cloud.MappingTable() {
		if m.UsedBy != nil {
			t.Errorf("the table of everybody says that %s is used", m.SCIM)
		}
	}
}

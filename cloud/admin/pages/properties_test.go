package pages_test

import (
	"errors"
	"testing"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

func TestProperties(t *testing.T) {
	w := newWorld(t)
	w.wants(w.get("properties"), 200, `href="/admin/properties/north">North building`, "not syncing: no rule", "Add a property")
	w.goes(w.post("properties", "id", "south", "name", "<South>"), "properties/south?did=property-added")
	w.wants(w.get("properties/south?did=property-added"), 200, "&lt;South&gt;</h1>", "Rules · &lt;South&gt;", "The property is there",
		`href="/admin/properties/south" aria-current="page">Rules`, `href="/admin/properties/south/doors">Doors`, `href="/admin/properties/south/settings">Settings`)
	w.wants(w.get("properties/none"), 404)

	w.wants(w.post("properties", "id", "The South", "name", "South"), 422, "Not saved", "want 1 to 32 of a-z, 0-9 and -", `value="The South"`, `value="South"`)
	w.wants(w.post("properties", "id", "north", "name", "Mine"), 422, `Short name &#34;north&#34; is taken`)
	if p, err := w.cloud.Property(w.ctx, "acme", "north"); err != nil || p.Name != "North building" || !p.Wallet {
		t.Errorf("adding a property changed one that was there: %+v, %v", p, err)
	}
}

func TestPropertiesOfOthers(t *testing.T) {
	w := newWorld(t)
	_, err := w.cloud.CreateOrg(w.ctx, by, cloud.Org{ID: "other", Name: "Other"})
	w.ok(err)
	_, err = w.cloud.PutProperty(w.ctx, by, "other", cloud.Property{ID: "theirs", Name: "Theirs"})
	w.ok(err)
	w.wants(w.get("properties/theirs"), 404)
	w.wants(w.post("properties", "id", "theirs", "name", "Mine"), 422, "is taken")

	w.as(signin.Viewer)
	if a := w.get("properties"); a.status != 200 || containsAny(a.body, "Add a property", "<form method=\"post\" action=\"/admin/properties") {
		t.Errorf("a viewer is offered what only admins may do:\n%s", a.body)
	}
	w.wants(w.post("properties", "id", "south", "name", "South"), 403)
	if _, err := w.cloud.Property(w.ctx, "acme", "south"); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("a viewer made a property: %v", err)
	}
}

package pages_test

import (
	"testing"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

func TestBadgeTypes(t *testing.T) {
	w := newWorld(t)
	w.wants(w.get("cards"), 200, "Default", "H10302, 37 bits", "Bluetooth keys", "not set", "one person each")
	w.wants(w.get("cards/type"), 200, "Add a badge type", "26 bits: H10301")
	w.wants(w.post("cards/type", "id", "Visitor", "format", "H10301", "facility", "999", "shared", "on"), 422,
		"Facility: facility codes of format H10301 go up to 255.", `value="Visitor"`, `value="999"`, `name="shared" checked`, `value="H10301" selected`)
	w.wants(w.post("cards/type", "id", "Visitor", "format", "H10301", "facility", "-1"), 422, "want a whole number")
	w.wants(w.post("cards/type", "id", "Default", "format", "H10301"), 422, "Name &#34;Default&#34; is taken.")
	w.goes(w.post("cards/type", "id", "Visitor", "format", "H10301", "facility", "7", "shared", "on"), "cards?did=badge-saved")
	w.wants(w.get("cards"), 200, "Visitor", "H10301, 26 bits", "several people may have one")
	w.wants(w.get("cards/type?id=Visitor"), 200, "Badge type Visitor", `value="7"`, "Delete Visitor", "go on opening doors")
	w.goes(w.post("cards/type", "was", "Visitor", "format", "H10302", "default", "on"), "cards?did=badge-saved")
	a := w.get("cards/type?id=Visitor")
	w.wants(a, 200, "This is the default badge type", `value="H10302" selected`)
	w.lacks(a, "Delete Visitor")
	w.goes(w.post("cards/type", "was", "Visitor", "format", "H10306", "facility", "5"), "cards?did=badge-saved") // it stays the default
	w.wants(w.post("cards/type/delete", "id", "Visitor"), 409, "default badge type cannot be deleted")
	w.goes(w.post("cards/type/delete", "id", "Default"), "cards?did=badge-deleted")
	for _, a := range []answer{w.get("cards/type?id=Default"), w.post("cards/type", "was", "Default", "format", "H10301"), w.post("cards/type/delete", "id", "Default")} {
		w.wants(a, 404)
	}
}

func TestPools(t *testing.T) {
	w := newWorld(t)
	_, err := w.cloud.CreateRule(w.ctx, by, "acme", "north", cloud.Rule{Name: "All", Enabled: true, Match: "all", Groups: []string{"staff"}, Mobile: cloud.Mobile{BLE: true}})
	w.ok(err)
	ann := w.user("Ann", "Lab", "")
	w.wants(w.get("cards"), 200, cloud.NoteNoPool)
	w.wants(w.get("people/"+ann), 200, "no number yet", "Waits for a number", "Bluetooth key", "given by a rule")
	key := "people/" + ann + "/cards/" + w.person(ann).Cards[0].ID
	w.wants(w.get(key), 200, "Bluetooth key of Ann", "set where its numbers come from")
	w.wants(w.get("cards/pool?technology=ble"), 200, "Numbers of Bluetooth keys", "Keys that wait for one: 1.")
	w.wants(w.post("cards/pool", "technology", "ble", "format", "H10302", "first", "x", "last", "9"), 422, "First: got &#34;x&#34;, want a whole number.", `value="9"`)
	w.wants(w.post("cards/pool", "technology", "ble", "format", "H10302", "first", "10", "last", "9"), 422, "Last: got 10 to 9")
	w.goes(w.post("cards/pool", "technology", "ble", "format", "H10302", "first", "500000", "last", "500009"), "cards?did=pool-saved")
	w.wants(w.get("cards"), 200, "500000 to 500009", "H10302, 37 bits")
	if c := w.person(ann).Cards; len(c) != 1 || c[0].Status != "active" {
		t.Errorf("got %+v", c)
	}
	w.wants(w.get(key), 200, "gets another one with another number")
	w.wants(w.get("cards/pool?technology=ble"), 200, `value="500009"`, "Give no more numbers")
	w.goes(w.post("cards/pool/delete", "technology", "ble"), "cards?did=pool-deleted")
	for _, a := range []answer{w.get("cards/pool?technology=card"), w.post("cards/pool", "technology", ""), w.post("cards/pool/delete", "technology", "ble")} {
		w.wants(a, 404)
	}
}

func TestViewersChangeNoCardTypes(t *testing.T) {
	w := newWorld(t)
	w.as(signin.Viewer)
	a := w.get("cards")
	w.wants(a, 200, "Default")
	w.lacks(a, "cards/type", "cards/pool")
	for _, path := range []string{"cards/type", "cards/pool?technology=ble"} {
		w.wants(w.get(path), 403)
	}
	for _, path := range []string{"cards/type", "cards/type/delete", "cards/pool", "cards/pool/delete"} {
		w.wants(w.post(path, "id", "Mine", "technology", "ble"), 403)
	}
}

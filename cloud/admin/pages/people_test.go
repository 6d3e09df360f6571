package pages_test

import (
	"fmt"
	"strings"
	"testing"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

// visitor adds somebody by hand, and returns the id.
func (w *world) byHand(name string) string {
	w.Helper()
	p, err := w.cloud.CreatePerson(w.ctx, by, "acme", cloud.NewPerson{Name: name})
	w.ok(err)
	return p.ID
}

// card adds a card by hand, and returns its id.
func (w *world) card(person, number string) string {
	w.Helper()
	c, err := w.cloud.AddCard(w.ctx, by, "acme", person, cloud.NewCard{Number: number})
	w.ok(err)
	return c.ID
}

// person is somebody as the cloud has them.
func (w *world) person(id string) cloud.Person {
	w.Helper()
	p, err := w.cloud.Person(w.ctx, "acme", id)
	w.ok(err)
	return p
}

// lacks checks that none of texts is in an answer.
func (w *world) lacks(a answer, texts ...string) {
	w.Helper()
	for _, text := range texts {
		if strings.Contains(a.body, text) {
			w.Errorf("do not want %q in\n%s", text, a.body)
		}
	}
}

func TestPeople(t *testing.T) {
	w := newWorld(t)
	w.wants(w.get("people"), 200, "There is nobody yet")
	w.rule("All", []string{"staff"})
	ann := w.user("Ann", "Lab", "10731")
	w.user("<script>", "Lab", "")
	a := w.get("people")
	w.wants(a, 200, "Ann", "H10302 …31", "North building", "&lt;script&gt;", "Doors and cabinets")
	w.lacks(a, "10731", "<script>@", "Next page")
	w.goes(w.post("people/find", "search", ""), "people")
	for _, search := range []string{"ann@acme.example", "10731", " Ann "} {
		w.goes(w.post("people/find", "search", search), "people/"+ann)
	}
	w.wants(w.post("people/find", "search", "ann@"), 200, "Nobody has exactly this", `value="ann@"`)
	w.byHand("Ann")
	a = w.post("people/find", "search", "Ann")
	w.wants(a, 200, "H10302 …31", "by hand", "All people")
	w.lacks(a, "&lt;script&gt;")
}

func TestPeopleByPages(t *testing.T) {
	w := newWorld(t)
	var ids []string
	for i := range 51 {
		ids = append(ids, w.byHand(fmt.Sprintf("Visitor %02d", i)))
	}
	a := w.get("people")
	next := "people?after=" + ids[49]
	w.wants(a, 200, "Visitor 49", next)
	w.lacks(a, "Visitor 50", "First page")
	a = w.get(next)
	w.wants(a, 200, "Visitor 50", "First page")
	w.lacks(a, "Visitor 49", "Next page")
}

func TestAddPerson(t *testing.T) {
	w := newWorld(t)
	w.wants(w.post("people", "name", " ", "email", "vera@example.com"), 422, "Name: is required.", `value="vera@example.com"`)
	a := w.post("people", "name", "Vera Vale", "email", "vera@example.com", "kind", "SMARTBOX")
	all, err := w.cloud.People(w.ctx, "acme", cloud.PeopleQuery{})
	w.ok(err)
	if len(all) != 1 || all[0].Kind != "SMARTBOX" || all[0].Attributes["emails[0].value"] != "vera@example.com" {
		t.Fatalf("got %+v", all)
	}
	w.goes(a, "people/"+all[0].ID+"?did=person-added")
	w.wants(w.get("people/"+all[0].ID+"?did=person-added"), 200, "Vera Vale", "They were added", "Key cabinets only", "added by hand", "vera@example.com")
}

func TestPerson(t *testing.T) {
	w := newWorld(t)
	lab := w.rule("Lab", []string{"science"}, cloud.Condition{Attr: "department", Op: "eq", Value: "Lab"})
	ann := w.user("Ann", "Lab", "10731")
	w.group("Chemists", ann)
	at := "people/" + ann
	a := w.get(at)
	w.wants(a, 200, "Active", "from the directory", "rule “"+lab.Name+"”", "Science", "(by rule)", "Chemists", "department", "Lab", "H10302 …31", "delete them in the directory",
		at+"/why/north", "Put them into an access group by hand")
	w.lacks(a, "10731", "Delete…")

	w.goes(w.post(at+"/suspended", "suspended", "yes"), at+"?did=person-suspended")
	w.wants(w.get(at), 200, "Suspended by an admin", "but the person is locked out", "End the suspension")
	w.goes(w.post(at+"/suspended", "suspended", "no"), at+"?did=person-let-in")
	if w.person(ann).Suspended {
		t.Error("the suspension goes on")
	}
	w.wants(w.get("people/nobody"), 404)
	w.wants(w.post("people/nobody/suspended", "suspended", "yes"), 404)
}

// TestPersonStates: each state in words, the number that the directory sends
// and what came of it included.
func TestPersonStates(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(w *world) string
		want []string
	}{
		{"disabled", func(w *world) string {
			u, err := w.cloud.CreateUser(w.ctx, w.caller, map[string]any{"userName": "bob", "active": false})
			w.ok(err)
			return u.ID
		}, []string{"Disabled in the directory", "enable them in the directory", "The directory sends no card number."}},
		{"pulled out", func(w *world) string {
			id := w.user("Bob", "", "")
			_, err := w.cloud.PullUser(w.ctx, "acme", cloud.PulledUser{ID: "x", Status: "SUSPENDED", Attrs: map[string]any{"userName": "bob@acme.example"}})
			w.ok(err)
			return id
		}, []string{"SUSPENDED in the directory", "locks them out"}},
		{"card deleted", func(w *world) string {
			id := w.user("Bob", "", "55")
			w.ok(w.cloud.DeleteCard(w.ctx, by, "acme", w.person(id).Cards[0].ID))
			return id
		}, []string{"An admin deleted the card of this number; a changed number makes a new one.", "They have no card."}},
		{"card set aside", func(w *world) string {
			id := w.user("Bob", "", "55")
			_, err := w.cloud.UpdateUser(w.ctx, w.caller, id, "", false, func(attrs map[string]any) (map[string]any, error) {
				attrs["active"], attrs[cloud.EnterpriseURN] = false, map[string]any{"cardNumber": "no number"}
				return attrs, nil
			})
			w.ok(err)
			return id
		}, []string{"The directory&#39;s card number could not be used", "there is no card of it until then"}},
		{"card kept", func(w *world) string {
			id := w.user("Bob", "", "55")
			w.change(id, "cardNumber", "NONE")
			return id
		}, []string{"The directory removed the number; the card stays until an admin deletes it."}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.wants(w.get("people/"+tt.do(w)), 200, tt.want...)
		})
	}
}

func TestDeletePersonByHand(t *testing.T) {
	w := newWorld(t)
	vera, ann := w.byHand("Vera"), w.user("Ann", "", "")
	w.card(vera, "77")
	w.wants(w.get("people/"+vera+"/delete"), 200, "Delete Vera?", "1 card of theirs")
	w.goes(w.post("people/"+vera+"/delete"), "people?did=person-deleted")
	w.wants(w.get("people/"+vera), 404)
	for _, a := range []answer{w.get("people/" + ann + "/delete"), w.post("people/" + ann + "/delete")} {
		w.wants(a, 409, "comes from the directory")
	}
	w.person(ann)
}

func TestMemberships(t *testing.T) {
	w := newWorld(t)
	vera := w.byHand("Vera")
	at := "people/" + vera
	w.goes(w.post(at+"/groups", "group", "north/science"), at+"?did=membership-added")
	w.wants(w.get(at), 200, "Science", "(by hand)", "Take out of Science at North building")
	w.goes(w.post(at+"/groups/remove", "group", "north/science"), at+"?did=membership-removed")
	w.lacks(w.get(at), "(by hand)")
	w.wants(w.post(at+"/groups", "group", ""), 422, "Choose an access group.")
	for _, none := range []string{"north/none", "elsewhere/science"} {
		w.wants(w.post(at+"/groups", "group", none), 404)
		w.wants(w.post(at+"/groups/remove", "group", none), 404)
	}
}

func TestCards(t *testing.T) {
	w := newWorld(t)
	vera := w.byHand("Vera")
	at := "people/" + vera
	w.wants(w.get(at+"/cards"), 200, "Add a card for Vera", "Default: H10302", "bits:26:")
	a := w.post(at+"/cards", "number", "4711x", "badge_type", "Default", "valid_until", "2030-01-02T03:04")
	w.wants(a, 422, "Number: the card number has characters", `value="2030-01-02T03:04"`)
	w.lacks(a, "4711")
	w.wants(w.post(at+"/cards", "number", "4711", "valid_from", "tomorrow"), 422, "Valid from: got &#34;tomorrow&#34;, want a date and time such as")
	w.goes(w.post(at+"/cards", "number", "104711", "valid_until", "2030-01-02T03:04"), at+"?did=card-added")
	a = w.get(at)
	w.wants(a, 200, "H10302 …", "until 2 Jan 2030 03:04 UTC", "made by hand")
	w.lacks(a, "104711")

	card := at + "/cards/" + w.person(vera).Cards[0].ID
	w.wants(w.get(card), 200, "Card of Vera", `value="2030-01-02T03:04"`, "The directory never touches this card", "given to somebody else")
	w.goes(w.post(card, "valid_from", "2029-01-02T03:04", "valid_until", ""), at+"?did=card-changed")
	w.wants(w.get(at), 200, "from 2 Jan 2029 03:04 UTC", "Not valid yet")
	w.wants(w.post(card, "valid_from", "2029-01-02T03:04", "valid_until", "2028-01-02T03:04"), 422, "is not after valid_from", `value="2028-01-02T03:04"`)
	w.goes(w.post(card, "valid_from", "", "valid_until", "2020-01-02T03:04"), at+"?did=card-changed")
	w.wants(w.get(at), 200, "Expired")
	w.goes(w.post(card+"/status", "status", "suspended"), at+"?did=card-suspended")
	w.wants(w.get(at), 200, "Suspended", "Reactivate")
	w.goes(w.post(card+"/status", "status", "active"), at+"?did=card-active")

	ann := w.user("Ann", "", "55")
	other := at + "/cards/" + w.person(ann).Cards[0].ID // not Vera's
	for _, a := range []answer{w.get(other), w.post(other), w.post(other + "/status"), w.post(other + "/delete")} {
		w.wants(a, 404)
	}
	w.goes(w.post(card+"/delete"), at+"?did=card-deleted")
	w.wants(w.get(at), 200, "They have no card.")
	w.wants(w.post(at+"/cards", "number", "55"), 422, "Number is taken.")
}

// TestNumberExamples: what the page gives as examples is what the cloud takes.
func TestNumberExamples(t *testing.T) {
	w := newWorld(t)
	facility := uint64(7)
	_, err := w.cloud.PutBadgeType(w.ctx, by, "acme", cloud.BadgeType{ID: "Old", Format: "H10301", Facility: &facility, Default: true})
	w.ok(err)
	for _, number := range []string{"12345", "77-12346", "H10301:77-12347", "bits:26:23e0703"} {
		vera := w.byHand("Vera")
		w.wants(w.get("people/"+vera+"/cards"), 200, "facility code, 7")
		w.goes(w.post("people/"+vera+"/cards", "number", number, "badge_type", "Old"), "people/"+vera+"?did=card-added")
	}
}

func TestViewersChangeNobody(t *testing.T) {
	w := newWorld(t)
	vera := w.byHand("Vera")
	card := w.card(vera, "77")
	w.as(signin.Viewer)
	at := "people/" + vera
	a := w.get(at)
	w.wants(a, 200, "Vera", "H10302")
	w.lacks(a, `method="post" action="/admin/people`, "Add a card")
	w.lacks(w.get("people"), "Add a visitor")
	a = w.get(at + "/cards/" + card)
	w.wants(a, 200, "Card of Vera")
	w.lacks(a, `method="post" action="/admin/people`)
	for _, path := range []string{"people", at + "/suspended", at + "/delete", at + "/groups", at + "/groups/remove", at + "/cards", at + "/cards/" + card, at + "/cards/" + card + "/status", at + "/cards/" + card + "/delete"} {
		w.wants(w.post(path), 403, "Not for your role")
	}
	w.wants(w.get(at+"/delete"), 403)
	w.wants(w.get(at+"/cards"), 403)
	if p := w.person(vera); p.Suspended || len(p.Cards) != 1 || p.Cards[0].Status != "active" {
		t.Errorf("a viewer changed %+v", p)
	}
}

func TestPeopleOfAnotherOrganisation(t *testing.T) {
	w := newWorld(t)
	vera := w.byHand("Vera")
	card := w.card(vera, "77")
	_, err := w.cloud.CreateOrg(w.ctx, by, cloud.Org{ID: "other", Name: "Other"})
	w.ok(err)
	w.visitor.Org = "other"
	at := "people/" + vera
	for _, path := range []string{at, at + "/delete", at + "/cards", at + "/cards/" + card, at + "/why/north"} {
		w.wants(w.get(path), 404)
	}
	for _, path := range []string{"/suspended", "/delete", "/cards", "/cards/" + card, "/cards/" + card + "/status", "/cards/" + card + "/delete"} {
		w.wants(w.post(at+path, "number", "5"), 404)
	}
	w.wants(w.post(at+"/groups", "group", "north/staff"), 404)
	w.lacks(w.get("people"), "Vera")
}

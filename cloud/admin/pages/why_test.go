package pages_test

import (
	"testing"
	"time"

	"latchkey/cloud"
	"latchkey/delta"
)

// confirm lets north say that it has all, and that its controller east does.
func (w *world) confirm() {
	w.Helper()
	head, err := w.cloud.Head(w.ctx, "north")
	w.ok(err)
	w.ok(w.cloud.Applied(w.ctx, "north", head))
	w.ok(w.cloud.Proof(w.ctx, "north", &delta.Proof{Controllers: []delta.ControllerProof{{Controller: "east", Equal: true, Epoch: head.Epoch, Seq: head.Seq, Since: time.Now()}}}))
}

// change sets what the directory says of somebody; department and card number
// are the enterprise extension's.
func (w *world) change(id, attr string, value any) {
	w.Helper()
	_, err := w.cloud.UpdateUser(w.ctx, w.caller, id, "", false, func(attrs map[string]any) (map[string]any, error) {
		to := attrs
		if attr == "department" || attr == "cardNumber" {
			to = attrs[cloud.EnterpriseURN].(map[string]any)
		}
		to[attr] = value
		return attrs, nil
	})
	w.ok(err)
}

// TestWhyGoesDownTheChain: each link that is missing is the answer, with what
// to do about it.
func TestWhyGoesDownTheChain(t *testing.T) {
	w := newWorld(t)
	ann := w.user("Ann", "Sales", "")
	at := "people/" + ann + "/why/north"
	w.confirm()
	w.wants(w.get(at), 200, "Access of Ann to North building", "Ann may not open any door of North building: the property has no rule that is enabled.", "Add a rule, or enable one.", `href="/admin/properties/north">To the rules`)
	w.rule("Chemists", []string{"staff"}, cloud.Condition{Attr: "department", Op: "eq", Value: "Lab"}, cloud.Condition{Group: "Chemists"})
	lab := at + "?door=lab"
	w.wants(w.get(lab), 200, "Access of Ann to Laboratory", "no rule of the property matches them", "Change the directory so that a rule matches them",
		"department is “Lab”", "theirs is “Sales”", "in group “Chemists”", "the directory has sent no group of this name yet", "Does not match: all its conditions have to hold")
	w.change(ann, "department", "Lab")
	w.group("Chemists", ann)
	w.rule("Others", []string{"staff"})
	w.confirm()
	w.wants(w.get(lab), 200, "none of their access groups opens it", "Add the door to one of their access groups", "they are in it", "Not asked: an earlier rule decides", "Staff", "the rule gives it")
	w.wants(w.get(at+"?door=front"), 200, "they have no card", "add a card by hand", "opens it at all hours", "The directory sends no card number.")
	card := w.card(ann, "4711")
	w.confirm()
	w.wants(w.get(at+"?door=front"), 200, "Ann may open Front door of North building.", "Told in change", "Confirmed by the building", "east", "H10302 …11", `class="card answer yes"`)
	w.goes(w.post("people/"+ann+"/cards/"+card+"/status", "status", "suspended"), "people/"+ann+"?did=card-suspended")
	w.wants(w.get(at+"?door=front"), 200, "none of their cards is active", "Let one of their cards open doors again", "Not confirmed yet: the building is 1 change behind")
	w.change(ann, "userType", "SMARTBOX")
	w.wants(w.get(at+"?door=front"), 200, "people of type SMARTBOX open key cabinets alone", "Their userType in the directory is SMARTBOX", "but they may open key cabinets only")
	w.change(ann, "active", false)
	w.wants(w.get(at+"?door=front"), 200, "they are disabled in the directory", "Enable them in the directory")
	w.change(ann, "active", true)
	w.goes(w.post("people/"+ann+"/suspended", "suspended", "yes"), "people/"+ann+"?did=person-suspended")
	w.wants(w.get(at+"?door=front"), 200, "an admin has suspended them", "End the suspension on their page.")
	for _, none := range []string{"people/" + ann + "/why/none", at + "?door=none", "people/none/why/north"} {
		w.wants(w.get(none), 404)
	}
}

// TestWhyOfWhom: those whom no rule is about, and those outside the pilot.
func TestWhyOfWhom(t *testing.T) {
	w := newWorld(t)
	vera, ann := w.byHand("Vera"), w.user("Ann", "Sales", "")
	w.rule("All", []string{})
	w.wants(w.get("people/"+vera+"/why/north"), 200, "Rules are about people from the directory, so none is asked.", "Put them into an access group by hand.")
	w.wants(w.get("people/"+ann+"/why/north"), 200, "The rule that decides gives no access group: have it give one.", "Decides: it is for everyone")
	_, err := w.cloud.PutProperty(w.ctx, by, "acme", cloud.Property{ID: "north", Name: "North building", Pilot: []string{"Pilots"}})
	w.ok(err)
	w.wants(w.get("people/"+ann+"/why/north"), 200, "limited to the pilot “Pilots”", "end the pilot")
	w.goes(w.post("people/"+vera+"/groups", "group", "north/staff"), "people/"+vera+"?did=membership-added")
	w.card(vera, "77")
	w.wants(w.get("people/"+vera+"/why/north"), 200, "an administrator put them in by hand", "The building has still to confirm the newest change.")
}

// TestFindWhy: from a name, an email or a card number to the answer.
func TestFindWhy(t *testing.T) {
	w := newWorld(t)
	ann := w.user("Ann", "Lab", "4711")
	w.wants(w.get(""), 200, "Why can somebody not get in?", `value="north/lab">Laboratory`, "North building: any door")
	for _, who := range []string{"4711", "ann@acme.example", "Ann"} {
		w.goes(w.post("why", "who", who, "at", "north/lab"), "people/"+ann+"/why/north?door=lab")
	}
	w.wants(w.get("why"), 200, "Find out why")
	w.goes(w.post("why", "who", "Ann", "at", "north"), "people/"+ann+"/why/north")
	w.wants(w.post("why", "who", "nobody", "at", "north/lab"), 200, "Nobody here has exactly this user name", `value="nobody"`, `value="north/lab" selected`)
	w.wants(w.post("why", "who", "Ann"), 200, "1 person found", "Choose a property", "people/"+ann)
	second := w.byHand("Ann")
	w.wants(w.post("why", "who", "Ann", "at", "north/lab"), 200, "2 people found", "people/"+ann+"/why/north?door=lab", "people/"+second+"/why/north?door=lab")
	w.goes(w.get("people/"+ann+"/why?at=north/lab"), "people/"+ann+"/why/north?door=lab")
	w.goes(w.get("people/"+ann+"/why"), "people/"+ann)
	w.wants(w.get("people/"+ann+"/why/north"), 200, `value="north" selected`)
}

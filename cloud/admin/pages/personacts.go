package pages

import (
	"strings"

	"latchkey/cloud"
)

// suspendPerson locks somebody out by hand, or lets them in again.
func suspendPerson(c *call) (answer, error) {
	suspended := c.text("suspended") == "yes"
	if _, err := c.cloud.PatchPerson(c.Context(), c.Actor, c.Org, c.id(), cloud.PersonPatch{Suspended: &suspended}); err != nil {
		return nil, err
	}
	did := "person-let-in"
	if suspended {
		did = "person-suspended"
	}
	return redirect{to: "people/" + c.id(), did: did}, nil
}

// confirmDeletePerson asks before somebody made by hand is deleted.
func confirmDeletePerson(c *call) (answer, error) {
	p, err := byHand(c)
	if err != nil {
		return nil, err
	}
	return page{template: "persondelete", title: "Delete " + nameOf(p) + "?", data: p}, nil
}

func deletePerson(c *call) (answer, error) {
	if _, err := byHand(c); err != nil {
		return nil, err
	}
	if err := c.cloud.DeletePerson(c.Context(), c.Actor, c.Org, c.id()); err != nil {
		return nil, err
	}
	return redirect{to: "people", did: "person-deleted"}, nil
}

// byHand is the person of the address, whom no directory may know: a directory
// that still has somebody would make them anew.
func byHand(c *call) (cloud.Person, error) {
	p, err := c.cloud.Person(c.Context(), c.Org, c.id())
	if err != nil {
		return p, err
	}
	if p.Origin != cloud.OriginManual {
		return p, &cloud.Invalid{ScimType: cloud.Mutability, Attr: "person", Detail: "comes from the directory; delete them there, and they go here by themselves"}
	}
	return p, nil
}

// addMembership puts somebody into an access group by hand.
func addMembership(c *call) (answer, error) {
	site, group, _ := strings.Cut(c.text("group"), "/")
	if site == "" || group == "" {
		return personAnswer(c, "Choose an access group.")
	}
	err := c.cloud.AddMembership(c.Context(), c.Actor, c.Org, c.id(), site, group)
	if wrong := problem(err); wrong != "" {
		return personAnswer(c, wrong)
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: "people/" + c.id(), did: "membership-added"}, nil
}

// removeMembership takes away what addMembership gave.
func removeMembership(c *call) (answer, error) {
	site, group, _ := strings.Cut(c.text("group"), "/")
	if err := c.cloud.RemoveMembership(c.Context(), c.Actor, c.Org, c.id(), site, group); err != nil {
		return nil, err
	}
	return redirect{to: "people/" + c.id(), did: "membership-removed"}, nil
}

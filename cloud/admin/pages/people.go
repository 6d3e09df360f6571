package pages

import (
	"slices"
	"strings"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

// peopleOnPage is how many people the list shows at a time.
const peopleOnPage = 50

func (s *server) peopleRoutes() {
	s.get("people", signin.Viewer, people)
	s.post("people", signin.Admin, addPerson)
	s.post("people/find", signin.Viewer, findPeople)
	s.get("people/{id}", signin.Viewer, person)
	s.post("people/{id}/suspended", signin.Admin, suspendPerson)
	s.get("people/{id}/delete", signin.Admin, confirmDeletePerson)
	s.post("people/{id}/delete", signin.Admin, deletePerson)
	s.post("people/{id}/groups", signin.Admin, addMembership)
	s.post("people/{id}/groups/remove", signin.Admin, removeMembership)
	s.get("people/{id}/cards", signin.Admin, newCard)
	s.post("people/{id}/cards", signin.Admin, addCard)
	s.get("people/{id}/cards/{card}", signin.Viewer, card)
	s.post("people/{id}/cards/{card}", signin.Admin, changeCard)
	s.post("people/{id}/cards/{card}/status", signin.Admin, cardStatus)
	s.post("people/{id}/cards/{card}/delete", signin.Admin, deleteCard)
}

// A peoplePage is the list of people, or what a search found.
type peoplePage struct {
	Search string // what nobody was found by
	Found  bool   // the list is what a search found
	Later  bool   // not the first page
	People []personLine
	Next   string // id after which the next page begins; empty on the last one
	New    cloud.NewPerson
}

// A personLine is one person of the list.
type personLine struct {
	cloud.Person
	State standing
	At    []string // names of properties where they are in an access group
}

func people(c *call) (answer, error) { return peopleAnswer(c, cloud.NewPerson{}, "") }

// peopleAnswer is the list with the form for one more, which may have a problem.
func peopleAnswer(c *call, entered cloud.NewPerson, wrong string) (answer, error) {
	q := cloud.PeopleQuery{After: c.text("after"), Limit: peopleOnPage + 1}
	all, err := c.cloud.People(c.Context(), c.Org, q)
	if err != nil {
		return nil, err
	}
	p := peoplePage{Later: q.After != "", New: entered}
	if len(all) > peopleOnPage {
		all = all[:peopleOnPage]
		p.Next = all[len(all)-1].ID
	}
	p.People, err = personLines(c, all)
	return page{template: "people", title: "People", data: p, problem: wrong}, err
}

// findPeople goes to whom somebody looks for, or lists them where they are
// several. What was looked for may be a card number: it is in no address, and
// on no page that knows whose it is.
func findPeople(c *call) (answer, error) {
	search := c.text("search")
	if search == "" {
		return redirect{to: "people"}, nil
	}
	found, err := c.cloud.People(c.Context(), c.Org, cloud.PeopleQuery{Search: search, Limit: peopleOnPage})
	if err != nil {
		return nil, err
	}
	if len(found) == 1 {
		return redirect{to: "people/" + found[0].ID}, nil
	}
	p := peoplePage{Found: true}
	if len(found) == 0 {
		p.Search = search
	}
	p.People, err = personLines(c, found)
	return page{template: "people", title: "People", data: p}, err
}

func personLines(c *call, all []cloud.Person) ([]personLine, error) {
	names, err := c.propertyNames()
	if err != nil {
		return nil, err
	}
	lines := make([]personLine, 0, len(all))
	for _, one := range all {
		line := personLine{Person: one, State: stateOf(one)}
		for _, at := range one.Sites {
			if len(at.Groups)+len(at.Manual) > 0 && names[at.Site] != "" {
				line.At = append(line.At, names[at.Site])
			}
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// addPerson makes somebody whom no directory knows.
func addPerson(c *call) (answer, error) {
	n := cloud.NewPerson{Name: c.text("name"), Email: c.text("email"), Kind: c.text("kind")}
	made, err := c.cloud.CreatePerson(c.Context(), c.Actor, c.Org, n)
	if wrong := problem(err); wrong != "" {
		return peopleAnswer(c, n, wrong)
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: "people/" + made.ID, did: "person-added"}, nil
}

// A standing says in words how something is.
type standing struct {
	Good bool // nothing is to be done
	Text string
	Hint string // what it means, and what to do
}

// stateOf words whether somebody may use doors at all, the reason that weighs most first.
func stateOf(p cloud.Person) standing {
	switch {
	case p.PulledOut:
		return standing{Text: p.Pulled + " in the directory", Hint: "Their status in the directory that is read locks them out of every door. Change it there."}
	case p.Suspended:
		return standing{Text: "Suspended by an admin", Hint: "No door opens for them, whatever the directory says. Cards and access groups are kept for when they are let in again."}
	case p.State != access.StateActive:
		return standing{Text: "Disabled in the directory", Hint: "No door opens for them. Cards and access groups are kept: enable them in the directory, and they are as the directory then has them."}
	}
	return standing{Good: true, Text: "Active"}
}

// kindOf words a kind of person.
func kindOf(kind string) string {
	if kind == access.KindSmartbox {
		return "Key cabinets only"
	}
	return "Doors and cabinets"
}

// An attribute is one value that the directory sent.
type attribute struct{ Path, Name, Value string }

// attributesOf lists what is known of somebody by name, without what the page
// says elsewhere.
func attributesOf(p cloud.Person) []attribute {
	all := make([]attribute, 0, len(p.Attributes))
	for path, value := range p.Attributes {
		if value == "" {
			continue
		}
		name := path
		if len(name) > 4 && strings.EqualFold(name[:4], "urn:") {
			name = name[strings.LastIndexByte(name, ':')+1:]
		}
		if path == "emails[0].value" {
			name = "email"
		}
		all = append(all, attribute{path, name, value})
	}
	slices.SortFunc(all, func(a, b attribute) int { return strings.Compare(a.Name+" "+a.Path, b.Name+" "+b.Path) })
	return all
}

package pages

import (
	"cmp"
	"slices"
	"strings"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

func (s *server) accessGroupRoutes() {
	s.get("properties/{site}/groups", signin.Viewer, accessGroups)
	s.get("properties/{site}/groups/edit", signin.Admin, accessGroupForm)
	s.post("properties/{site}/groups/edit", signin.Admin, editAccessGroup)
	s.post("properties/{site}/groups/delete", signin.Admin, func(c *call) (answer, error) {
		return c.review(cloud.Proposal{Op: cloud.OpDeleteGroup, ID: c.text("id")}, "")
	})
}

// An accessGroupList is the access groups of a property.
type accessGroupList struct {
	propertyFrame
	Groups []accessGroupLine
	Doors  int // how many doors there are to put into one
}

// An accessGroupLine is one access group in words.
type accessGroupLine struct {
	ID, Name string
	Doors    []whyWay // doors with their hours
	Rules    []string // names of the rules that give it
}

func accessGroups(c *call) (answer, error) {
	f, items, err := c.siteFrame("groups")
	if err != nil {
		return nil, err
	}
	words := factWords{siteItems: &items}
	list := accessGroupList{propertyFrame: f, Doors: len(items.Doors)}
	for _, g := range items.Groups {
		line := accessGroupLine{ID: g.ID, Name: cmp.Or(g.Name, g.ID)}
		for _, grant := range g.Grants {
			line.Doors = append(line.Doors, whyWay{items.DoorName(grant.Door), words.hours(grant.Schedule)})
		}
		for _, r := range items.Rules {
			if slices.Contains(r.Groups, g.ID) {
				line.Rules = append(line.Rules, ruleTitle(r))
			}
		}
		list.Groups = append(list.Groups, line)
	}
	return f.page("groups", list), nil
}

// An accessGroupEntry is an access group as it stands in the form.
type accessGroupEntry struct {
	propertyFrame
	opened
	Group     cloud.AccessGroup
	Rows      []grantRow
	Schedules []access.Schedule
}

// A grantRow is one door with the hours in which the group opens it.
type grantRow struct {
	Door, Name string
	In         bool
	Schedule   string // empty is always
	N          int    // of the door; several rows of one door follow each other
	Last       bool   // of its door
	Focus      bool
}

// accessGroupForm is the form of the group id of the address, or of a new one.
func accessGroupForm(c *call) (answer, error) {
	id := c.text("id")
	if id == "" {
		return c.accessGroupPage(opened{}, cloud.AccessGroup{}, nil)
	}
	mark, err := c.markOf(cloud.Proposal{Op: cloud.OpPutGroup, Group: &cloud.AccessGroup{ID: id}})
	if err != nil {
		return nil, err
	}
	g, ok, err := c.accessGroup(id)
	if err == nil && !ok {
		err = cloud.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return c.accessGroupPage(opened{id, mark}, g, nil)
}

// accessGroup is one of the property's access groups, if it is there.
func (c *call) accessGroup(id string) (cloud.AccessGroup, bool, error) {
	all, err := c.cloud.AccessGroups(c.Context(), c.Org, c.site())
	i := slices.IndexFunc(all, func(g cloud.AccessGroup) bool { return g.ID == id })
	if i < 0 {
		return cloud.AccessGroup{}, false, err
	}
	return all[i], true, err
}

func (c *call) accessGroupPage(on opened, g cloud.AccessGroup, wrong error) (answer, error) {
	f, items, err := c.siteFrame("groups")
	if err != nil {
		return nil, err
	}
	e := accessGroupEntry{propertyFrame: f, opened: on, Group: g, Schedules: items.Schedules, Rows: grantRows(g, &items, c.moreOf())}
	title := "Add an access group"
	if on.Was != "" {
		title = cmp.Or(g.Name, on.Was)
	}
	return page{template: "group", title: title, part: f.Title(), data: e, problem: problem(as(wrong, map[string]string{"id": "name"}))}, nil
}

// moreOf is the door for which another row is asked for, as who has no script
// does; empty for none.
func (c *call) moreOf() string {
	if door, ok := strings.CutPrefix(c.text("act"), "add "); ok {
		return door
	}
	return ""
}

// grantRows are a row for each grant of g, one for each door that it does not
// open, and another one of the door more.
func grantRows(g cloud.AccessGroup, items *siteItems, more string) []grantRow {
	var rows []grantRow
	for _, grant := range g.Grants {
		rows = append(rows, grantRow{Door: grant.Door, Name: items.DoorName(grant.Door), In: true, Schedule: grant.Schedule})
	}
	for _, d := range items.Doors {
		if !slices.ContainsFunc(g.Grants, func(a cloud.DoorAccess) bool { return a.Door == d.ID }) {
			rows = append(rows, grantRow{Door: d.ID, Name: cmp.Or(d.Name, d.ID)})
		}
	}
	if more != "" {
		rows = append(rows, grantRow{Door: more, Name: items.DoorName(more), Focus: true})
	}
	slices.SortStableFunc(rows, func(a, b grantRow) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Door, b.Door))
	})
	for i := range rows {
		switch {
		case i > 0 && rows[i-1].Door == rows[i].Door:
			rows[i].N, rows[i-1].Last = rows[i-1].N, false
		case i > 0:
			rows[i].N = rows[i-1].N + 1
		}
		rows[i].Last = true
	}
	return rows
}

// editAccessGroup shows what the group of the form would change, or the form
// again: because of a problem, or with another row for a door.
func editAccessGroup(c *call) (answer, error) {
	p, err := c.entered()
	if err != nil {
		return nil, err
	}
	if p != nil && p.Group != nil {
		_, there, err := c.accessGroup(p.Group.ID)
		if err != nil || !there {
			return c.accessGroupPage(opened{}, *p.Group, err)
		}
		return c.accessGroupPage(opened{p.Group.ID, p.Mark}, *p.Group, nil)
	}
	on := c.opened()
	g := cloud.AccessGroup{ID: cmp.Or(on.Was, slug(c.text("name"))), Name: c.text("name"), Grants: grantsOf(c)}
	if c.moreOf() != "" {
		return c.accessGroupPage(on, g, nil)
	}
	_, there, err := c.accessGroup(g.ID)
	if err != nil {
		return nil, err
	}
	var wrong error
	switch {
	case g.Name == "":
		wrong = &cloud.Invalid{ScimType: cloud.InvalidValue, Attr: "name", Detail: "is required"}
	case there && on.Was == "":
		wrong = &cloud.Conflict{Attr: "name", Value: g.Name}
	case !there && on.Was != "" && on.Mark == "": // with a mark it was deleted since
		return nil, cloud.ErrNotFound
	default:
		a, err := c.review(cloud.Proposal{Op: cloud.OpPutGroup, Group: &g, Mark: on.Mark}, "properties/"+c.site()+"/groups/edit")
		if problem(err) == "" {
			return a, err
		}
		wrong = err
	}
	return c.accessGroupPage(on, g, wrong)
}

// grantsOf are the doors of the form, each written DOOR/SCHEDULE.
func grantsOf(c *call) []cloud.DoorAccess {
	grants := []cloud.DoorAccess{}
	for _, text := range c.texts("grant") {
		door, schedule, _ := strings.Cut(text, "/")
		grants = append(grants, cloud.DoorAccess{Door: door, Schedule: schedule})
	}
	return grants
}

// slug is an id made of a name: "Day staff" is "day-staff".
func slug(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r < 0x80 })
	id := strings.Join(words, "-")
	return strings.ToValidUTF8(id[:min(mostSlug, len(id))], "")
}

// mostSlug is how long an id is that is made of a name, in bytes.
const mostSlug = 60

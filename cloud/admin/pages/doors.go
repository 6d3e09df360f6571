package pages

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

func (s *server) doorRoutes() {
	s.get("properties/{site}/doors", signin.Viewer, doors)
	s.get("properties/{site}/doors/edit", signin.Admin, doorForm)
	s.post("properties/{site}/doors/edit", signin.Admin, editDoor)
	s.post("properties/{site}/doors/delete", signin.Admin, func(c *call) (answer, error) {
		return c.review(cloud.Proposal{Op: cloud.OpDeleteDoor, ID: c.text("id")}, "")
	})
}

// defaultHeld is when a door that does not say counts as held open.
const defaultHeld = 30 * time.Second

// A doorList is the doors of a property.
type doorList struct {
	propertyFrame
	Doors []doorLine
}

// A doorLine is one door in words.
type doorLine struct {
	access.Door
	Unlock, Held string
	Groups       []string // names of the access groups that open it
}

func doors(c *call) (answer, error) {
	f, items, err := c.siteFrame("doors")
	if err != nil {
		return nil, err
	}
	list := doorList{propertyFrame: f}
	for _, d := range items.Doors {
		line := doorLine{Door: d, Unlock: seconds(d.UnlockMS, access.DefaultUnlock), Held: seconds(d.HeldMS, defaultHeld)}
		for _, g := range items.Groups {
			if slices.ContainsFunc(g.Grants, func(a cloud.DoorAccess) bool { return a.Door == d.ID }) {
				line.Groups = append(line.Groups, cmp.Or(g.Name, g.ID))
			}
		}
		list.Doors = append(list.Doors, line)
	}
	return f.page("doors", list), nil
}

// seconds is a time of a door, which is d where it says none, in words.
func seconds(ms int64, d time.Duration) string {
	return shortSeconds(cmp.Or(ms, d.Milliseconds())) + " s"
}

// A doorEntry is a door as it stands in the form.
type doorEntry struct {
	propertyFrame
	opened
	Door         access.Door
	Unlock, Held string // seconds, as they were entered
}

// doorForm is the form of the door id of the address, or of a new one.
func doorForm(c *call) (answer, error) {
	id := c.text("id")
	if id == "" {
		return c.doorPage(opened{}, access.Door{}, nil)
	}
	mark, err := c.markOf(cloud.Proposal{Op: cloud.OpPutDoor, Door: &access.Door{ID: id}})
	if err != nil {
		return nil, err
	}
	d, ok, err := c.door(id)
	if err == nil && !ok {
		err = cloud.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return c.doorPage(opened{id, mark}, d, nil)
}

// door is one of the property's doors, if it is there.
func (c *call) door(id string) (access.Door, bool, error) {
	all, err := c.cloud.Doors(c.Context(), c.Org, c.site())
	i := slices.IndexFunc(all, func(d access.Door) bool { return d.ID == id })
	if i < 0 {
		return access.Door{}, false, err
	}
	return all[i], true, err
}

func (c *call) doorPage(on opened, d access.Door, wrong error) (answer, error) {
	f, err := c.frame("doors")
	if err != nil {
		return nil, err
	}
	e := doorEntry{propertyFrame: f, opened: on, Door: d, Unlock: shortSeconds(d.UnlockMS), Held: shortSeconds(d.HeldMS)}
	if wrong != nil && c.text("act") != "back" {
		e.Unlock, e.Held = c.text("unlock"), c.text("held")
	}
	title := "Add a door"
	if on.Was != "" {
		title = cmp.Or(d.Name, on.Was)
	}
	return page{template: "door", title: title, part: f.Title(), data: e, problem: problem(as(wrong, map[string]string{"id": "name at the gateway", "unlock": "opens for", "held": "held open after"}))}, nil
}

// shortSeconds is a time for a field, which is empty for none.
func shortSeconds(ms int64) string {
	if ms == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(ms)/1000, 'f', -1, 64)
}

// secondsOf is a time of the form in milliseconds, 0 where it is empty.
func secondsOf(c *call, name string, most time.Duration) (int64, error) {
	text := c.text(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n >= 0.1 && n <= most.Seconds()) {
		return 0, &cloud.Invalid{ScimType: cloud.InvalidValue, Attr: name, Detail: fmt.Sprintf("got %.40q, want 0.1 to %v seconds, or nothing", text, most.Seconds())}
	}
	return int64(math.Round(n * 1000)), nil
}

// editDoor shows what the door of the form would change, or the form again.
func editDoor(c *call) (answer, error) {
	p, err := c.entered()
	if err != nil {
		return nil, err
	}
	if p != nil && p.Door != nil {
		_, there, err := c.door(p.Door.ID)
		if err != nil || !there {
			return c.doorPage(opened{}, *p.Door, err)
		}
		return c.doorPage(opened{p.Door.ID, p.Mark}, *p.Door, nil)
	}
	on := c.opened()
	d := access.Door{ID: cmp.Or(on.Was, c.text("id")), Name: c.text("name"), Kind: c.text("kind"), NoData: c.text("no_data")}
	_, there, err := c.door(d.ID)
	if err != nil {
		return nil, err
	}
	var wrong error
	if d.UnlockMS, wrong = secondsOf(c, "unlock", access.MaxUnlock); wrong == nil {
		d.HeldMS, wrong = secondsOf(c, "held", access.MaxHeld)
	}
	switch {
	case there && on.Was == "":
		wrong = &cloud.Conflict{Attr: "id", Value: d.ID}
	case !there && on.Was != "" && on.Mark == "": // with a mark it was deleted since
		return nil, cloud.ErrNotFound
	}
	if wrong == nil {
		a, err := c.review(cloud.Proposal{Op: cloud.OpPutDoor, Door: &d, Mark: on.Mark}, "properties/"+c.site()+"/doors/edit")
		if problem(err) == "" {
			return a, err
		}
		wrong = err
	}
	return c.doorPage(on, d, wrong)
}

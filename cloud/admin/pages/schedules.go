package pages

import (
	"cmp"
	"fmt"
	"slices"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

func (s *server) scheduleRoutes() {
	s.get("properties/{site}/schedules", signin.Viewer, schedules)
	s.get("properties/{site}/schedules/edit", signin.Admin, scheduleForm)
	s.post("properties/{site}/schedules/edit", signin.Admin, editSchedule)
	s.post("properties/{site}/schedules/delete", signin.Admin, func(c *call) (answer, error) {
		return c.review(cloud.Proposal{Op: cloud.OpDeleteSchedule, ID: c.text("id")}, "")
	})
}

// A scheduleList is the schedules of a property.
type scheduleList struct {
	propertyFrame
	Schedules []scheduleLine
}

// A scheduleLine is one schedule in words.
type scheduleLine struct {
	ID, Name, Hours string
	Holidays        []string
	Groups          []string // names of the access groups that use it
}

func schedules(c *call) (answer, error) {
	f, items, err := c.siteFrame("schedules")
	if err != nil {
		return nil, err
	}
	list := scheduleList{propertyFrame: f}
	for _, s := range items.Schedules {
		line := scheduleLine{ID: s.ID, Name: cmp.Or(s.Name, s.ID), Hours: weekText(s), Holidays: s.Holidays}
		for _, g := range items.Groups {
			if slices.ContainsFunc(g.Grants, func(a cloud.DoorAccess) bool { return a.Schedule == s.ID }) {
				line.Groups = append(line.Groups, cmp.Or(g.Name, g.ID))
			}
		}
		list.Schedules = append(list.Schedules, line)
	}
	return f.page("schedules", list), nil
}

// scheduleForm is the form of the schedule id of the address, or of a new one.
func scheduleForm(c *call) (answer, error) {
	id := c.text("id")
	if id == "" {
		return c.schedulePage(opened{}, newScheduleEntry(access.Schedule{}), nil)
	}
	mark, err := c.markOf(cloud.Proposal{Op: cloud.OpPutSchedule, Schedule: &access.Schedule{ID: id}})
	if err != nil {
		return nil, err
	}
	s, ok, err := c.schedule(id)
	if err == nil && !ok {
		err = cloud.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return c.schedulePage(opened{id, mark}, newScheduleEntry(s), nil)
}

// schedule is one of the property's schedules, if it is there.
func (c *call) schedule(id string) (access.Schedule, bool, error) {
	all, err := c.cloud.Schedules(c.Context(), c.Org, c.site())
	i := slices.IndexFunc(all, func(s access.Schedule) bool { return s.ID == id })
	if i < 0 {
		return access.Schedule{}, false, err
	}
	return all[i], true, err
}

func (c *call) schedulePage(on opened, e scheduleEntry, wrong error) (answer, error) {
	f, err := c.frame("schedules")
	if err != nil {
		return nil, err
	}
	e.propertyFrame, e.opened = f, on
	for i := range e.Rows {
		e.Rows[i].Title = fmt.Sprintf("Hours %d", i+1)
	}
	title := "Add a schedule"
	if on.Was != "" {
		title = cmp.Or(e.Name, on.Was)
	}
	return page{template: "schedule", title: title, part: f.Title(), data: e, problem: problem(as(wrong, map[string]string{"id": "name"}))}, nil
}

// editSchedule shows what the schedule of the form would change, or the form
// again: because of a problem, or with a span more or less.
func editSchedule(c *call) (answer, error) {
	p, err := c.entered()
	if err != nil {
		return nil, err
	}
	if p != nil && p.Schedule != nil {
		_, there, err := c.schedule(p.Schedule.ID)
		if err != nil || !there {
			return c.schedulePage(opened{}, newScheduleEntry(*p.Schedule), err)
		}
		return c.schedulePage(opened{p.Schedule.ID, p.Mark}, newScheduleEntry(*p.Schedule), nil)
	}
	on, e := c.opened(), enteredSchedule(c)
	if e.step(c.text("act")) {
		return c.schedulePage(on, e, nil)
	}
	s, wrong := e.schedule(cmp.Or(on.Was, slug(e.Name)))
	_, there, err := c.schedule(s.ID)
	switch {
	case err != nil:
		return nil, err
	case wrong != nil:
	case there && on.Was == "":
		wrong = &cloud.Conflict{Attr: "name", Value: e.Name}
	case !there && on.Was != "" && on.Mark == "": // with a mark it was deleted since
		return nil, cloud.ErrNotFound
	default:
		a, err := c.review(cloud.Proposal{Op: cloud.OpPutSchedule, Schedule: &s, Mark: on.Mark}, "properties/"+c.site()+"/schedules/edit")
		if problem(err) == "" {
			return a, err
		}
		wrong = err
	}
	return c.schedulePage(on, e, wrong)
}

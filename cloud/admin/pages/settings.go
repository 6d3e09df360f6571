package pages

import (
	"cmp"
	"strconv"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

func (s *server) settingsRoutes() {
	s.get("properties/{site}/settings", signin.Viewer, func(c *call) (answer, error) {
		mark, err := c.markOf(cloud.Proposal{Op: cloud.OpPutProperty, Property: &cloud.Property{}})
		if err != nil {
			return nil, err
		}
		f, err := c.frame("settings")
		if err != nil {
			return nil, err
		}
		return c.settings(f, f.Property.Property, mark, nil)
	})
	s.post("properties/{site}/settings", signin.Admin, editSettings)
	s.post("properties/{site}/delete", signin.Admin, func(c *call) (answer, error) {
		return c.review(cloud.Proposal{Op: cloud.OpDeleteProperty, Site: c.site()}, "")
	})
}

// A settingsForm is a property's settings as they stand in the form.
type settingsForm struct {
	propertyFrame
	Entered cloud.Property
	Guard   cloud.Guard
	Pilot   []string // with room for more
	Focus   int      // which of them was added just now; -1 is none
	Offered []cloud.DirectoryGroup
	Mark    string // of the settings as they were shown first; see markOf
	words   *factWords
}

// Facts are the settings in words, for whoever may not change them.
func (f settingsForm) Facts() []fact { return f.words.property(f.Property.Property) }

// settings shows p in the form; wrong is what is wrong with it, if anything.
func (c *call) settings(f propertyFrame, p cloud.Property, mark string, wrong error) (answer, error) {
	directory, err := c.cloud.DirectoryGroups(c.Context(), c.Org)
	if err != nil {
		return nil, err
	}
	form := settingsForm{propertyFrame: f, Entered: p, Guard: guardOf(p), Offered: offered(directory), Mark: mark, words: &factWords{&siteItems{}, directory}}
	spare := 1
	if c.text("act") == "more" {
		spare = max(0, len(c.Form["pilot"])-len(p.Pilot)) + 1
	}
	form.Pilot = append(append(form.Pilot, p.Pilot...), make([]string, spare)...)
	if form.Focus = -1; c.text("act") == "more" {
		form.Focus = len(form.Pilot) - 1
	}
	answer := f.page("settings", form)
	answer.problem = problem(wrong)
	return answer, nil
}

// guardOf is what p has set, or the default.
func guardOf(p cloud.Property) cloud.Guard {
	if p.Guard == nil {
		return cloud.DefaultGuard()
	}
	return *p.Guard
}

// editSettings shows what the settings in the form would do.
func editSettings(c *call) (answer, error) {
	f, err := c.frame("settings")
	if err != nil {
		return nil, err
	}
	back, err := c.entered()
	if err != nil {
		return nil, err
	}
	if back != nil && back.Property != nil {
		return c.settings(f, *back.Property, back.Mark, nil)
	}
	p := cloud.Property{ID: f.Property.ID, Name: c.text("name"), Key: cmp.Or(c.text("key"), f.Property.Key), Wallet: c.checked("wallet"), Pilot: c.texts("pilot")}
	mark := c.text("mark")
	var wrong error
	percent, errP := strconv.Atoi(c.text("percent"))
	openings, errO := strconv.Atoi(c.text("openings"))
	if errP != nil || errO != nil {
		wrong = &cloud.Invalid{Attr: "guard", Detail: "want whole numbers of percent and of openings"}
	}
	if g := (cloud.Guard{Percent: percent, Openings: openings}); f.Property.Guard != nil || g != cloud.DefaultGuard() {
		p.Guard = &g
	}
	switch {
	case c.text("act") == "more":
		return c.settings(f, p, mark, nil)
	case wrong != nil:
		return c.settings(f, p, mark, wrong)
	}
	a, err := c.review(cloud.Proposal{Op: cloud.OpPutProperty, Site: p.ID, Property: &p, Mark: mark}, "properties/"+p.ID+"/settings")
	if problem(err) != "" {
		return c.settings(f, p, mark, err)
	}
	return a, err
}

package pages

import (
	"cmp"
	"errors"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

func (s *server) propertyRoutes() {
	s.get("properties", signin.Viewer, properties)
	s.post("properties", signin.Admin, addProperty)
}

// A propertyFrame is what stands above each page of a property. Pages with tabs
// have it in their data, for the parts "trail" and "tabs".
type propertyFrame struct {
	Property cloud.PropertyStatus
	Tab      string // path of the tab that is open, such as "doors"; empty is Rules
}

// frame is that of the property that the address names: cloud.ErrNotFound.
func (c *call) frame(tab string) (propertyFrame, error) {
	p, err := c.cloud.Property(c.Context(), c.Org, c.site())
	return propertyFrame{p, tab}, err
}

// Title is the property's name, or its id where it has none.
func (f propertyFrame) Title() string { return cmp.Or(f.Property.Name, f.Property.ID) }

// page is one of the property's tabs: its heading is the property's name.
func (f propertyFrame) page(template string, data any) page {
	p := page{template: template, title: f.Title(), data: data}
	for _, t := range f.Tabs() {
		if t.Open {
			p.part = t.Name
		}
	}
	return p
}

// A tab is one of the pages of a property.
type tab struct {
	Path, Name string // Path is below the property, with its slash
	Open       bool
}

// Tabs are all pages of a property.
func (f propertyFrame) Tabs() []tab {
	tabs := []tab{
		{Path: "", Name: "Rules"}, {Path: "/doors", Name: "Doors"}, {Path: "/groups", Name: "Access groups"},
		{Path: "/schedules", Name: "Schedules"}, {Path: "/building", Name: "Building"}, {Path: "/settings", Name: "Settings"},
	}
	for i := range tabs {
		tabs[i].Open = tabs[i].Path == "" && f.Tab == "" || tabs[i].Path == "/"+f.Tab
	}
	return tabs
}

// A propertyList is all properties, and the one that somebody is adding.
type propertyList struct {
	Properties []propertyLine
	New        cloud.Property
}

func properties(c *call) (answer, error) { return listProperties(c, cloud.Property{}, nil) }

func listProperties(c *call, entered cloud.Property, wrong error) (answer, error) {
	lines, err := propertyLines(c)
	if err != nil {
		return nil, err
	}
	return page{template: "properties", title: "Properties", data: propertyList{lines, entered}, problem: problem(as(wrong, map[string]string{"id": "short name"}))}, nil
}

// addProperty makes a property. One that is there already is left as it is.
func addProperty(c *call) (answer, error) {
	p := cloud.Property{ID: c.text("id"), Name: c.text("name")}
	_, err := c.cloud.Property(c.Context(), c.Org, p.ID)
	switch {
	case err == nil:
		err = &cloud.Conflict{Attr: "id", Value: p.ID}
	case errors.Is(err, cloud.ErrNotFound):
		if p.Name == "" {
			p.Name = p.ID
		}
		_, err = c.cloud.PutProperty(c.Context(), c.Actor, c.Org, p)
	}
	if problem(err) != "" {
		return listProperties(c, p, err)
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: "properties/" + p.ID, did: "property-added"}, nil
}

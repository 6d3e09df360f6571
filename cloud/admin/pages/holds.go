package pages

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

func (s *server) holdRoutes() {
	s.get("holds", signin.Viewer, holds)
	s.get("holds/{id}", signin.Viewer, func(c *call) (answer, error) { return c.holdPage("") })
	s.post("holds/{id}/confirm", signin.Admin, confirmHold)
	s.post("holds/{id}/discard", signin.Admin, func(c *call) (answer, error) {
		_, err := c.cloud.Discard(c.Context(), c.Actor, c.Org, c.id())
		if errors.Is(err, cloud.ErrChanged) {
			return c.holdPage("Somebody decided about it meanwhile.")
		}
		return redirect{to: "holds", did: "hold-discarded"}, err
	})
}

// A holdLine is a held change in the list.
type holdLine struct {
	cloud.Hold
	Title    string
	Property string // name
	Asked    string // who did
	Decider  string // who decided
}

func (h holdLine) Directory() bool { return h.Kind == cloud.HoldDirectory }
func (h holdLine) Refused() bool   { return h.Kind == cloud.HoldSite }
func (h holdLine) Open() bool      { return h.State == cloud.HoldOpen }

// StateText says what became of it.
func (h holdLine) StateText() string {
	switch {
	case h.State == cloud.HoldOpen:
		return "waits for a person"
	case h.State == cloud.HoldResolved && h.Refused():
		return "ended by itself: the gateway follows again"
	case h.State == cloud.HoldResolved:
		return "ended by itself: the directory gave back what it took"
	}
	return h.State
}

// decidedOnPage is how many decided changes the page shows at a time.
const decidedOnPage = 50

// A holdList is what waits, the oldest first, and what is decided, the newest
// first.
type holdList struct {
	Open, Decided []holdLine
	Earlier       string // id before which the next page of those decided begins; empty on the last one
	Later         bool   // not the newest of those decided
}

func holds(c *call) (answer, error) {
	all, err := c.cloud.Holds(c.Context(), c.Org, false)
	if err != nil {
		return nil, err
	}
	lines, err := c.holdLines(all)
	if err != nil {
		return nil, err
	}
	before := c.text("before")
	list := holdList{Later: before != ""}
	for _, line := range lines {
		if line.Open() {
			list.Open = append(list.Open, line)
		}
	}
	for _, line := range slices.Backward(lines) {
		if line.Open() || before != "" && line.ID >= before {
			continue
		}
		if len(list.Decided) == decidedOnPage {
			list.Earlier = list.Decided[decidedOnPage-1].ID
			break
		}
		list.Decided = append(list.Decided, line)
	}
	return page{template: "holds", title: "Held changes", data: list}, nil
}

// holdLines words held changes.
func (c *call) holdLines(all []cloud.Hold) ([]holdLine, error) {
	names, err := c.propertyNames()
	if err != nil {
		return nil, err
	}
	tokens, err := c.cloud.Tokens(c.Context(), c.Org)
	if err != nil {
		return nil, err
	}
	lines := make([]holdLine, 0, len(all))
	for _, h := range all {
		line := holdLineOf(h, names)
		line.Asked, line.Decider = whoText(h.By, tokens), whoText(h.DecidedBy, tokens)
		lines = append(lines, line)
	}
	return lines, nil
}

// propertyNames are what people call the properties, by id.
func (c *call) propertyNames() (map[string]string, error) {
	all, err := c.cloud.Properties(c.Context(), c.Org)
	names := map[string]string{}
	for _, p := range all {
		names[p.ID] = cmp.Or(p.Name, p.ID)
	}
	return names, err
}

func holdLineOf(h cloud.Hold, names map[string]string) holdLine {
	line := holdLine{Hold: h, Title: "What the directory takes away", Property: cmp.Or(names[h.Site], h.Site)}
	if line.Refused() {
		line.Title = "What the gateway refuses to lose"
	}
	if h.Proposal != nil {
		var was struct{ Name string }
		if json.Unmarshal(h.Before, &was) != nil { // an order has no name
			was.Name = ""
		}
		before := former{Name: cmp.Or(was.Name, h.Proposal.ID)}
		if h.Proposal.Op == cloud.OpPutRule && json.Unmarshal(h.Before, &before.Rule) != nil {
			before.Rule = cloud.Rule{}
		}
		line.Title = titleOf(h.Proposal, before, line.Property)
	}
	return line
}

// A holdView is one held change, with what it would do as of now.
type holdView struct {
	holdLine
	Changes factChanges
	DryRun  dryRun
	Gone    string // why it cannot be done any more
}

// holdPage shows a held change; text is what went wrong, if anything.
func (c *call) holdPage(text string) (answer, error) {
	h, err := c.cloud.Hold(c.Context(), c.Org, c.id())
	if err != nil {
		return nil, err
	}
	lines, err := c.holdLines([]cloud.Hold{h})
	if err != nil {
		return nil, err
	}
	items, err := c.siteItems(h.Site)
	if err != nil {
		return nil, err
	}
	v := holdView{holdLine: lines[0]}
	preview := h.Preview
	if v.Open() && h.Proposal != nil {
		now, err := c.cloud.Preview(c.Context(), c.Org, *h.Proposal, mostNamed)
		switch {
		case err == nil:
			preview = now
		case problem(err) != "":
			v.Gone = problem(err)
		case errors.Is(err, cloud.ErrNotFound):
			v.Gone = "What it changes is not there any more."
		default:
			return nil, err
		}
	}
	v.DryRun = newDryRun(preview, &items)
	v.DryRun.Past = !v.Open()
	if h.Proposal != nil {
		words := factWords{siteItems: &items}
		if words.directory, err = c.cloud.DirectoryGroups(c.Context(), c.Org); err != nil {
			return nil, err
		}
		v.Changes = compareFacts(words.was(h.Proposal, h.Before), words.after(h.Proposal))
	}
	p := page{template: "hold", title: v.Title, part: "Held", data: v, problem: text}
	if text != "" {
		p.status = http.StatusConflict
	}
	return p, nil
}

// confirmHold does what is held, if it takes no more than was shown.
func confirmHold(c *call) (answer, error) {
	shown, err := strconv.Atoi(c.text("removes"))
	if err != nil || shown < 0 {
		return nil, &refusal{http.StatusBadRequest, "The form cannot be read", "It does not say what you were shown."}
	}
	_, err = c.cloud.Confirm(c.Context(), c.Actor, c.Org, c.id(), shown)
	switch {
	case errors.Is(err, cloud.ErrChanged):
		return c.changedHold(shown)
	case problem(err) != "":
		return c.holdPage(problem(err))
	}
	return redirect{to: "holds/" + c.id(), did: "hold-confirmed"}, err
}

// changedHold says why a held change was not done as it was shown.
func (c *call) changedHold(shown int) (answer, error) {
	a, err := c.holdPage("What it changes has been changed by somebody since. Discard it, and make the change anew.")
	p, ok := a.(page)
	if !ok {
		return a, err
	}
	v := p.data.(holdView)
	switch now := v.DryRun.Lose.Openings; {
	case !v.Open():
		p.problem = "Somebody decided about it meanwhile."
	case now > shown:
		p.problem = fmt.Sprintf("It would take %s by now, and you were shown %d. Look at it again.", count(now, "opening", "openings"), shown)
	}
	return p, err
}

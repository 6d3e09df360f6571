package cloud

import "time"

// A Pin holds on to what the rules gave a person at a site, or to the person's
// card there, because the loss of it is held.
type Pin struct {
	Person, Site string
	Hold         string
	Kept         Outcome
	Since        time.Time
}

// pinnedPreview is what confirming h, of what the directory takes, would do.
func (w *work) pinnedPreview(h Hold) (Preview, error) {
	views, err := w.views()
	if err != nil {
		return Preview{}, err
	}
	row, err := w.measured(h.Site)
	if err != nil {
		return Preview{}, err
	}
	e := newEffect(h.Site, w.named)
	e.Openings = row.Openings
	w.judge(e, row, CauseDirectory, 0)
	e.Held = true
	for _, v := range views {
		if v.ID != h.Site {
			continue
		}
		for after := ""; ; {
			pins, err := w.tx.HoldPins(h.ID, after, batch)
			if err != nil {
				return Preview{}, err
			}
			if err := w.addPinned(e, v, pins); err != nil {
				return Preview{}, err
			}
			if len(pins) < batch {
				break
			}
			after = pins[len(pins)-1].Person
		}
	}
	return e.preview(), nil
}

func (w *work) addPinned(e *effect, v *siteView, pins []Pin) error {
	var ids []string
	for _, pin := range pins {
		ids = append(ids, pin.Person)
	}
	people, err := w.load(ids)
	if err != nil {
		return err
	}
	for _, pin := range pins {
		who := people[pin.Person]
		if who == nil {
			continue
		}
		o := outcome(v, who)
		before, after := v.layout.rights(desired(v, who, o.keeping(pin.Kept))), v.layout.rights(desired(v, who, o))
		e.add(PersonEffect{ID: who.ID, Name: who.Name}, before, after, v.layout, v.layout)
		who.forget()
	}
	return nil
}

// unpin lets go of all that h holds on to.
func (w *work) unpin(h Hold) error {
	for {
		pins, err := w.tx.HoldPins(h.ID, "", batch)
		if err != nil || len(pins) == 0 {
			return err
		}
		for _, pin := range pins {
			w.people[pin.Person] = true
			w.loose[pin.Person] = w.loose[pin.Person] || pin.Kept.HeldCard
			if err := w.tx.DeletePin(pin.Site, pin.Person); err != nil {
				return err
			}
		}
	}
}

// putPins writes what of a plan is held, and what is no more.
func (w *work) putPins(p *plan) error {
	ended := map[string]bool{}
	for _, pin := range p.unpins {
		ended[pin.Hold] = true
		if err := w.tx.DeletePin(pin.Site, pin.Person); err != nil {
			return err
		}
	}
	for i := range p.pins {
		id, err := w.directoryHold(p.pins[i].Site, p.effects[p.pins[i].Site])
		if err != nil {
			return err
		}
		p.pins[i].Hold = id
		if err := w.tx.PutPin(p.pins[i]); err != nil {
			return err
		}
		ended[id] = true // its count changes
	}
	for id := range ended {
		w.holds[id] = true
	}
	return w.recount()
}

// recount keeps the holds that lost or won people true, and ends those that
// have none left.
func (w *work) recount() error {
	for id := range w.holds {
		h, err := w.tx.Hold(w.org.ID, id)
		if err != nil {
			return err
		}
		n, err := w.tx.CountPins(id)
		if err != nil {
			return err
		}
		if h.State != HoldOpen {
			continue
		}
		if h.Preview.Lose.People = n; n == 0 {
			h.State, h.Decided, h.DecidedBy = HoldResolved, w.now, w.act.by
		}
		if err := w.tx.PutHold(h); err != nil {
			return err
		}
	}
	return nil
}

// directoryHold is the id of the open hold of what the directory takes at site.
func (w *work) directoryHold(site string, e *effect) (string, error) {
	open, err := w.tx.Holds(w.org.ID, 0)
	if err != nil {
		return "", err
	}
	for _, h := range open {
		if h.Kind == HoldDirectory && h.Site == site {
			return h.ID, nil
		}
	}
	h := Hold{
		ID: w.s.newID(w.now), Org: w.org.ID, Site: site, Kind: HoldDirectory, State: HoldOpen, Made: w.now, By: w.act.by,
		Text: "what the directory took from groups, attributes and card numbers at " + site,
	}
	h.Preview.Site, h.Preview.Openings, h.Preview.Held = site, e.Openings, true
	w.note("held at "+site, nil, e.pinned)
	w.s.log.Warn("the directory takes very much access; it is held until a person confirms it",
		"org", w.org.ID, "site", site, "hold", h.ID, "openings", e.pinned)
	return h.ID, w.tx.PutHold(h)
}

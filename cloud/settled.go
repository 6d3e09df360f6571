package cloud

import (
	"slices"

	"latchkey/access"
)

// settled is what v gives who, held losses included, and adds to the plan what
// of that is to be remembered; have is what v was told of who.
func (w *work) settled(p *plan, v *siteView, who *personView, have map[access.Ref][]byte, pin bool) (Outcome, error) {
	was := who.Outcome[v.ID]
	o, held, err := w.holding(v, who, have)
	if err != nil {
		return o, err
	}
	lost, n := was, 0
	if w.guarded == guardDirectory {
		lost.HeldCard = o.HeldCard || who.Taken
		if n = massLoss(v, who, lost, o); n > 0 {
			if lost, err = opened(v, who, have, lost, o); err != nil {
				return o, err
			}
			n = massLoss(v, who, lost, o)
		}
	}
	if n > 0 && pin {
		p.effect(v.ID, w.named).pinned += n
		kept := toKeep(v, who, lost, o, held)
		p.pins = append(p.pins, Pin{Person: who.ID, Site: v.ID, Kept: kept, Since: w.now})
		o = o.keeping(kept)
	} else {
		if n > 0 {
			p.effect(v.ID, w.named).mass += n
		}
		switch old, pinned := who.Pins[v.ID]; {
		case pinned && held == nil:
			p.unpins = append(p.unpins, old)
		case pinned && !sameKept(held.Kept, old.Kept): // or what is held no more came back with the next change
			p.pins = append(p.pins, *held)
		}
	}
	if !sameOutcome(was, o) {
		p.outcomes = append(p.outcomes, o)
	}
	return o, nil
}

// holding is what v gives who, held losses included, and the pin by which it
// does, nil where there is none any more; have is what v was told of who.
func (w *work) holding(v *siteView, who *personView, have map[access.Ref][]byte) (Outcome, *Pin, error) {
	o := outcome(v, who)
	pin, pinned := who.Pins[v.ID]
	if !pinned {
		return o, nil, nil
	}
	if w.guarded == guardDirectory && !v.frozen() {
		kept, err := opened(v, who, have, pin.Kept, o)
		if err != nil {
			return o, nil, err
		}
		kept.HeldCard = pin.Kept.HeldCard
		pin.Kept = kept
	}
	with, held := pin.holding(v, who, o)
	return with, held, nil
}

// opened is what of was may be held where who has no more than o at v: nothing
// for one who opened nothing by what v was told before, have, and else the
// groups by which who, as of now, opens only what that or o opens too. A hold
// keeps access and gives none, whatever else becomes of the person.
func opened(v *siteView, who *personView, have map[access.Ref][]byte, was, o Outcome) (Outcome, error) {
	records, err := stored(have)
	if err != nil {
		return o, err
	}
	before := v.layout.rights(records)
	if before.openings() == 0 {
		return o, nil
	}
	now := v.layout.rights(desired(v, who, o))
	was.Groups = slices.DeleteFunc(slices.Clone(was.Groups), func(group string) bool {
		return slices.ContainsFunc(v.layout.opens[group], func(d DoorAccess) bool {
			return fits(who.Kind, v.layout.doors[d.Door].Kind) && !before.open(d) && !now.open(d)
		})
	})
	return was, nil
}

// holding is what v gives who besides o because its loss is held, and the pin by
// which it is, nil where none is any more.
func holding(v *siteView, who *personView, o Outcome) (Outcome, *Pin) {
	pin, pinned := who.Pins[v.ID]
	if !pinned {
		return o, nil
	}
	return pin.holding(v, who, o)
}

// holding is what pin and o together give who at v, and what pin still is, nil
// for nothing. A card stays held until its state says otherwise; groups only as
// long as they are neither given again nor would be taken anyway. A property
// that is frozen forgets no groups.
func (pin Pin) holding(v *siteView, who *personView, o Outcome) (Outcome, *Pin) {
	groups := pin.Kept
	groups.HeldCard = false
	o.HeldCard = pin.Kept.HeldCard && who.CardState == CardHeld && !who.Taken
	with := o.keeping(groups)
	if !v.frozen() && massLoss(v, who, with, o) == 0 {
		with, groups = o, Outcome{Person: who.ID, Site: v.ID}
	}
	if groups.HeldCard = o.HeldCard; !groups.HeldCard && groups.Rule == "" {
		return with, nil
	}
	pin.Kept = groups
	return with, &pin
}

// toKeep is what a pin is to keep of was, where who has no more than o at v:
// groups that stay anyway are not held for a card's sake. held is the pin that
// there is.
func toKeep(v *siteView, who *personView, was, o Outcome, held *Pin) Outcome {
	card := was.HeldCard
	if o.HeldCard = card; massLoss(v, who, was, o) == 0 {
		was = Outcome{Person: who.ID, Site: v.ID}
		if held != nil {
			was = held.Kept
		}
	}
	was.HeldCard = card
	return was
}

// massLoss is how many openings who loses at v when the rules give after
// instead of before, whatever else became of the person.
func massLoss(v *siteView, who *personView, before, after Outcome) int {
	if sameKept(before, after) {
		return 0
	}
	return lostOpenings(v.layout.rights(desired(v, who, before)), v.layout.rights(desired(v, who, after)))
}

// keeping is o and what kept gives besides.
func (o Outcome) keeping(kept Outcome) Outcome {
	if o.Rule == "" {
		o.Rule = kept.Rule
	}
	groups := slices.Concat(o.Groups, kept.Groups)
	slices.Sort(groups)
	o.Groups = slices.Compact(groups)
	o.BLE, o.Wallet, o.HeldCard = o.BLE || kept.BLE, o.Wallet || kept.Wallet, o.HeldCard || kept.HeldCard
	return o
}

// sameOutcome says whether the rules gave the same.
func sameOutcome(a, b Outcome) bool {
	return a.Rule == b.Rule && slices.Equal(a.Groups, b.Groups) && a.Role == b.Role && a.BLE == b.BLE && a.Wallet == b.Wallet
}

// sameKept says whether a and b are the same, held card included.
func sameKept(a, b Outcome) bool { return sameOutcome(a, b) && a.HeldCard == b.HeldCard }

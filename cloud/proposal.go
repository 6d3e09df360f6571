package cloud

import (
	"context"
	"encoding/json"
	"fmt"

	"latchkey/access"
)

// The acts on a property that a Proposal can be. The audit trail calls them so.
const (
	OpPutProperty    = "put property"
	OpDeleteProperty = "delete property"
	OpCreateRule     = "create rule"
	OpPutRule        = "put rule"
	OpDeleteRule     = "delete rule"
	OpOrderRules     = "order rules"
	OpPutDoor        = "put door"
	OpDeleteDoor     = "delete door"
	OpPutGroup       = "put access group"
	OpDeleteGroup    = "delete access group"
	OpPutSchedule    = "put schedule"
	OpDeleteSchedule = "delete schedule"
)

// A Proposal is one act on a property that may change the access of many: it
// can be looked at before it is done (Preview), and one that would take access
// from too many is held until a person confirms it. Op says which of the other
// fields it needs.
type Proposal struct {
	Op       string           `json:"op"`
	Site     string           `json:"site"`
	ID       string           `json:"id,omitempty"`  // of what is deleted
	IDs      []string         `json:"ids,omitempty"` // OpOrderRules: all rules, the first to be asked first
	Rule     *Rule            `json:"rule,omitempty"`
	Property *Property        `json:"property,omitempty"`
	Door     *access.Door     `json:"door,omitempty"`
	Group    *AccessGroup     `json:"group,omitempty"`
	Schedule *access.Schedule `json:"schedule,omitempty"`
	// Mark is what Service.Mark said when a person was shown what this changes.
	// Where that is another by now, Do refuses; empty asks for nothing.
	Mark string `json:"mark,omitempty"`
}

// check refuses a proposal that lacks what its op is about.
func (p *Proposal) check() error {
	var has bool
	switch p.Op {
	case OpCreateRule, OpPutRule:
		has = p.Rule != nil
	case OpPutProperty:
		has = p.Property != nil
	case OpPutDoor:
		has = p.Door != nil
	case OpPutGroup:
		has = p.Group != nil
	case OpPutSchedule:
		has = p.Schedule != nil
	case OpDeleteRule, OpDeleteDoor, OpDeleteGroup, OpDeleteSchedule:
		has = p.ID != ""
	case OpDeleteProperty, OpOrderRules:
		has = true
	default:
		return invalid("op", "got %.40q, want what can be done to a property, such as %q", p.Op, OpPutRule)
	}
	if !has {
		return invalid("op", "%q: what it is about is missing", p.Op)
	}
	return nil
}

// act is what the audit trail says of p.
func (p *Proposal) act(by Actor) act {
	a := act{by: by, what: p.Op, object: p.ID}
	switch {
	case p.Rule != nil:
		a.object, a.name = p.Rule.ID, p.Rule.Name
	case p.Property != nil:
		a.object, a.name = p.Property.ID, p.Property.Name
	case p.Door != nil:
		a.object, a.name = p.Door.ID, p.Door.Name
	case p.Group != nil:
		a.object, a.name = p.Group.ID, p.Group.Name
	case p.Schedule != nil:
		a.object, a.name = p.Schedule.ID, p.Schedule.Name
	case p.ID == "":
		a.object = p.Site
	}
	return a
}

// run does p inside w and returns what it made, nil for what it deletes. It
// may run again on the same p: it changes nothing of it.
func (p *Proposal) run(w *work) (any, error) {
	w.note(AuditSite, nil, p.Site)
	switch p.Op {
	case OpPutProperty:
		return w.putProperty(*p.Property)
	case OpDeleteProperty:
		return nil, w.deleteProperty(p.Site)
	}
	row, err := property(w.tx, w.org.ID, p.Site)
	if err != nil {
		return nil, err
	}
	switch p.Op {
	case OpCreateRule, OpPutRule:
		return w.putRule(row, *p.Rule, p.Op == OpCreateRule)
	case OpDeleteRule:
		return nil, w.deleteRule(p.Site, p.ID)
	case OpOrderRules:
		return w.orderRules(p.Site, p.IDs)
	case OpPutDoor:
		return w.putDoor(p.Site, *p.Door)
	case OpDeleteDoor:
		return nil, w.deleteDoor(p.Site, p.ID)
	case OpPutGroup:
		return w.putAccessGroup(p.Site, *p.Group)
	case OpDeleteGroup:
		return nil, w.deleteAccessGroup(p.Site, p.ID)
	case OpPutSchedule:
		return w.putSchedule(p.Site, *p.Schedule)
	case OpDeleteSchedule:
		return nil, w.deleteSchedule(p.Site, p.ID)
	}
	return nil, p.check()
}

// Do does p as it was shown to whoever asks for it: removes is how many
// openings Preview said that it takes. Where it would take more by now, or what
// it changes is not what p.Mark says, nothing happens: ErrChanged. Otherwise what the method named like p.Op returns:
// ErrNotFound, *Invalid, *Conflict, *Held.
func (s *Service) Do(ctx context.Context, by Actor, org string, p Proposal, removes int) error {
	_, err := s.propose(ctx, by, org, p, &removes)
	return err
}

// propose does p, or holds it where it would take too much access: *Held. It
// returns what was made.
func propose[T any](ctx context.Context, s *Service, by Actor, org string, p Proposal) (T, error) {
	v, err := s.propose(ctx, by, org, p, nil)
	made, _ := v.(T)
	return made, err
}

// propose is Do; with shown nil for who was shown nothing.
func (s *Service) propose(ctx context.Context, by Actor, org string, p Proposal, shown *int) (any, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	var made any
	err := s.update(ctx, org, p.act(by), func(w *work) (err error) {
		w.guarded, w.shown = guardChange, shown
		if err := p.unchanged(w.tx); err != nil {
			return err
		}
		made, err = p.run(w)
		return err
	})
	if over, ok := asOver(err); ok {
		return nil, s.hold(ctx, by, org, p, over.preview)
	}
	return made, err
}

// before is what p is about to change, as it is now: a held proposal that was
// made of something else is not carried out.
func (p *Proposal) before(tx Tx) (json.RawMessage, error) {
	var v any
	switch p.Op {
	case OpPutRule, OpDeleteRule, OpOrderRules:
		rules, err := tx.Rules(p.Site)
		if err != nil {
			return nil, err
		}
		id := p.ID
		if p.Rule != nil {
			id = p.Rule.ID
		}
		var ids []string
		for _, r := range rules {
			ids = append(ids, r.ID)
			if r.ID == id {
				v = r
			}
		}
		if p.Op == OpOrderRules {
			v = ids
		}
	case OpPutProperty, OpDeleteProperty:
		row, err := tx.Site(p.Site)
		if err != nil {
			return nil, err
		}
		v = row.Property
	default:
		return p.itemBefore(tx)
	}
	return json.Marshal(v)
}

func (p *Proposal) itemBefore(tx Tx) (json.RawMessage, error) {
	var kind access.Kind
	id := p.ID
	switch p.Op {
	case OpPutDoor:
		kind, id = access.KindDoor, p.Door.ID
	case OpPutGroup:
		kind, id = access.KindGroup, p.Group.ID
	case OpPutSchedule:
		kind, id = access.KindSchedule, p.Schedule.ID
	case OpDeleteDoor:
		kind = access.KindDoor
	case OpDeleteGroup:
		kind = access.KindGroup
	case OpDeleteSchedule:
		kind = access.KindSchedule
	default:
		return nil, nil
	}
	its, err := tx.Items(p.Site, kind)
	for _, it := range its {
		if it.ID == id {
			return it.Doc, err
		}
	}
	return nil, err
}

// Describe says what p does, in a few words for people.
func (p *Proposal) Describe() string {
	a := p.act("")
	if a.name != "" {
		return fmt.Sprintf("%s %q at %s", p.Op, a.name, p.Site)
	}
	if a.object == p.Site || a.object == "" {
		return p.Op + " " + p.Site
	}
	return fmt.Sprintf("%s %s at %s", p.Op, a.object, p.Site)
}

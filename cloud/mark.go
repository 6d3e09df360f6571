package cloud

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"latchkey/access"
)

// Mark is a mark of what p is about to change, as it is now, for Proposal.Mark.
// Whoever shows that to somebody asks for the mark first, so that it is never of
// a later moment than what they see. ErrNotFound where the organisation has no
// such property.
func (s *Service) Mark(ctx context.Context, org string, p Proposal) (mark string, err error) {
	if err := p.check(); err != nil {
		return "", err
	}
	err = s.store.View(ctx, func(tx Tx) error {
		if _, err := property(tx, org, p.Site); err != nil {
			return err
		}
		mark, err = p.markNow(tx)
		return err
	})
	return mark, err
}

func (p *Proposal) markNow(tx Tx) (string, error) {
	doc, err := p.before(tx)
	if err != nil {
		return "", err
	}
	if p.Op == OpDeleteProperty {
		return propertyMark(tx, p.Site, doc)
	}
	return markOf(p.Op, doc)
}

// propertyMark is a mark of all that goes with a property: its settings, which
// are doc, its rules, doors, access groups and schedules.
func propertyMark(tx Tx, site string, doc json.RawMessage) (string, error) {
	settings, err := markOf(OpPutProperty, doc)
	if err != nil {
		return "", err
	}
	marks := []string{settings}
	rules, err := tx.Rules(site)
	if err != nil {
		return "", err
	}
	for _, r := range rules { // in their order, which is somebody's doing too
		doc, err := json.Marshal(r)
		if err != nil {
			return "", err
		}
		mark, err := markOf(OpPutRule, doc)
		if err != nil {
			return "", err
		}
		marks = append(marks, mark)
	}
	for _, kind := range []access.Kind{access.KindDoor, access.KindGroup, access.KindSchedule} {
		its, err := tx.Items(site, kind)
		if err != nil {
			return "", err
		}
		for _, it := range its {
			marks = append(marks, string(kind), it.ID, string(it.Doc))
		}
	}
	doc, err = json.Marshal(marks)
	if err != nil {
		return "", err
	}
	return markOf(OpDeleteProperty, doc)
}

// unchanged refuses a proposal with a mark of what is another by now:
// ErrChanged.
func (p *Proposal) unchanged(tx Tx) error {
	if p.Mark == "" {
		return nil
	}
	now, err := p.markNow(tx)
	if err == nil && now != p.Mark {
		err = fmt.Errorf("%w: somebody changed what %q is about", ErrChanged, p.Op)
	}
	return err
}

// markOf is short, because it goes into forms. What changes without anybody's
// changing the thing itself is not in it: a rule's place, and which directory
// group has a name by now.
func markOf(op string, doc json.RawMessage) (string, error) {
	var err error
	switch op {
	case OpPutRule, OpDeleteRule:
		doc, err = reduced(doc, func(r *Rule) {
			r.Position = 0
			for i := range r.Conditions {
				if r.Conditions[i].Group != "" {
					r.Conditions[i].GroupID = ""
				}
			}
		})
	case OpPutProperty:
		doc, err = reduced(doc, func(p *Property) { p.PilotIDs = nil })
	}
	sum := sha256.Sum256(doc)
	return base64.RawURLEncoding.EncodeToString(sum[:12]), err
}

// reduced is doc, of a T, without what cut takes out.
func reduced[T any](doc json.RawMessage, cut func(*T)) (json.RawMessage, error) {
	var v T
	if err := json.Unmarshal(doc, &v); err != nil {
		return nil, err
	}
	cut(&v)
	return json.Marshal(v)
}

// latest is how many entries of the audit trail are looked at for who changed
// something.
const latest = 200

// Overtook is the entry of the audit trail that changed what p is about, from
// what it was at p.Mark; ok is false where none of the latest did. For a whole
// property it is the newest that changed anything of it.
func (s *Service) Overtook(ctx context.Context, org string, p Proposal) (e AuditEntry, ok bool, err error) {
	return s.newest(ctx, org, p.Site, func(e AuditEntry) bool {
		if p.Op == OpDeleteProperty {
			_, waits := e.Changes["held"]
			return !waits
		}
		doc := noted(e.Changes[p.noted()].Before)
		mark, err := markOf(p.Op, doc)
		return err == nil && doc != nil && mark == p.Mark
	})
}

// Deleted is the entry of the audit trail that deleted what p is about; ok is
// false where none of the latest did.
func (s *Service) Deleted(ctx context.Context, org string, p Proposal) (e AuditEntry, ok bool, err error) {
	id := p.act("").object
	return s.newest(ctx, org, p.Site, func(e AuditEntry) bool {
		var was struct{ ID string }
		c := e.Changes[p.noted()]
		return c.After == nil && json.Unmarshal(noted(c.Before), &was) == nil && was.ID == id
	})
}

// newest is the newest of the latest entries about a property that did
// something, of those for which is holds.
func (s *Service) newest(ctx context.Context, org, site string, is func(AuditEntry) bool) (AuditEntry, bool, error) {
	entries, err := s.Audit(ctx, org, "", latest)
	for _, e := range entries {
		if e.Error == "" && e.Changes[AuditSite].After == site && is(e) {
			return e, true, nil
		}
	}
	return AuditEntry{}, false, err
}

// AuditSite is the key of AuditEntry.Changes that says, in After, at which
// property something was done or refused.
const AuditSite = "at property"

// noted is a value of the audit trail as JSON, nil for none: items are noted as
// they are stored, as text.
func noted(v any) json.RawMessage {
	if text, ok := v.(string); ok {
		return json.RawMessage(text)
	}
	doc, err := json.Marshal(v)
	if v == nil || err != nil {
		return nil
	}
	return doc
}

// noted is what the audit trail calls that which p changes.
func (p *Proposal) noted() string {
	switch p.Op {
	case OpPutRule, OpDeleteRule:
		return "rule"
	case OpOrderRules:
		return "order"
	case OpPutProperty:
		return "property"
	case OpPutDoor, OpDeleteDoor:
		return string(access.KindDoor)
	case OpPutGroup, OpDeleteGroup:
		return string(access.KindGroup)
	case OpPutSchedule, OpDeleteSchedule:
		return string(access.KindSchedule)
	}
	return ""
}

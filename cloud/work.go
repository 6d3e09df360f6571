package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"latchkey/access"
	"latchkey/delta"
)

// batch is how many people's gains one transaction writes at most: a larger
// change writes its losses at once and its gains in batches (design, "One
// change"). It is also how many people are read at a time.
const batch = 500

// An act is who does what, for the audit trail.
type act struct {
	by     Actor
	what   string // "create user"
	object string // id; set later where it is made by the act
	name   string
}

// A work is one transaction on one organisation: what it touches is collected,
// and the sites' logs follow at its end.
type work struct {
	s        *Service
	tx       Tx
	org      Org
	now      time.Time
	act      act
	changes  map[string]Change // for the audit trail; nil records nothing
	received []Unmapped        // attributes that came with a new value, and that nobody declared

	guarded  guardMode
	approved *delta.Approval // a person's word that what is lost is meant
	cause    string          // of the losses that are approved
	shown    *int            // openings that whoever acts was shown to go; nil asks for nothing
	named    int             // people whom effects name

	rooms *rooms // of its own where what it does is not to be done
	added bool   // to the configuration of a property

	lenient bool // a card number that cannot be used is set aside rather than refused

	config   bool            // properties, what they have, or badge types changed
	people   map[string]bool // whose access is to be worked out anew at every site
	everyone map[string]bool // sites at which everyone's is
	own      map[string]bool // sites whose doors, groups, grants, schedules changed
	holds    map[string]bool // whose people changed
	taken    map[string]bool // people whose card number the directory just took, so that its loss may be held
	loose    map[string]bool // people whose held card may be held no more
	freed    map[string]int  // numbers of mobile keys that went with their people, by technology
	roles    map[string]bool // people whose sessions at the admin page end
	backlog  bool            // gains were left for the background
	appended bool            // a log grew
}

func newWork(s *Service, tx Tx, a act) *work {
	return &work{
		s: s, tx: tx, now: stamp(s.now()), act: a, named: namedInHold, rooms: s.rooms,
		people: map[string]bool{}, everyone: map[string]bool{}, own: map[string]bool{}, holds: map[string]bool{}, roles: map[string]bool{},
		taken: map[string]bool{}, loose: map[string]bool{}, freed: map[string]int{},
	}
}

// update runs f as one transaction of org, lets the sites follow, and records
// the act. A refusal is recorded too.
func (s *Service) update(ctx context.Context, org string, a act, f func(*work) error) error {
	var w *work
	err := s.store.Update(ctx, func(tx Tx) error {
		w = newWork(s, tx, a)
		var err error
		if w.org, err = tx.Org(org); err != nil {
			return err
		}
		if err := f(w); err != nil {
			return err
		}
		if err := w.settle(); err != nil {
			return err
		}
		if w.changes == nil {
			return nil
		}
		return tx.AppendAudit(w.entry(nil))
	})
	if err == nil {
		if w.changes == nil && w.guarded == guardDirectory {
			s.journal.nothingNew(w)
		}
		if len(w.received) > 0 {
			s.journal.received(w)
		}
		s.wake(w.appended, w.backlog)
		return nil
	}
	if w != nil && w.org.ID != "" && refusal(err) {
		if auditErr := s.store.Update(ctx, func(tx Tx) error { return tx.AppendAudit(w.entry(err)) }); auditErr != nil {
			s.journal.mu.Lock()
			s.journal.lost++
			s.journal.mu.Unlock()
			s.log.Error("audit entry of a refusal was not stored", "org", org, "what", a.what, "err", auditErr)
		}
	}
	return err
}

// refusal says whether err is the answer to a caller rather than a fault.
func refusal(err error) bool {
	_, isInvalid := errors.AsType[*Invalid](err)
	_, isConflict := errors.AsType[*Conflict](err)
	return isInvalid || isConflict || slices.ContainsFunc([]error{ErrPrecondition, ErrChanged, ErrSignInCode, ErrNotAdministrator, ErrOtherAccount},
		func(refused error) bool { return errors.Is(err, refused) })
}

func (w *work) entry(err error) AuditEntry {
	e := AuditEntry{
		ID: w.s.newID(w.now), Org: w.org.ID, At: w.now, Who: w.act.by,
		What: w.act.what, Object: w.act.object, Name: w.act.name, Changes: w.changes,
	}
	if err != nil {
		e.Error, e.Changes = err.Error(), nil
		if at, ok := w.changes[AuditSite]; ok {
			e.Changes = map[string]Change{AuditSite: at}
		}
	}
	return e
}

// note records that field went from before to after.
func (w *work) note(field string, before, after any) {
	if w.changes == nil {
		w.changes = map[string]Change{}
	}
	w.changes[field] = Change{Before: before, After: after}
}

// load gathers what the rules ask about the people ids. Those who do not exist
// are not in the map.
func (w *work) load(ids []string) (map[string]*personView, error) {
	rows, err := w.tx.People(w.org.ID, ids)
	if err != nil {
		return nil, err
	}
	people := make(map[string]*personView, len(rows))
	for _, row := range rows {
		if !json.Valid(row.Doc) {
			return nil, fmt.Errorf("cloud: stored document of person %s is not JSON", row.ID)
		}
		people[row.ID] = &personView{PersonRow: row, Manual: map[string][]string{}, Outcome: map[string]Outcome{}, Pins: map[string]Pin{}, Taken: w.taken[row.ID]}
	}
	groups, err := w.tx.GroupIDsOf(w.org.ID, ids)
	if err != nil {
		return nil, err
	}
	cards, err := w.tx.Cards(ids)
	if err != nil {
		return nil, err
	}
	manual, err := w.tx.ManualMembers(ids)
	if err != nil {
		return nil, err
	}
	outcomes, err := w.tx.Outcomes(ids)
	if err != nil {
		return nil, err
	}
	pins, err := w.tx.Pins(ids)
	if err != nil {
		return nil, err
	}
	for id, p := range people {
		p.Groups = groups[id]
	}
	for _, c := range cards {
		if p := people[c.Person]; p != nil {
			p.Cards = append(p.Cards, c)
		}
	}
	for _, m := range manual {
		if p := people[m.Person]; p != nil {
			p.Manual[m.Site] = append(p.Manual[m.Site], m.Group)
		}
	}
	for _, o := range outcomes {
		if p := people[o.Person]; p != nil {
			p.Outcome[o.Site] = o
		}
	}
	for _, pin := range pins {
		if p := people[pin.Person]; p != nil {
			p.Pins[pin.Site] = pin
		}
	}
	return people, nil
}

// views are the organisation's properties as people's access sees them. They
// are kept between transactions until the configuration changes.
func (w *work) views() ([]*siteView, error) {
	if !w.config {
		if v := w.s.cachedViews(w.org); v != nil {
			return v, nil
		}
	}
	sites, err := w.tx.Sites(w.org.ID)
	if err != nil {
		return nil, err
	}
	views := make([]*siteView, 0, len(sites))
	for _, site := range sites {
		v := &siteView{Property: site.Property, Deleted: site.Deleted, Groups: map[string]bool{}}
		rules, err := w.tx.Rules(site.ID)
		if err != nil {
			return nil, err
		}
		for _, r := range rules {
			if r.Enabled {
				v.Rules = append(v.Rules, r)
			}
			v.parts += 1 + len(r.Conditions)
		}
		own, err := ownRecords(w.tx, site.ID)
		if err != nil {
			return nil, err
		}
		for _, r := range own {
			if g, ok := r.(access.Group); ok {
				v.Groups[g.ID] = true
			}
		}
		v.layout = layoutOf(own)
		v.parts += len(own)
		views = append(views, v)
	}
	if !w.config {
		w.s.cacheViews(w.org, views)
	}
	return views, nil
}

// referenced says whether any property asks about membership of the directory
// group id.
func (w *work) referenced(id string) (bool, error) {
	views, err := w.views()
	if err != nil {
		return false, err
	}
	for _, v := range views {
		if slices.Contains(v.PilotIDs, id) {
			return true, nil
		}
		for _, r := range v.Rules {
			if slices.ContainsFunc(r.Conditions, func(c Condition) bool { return c.GroupID == id }) {
				return true, nil
			}
		}
	}
	return false, nil
}

// ownEdits is the difference in what site holds that is nobody's: doors,
// groups, grants and schedules; was is the layout that it holds.
func (w *work) ownEdits(site string) (edits []edit, was *layout, err error) {
	rows, err := w.tx.OwnRecords(site)
	if err != nil {
		return nil, nil, err
	}
	if was, err = storedLayout(rows); err != nil {
		return nil, nil, err
	}
	have := make(map[access.Ref][]byte, len(rows))
	var grants []access.Grant
	for _, r := range rows {
		have[r.Ref] = r.Doc
		if r.Ref.Kind == access.KindGrant {
			g, err := read[access.Grant](r.Doc)
			if err != nil {
				return nil, nil, err
			}
			grants = append(grants, g)
		}
	}
	want, err := ownRecords(w.tx, site)
	if err != nil {
		return nil, nil, err
	}
	edits, err = compare("", have, want, grants)
	return edits, was, err
}

// ownRecords is what site should hold that is nobody's.
func ownRecords(tx Tx, site string) ([]access.Record, error) {
	row, err := tx.Site(site)
	if err != nil || row.Deleted {
		return nil, err
	}
	var want []access.Record
	doors, err := items[access.Door](tx, site, access.KindDoor)
	if err != nil {
		return nil, err
	}
	for _, d := range doors {
		want = append(want, d)
	}
	schedules, err := items[access.Schedule](tx, site, access.KindSchedule)
	if err != nil {
		return nil, err
	}
	for _, s := range schedules {
		want = append(want, s)
	}
	groups, err := items[AccessGroup](tx, site, access.KindGroup)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		want = append(want, access.Group{ID: g.ID, Name: g.Name})
		for _, d := range g.Grants {
			want = append(want, access.Grant{Group: g.ID, Door: d.Door, Schedule: d.Schedule})
		}
	}
	return want, nil
}

// items reads the doors, schedules or groups of a property.
func items[T any](tx Tx, site string, kind access.Kind) ([]T, error) {
	rows, err := tx.Items(site, kind)
	if err != nil {
		return nil, err
	}
	all := make([]T, len(rows))
	for i, row := range rows {
		if err := json.Unmarshal(row.Doc, &all[i]); err != nil {
			return nil, fmt.Errorf("cloud: stored %s of %s: %w", kind, site, err)
		}
	}
	return all, nil
}

// nextEpoch is the epoch of a stream that starts now (design, "Stream").
func nextEpoch(last uint32, now time.Time) uint32 {
	return max(last+1, uint32(min(max(now.Unix(), 0), 1<<32-2)))
}

// startStream gives site a new, empty stream.
func startStream(row *SiteRow, now time.Time) {
	row.Head = delta.Head{Epoch: nextEpoch(row.Head.Epoch, now)}
}

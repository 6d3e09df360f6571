package okta

import (
	"context"
	"fmt"
	"time"

	"latchkey/cloud"
)

// reconcile reads everything, and takes away what is not there any more. That
// is all that finds what was deleted: no read by time shows it.
func (r *reader) reconcile(ctx context.Context) error {
	people, groups, err := r.cloud.Pulled(ctx, r.org) // before, or what comes meanwhile would be missing
	if err != nil {
		return err
	}
	seen, users := map[string]bool{}, 0
	at, err := r.users(ctx, time.Time{}, func(page []User) {
		for _, u := range page {
			seen[u.ID] = true
		}
		users += len(page)
	})
	if err != nil {
		return err
	}
	listed, err := r.allGroups(ctx)
	if err != nil {
		return err
	}
	for _, g := range listed {
		seen[g.ID] = true
		if err := r.takeGroup(ctx, g); err != nil {
			return err
		}
	}
	if err := r.missing(ctx, people, groups, seen); err != nil {
		return err
	}
	r.note(func(s *State) {
		s.Users, s.Groups, s.Reconciled = users, len(listed), r.now()
		if s.Watermark.IsZero() {
			s.Watermark = at.Add(-overlap)
		}
	})
	return nil
}

// allGroups lists the groups that are read.
func (r *reader) allGroups(ctx context.Context) (all []Group, err error) {
	_, err = r.client.Groups(ctx, time.Time{}, func(page []Group) error {
		for _, g := range page {
			if g.Type != builtIn && checkID(g.ID) == nil {
				all = append(all, g)
			}
		}
		return nil
	})
	return all, err
}

// missing asks for everyone by name who was known and was not listed, unless
// they are so many that the list is more likely to be wrong.
func (r *reader) missing(ctx context.Context, people []cloud.PulledPerson, groups []cloud.PulledGroupRow, seen map[string]bool) error {
	var gone pings
	known := Absence{Groups: len(groups)}
	for _, p := range people {
		if p.Status == StatusDeprovisioned || p.Status == StatusDeleted { // never listed
			continue
		}
		if known.Users++; !seen[p.PulledID] {
			gone.Users = append(gone.Users, p.PulledID)
		}
	}
	for _, g := range groups {
		if !seen[g.PulledID] {
			gone.Groups = append(gone.Groups, g.PulledID)
		}
	}
	n := Absence{len(gone.Users), len(gone.Groups)}
	if !believed(n, known, r.look().Approved) {
		reason := fmt.Sprintf("Okta lists %d of %d users and %d of %d groups no more: may the token still see all of them?", n.Users, known.Users, n.Groups, known.Groups)
		return r.hold(ctx, reason, n, cloud.Pull{GoneUsers: gone.Users, GoneGroups: gone.Groups})
	}
	for _, id := range gone.Users {
		if err := r.readUser(ctx, id); err != nil {
			return err
		}
	}
	for _, id := range gone.Groups {
		if err := r.readGroup(ctx, id); err != nil {
			return err
		}
	}
	r.note(func(s *State) { s.Approved, s.Held = nil, nil })
	return nil
}

// hold keeps what p would do for a person to look at.
func (r *reader) hold(ctx context.Context, reason string, missing Absence, p cloud.Pull) error {
	f, err := r.cloud.ForecastPull(ctx, r.org, p)
	if err != nil {
		return err
	}
	r.note(func(s *State) { s.Held = &Held{Reason: reason, At: r.now(), Missing: missing, Forecast: f} })
	r.log.Warn("what was read of Okta is held until a person confirms it", "org", r.org, "reason", reason, "gain", f.Gain.Count, "lose", f.Lose.Count)
	return nil
}

// forecast reads everything and takes nothing: a person is to see first what
// it would do.
func (r *reader) forecast(ctx context.Context) error {
	p := cloud.Pull{}
	if _, err := r.client.Users(ctx, time.Time{}, func(page []User) error {
		for _, u := range page {
			p.Users = append(p.Users, r.pulled(u))
		}
		return nil
	}); err != nil {
		return err
	}
	groups, err := r.allGroups(ctx)
	if err != nil {
		return err
	}
	for _, g := range groups {
		ids, err := r.members(ctx, g.ID, func(uint64, []User) error { return nil })
		if err != nil {
			return err
		}
		p.Groups = append(p.Groups, pulledGroup(g, ids))
	}
	r.note(func(s *State) { s.Users, s.Groups = len(p.Users), len(p.Groups) })
	return r.hold(ctx, "this is the first read: look at who gains and who loses access, then confirm", Absence{}, p)
}

package cloud

import (
	"context"
	"maps"
	"slices"
)

// An AdminRole is what the rules make of somebody who signs in at the admin
// page. Rules never make an owner (REQUIREMENTS R2).
type AdminRole struct {
	Person string   `json:"person"`
	Name   string   `json:"name"`
	Role   string   `json:"role"`  // RoleAdmin, RoleUser, or empty where no rule gives one
	Sites  []string `json:"sites"` // properties at which it is RoleAdmin
	// Changes grows whenever the role, the state or the address of the person
	// changes. A session that began for another Person or under another number
	// of Changes is over.
	Changes int64 `json:"changes"`
}

// RoleOf is the role of the active person whom the directory calls by this
// user name or, where nobody has it, whose only address it is among active
// people: ErrNotFound. The highest role of all properties counts.
func (s *Service) RoleOf(ctx context.Context, org, email string) (AdminRole, error) {
	var role AdminRole
	err := s.store.View(ctx, func(tx Tx) error {
		if _, err := tx.Org(org); err != nil {
			return err
		}
		row, _, err := signedIn(tx, org, email)
		if err != nil {
			return err
		}
		role = AdminRole{Person: row.ID, Name: row.Name, Sites: []string{}, Changes: row.RoleChanges}
		outcomes, err := tx.Outcomes([]string{row.ID})
		if err != nil {
			return err
		}
		for _, o := range outcomes {
			switch {
			case o.Role == RoleAdmin:
				role.Role = RoleAdmin
				role.Sites = append(role.Sites, o.Site)
			case role.Role == "":
				role.Role = o.Role
			}
		}
		return nil
	})
	return role, err
}

// signedIn finds the active person of the directory whom email stands for:
// ErrNotFound. out says that the directory knows the address, and has disabled
// all who have it. A suspension by hand, which is any admin's, must not decide
// whether an owner gets in.
func signedIn(tx Tx, org, email string) (row PersonRow, out bool, err error) {
	if email == "" {
		return PersonRow{}, false, ErrNotFound
	}
	for _, attr := range []string{"userName", "emails.value"} {
		rows, err := tx.FindPeople(find(org, []Term{{attr, email}}), 0, 50)
		if err != nil {
			return PersonRow{}, false, err
		}
		known, enabled := len(rows) > 0, slices.ContainsFunc(rows, func(p PersonRow) bool { return p.Active && !p.PulledOut })
		rows = slices.DeleteFunc(rows, func(p PersonRow) bool { return p.State() != "active" })
		if len(rows) == 1 {
			return rows[0], false, nil
		}
		if known { // disabled, or several have that address: no guess
			return PersonRow{}, !enabled, ErrNotFound
		}
	}
	return PersonRow{}, false, ErrNotFound
}

// endSessions counts the changes of roles.
func (w *work) endSessions() error {
	for _, id := range slices.Sorted(maps.Keys(w.roles)) {
		if !w.roles[id] {
			continue
		}
		if err := w.tx.CountRoleChange(id); err != nil {
			return err
		}
	}
	return nil
}

package okta

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// The statuses of a user (facts of the Users API).
const (
	StatusStaged          = "STAGED"
	StatusProvisioned     = "PROVISIONED"
	StatusActive          = "ACTIVE"
	StatusRecovery        = "RECOVERY"
	StatusPasswordExpired = "PASSWORD_EXPIRED"
	StatusLockedOut       = "LOCKED_OUT"
	StatusSuspended       = "SUSPENDED"
	StatusDeprovisioned   = "DEPROVISIONED"
	StatusDeleted         = "DELETED" // ours: Okta does not know the user any more
)

// DefaultValid lists the statuses whose people may open doors unless an
// organisation says otherwise: the state of a password locks nobody out of a
// building. SUSPENDED and DEPROVISIONED can never be among them.
func DefaultValid() []string {
	return []string{StatusActive, StatusPasswordExpired, StatusRecovery, StatusLockedOut}
}

// checkValid refuses statuses that do not exist or must lock out.
func checkValid(statuses []string) error {
	may := append(DefaultValid(), StatusStaged, StatusProvisioned)
	for _, s := range statuses {
		if !slices.Contains(may, s) {
			return fmt.Errorf("okta: valid: got %.40q, want some of %v", s, may)
		}
	}
	return nil
}

// A User is a user of Okta. Profile has what the organisation's schema has.
type User struct {
	ID          string         `json:"id"`
	Status      string         `json:"status"`
	Created     time.Time      `json:"created"`
	LastUpdated time.Time      `json:"lastUpdated"`
	Profile     map[string]any `json:"profile"`
}

// A Group is a group of Okta, without its members.
type Group struct {
	ID                    string    `json:"id"`
	Type                  string    `json:"type"` // OKTA_GROUP, APP_GROUP, BUILT_IN
	LastUpdated           time.Time `json:"lastUpdated"`
	LastMembershipUpdated time.Time `json:"lastMembershipUpdated"`
	Profile               struct {
		Name        string `json:"name"`
		Description string `json:"description"`
	} `json:"profile"`
}

// An Event is an entry of the System Log, as far as it is read: which objects
// it is about. What it says of them is not believed; they are read again.
type Event struct {
	UUID      string    `json:"uuid"`
	Published time.Time `json:"published"`
	EventType string    `json:"eventType"`
	Target    []Target  `json:"target"`
}

// A Target is an object that an Event is about.
type Target struct {
	ID   string `json:"id"`
	Type string `json:"type"` // "User", "UserGroup", …
}

// What a caller of Client decides on.
var (
	// ErrNotFound says that Okta has no such object.
	ErrNotFound = errors.New("okta: not found")
	// ErrToken says that Okta refuses the token: revoked, expired, or its owner
	// is gone.
	ErrToken = errors.New("okta: the token is refused")
	// ErrForbidden says that the token's owner may not read this.
	ErrForbidden = errors.New("okta: the token's owner may not read this")
)

// An Error is an answer of Okta that is no success.
type Error struct {
	What    string // "users", "groups", …
	Status  int    // HTTP
	Code    string // Okta's, such as E0000011
	Summary string
}

func (e *Error) Error() string {
	return fmt.Sprintf("okta: %s: got status %d %s %s, want 200", e.What, e.Status, e.Code, e.Summary)
}

// Unwrap is the sentinel of e's status.
func (e *Error) Unwrap() error {
	switch e.Status {
	case 401:
		return ErrToken
	case 403:
		return ErrForbidden
	case 404:
		return ErrNotFound
	}
	return nil
}

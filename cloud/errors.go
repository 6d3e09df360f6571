package cloud

import (
	"errors"
	"fmt"
)

// What a caller decides on.
var (
	// ErrNotFound says that the organisation has no such thing.
	ErrNotFound = errors.New("cloud: not found")
	// ErrToken says that the bearer token opens no organisation.
	ErrToken = errors.New("cloud: token not known")
	// ErrSCIMDisabled says that the organisation has switched SCIM off.
	ErrSCIMDisabled = errors.New("cloud: SCIM is disabled for this organisation")
	// ErrPrecondition says that If-Match names another version.
	ErrPrecondition = errors.New("cloud: the resource has changed since that version")
	// ErrChanged says that what a person confirms is not what it was when it was
	// shown.
	ErrChanged = errors.New("cloud: it has changed since it was shown")
	// ErrNotPublisher says that another process serves the site now.
	ErrNotPublisher = errors.New("cloud: the site is served by another process")
	// ErrNoEntry says that the site's log has no such entry: never had, or not
	// any more.
	ErrNoEntry = errors.New("cloud: no such log entry")
)

// The SCIM error types of RFC 7644 §3.12 that an Invalid may carry.
const (
	InvalidValue = "invalidValue"
	Mutability   = "mutability"
	NoTarget     = "noTarget"
)

// An Invalid says which value was refused and why, in words for the admin of
// the directory. Nothing was changed. It never repeats a card number.
type Invalid struct {
	ScimType string // InvalidValue unless said otherwise
	Attr     string // SCIM path or field name
	Detail   string
}

func (e *Invalid) Error() string { return fmt.Sprintf("cloud: %s: %s", e.Attr, e.Detail) }

// A Conflict says that another resource has the value already. Nothing was
// changed.
type Conflict struct {
	Attr  string // "userName", "externalId", "displayName", "id", …
	Value string // empty where it must not be repeated
	ID    string // the resource that has it, where the caller may know
}

func (e *Conflict) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("cloud: %s is taken", e.Attr)
	}
	return fmt.Sprintf("cloud: %s %q is taken", e.Attr, e.Value)
}

func invalid(attr, format string, args ...any) error {
	return &Invalid{ScimType: InvalidValue, Attr: attr, Detail: fmt.Sprintf(format, args...)}
}

package cloud

import (
	"time"

	"latchkey/access"
	"latchkey/wiegand"
)

// EnterpriseURN is the extension under which both directories send department,
// manager, employeeNumber and cardNumber (REQUIREMENTS K1, K2).
const EnterpriseURN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

// A Profile says which dialect's leniencies an organisation gets where the two
// directories and the RFC contradict one another.
type Profile string

// The profiles. The zero Profile is ProfileAuto.
const (
	ProfileAuto   Profile = ""       // by what the client says of itself
	ProfileEntra  Profile = "entra"  // Microsoft Entra ID
	ProfileOkta   Profile = "okta"   // Okta
	ProfileStrict Profile = "strict" // RFC 7643 and 7644 to the letter
)

// What to do with the directory-made card once the directory says that there
// is no number any more (REQUIREMENTS K6).
const (
	RemovalKeep   = "keep"   // it stays until an admin deletes it
	RemovalRevoke = "revoke" // it is deleted
)

// An Actor is who acts, as the audit trail shows it: "admin", "system",
// "scim token ID", a name.
type Actor string

// An Org is one customer.
type Org struct {
	ID          string    `json:"id"` // [a-z0-9-]{1,32}
	Name        string    `json:"name"`
	Profile     Profile   `json:"profile,omitempty"`
	SCIMEnabled bool      `json:"scim_enabled"`
	CardRemoval string    `json:"card_removal"` // RemovalKeep or RemovalRevoke
	Sentinels   []string  `json:"sentinels"`    // card numbers that mean "none", compared without case
	Created     time.Time `json:"created"`
	Config      int64     `json:"-"` // counts changes of properties, rules and badge types
}

// An OrgPatch changes what is not nil.
type OrgPatch struct {
	Name        *string   `json:"name"`
	Profile     *Profile  `json:"profile"`
	SCIMEnabled *bool     `json:"scim_enabled"`
	CardRemoval *string   `json:"card_removal"`
	Sentinels   *[]string `json:"sentinels"`
}

// A Token lets a directory in. The secret itself is shown once and not kept.
type Token struct {
	ID      string    `json:"id"`
	Org     string    `json:"org"`
	Label   string    `json:"label"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // zero is never

	LastUsed   time.Time `json:"last_used,omitzero"`
	LastClient string    `json:"last_client,omitempty"` // User-Agent
}

// A BadgeType says how the numbers of one kind of card become bits. One badge
// type of an organisation is the default.
type BadgeType struct {
	ID       string  `json:"id"`
	Format   string  `json:"format"`             // Wiegand format, such as "H10302"
	Facility *uint64 `json:"facility,omitempty"` // for numbers that name none
	Default  bool    `json:"default"`
	Shared   bool    `json:"shared"` // several people may have the same number
}

// A Property is a site: a building with an agent, doors and rules. Site ids
// are unique across organisations, because they name MQTT topics.
type Property struct {
	ID     string   `json:"id"` // [a-z0-9-]{1,32}
	Org    string   `json:"org"`
	Name   string   `json:"name"`
	Key    string   `json:"key,omitempty"` // the agent's public key, "latchkey-ed25519:KID:BASE64"
	Wallet bool     `json:"wallet"`        // Apple Wallet is installed here
	Pilot  []string `json:"pilot_groups,omitempty"`
	// PilotIDs are the directory groups that Pilot is bound to, "" while a
	// name is not provisioned yet. Set by the Service.
	PilotIDs []string `json:"pilot_group_ids,omitempty"`
	Guard    *Guard   `json:"guard,omitempty"` // nil is the default, 10 percent and 20 openings
}

// A PropertyStatus is a Property as the list shows it.
type PropertyStatus struct {
	Property
	Rules   int      `json:"rules"`           // enabled ones
	Syncing bool     `json:"syncing"`         // false: the property is frozen
	Note    string   `json:"note,omitempty"`  // NoteNoRule or NoteRulesOff
	Waits   []string `json:"waits,omitempty"` // names of groups that rules or the pilot ask for and no directory has sent yet
}

// NoteNoRule is what a property without an enabled rule is reported as
// (REQUIREMENTS R1), and NoteRulesOff if it has rules and all are disabled.
const (
	NoteNoRule   = "not syncing: no rule"
	NoteRulesOff = "not syncing: no rule is enabled"
)

// An AccessGroup is a door access group of a property: a set of doors, each
// with the hours in which it opens.
type AccessGroup struct {
	ID     string       `json:"id"`
	Name   string       `json:"name"`
	Grants []DoorAccess `json:"grants"`
}

// A DoorAccess is one door of an AccessGroup.
type DoorAccess struct {
	Door     string `json:"door"`
	Schedule string `json:"schedule,omitempty"` // empty is always
}

// How a rule's conditions combine.
const (
	MatchAll = "all"
	MatchAny = "any"
)

// The tests of a Condition on an attribute; they ignore case.
const (
	OpEqual    = "eq"
	OpNotEqual = "ne" // also holds where the attribute is absent
	OpContains = "co"
	OpStarts   = "sw"
	OpPresent  = "pr"
)

// A Condition tests one directory group or one attribute of a person.
type Condition struct {
	Group   string `json:"group,omitempty"`    // displayName, as the admin wrote it
	GroupID string `json:"group_id,omitempty"` // what it is bound to; empty while no such group exists
	Attr    string `json:"attr,omitempty"`     // "department", "metadata.city", "urn:…:User:costCenter"
	Op      string `json:"op,omitempty"`
	Value   string `json:"value,omitempty"`
}

// Mobile says which mobile keys a rule asks for.
type Mobile struct {
	BLE    bool `json:"ble"`
	Wallet bool `json:"wallet"`
}

// The roles that a rule can give.
const (
	RoleUser  = "User"
	RoleAdmin = "Admin"
)

// A Rule gives access at one property to whom it matches. The first enabled
// rule that matches decides.
type Rule struct {
	ID         string      `json:"id"`
	Site       string      `json:"site"`
	Name       string      `json:"name"`
	Enabled    bool        `json:"enabled"`
	Match      string      `json:"match"` // MatchAll or MatchAny; without conditions everyone matches
	Conditions []Condition `json:"conditions"`
	Groups     []string    `json:"groups"` // access groups of the property
	Role       string      `json:"role,omitempty"`
	Mobile     Mobile      `json:"mobile"`
	OnlyNew    bool        `json:"only_new"` // only people who appeared after Created
	Position   int         `json:"position"` // 1 is asked first
	Created    time.Time   `json:"created"`
}

// Where a person or a card comes from.
const (
	OriginDirectory = "directory"
	OriginManual    = "manual"
	OriginRule      = "rule" // a mobile key
)

// A Card is a keycard or a mobile key of one person. It never prints its
// number.
type Card struct {
	ID         string       `json:"id"`
	Org        string       `json:"-"`
	Person     string       `json:"person"`
	Origin     string       `json:"origin"`               // OriginDirectory, OriginManual or OriginRule
	Technology string       `json:"technology,omitempty"` // access.TechCard, access.TechBLE or access.TechWallet
	Status     string       `json:"status"`               // access.CredentialActive, access.CredentialSuspended or, of mobile keys, access.CredentialPending
	BadgeType  string       `json:"badge_type,omitempty"`
	Format     string       `json:"format,omitempty"`
	Bits       wiegand.Bits `json:"-"`
	Facility   uint64       `json:"-"`
	Number     uint64       `json:"-"`
	Shared     bool         `json:"shared,omitempty"`
	Masked     string       `json:"number"`                // for people: format and last digits
	ValidFrom  int64        `json:"valid_from,omitempty"`  // unix seconds; 0 is open
	ValidUntil int64        `json:"valid_until,omitempty"` // unix seconds, first second that is refused; 0 is open
	Created    time.Time    `json:"created"`
}

// A NewCard is what an admin types in.
type NewCard struct {
	Number     string `json:"number"`
	BadgeType  string `json:"badge_type"` // empty is the default one
	ValidFrom  int64  `json:"valid_from"`
	ValidUntil int64  `json:"valid_until"`
}

// A CardPatch changes what is not nil.
type CardPatch struct {
	Status     *string `json:"status"`
	ValidFrom  *int64  `json:"valid_from"`
	ValidUntil *int64  `json:"valid_until"`
}

// What became of the card number that the directory sends.
const (
	CardNone     = ""          // it sends none
	CardIssued   = "issued"    // there is a directory-made card of it
	CardLinked   = "linked"    // the person has a manual card of that number
	CardSetAside = "set aside" // it cannot be used; CardText says why
	CardDeleted  = "deleted"   // an admin deleted the card; a changed number brings one back
	CardKept     = "kept"      // the directory removed it, the card stays
	CardHeld     = "held"      // the directory took it from very many; the card stays where a Hold says so, and goes with it
)

// An Issue is something about a person that an admin should know.
type Issue struct {
	Attr string `json:"attr"`
	Text string `json:"text"`
}

// A Person is someone as the admin sees them: what the directory said, what
// was done by hand, and what came of both.
type Person struct {
	ID         string            `json:"id"`
	Origin     string            `json:"origin"`
	UserName   string            `json:"user_name,omitempty"`
	Name       string            `json:"name"`
	Kind       string            `json:"kind"`  // access.KindFull or access.KindSmartbox
	State      string            `json:"state"` // access.StateActive or access.StateInactive
	Suspended  bool              `json:"suspended"`
	Pulled     string            `json:"pulled_status,omitempty"` // in the directory that the cloud reads
	PulledOut  bool              `json:"pulled_out,omitempty"`    // that status locks out
	CardState  string            `json:"card_state,omitempty"`
	CardText   string            `json:"card_text,omitempty"`
	Issues     []Issue           `json:"issues,omitempty"`
	Created    time.Time         `json:"created"`
	Modified   time.Time         `json:"modified"`
	Cards      []Card            `json:"cards"`
	Sites      []PersonSite      `json:"sites"`
	Directory  []string          `json:"directory_groups,omitempty"` // displayNames
	Attributes map[string]string `json:"attributes,omitempty"`       // title, department, …: flat, for display
}

// A PersonSite is what a person has at one property.
type PersonSite struct {
	Site   string   `json:"site"`
	Rule   string   `json:"rule,omitempty"`
	Groups []string `json:"groups"`
	Manual []string `json:"manual_groups,omitempty"`
	Role   string   `json:"role,omitempty"`
	Mobile Mobile   `json:"mobile"`
}

// A NewPerson is somebody whom no directory knows, such as a visitor.
type NewPerson struct {
	Name  string `json:"name"`
	Email string `json:"email"`
	Kind  string `json:"kind"` // empty is access.KindFull
}

// A PersonPatch changes what is not nil. Name, Email and Kind of somebody from
// the directory are the directory's.
type PersonPatch struct {
	Name      *string `json:"name"`
	Email     *string `json:"email"`
	Kind      *string `json:"kind"`
	Suspended *bool   `json:"suspended"`
}

// A PeopleQuery selects a page of people, oldest first.
type PeopleQuery struct {
	Search string // a whole user name, email or card number; empty is everyone
	After  string // id of the last person seen
	Limit  int    // 1 to 500; 0 is 100
}

// A DirectoryGroup is a SCIM group as the admin sees it.
type DirectoryGroup struct {
	ID          string `json:"id"`
	DisplayName string `json:"display_name"`
	ExternalID  string `json:"external_id,omitempty"`
	Members     int    `json:"members"`
}

// A SiteStatus says how far a site's agent is.
type SiteStatus struct {
	Site       string        `json:"site"`
	Head       Position      `json:"head"`
	Applied    Position      `json:"applied"`
	LastHello  time.Time     `json:"last_hello,omitzero"`
	LastUp     time.Time     `json:"last_up,omitzero"` // newest message of any kind
	Software   string        `json:"software,omitempty"`
	Events     uint64        `json:"events"` // stored so far
	LastNack   string        `json:"last_nack,omitempty"`
	LastNackAt time.Time     `json:"last_nack_at,omitzero"`
	Proof      []ProofStatus `json:"proof,omitempty"`
	ProofAt    time.Time     `json:"proof_at,omitzero"`
	People     int           `json:"people"`
	Pending    int           `json:"pending"`  // people whose gains are still to be written
	Openings   int           `json:"openings"` // (credential, door) pairs that open there once the agent has it all
	Losses     []LossStatus  `json:"losses"`   // of the last hour
	Holds      int           `json:"holds"`    // losses that wait for a person
}

// A Position is a place in a site's stream.
type Position struct {
	Epoch  uint32 `json:"epoch"`
	Seq    uint64 `json:"seq"`
	Digest string `json:"digest"`
}

// A ProofStatus is what one controller was read to hold.
type ProofStatus struct {
	Controller string    `json:"controller"`
	Wanted     int       `json:"wanted"`
	Held       int       `json:"held"`
	Equal      bool      `json:"equal"`
	Epoch      uint32    `json:"epoch"`
	Seq        uint64    `json:"seq"`
	Since      time.Time `json:"since"`
}

// A SiteEvent is an event of a site as the cloud stored it.
type SiteEvent struct {
	Pos        uint64 `json:"pos"` // counts from 1 per site, in the order stored
	EventEpoch string `json:"event_epoch"`
	access.Event
}

// A Change is what one act made of one value.
type Change struct {
	Before any `json:"before,omitempty"`
	After  any `json:"after,omitempty"`
}

// An AuditEntry is one admin act or directory call that changed something or
// was refused. It never has a whole card number.
type AuditEntry struct {
	ID      string            `json:"id"` // ordered by time
	Org     string            `json:"org"`
	At      time.Time         `json:"at"`
	Who     Actor             `json:"who"`
	What    string            `json:"what"`   // "create user", "put rule", …
	Object  string            `json:"object"` // id of what was acted on
	Name    string            `json:"name,omitempty"`
	Changes map[string]Change `json:"changes,omitempty"`
	Error   string            `json:"error,omitempty"` // why it was refused
}

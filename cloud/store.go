package cloud

import (
	"context"
	"time"

	"latchkey/access"
	"latchkey/delta"
	"latchkey/wiegand"
)

// A Store keeps everything that the cloud knows. Its transactions are
// serialisable: those that write come one after the other, and one that reads
// sees one moment. A transaction that another one overtook may be undone and run
// again, so f may run several times: each time it sets anew whatever it leaves
// outside, and does nothing else that matters twice. What the last run returns
// counts.
//
// Texts are valid UTF-8 without NUL; a store may put U+FFFD in place of what it
// cannot hold. Times are kept to the millisecond, in UTC.
type Store interface {
	// Update runs f in a transaction that is durable when Update returns nil,
	// and undone when f or Update returns an error.
	Update(ctx context.Context, f func(Tx) error) error
	// View runs f on one moment's state; f only reads.
	View(ctx context.Context, f func(Tx) error) error
	// Ask is View for an f that calls one method of Tx, and one whose comment
	// says that it is a single question. It costs less.
	Ask(ctx context.Context, f func(Tx) error) error
	// Bearer is what the token of that hash opens: ErrNotFound. A change counts
	// from when its Update returned, as for View.
	Bearer(ctx context.Context, hash [32]byte) (Bearer, error)
}

// A Tx is one transaction. It is for one goroutine and ends with the function
// that got it. What is not there is ErrNotFound; lists are then empty. Rows
// that are put replace those of the same key.
type Tx interface {
	Org(id string) (Org, error)
	Orgs() ([]Org, error)
	PutOrg(Org) error

	Token(org, id string) (Token, error)
	Tokens(org string) ([]Token, error)
	PutToken(t Token, hash [32]byte) error // a new one
	ExpireToken(org, id string, at time.Time) error
	TouchToken(org, id string, use TokenUse) error // one that is gone is no error; an older use changes nothing
	DeleteToken(org, id string) error

	BadgeTypes(org string) ([]BadgeType, error)
	PutBadgeType(org string, b BadgeType) error
	DeleteBadgeType(org, id string) error

	Site(id string) (SiteRow, error)
	Sites(org string) ([]SiteRow, error) // of every organisation where org is empty; by id
	PutSite(SiteRow) error
	Items(site string, kind access.Kind) ([]Item, error) // by id
	PutItem(site string, kind access.Kind, it Item) error
	DeleteItem(site string, kind access.Kind, id string) error
	Rules(site string) ([]Rule, error) // by position
	PutRule(Rule) error
	DeleteRule(site, id string) error

	Person(org, id string) (PersonRow, error)
	// People are those that exist, by id, and FindPeople those that f selects,
	// by id, start from 0, count below 0 is no limit: both without Emails, so not
	// for PutPerson.
	People(org string, ids []string) ([]PersonRow, error)
	PersonIDs(org, after string, limit int) ([]string, error)
	FindPeople(f Find, start, count int) ([]PersonRow, error)
	// FindUsers is FindPeople, as SCIM sees them: a single question.
	FindUsers(f Find, start, count int) ([]User, error)
	CountPeople(f Find) (int, error)
	PutPerson(PersonRow) error
	// CountRoleChange adds 1 to a person's RoleChanges, which PutPerson leaves
	// alone.
	CountRoleChange(person string) error
	// DeletePerson removes a person with cards, memberships and outcomes, but
	// not what sites hold of them.
	DeletePerson(org, id string) error

	Card(org, id string) (Card, error)
	Cards(people []string) ([]Card, error)                  // by id
	CardsByBits(org string, b wiegand.Bits) ([]Card, error) // by id
	PutCard(Card) error                                     // of one that is there, person, origin, technology and age stay
	DeleteCard(org, id string) error

	Pools(org string) ([]Pool, error) // by technology
	PutPool(org string, p Pool) error
	DeletePool(org, technology string) error
	// CountKeys counts the mobile keys of a technology, and those of them that
	// are pending; PendingKeys are the people whose are.
	CountKeys(org, technology string) (keys, pending int, err error)
	PendingKeys(org, technology string, limit int) ([]string, error)

	ManualMembers(people []string) ([]ManualMember, error)
	PutManualMember(ManualMember) error
	DeleteManualMember(ManualMember) error        // ErrNotFound
	DeleteManualMembers(site, group string) error // of the whole site where group is empty
	Outcomes(people []string) ([]Outcome, error)
	SiteOutcomes(site string) ([]Outcome, error) // of everyone
	PutOutcome(Outcome) error                    // one that gives nothing and names no rule is removed
	DeleteOutcomes(site string) error

	Hold(org, id string) (Hold, error)
	Holds(org string, others int) ([]Hold, error) // by id: those that are open, and the latest so many others
	PutHold(Hold) error
	Pins(people []string) ([]Pin, error)                   // at every site
	HoldPins(hold, after string, limit int) ([]Pin, error) // by person, those above after
	CountPins(hold string) (int, error)
	PutPin(Pin) error                    // one for a person at a site
	DeletePin(site, person string) error // none there is no error
	DeletePins(site string) error        // of everyone

	Group(org, id string) (GroupRow, error)
	FindGroups(f Find, start, count int) ([]GroupRow, error)
	CountGroups(f Find) (int, error)
	PutGroup(GroupRow) error
	DeleteGroup(org, id string) error // with its members
	AddMember(group, member string) (added bool, err error)
	RemoveMember(group, member string) (removed bool, err error)
	IsMember(group, member string) (bool, error)
	MemberIDs(group, after string, limit int) ([]string, error) // limit below 1 is all
	CountMembers(group string) (int, error)
	MemberCounts(org string) (map[string]int, error) // by group; one without members may be absent
	Members(group, after string, limit int) ([]Member, error)
	GroupsOf(org, member string) ([]Member, error)
	GroupIDsOf(org string, members []string) (map[string][]string, error)

	Records(owners []string) ([]RecordRow, error) // at every site
	SiteRecords(site string) ([]RecordRow, error) // all of one site, by kind and key
	OwnRecords(site string) ([]RecordRow, error)  // those of no person
	Owners(site string) ([]string, error)         // people with records there
	PutRecord(RecordRow) error
	DeleteRecord(site string, ref access.Ref) error

	AppendLog(site string, epoch uint32, seq uint64, at time.Time, payload []byte, hash delta.Hash) error
	ReadLog(site string, epoch uint32, after uint64, limit int) ([][]byte, error)
	LogHash(site string, epoch uint32, seq uint64) (delta.Hash, error)
	// AckLog notes when the site confirmed the entries above after and up to upTo.
	AckLog(site string, epoch uint32, after, upTo uint64, at time.Time) error
	// LogTimes says when an entry was written and when the site confirmed it; the
	// zero time where it has not. ErrNotFound.
	LogTimes(site string, epoch uint32, seq uint64) (written, acked time.Time, err error)
	// PruneLog forgets the entries of older epochs and those of this one up to
	// seq.
	PruneLog(site string, epoch uint32, seq uint64) error

	SiteState(site string) (SiteState, error) // the zero SiteState where nothing is known yet
	PutSiteState(site string, st SiteState) error
	// CheckLease is ErrNotPublisher where the lease of a Shared store's site is
	// not publisher's of that fence; none can get it until the transaction ends.
	CheckLease(site, publisher string, fence uint64) error

	LastEvent(site, eventEpoch string) (uint64, error) // 0 where there is none
	AppendEvent(site, eventEpoch string, e access.Event) error
	Events(site string, after uint64, limit int) ([]SiteEvent, error)
	CountEvents(site string) (uint64, error)

	MarkDirty(org, person string) error
	Dirty(limit int) (org string, people []string, err error) // of one organisation
	CountDirty(org string) (int, error)
	IsDirty(org, person string) (bool, error)
	ClearDirty(org string, people []string) error

	// PulledPeople and PulledGroups are those that a directory is read for, by
	// the directory's id; PulledIDs maps the directory's ids of people to ours.
	PulledPeople(org string) ([]PulledPerson, error)
	PulledGroups(org string) ([]PulledGroupRow, error)
	PulledIDs(org string, ids []string) (map[string]string, error)

	// A setting is a document of an organisation that only its owner reads.
	Setting(org, name string) ([]byte, error)
	SettingOrgs(name string) ([]string, error) // that have one
	PutSetting(org, name string, doc []byte) error
	DeleteSetting(org, name string) error // none there is no error

	Administrator(org, email string) (Administrator, error)
	Administrators(org string) ([]Administrator, error) // by address
	PutAdministrator(org string, a Administrator) error
	DeleteAdministrator(org, email string) error
	UnpinAdministrators(org string) error // empties their Subjects

	SignInCode(hash [32]byte) (SignInCode, error)
	PutSignInCode(hash [32]byte, c SignInCode) error
	DeleteSignInCodes(org string) error      // of one organisation
	DropSignInCodes(expired time.Time) error // of all, those that ended up to then

	Session(hash [32]byte) (Session, error)
	PutSession(hash [32]byte, s Session) error
	// TouchSession notes a request, and when the session ends without another
	// one. One that is gone is no error.
	TouchSession(hash [32]byte, seen, until time.Time) error
	DeleteSession(hash [32]byte) error      // none there is no error
	DeleteSessions(org, email string) error // of an account; of all accounts where email is empty
	DeleteCodeSessions(org string) error    // of those who came by a code
	DropSessions(over time.Time) error      // of all organisations, those that ended up to then

	PutDraft(Draft) error // in place of the process's last one
	// DeleteDraft deletes a draft if it is of that moment, or whenever it is from
	// where at is zero, and says whether there was one.
	DeleteDraft(process, org string, at time.Time) (bool, error)
	Drafts() ([]Draft, error) // by organisation and process

	AppendAudit(AuditEntry) error
	Audit(org, before string, limit int) ([]AuditEntry, error) // newest first, those with an id below before
}

// A SiteRow is a property with its place in its stream.
type SiteRow struct {
	Property
	Head    delta.Head
	Deleted bool // gone for admins; its stream still says so to the agent
	// Openings counts the (credential, door) pairs that the site's records open;
	// below 0 it was never counted.
	Openings int
	Losses   []Loss // of the last hour, and perhaps older ones
}

// An Item is one door, schedule or access group of a property, as JSON.
type Item struct {
	ID  string
	Doc []byte
}

// A PersonRow is a person with what must be found by an index beside the
// document.
type PersonRow struct {
	ID         string
	Org        string
	Origin     string
	UserName   string // empty for people made by hand
	ExternalID string
	Name       string
	Active     bool // as the directory says
	Suspended  bool // by an admin
	Kind       string
	CardNumber string // as the directory sends it
	Manager    string
	Emails     []string // folded; filled in by Person alone
	CardLast   string   // the last number that was acted upon
	CardState  string
	CardText   string
	Issues     []Issue
	Doc        []byte // SCIM attributes
	Created    time.Time
	Modified   time.Time
	Version    int64

	PulledID     string // in the directory that the cloud reads; empty where it has not been seen there
	PulledStatus string // there, as read last
	PulledOwned  bool   // what is known comes from there alone
	PulledOut    bool   // that status locks out

	RoleChanges int64 // counted by CountRoleChange alone
}

// A Bearer is what a token opens.
type Bearer struct {
	Token       string    // its id
	Expires     time.Time // zero is never
	Org         string
	Profile     Profile
	SCIMEnabled bool
}

// State is what the sites are told.
func (p PersonRow) State() string {
	if p.Active && !p.Suspended && !p.PulledOut {
		return access.StateActive
	}
	return access.StateInactive
}

// A Find selects people or groups by equalities that indexes answer.
type Find struct {
	Org    string
	Origin string // empty is any; people only
	Terms  []Term // values folded where the attribute ignores case
	After  string // ids above this
	// NoGroups says that nobody asks for Groups of FindUsers; they may be there.
	NoGroups bool
}

// A ManualMember is a membership that an admin gave.
type ManualMember struct{ Person, Site, Group string }

// An Outcome is what the rules of a site gave a person. It is kept, because a
// site whose rules are all gone holds on to what they gave.
type Outcome struct {
	Person, Site string
	Rule         string // empty: none matched
	Groups       []string
	Role         string
	BLE, Wallet  bool
	HeldCard     bool // of what a Pin keeps alone: the directory's card, in state CardHeld
}

// A GroupRow is a directory group.
type GroupRow struct {
	ID          string
	Org         string
	DisplayName string
	ExternalID  string
	Doc         []byte
	Created     time.Time
	Modified    time.Time
	Version     int64
	PulledID    string // in the directory that the cloud reads, where no other one has the group
}

// A RecordRow is one record that a site holds, or will once it has read its
// log. Owner is the person whose doing it is, empty for the property's own.
type RecordRow struct {
	Site  string
	Ref   access.Ref
	Owner string
	Doc   []byte // canonical
	Seq   uint64 // of the entry that told it to the site; 0 is one from before this was kept
}

// A SiteState is what a site said last.
type SiteState struct {
	HelloAt, UpAt time.Time
	Software      string
	Applied       delta.Head
	Nack          string
	NackAt        time.Time
	Proof         []ProofStatus
	ProofAt       time.Time
}

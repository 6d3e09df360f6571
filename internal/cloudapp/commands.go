package cloudapp

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/internal/program"
)

// A command that sets something sends the whole of it. So it first reads what
// is there and changes what the command line names: a rename must not lift a
// pilot's limit.

type orgCreateCmd struct {
	remote
	ID   string `arg:"" help:"1 to 32 of a-z, 0-9 and -."`
	Name string `help:"For people."`
}

func (c *orgCreateCmd) Run(e *program.Env) error {
	return c.do(e, http.MethodPost, "/orgs", map[string]string{"id": c.ID, "name": c.Name})
}

type orgSetCmd struct {
	inOrg
	Name        *string  `help:"For people."`
	SCIM        *bool    `name:"scim" help:"Let the directory in or not." negatable:""`
	CardRemoval *string  `help:"What happens to a card whose number the directory removes: keep or revoke."`
	Sentinel    []string `help:"Card numbers that mean none."`
	Profile     *string  `help:"The directory's dialect: entra, okta or strict; empty is by what it says of itself."`
}

func (c *orgSetCmd) Run(e *program.Env) error {
	p := cloud.OrgPatch{Name: c.Name, SCIMEnabled: c.SCIM, CardRemoval: c.CardRemoval, Profile: (*cloud.Profile)(c.Profile)}
	if c.Sentinel != nil {
		p.Sentinels = &c.Sentinel
	}
	return c.do(e, http.MethodPatch, c.path(), p)
}

type orgAuditCmd struct {
	inOrg
	Before string `help:"The id of the last entry seen."`
	Limit  int    `help:"How many." default:"100"`
}

func (c *orgAuditCmd) Run(e *program.Env) error {
	q := url.Values{"before": {c.Before}, "limit": {strconv.Itoa(c.Limit)}}
	return c.do(e, http.MethodGet, c.path("audit")+"?"+q.Encode(), nil)
}

type tokenRotateCmd struct {
	inOrg
	ID      string        `arg:""`
	Overlap time.Duration `help:"How long the old one goes on, such as 24h; at most 720h." default:"24h"`
}

func (c *tokenRotateCmd) Run(e *program.Env) error {
	return c.do(e, http.MethodPost, c.path("tokens", c.ID, "rotate"), map[string]float64{"overlap_hours": c.Overlap.Hours()})
}

type tokenCreateCmd struct {
	inOrg
	Label string `help:"What it is for." default:"directory"`
}

func (c *tokenCreateCmd) Run(e *program.Env) error {
	return c.do(e, http.MethodPost, c.path("tokens"), map[string]string{"label": c.Label})
}

// change puts *to into *field where the command line has it.
func change[T any](field, to *T) {
	if to != nil {
		*field = *to
	}
}

type badgeSetCmd struct {
	inOrg
	ID       string  `arg:""`
	Format   *string `help:"A Wiegand format, such as H10302."`
	Facility *uint64 `help:"The facility code of numbers that name none."`
	Default  *bool   `help:"Numbers without a badge type are of this one." negatable:""`
	Shared   *bool   `help:"Several people may have the same number." negatable:""`
}

func (c *badgeSetCmd) Run(e *program.Env) error {
	b, _, err := find(c.remote, e, c.path("badge-types"), func(b cloud.BadgeType) bool { return b.ID == c.ID })
	if err != nil {
		return err
	}
	change(&b.Format, c.Format)
	change(&b.Default, c.Default)
	change(&b.Shared, c.Shared)
	if c.Facility != nil {
		b.Facility = c.Facility
	}
	return c.do(e, http.MethodPut, c.path("badge-types", c.ID), b)
}

type poolSetCmd struct {
	inOrg
	Technology string  `arg:"" enum:"ble,wallet" help:"ble or wallet."`
	Format     string  `help:"A Wiegand format, such as H10302." required:""`
	Facility   *uint64 `help:"The facility code, where the format has one."`
	First      uint64  `help:"The first number." required:""`
	Last       uint64  `help:"The last number." required:""`
}

func (c *poolSetCmd) Run(e *program.Env) error {
	p := cloud.Pool{Technology: c.Technology, Format: c.Format, Facility: c.Facility, First: c.First, Last: c.Last}
	return c.do(e, http.MethodPut, c.path("pools", c.Technology), p)
}

type propertySetCmd struct {
	inSite
	dryRun
	Name    *string  `help:"For people."`
	Key     string   `help:"The agent's public key, as latchkey-agent keygen prints it."`
	Wallet  *bool    `help:"Apple Wallet is installed here." negatable:""`
	Pilot   []string `help:"A directory group that the property is limited to; may stand several times." sep:"none" xor:"pilot"`
	NoPilot bool     `help:"Lift that limit." xor:"pilot"`

	GuardPercent  *int `help:"A change that takes more than this share of what opens, and more than --guard-openings, waits for a person; 100 never waits."`
	GuardOpenings *int `help:"How many openings, a card at a door each, may always go."`
}

func (c *propertySetCmd) Run(e *program.Env) error {
	p, err := get[cloud.Property](c.remote, e, c.path())
	if err != nil && !errors.Is(err, errNotThere) {
		return err
	}
	change(&p.Name, c.Name)
	change(&p.Wallet, c.Wallet)
	if c.Pilot != nil || c.NoPilot {
		p.Pilot = c.Pilot
	}
	if c.GuardPercent != nil || c.GuardOpenings != nil {
		if p.Guard == nil {
			p.Guard = new(cloud.DefaultGuard())
		}
		change(&p.Guard.Percent, c.GuardPercent)
		change(&p.Guard.Openings, c.GuardOpenings)
	}
	// Without a key the one that is there stays.
	p.Key = c.Key
	body := map[string]any{"name": p.Name, "key": c.Key, "wallet": p.Wallet, "pilot_groups": p.Pilot}
	if p.Guard != nil {
		body["guard"] = p.Guard
	}
	return c.propose(e, c.inSite, cloud.Proposal{Op: cloud.OpPutProperty, Property: &p}, http.MethodPut, c.path(), body)
}

type propertyDropCmd struct {
	inSite
	dryRun
}

func (c *propertyDropCmd) Run(e *program.Env) error {
	return c.propose(e, c.inSite, cloud.Proposal{Op: cloud.OpDeleteProperty}, http.MethodDelete, c.path(), nil)
}

// A fromFlag selects part of a long list.
type fromFlag struct {
	After uint64 `help:"The number of the last one seen."`
	Limit int    `help:"How many." default:"100"`
}

func (f fromFlag) query() string {
	return "?" + url.Values{"after": {strconv.FormatUint(f.After, 10)}, "limit": {strconv.Itoa(f.Limit)}}.Encode()
}

type propertyEventsCmd struct {
	inSite
	fromFlag
}

func (c *propertyEventsCmd) Run(e *program.Env) error {
	return c.do(e, http.MethodGet, c.path("events")+c.query(), nil)
}

type propertyLogCmd struct {
	inSite
	fromFlag
}

func (c *propertyLogCmd) Run(e *program.Env) error {
	return c.do(e, http.MethodGet, c.path("log")+c.query(), nil)
}

type doorSetCmd struct {
	inSite
	dryRun
	ID     string         `arg:""`
	Name   *string        `help:"For people."`
	Kind   *string        `help:"door or cabinet."`
	Unlock *time.Duration `help:"How long a grant opens the strike, such as 5s."`
	Held   *time.Duration `help:"Open longer than this is reported, such as 30s."`
}

func (c *doorSetCmd) Run(e *program.Env) error {
	d, _, err := find(c.remote, e, c.path("doors"), func(d access.Door) bool { return d.ID == c.ID })
	if err != nil {
		return err
	}
	change(&d.Name, c.Name)
	change(&d.Kind, c.Kind)
	if c.Unlock != nil {
		d.UnlockMS = c.Unlock.Milliseconds()
	}
	if c.Held != nil {
		d.HeldMS = c.Held.Milliseconds()
	}
	return c.propose(e, c.inSite, cloud.Proposal{Op: cloud.OpPutDoor, Door: &d}, http.MethodPut, c.path("doors", c.ID), d)
}

type scheduleSetCmd struct {
	inSite
	dryRun
	ID      string   `arg:""`
	Name    string   `help:"For people."`
	Zone    string   `help:"The time zone's IANA name, such as Europe/Berlin." required:""`
	Hours   []string `help:"When it holds, such as mon-fri=08:00-18:00; may stand several times." required:""`
	Holiday []string `help:"A date on which it does not hold, such as 2026-12-25; may stand several times."`
}

func (c *scheduleSetCmd) Run(e *program.Env) error {
	s := access.Schedule{ID: c.ID, Name: c.Name, Zone: c.Zone, Weekly: []access.Interval{}, Holidays: c.Holiday}
	for _, h := range c.Hours {
		intervals, err := hours(h)
		if err != nil {
			return err
		}
		s.Weekly = append(s.Weekly, intervals...)
	}
	return c.propose(e, c.inSite, cloud.Proposal{Op: cloud.OpPutSchedule, Schedule: &s}, http.MethodPut, c.path("schedules", c.ID), s)
}

// hours reads "mon-fri=08:00-18:00" or "sat=09:00-24:00", an interval a day.
func hours(s string) ([]access.Interval, error) {
	bad := fmt.Errorf("--hours: got %q, want DAY=HH:MM-HH:MM or DAY-DAY=HH:MM-HH:MM, with sun, mon, … sat", s)
	days, times, _ := strings.Cut(s, "=")
	first, last, isRange := strings.Cut(days, "-")
	if !isRange {
		last = first
	}
	from, until, _ := strings.Cut(times, "-")
	f, okFrom := minute(from)
	u, okUntil := minute(until)
	d, okFirst := weekday(first)
	end, okLast := weekday(last)
	if !okFrom || !okUntil || !okFirst || !okLast || f >= u {
		return nil, bad
	}
	var all []access.Interval
	for ; ; d = (d + 1) % 7 {
		all = append(all, access.Interval{Day: d, From: f, To: u})
		if d == end {
			return all, nil
		}
	}
}

func weekday(s string) (int, bool) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if strings.EqualFold(s, d.String()[:3]) {
			return int(d), true
		}
	}
	return 0, false
}

// minute is the minute of the day that "HH:MM" is, up to "24:00".
func minute(s string) (int, bool) {
	h, m, ok := strings.Cut(s, ":")
	hour, err1 := strconv.ParseUint(h, 10, 8)
	min, err2 := strconv.ParseUint(m, 10, 8)
	at := int(hour*60 + min)
	return at, ok && err1 == nil && err2 == nil && len(m) == 2 && min < 60 && at <= 24*60
}

type groupSetCmd struct {
	inSite
	dryRun
	ID      string   `arg:""`
	Name    *string  `help:"For people."`
	Door    []string `help:"A door that the group opens, as DOOR or DOOR@SCHEDULE; may stand several times. They replace those that the group opens." xor:"doors"`
	NoDoors bool     `help:"The group opens no door any more." xor:"doors"`
}

func (c *groupSetCmd) Run(e *program.Env) error {
	g, _, err := find(c.remote, e, c.path("groups"), func(g cloud.AccessGroup) bool { return g.ID == c.ID })
	if err != nil {
		return err
	}
	change(&g.Name, c.Name)
	if c.Door != nil || c.NoDoors {
		g.Grants = []cloud.DoorAccess{}
	}
	for _, d := range c.Door {
		door, schedule, _ := strings.Cut(d, "@")
		g.Grants = append(g.Grants, cloud.DoorAccess{Door: door, Schedule: schedule})
	}
	return c.propose(e, c.inSite, cloud.Proposal{Op: cloud.OpPutGroup, Group: &g}, http.MethodPut, c.path("groups", c.ID), g)
}

// A membership is a person in a group by hand.
type membership struct {
	inSite
	Group  string `arg:""`
	Person string `arg:"" help:"The person's id."`
}

func (m membership) put(e *program.Env, method string) error {
	return m.do(e, method, m.inOrg.path("people", m.Person, "groups", m.Site, m.Group), nil)
}

type groupJoinCmd struct{ membership }

func (c *groupJoinCmd) Run(e *program.Env) error { return c.put(e, http.MethodPut) }

type groupLeaveCmd struct{ membership }

func (c *groupLeaveCmd) Run(e *program.Env) error { return c.put(e, http.MethodDelete) }

// ruleFlags are what a rule says.
type ruleFlags struct {
	When    []string `help:"A condition: group=NAME, or ATTRIBUTE:eq=VALUE with eq, ne, co or sw, or ATTRIBUTE:pr; may stand several times. None matches everyone." sep:"none"`
	Match   *string  `help:"all or any of the conditions."`
	Give    []string `help:"A door access group that the rule gives; may stand several times."`
	Role    *string  `help:"User or Admin."`
	BLE     *bool    `name:"ble" help:"Give a Bluetooth key." negatable:""`
	Wallet  *bool    `help:"Give an Apple Wallet pass." negatable:""`
	OnlyNew *bool    `help:"Only people who appear after the rule was made." negatable:""`
}

func (f ruleFlags) apply(r *cloud.Rule) error {
	if f.When != nil {
		r.Conditions = nil
	}
	for _, w := range f.When {
		cond, err := condition(w)
		if err != nil {
			return err
		}
		r.Conditions = append(r.Conditions, cond)
	}
	if f.Give != nil {
		r.Groups = f.Give
	}
	change(&r.Match, f.Match)
	change(&r.Role, f.Role)
	change(&r.Mobile.BLE, f.BLE)
	change(&r.Mobile.Wallet, f.Wallet)
	change(&r.OnlyNew, f.OnlyNew)
	return nil
}

// ruleBody is what the API takes of a rule.
func ruleBody(r cloud.Rule) map[string]any {
	return map[string]any{
		"name": r.Name, "enabled": r.Enabled, "match": r.Match, "conditions": r.Conditions, "groups": r.Groups,
		"role": r.Role, "mobile": r.Mobile, "only_new": r.OnlyNew,
	}
}

// condition reads "group=NAME", "department:eq=Lab" or "title:pr".
func condition(s string) (cloud.Condition, error) {
	if name, ok := strings.CutPrefix(s, "group="); ok && name != "" {
		return cloud.Condition{Group: name}, nil
	}
	test, value, hasValue := strings.Cut(s, "=")
	if i := strings.LastIndexByte(test, ':'); i > 0 { // an attribute's URN has colons of its own
		attr, op := test[:i], test[i+1:]
		switch op {
		case cloud.OpEqual, cloud.OpNotEqual, cloud.OpContains, cloud.OpStarts, cloud.OpPresent:
			if hasValue == (op != cloud.OpPresent) {
				return cloud.Condition{Attr: attr, Op: op, Value: value}, nil
			}
		}
	}
	return cloud.Condition{}, fmt.Errorf("--when: got %q, want group=NAME, ATTRIBUTE:eq=VALUE (eq, ne, co or sw) or ATTRIBUTE:pr", s)
}

type ruleAddCmd struct {
	inSite
	dryRun
	ruleFlags
	Name string `arg:""`
}

func (c *ruleAddCmd) Run(e *program.Env) error {
	r := cloud.Rule{Name: c.Name, Enabled: true}
	if err := c.apply(&r); err != nil {
		return err
	}
	return c.propose(e, c.inSite, cloud.Proposal{Op: cloud.OpCreateRule, Rule: &r}, http.MethodPost, c.path("rules"), ruleBody(r))
}

type ruleSetCmd struct {
	inSite
	dryRun
	ruleFlags
	ID       string  `arg:""`
	Name     *string `help:"For people."`
	Enabled  *bool   `help:"Switch the rule on, or off by --no-enabled." negatable:""`
	Everyone bool    `help:"Drop the conditions: the rule matches everyone." xor:"when"`
}

func (c *ruleSetCmd) Run(e *program.Env) error {
	r, found, err := find(c.remote, e, c.path("rules"), func(r cloud.Rule) bool { return r.ID == c.ID })
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("property %s: rule %s: %w", c.Site, c.ID, errNotThere)
	}
	if c.Everyone {
		r.Conditions = nil
	}
	change(&r.Name, c.Name)
	change(&r.Enabled, c.Enabled)
	if err := c.apply(&r); err != nil {
		return err
	}
	return c.propose(e, c.inSite, cloud.Proposal{Op: cloud.OpPutRule, Rule: &r}, http.MethodPut, c.path("rules", c.ID), ruleBody(r))
}

type ruleOrderCmd struct {
	inSite
	dryRun
	IDs []string `arg:"" name:"id"`
}

func (c *ruleOrderCmd) Run(e *program.Env) error {
	return c.propose(e, c.inSite, cloud.Proposal{Op: cloud.OpOrderRules, IDs: c.IDs}, http.MethodPost, c.path("rules", "order"), map[string]any{"ids": c.IDs})
}

type holdListCmd struct {
	inOrg
	All bool `help:"Those that were decided, too."`
}

func (c *holdListCmd) Run(e *program.Env) error {
	return c.do(e, http.MethodGet, c.path("holds")+"?all="+strconv.FormatBool(c.All), nil)
}

type holdConfirmCmd struct {
	inOrg
	ID      string `arg:""`
	Removes int    `help:"How many openings \"hold show\" said that it takes; where it would take more by now, nothing happens." required:""`
}

func (c *holdConfirmCmd) Run(e *program.Env) error {
	return c.do(e, http.MethodPost, c.path("holds", c.ID, "confirm"), map[string]int{"removes": c.Removes})
}

type holdDiscardCmd struct {
	inOrg
	ID string `arg:""`
}

func (c *holdDiscardCmd) Run(e *program.Env) error {
	return c.do(e, http.MethodPost, c.path("holds", c.ID, "discard"), nil)
}

type personListCmd struct {
	inOrg
	Search string `help:"A whole user name, email, name or card number."`
}

func (c *personListCmd) Run(e *program.Env) error {
	return c.pages(e, c.path("people"), url.Values{"search": {c.Search}, "limit": {"500"}})
}

type personAddCmd struct {
	inOrg
	Name  string `arg:""`
	Email string `help:"The email address."`
	Kind  string `help:"FULL, or SMARTBOX for key cabinets alone; empty is FULL."`
}

func (c *personAddCmd) Run(e *program.Env) error {
	return c.do(e, http.MethodPost, c.path("people"), cloud.NewPerson{Name: c.Name, Email: c.Email, Kind: c.Kind})
}

type personSetCmd struct {
	inOrg
	ID        string  `arg:""`
	Suspended *bool   `help:"Suspend the person whatever the directory says, or end that by --no-suspended." negatable:""`
	Name      *string `help:"The name."`
	Email     *string `help:"The email address."`
	Kind      *string `help:"FULL or SMARTBOX."`
}

func (c *personSetCmd) Run(e *program.Env) error {
	return c.do(e, http.MethodPatch, c.path("people", c.ID), cloud.PersonPatch{Name: c.Name, Email: c.Email, Kind: c.Kind, Suspended: c.Suspended})
}

type cardAddCmd struct {
	inOrg
	Person string    `arg:"" help:"The person's id."`
	Number string    `arg:"" help:"N, F-N, FORMAT:N, FORMAT:F-N or bits:LENGTH:HEX."`
	Badge  string    `help:"The badge type; the default one if absent."`
	From   time.Time `help:"When it begins to open doors, such as 2026-12-01T08:00:00Z."`
	Until  time.Time `help:"When it no longer does."`
}

func (c *cardAddCmd) Run(e *program.Env) error {
	return c.do(e, http.MethodPost, c.path("people", c.Person, "cards"),
		cloud.NewCard{Number: c.Number, BadgeType: c.Badge, ValidFrom: unix(c.From), ValidUntil: unix(c.Until)})
}

// unix is t in seconds; 0 where there is none.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

type cardStatusCmd struct {
	inOrg
	ID     string `arg:""`
	Status string `arg:"" enum:"active,suspended" help:"active or suspended."`
}

func (c *cardStatusCmd) Run(e *program.Env) error {
	return c.do(e, http.MethodPatch, c.path("cards", c.ID), cloud.CardPatch{Status: &c.Status})
}

package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/wiegand"
)

// card makes bits of a number.
func card(n uint64) wiegand.Bits {
	b, err := wiegand.ParseBits(fmt.Sprintf("37:%X", n))
	if err != nil {
		panic(err)
	}
	return b
}

// noon is a Wednesday, 12:00 in Berlin.
var noon = time.Date(2026, 11, 25, 11, 0, 0, 0, time.UTC)

// site is one of everything: Ann may use the front door in office hours and the
// cabinet always.
func site() *Index {
	x := NewIndex()
	for _, r := range []Record{
		Door{ID: "front", Name: "Front", Kind: DoorKindDoor, UnlockMS: 3000},
		Door{ID: "keys", Name: "Keys", Kind: DoorKindCabinet},
		Person{ID: "ann", State: StateActive, Kind: KindFull},
		Credential{ID: "c1", Person: "ann", Technology: TechCard, Format: "H10302", Bits: card(1), Number: 1, Status: CredentialActive},
		Group{ID: "staff"},
		Membership{Person: "ann", Group: "staff"},
		Schedule{ID: "office", Zone: "Europe/Berlin", Weekly: []Interval{{Day: 3, From: 8 * 60, To: 18 * 60}}},
		Grant{Group: "staff", Door: "front", Schedule: "office"},
		Grant{Group: "staff", Door: "keys"},
	} {
		x.Put(r)
	}
	x.SetReady(true)
	return x
}

func TestDecide(t *testing.T) {
	ann := Person{ID: "ann", State: StateActive, Kind: KindFull}
	c1 := Credential{ID: "c1", Person: "ann", Technology: TechCard, Bits: card(1), Status: CredentialActive}
	with := func(change func(*Credential)) Credential {
		c := c1
		change(&c)
		return c
	}
	after := func(d time.Duration) int64 { return noon.Add(d).Unix() }
	for _, tt := range []struct {
		name   string
		change func(*Index)
		door   string // front if empty
		bits   uint64 // 1 if 0
		at     time.Time
		want   Reason
	}{
		{name: "as it is", want: Granted},
		{name: "not ready", change: func(x *Index) { x.SetReady(false) }, want: NoData},
		{name: "not ready and unknown door", change: func(x *Index) { x.SetReady(false) }, door: "back", want: NoData},
		{name: "unknown door", door: "back", want: UnknownDoor},
		{name: "a door that is only mentioned", change: func(x *Index) { x.Put(Grant{Group: "staff", Door: "back"}) }, door: "back", want: UnknownDoor},
		{name: "door deleted", change: func(x *Index) { x.Delete(Ref{KindDoor, "front"}) }, want: UnknownDoor},
		{name: "door blocked", change: func(x *Index) { x.Block(Ref{KindDoor, "front"}) }, want: UnknownDoor},
		{name: "unknown card", bits: 2, want: UnknownCard},
		{name: "card deleted", change: func(x *Index) { x.Delete(c1.Ref()) }, want: UnknownCard},
		{name: "card of another number", change: func(x *Index) { x.Put(with(func(c *Credential) { c.Bits = card(2) })) }, want: UnknownCard},
		{name: "person blocked", change: func(x *Index) { x.Block(ann.Ref()) }, want: Blocked},
		{name: "card blocked", change: func(x *Index) { x.Block(c1.Ref()) }, want: Blocked},
		{name: "blocked before suspended", change: func(x *Index) {
			x.Block(c1.Ref())
			x.Put(with(func(c *Credential) { c.Status = CredentialSuspended }))
		}, want: Blocked},
		{name: "put again while blocked", change: func(x *Index) { x.Block(c1.Ref()); x.Delete(c1.Ref()); x.Put(c1) }, want: Blocked},
		{name: "person put again while blocked", change: func(x *Index) { x.Block(ann.Ref()); x.Delete(ann.Ref()); x.Put(ann) }, want: Blocked},
		{name: "unblocked", change: func(x *Index) { x.Block(c1.Ref()); x.Unblock(c1.Ref()) }, want: Granted},
		{name: "suspended", change: func(x *Index) { x.Put(with(func(c *Credential) { c.Status = CredentialSuspended })) }, want: CardNotActive},
		{name: "pending", change: func(x *Index) { x.Put(with(func(c *Credential) { c.Status = CredentialPending })) }, want: CardNotActive},
		{name: "not active before person inactive", change: func(x *Index) {
			x.Put(with(func(c *Credential) { c.Status = "" }))
			x.Delete(ann.Ref())
		}, want: CardNotActive},
		{name: "person inactive", change: func(x *Index) { x.Put(Person{ID: "ann", State: StateInactive, Kind: KindFull}) }, want: PersonInactive},
		{name: "person gone", change: func(x *Index) { x.Delete(ann.Ref()) }, want: PersonInactive},
		{name: "second before from", change: func(x *Index) { x.Put(with(func(c *Credential) { c.ValidFrom = after(time.Second) })) }, want: NotYetValid},
		{name: "at from", change: func(x *Index) { x.Put(with(func(c *Credential) { c.ValidFrom = after(0) })) }, want: Granted},
		{name: "at until", change: func(x *Index) { x.Put(with(func(c *Credential) { c.ValidUntil = after(0) })) }, want: Expired},
		{name: "second before until", change: func(x *Index) { x.Put(with(func(c *Credential) { c.ValidUntil = after(time.Second) })) }, want: Granted},
		{name: "expired before lockdown", change: func(x *Index) {
			x.Put(with(func(c *Credential) { c.ValidUntil = 1 }))
			x.Put(Posture{Scope: "*", Origin: "cloud", Mode: ModeLockdown})
		}, want: Expired},
		{name: "lockdown", change: func(x *Index) { x.Put(Posture{Scope: "*", Origin: "cloud", Mode: ModeLockdown}) }, want: Lockdown},
		{name: "lockdown of this door", change: func(x *Index) { x.Put(Posture{Scope: "front", Origin: "local", Mode: ModeLockdown}) }, want: Lockdown},
		{name: "lockdown of another door", change: func(x *Index) { x.Put(Posture{Scope: "keys", Origin: "local", Mode: ModeLockdown}) }, want: Granted},
		{name: "lockdown past its end", change: func(x *Index) {
			x.Put(Posture{Scope: "*", Origin: "cloud", Mode: ModeLockdown, Until: after(0)})
		}, want: Granted},
		{name: "one origin cannot release the other", change: func(x *Index) {
			x.Put(Posture{Scope: "front", Origin: "cloud", Mode: ModeLockdown})
			x.Put(Posture{Scope: "front", Origin: "local", Mode: ModeUnlocked})
		}, want: Lockdown},
		{name: "lockdown ahead of its turn", change: func(x *Index) { x.Block(Ref{KindPosture, "front/cloud"}) }, want: Lockdown},
		{name: "lockdown of all ahead of its turn", change: func(x *Index) { x.Block(Ref{KindPosture, "*/cloud"}) }, want: Lockdown},
		{name: "a mode that is not known", change: func(x *Index) { x.Put(Posture{Scope: "*", Origin: "cloud", Mode: "shelter"}) }, want: Lockdown},
		{name: "unlocked is decided too", change: func(x *Index) {
			x.Put(Posture{Scope: "front", Origin: "cloud", Mode: ModeUnlocked})
			x.Delete(Ref{KindMembership, "ann/staff"})
		}, want: NoGroup},
		{name: "smartbox at a door", change: func(x *Index) { x.Put(Person{ID: "ann", State: StateActive, Kind: KindSmartbox}) }, want: WrongDoorKind},
		{name: "smartbox at a cabinet", change: func(x *Index) { x.Put(Person{ID: "ann", State: StateActive, Kind: KindSmartbox}) }, door: "keys", want: Granted},
		{name: "smartbox in a lockdown", change: func(x *Index) {
			x.Put(Person{ID: "ann", State: StateActive, Kind: KindSmartbox})
			x.Put(Posture{Scope: "*", Origin: "cloud", Mode: ModeLockdown})
		}, want: Lockdown},
		{name: "a kind of person that is not known", change: func(x *Index) { x.Put(Person{ID: "ann", State: StateActive, Kind: "ROBOT"}) }, door: "keys", want: WrongDoorKind},
		{name: "full person at a cabinet", door: "keys", want: Granted},
		{name: "no membership", change: func(x *Index) { x.Delete(Ref{KindMembership, "ann/staff"}) }, want: NoGroup},
		{name: "membership blocked", change: func(x *Index) { x.Block(Ref{KindMembership, "ann/staff"}) }, want: NoGroup},
		{name: "group blocked", change: func(x *Index) { x.Block(Ref{KindGroup, "staff"}) }, want: NoGroup},
		{name: "grant blocked", change: func(x *Index) { x.Block(Ref{KindGrant, "staff/front/office"}) }, want: NoGroup},
		{name: "one of two grants blocked", change: func(x *Index) {
			x.Put(Grant{Group: "staff", Door: "front"})
			x.Block(Ref{KindGrant, "staff/front/office"})
		}, want: Granted},
		{name: "no grant", change: func(x *Index) { x.Delete(Ref{KindGrant, "staff/front/office"}) }, want: NoGroup},
		{name: "group's record gone", change: func(x *Index) { x.Delete(Ref{KindGroup, "staff"}) }, want: Granted},
		{name: "too early", at: noon.Add(-4*time.Hour - time.Second), want: OutsideHours},
		{name: "on the minute", at: noon.Add(-4 * time.Hour), want: Granted},
		{name: "too late", at: noon.Add(6 * time.Hour), want: OutsideHours},
		{name: "schedule missing", change: func(x *Index) { x.Delete(Ref{KindSchedule, "office"}) }, want: Fault},
		{name: "schedule blocked", change: func(x *Index) { x.Block(Ref{KindSchedule, "office"}) }, want: OutsideHours},
		{name: "zone unknown", change: func(x *Index) {
			x.Put(Schedule{ID: "office", Zone: "Europe/Atlantis", Weekly: []Interval{{3, 0, 1440}}})
		}, want: Fault},
		{name: "zone unknown beside a grant that holds", change: func(x *Index) {
			x.Put(Schedule{ID: "office", Zone: "Europe/Atlantis"})
			x.Put(Grant{Group: "staff", Door: "front"})
		}, want: Granted},
	} {
		x := site()
		if tt.change != nil {
			tt.change(x)
		}
		q := Query{Door: "front", Bits: card(max(1, tt.bits)), At: noon}
		if tt.door != "" {
			q.Door = tt.door
		}
		if !tt.at.IsZero() {
			q.At = tt.at
		}
		got := x.Decide(q)
		if got.Reason != tt.want || got.Granted != (tt.want == Granted) || (got.Unlock > 0) != got.Granted {
			t.Errorf("%s: got %+v, want %s", tt.name, got, tt.want)
		}
		if known := tt.want != NoData && tt.want != UnknownDoor && tt.want != UnknownCard; known != (got.Credential == "c1" && got.Person == "ann") {
			t.Errorf("%s: got credential %q of %q", tt.name, got.Credential, got.Person)
		}
	}
}

func TestUnlockTime(t *testing.T) {
	x := site()
	for door, want := range map[string]time.Duration{"front": 3 * time.Second, "keys": DefaultUnlock} {
		if got := x.Decide(Query{Door: door, Bits: card(1), At: noon}); got.Unlock != want {
			t.Errorf("%s: got %v, want %v", door, got.Unlock, want)
		}
	}
}

// Two cards with the same bits: each opens what it is granted, and nothing
// more.
func TestSharedBits(t *testing.T) {
	x := site()
	x.Put(Person{ID: "bob", State: StateActive, Kind: KindFull})
	x.Put(Membership{Person: "bob", Group: "night"})
	x.Put(Door{ID: "lab", Kind: DoorKindDoor})
	x.Put(Grant{Group: "night", Door: "lab"})
	x.Put(Credential{ID: "c0", Person: "bob", Technology: TechCard, Bits: card(1), Status: CredentialActive})
	for _, tt := range []struct {
		door, credential string
		want             Reason
	}{{"front", "c1", Granted}, {"lab", "c0", Granted}} {
		if got := x.Decide(Query{Door: tt.door, Bits: card(1), At: noon}); got.Reason != tt.want || got.Credential != tt.credential {
			t.Errorf("%s: got %+v, want %+v", tt.door, got, tt)
		}
	}
	if got := x.Decide(Query{Door: "front", Bits: card(1), At: noon.Add(12 * time.Hour)}); got.Reason != NoGroup || got.Credential != "c0" {
		t.Errorf("at night: got %+v, want the reason of the first by ID", got)
	}
	x.Put(Credential{ID: "c0", Person: "bob", Technology: TechCard, Bits: card(1), Status: CredentialSuspended})
	if got := x.Decide(Query{Door: "front", Bits: card(1), At: noon.Add(12 * time.Hour)}); got.Reason != OutsideHours || got.Credential != "c1" {
		t.Errorf("at night, one suspended: got %+v, want the reason of the active one", got)
	}
	if c, ok := x.Lookup(card(1)); !ok || c.ID != "c1" {
		t.Errorf("Lookup: %+v, %v", c, ok)
	}
	x.Delete(Ref{KindCredential, "c1"})
	if got := x.Decide(Query{Door: "front", Bits: card(1), At: noon}); got.Granted {
		t.Errorf("got %+v", got)
	}
}

func TestPosture(t *testing.T) {
	x := site()
	check := func(what, door, want string) {
		t.Helper()
		if got := x.PostureAt(door, noon); got != want {
			t.Errorf("%s: %s: got %s, want %s", what, door, got, want)
		}
	}
	check("at first", "front", ModeNormal)
	x.Put(Posture{Scope: "*", Origin: "cloud", Mode: ModeUnlocked})
	check("all unlocked", "front", ModeUnlocked)
	check("all unlocked, a door that is not known", "nowhere", ModeNormal)
	x.Block(Ref{KindDoor, "front"})
	check("all unlocked, a door that is taken away", "front", ModeNormal)
	x.Unblock(Ref{KindDoor, "front"})
	x.SetReady(false)
	check("all unlocked, but a lockdown may be missing", "front", ModeNormal)
	x.SetReady(true)
	x.Put(Posture{Scope: "front", Origin: "cloud", Mode: ModeNormal})
	check("normal is no restriction", "front", ModeUnlocked)
	x.Put(Posture{Scope: "front", Origin: "local", Mode: ModeLockdown, Until: noon.Unix() + 1})
	check("locked", "front", ModeLockdown)
	check("the other", "keys", ModeUnlocked)
	x.Put(Posture{Scope: "front", Origin: "local", Mode: ModeLockdown, Until: noon.Unix()})
	check("over", "front", ModeUnlocked)
	x.Block(Ref{KindPosture, "*/local"})
	check("ahead of its turn", "keys", ModeLockdown)
	check("ahead of its turn, a door that is not known", "nowhere", ModeLockdown)
	x.Unblock(Ref{KindPosture, "*/local"})
	x.Delete(Ref{KindPosture, "*/cloud"})
	check("released", "keys", ModeNormal)
	if got := x.Posture("keys"); got != ModeNormal {
		t.Errorf("Posture: %s", got)
	}
}

func TestScheduleHolds(t *testing.T) {
	office := Schedule{ID: "s", Zone: "Europe/Berlin", Weekly: []Interval{{1, 480, 1080}, {0, 0, 1440}}, Holidays: []string{"2026-12-28"}}
	night := Schedule{ID: "n", Zone: "Europe/Berlin", Weekly: []Interval{{0, 120, 180}}} // Sundays 02:00 to 03:00
	utc := func(s string) time.Time {
		at, err := time.Parse("2006-01-02 15:04:05", s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, tt := range []struct {
		name string
		s    Schedule
		at   string // UTC
		want bool
	}{
		{"winter, first minute", office, "2026-11-23 07:00:00", true},
		{"winter, second before", office, "2026-11-23 06:59:59", false},
		{"winter, last second", office, "2026-11-23 16:59:59", true},
		{"winter, end", office, "2026-11-23 17:00:00", false},
		{"summer, first minute", office, "2026-07-20 06:00:00", true},
		{"summer, second before", office, "2026-07-20 05:59:59", false},
		{"local weekday, not UTC's", office, "2026-11-21 23:00:00", true}, // Sunday 00:00 in Berlin
		{"last minute of the day", office, "2026-11-22 22:59:59", true},
		{"after midnight", office, "2026-11-22 23:00:00", false},
		{"another day", office, "2026-11-24 10:00:00", false},
		{"holiday", office, "2026-12-28 10:00:00", false},
		{"holiday is a local date", office, "2026-12-27 22:59:59", true},
		{"put forward: 01:59", night, "2026-03-29 00:59:59", false},
		{"put forward: 03:00 follows", night, "2026-03-29 01:00:00", false},
		{"put back: first 02:00", night, "2026-10-25 00:00:00", true},
		{"put back: second 02:00", night, "2026-10-25 01:00:00", true},
		{"put back: 03:00", night, "2026-10-25 02:00:00", false},
		{"no intervals", Schedule{Zone: "UTC"}, "2026-11-23 07:00:00", false},
		{"two intervals", Schedule{Zone: "Asia/Kathmandu", Weekly: []Interval{{1, 0, 60}, {1, 765, 766}}}, "2026-11-23 07:00:30", true}, // 12:45
	} {
		got, err := tt.s.Holds(utc(tt.at))
		if err != nil || got != tt.want {
			t.Errorf("%s: got %v, %v, want %v", tt.name, got, err, tt.want)
		}
	}
	for name, s := range map[string]Schedule{
		"zone":    {Zone: "Europe/Atlantis", Weekly: []Interval{{1, 0, 1440}}},
		"no zone": {Weekly: []Interval{{1, 0, 1440}}},
		"local":   {Zone: "Local", Weekly: []Interval{{1, 0, 1440}}},
		"path":    {Zone: "../../etc/passwd"},
		"day":     {Zone: "UTC", Weekly: []Interval{{7, 0, 1440}}},
		"from":    {Zone: "UTC", Weekly: []Interval{{1, -1, 1440}}},
		"to":      {Zone: "UTC", Weekly: []Interval{{1, 0, 1441}}},
		"empty":   {Zone: "UTC", Weekly: []Interval{{1, 60, 60}}},
		"holiday": {Zone: "UTC", Weekly: []Interval{{1, 0, 1440}}, Holidays: []string{"2026-02-30"}},
	} {
		if got, err := s.Holds(noon); got || !errors.Is(err, ErrSchedule) {
			t.Errorf("%s: got %v, %v, want ErrSchedule", name, got, err)
		}
	}
}

func TestEntitlements(t *testing.T) {
	x := site()
	x.Put(Grant{Group: "staff", Door: "front", Schedule: "late"}) // a schedule that is not there
	x.Put(Schedule{ID: "early", Zone: "UTC"})
	x.Put(Grant{Group: "staff", Door: "front", Schedule: "early"})
	x.Put(Grant{Group: "staff", Door: "keys", Schedule: "early"}) // beside always
	x.Put(Person{ID: "sam", State: StateActive, Kind: KindSmartbox})
	x.Put(Membership{Person: "sam", Group: "staff"})
	x.Put(Credential{ID: "c2", Person: "sam", Technology: TechBLE, Bits: card(2), Status: CredentialActive})
	x.Put(Credential{ID: "c3", Person: "sam", Technology: TechPIN, Status: CredentialActive})
	x.Put(Credential{ID: "c4", Person: "sam", Technology: TechBLE, Bits: card(4), Status: CredentialPending})
	type row struct {
		ID    string
		Doors map[string][]string
	}
	rows := func(doors ...string) (all []row) {
		for _, e := range x.Entitlements(doors) {
			all = append(all, row{e.Credential.ID, e.Doors})
		}
		return all
	}
	want := []row{{"c1", map[string][]string{"front": {"early", "office"}, "keys": nil}}, {"c2", map[string][]string{"keys": nil}}}
	if diff := cmp.Diff(want, rows("front", "keys", "nowhere")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[1:], rows("keys")[1:]); diff != "" {
		t.Error(diff)
	}
	if got := rows("front"); len(got) != 1 || len(got[0].Doors) != 1 {
		t.Errorf("front alone: %v", got)
	}
	for _, ref := range []Ref{{KindPerson, "ann"}, {KindCredential, "c1"}, {KindMembership, "ann/staff"}} {
		x.Block(ref)
		if got := rows("front"); len(got) != 0 {
			t.Errorf("%v blocked: %v", ref, got)
		}
		x.Unblock(ref)
	}
	x.SetReady(false)
	if got := rows("front", "keys"); got != nil {
		t.Errorf("not ready: %v", got)
	}
}

func TestReads(t *testing.T) {
	x := site()
	x.Put(Setting{"name", "HQ"})
	x.Put(Posture{Scope: "*", Origin: "cloud", Mode: ModeNormal})
	x.Block(Ref{KindCredential, "c1"})
	if diff := cmp.Diff(Counts{People: 1, Credentials: 1, Groups: 1, Memberships: 1, Grants: 2, Schedules: 1, Doors: 2, Postures: 1, Settings: 1, Blocked: 1}, x.Counts()); diff != "" {
		t.Error(diff)
	}
	var ids []string
	for _, d := range x.Doors() {
		ids = append(ids, d.ID)
	}
	if !slices.Equal(ids, []string{"front", "keys"}) {
		t.Errorf("doors: %v", ids)
	}
	if p, ok := x.Person("ann"); !ok || p.Kind != KindFull {
		t.Errorf("person: %v", p)
	}
	if s, ok := x.Schedule("office"); !ok || s.Zone != "Europe/Berlin" {
		t.Errorf("schedule: %v", s)
	}
	if s, ok := x.Setting("name"); !ok || s.Value != "HQ" {
		t.Errorf("setting: %v", s)
	}
	if diff := cmp.Diff([]Ref{{KindCredential, "c1"}}, x.Blocked()); diff != "" {
		t.Error(diff)
	}
	x.Delete(Ref{KindPerson, "ann"})
	if _, ok := x.Person("ann"); ok {
		t.Error("a deleted person is there, because a card names it")
	}
}

func TestMaskCard(t *testing.T) {
	for _, tt := range []struct {
		c    Credential
		want string
	}{
		{Credential{Format: "H10302", Number: 28065700731}, "H10302 …0731"},
		{Credential{Format: "H10301", Number: 12345678}, "H10301 …5678"},
		{Credential{Format: "H10301", Number: 50412}, "H10301 …12"},
		{Credential{Format: "H10301", Number: 412}, "H10301 …2"},
		{Credential{Format: "H10301", Number: 7}, "H10301 …"},
		{Credential{Technology: TechWallet}, "wallet …"},
		{Credential{Technology: TechPIN, Number: 1234}, "PIN"},
		{Credential{Number: 123456}, "card …456"},
	} {
		if got := MaskCard(tt.c); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// records is one good record of each kind, with everything set.
var records = map[Kind]string{
	KindPerson:     `{"id":"p1","name":"Ann","state":"active","kind":"FULL","role":"User","ble":true,"wallet":true}`,
	KindCredential: `{"id":"c1","person":"p1","technology":"card","format":"H10301","bits":"26:1FF9090","facility":255,"number":51272,"badge_type":"Default","status":"active","valid_from":1,"valid_until":2}`,
	KindGroup:      `{"id":"g1","name":"Staff"}`,
	KindMembership: `{"person":"p1","group":"g1"}`,
	KindGrant:      `{"group":"g1","door":"front","schedule":"s1"}`,
	KindSchedule:   `{"id":"s1","name":"Office","zone":"Europe/Berlin","weekly":[{"day":1,"from":480,"to":1080}],"holidays":["2026-12-25"]}`,
	KindDoor:       `{"id":"front","name":"Front","kind":"door","unlock_ms":3000,"held_ms":20000,"no_data":"deny"}`,
	KindPosture:    `{"scope":"*","origin":"cloud","mode":"lockdown","until":5}`,
	KindSetting:    `{"name":"n","value":"v"}`,
}

func TestParseRecord(t *testing.T) {
	for kind, text := range records {
		r, err := ParseRecord(kind, []byte(text))
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		if r.Ref().Kind != kind {
			t.Errorf("%s: is a %s", kind, r.Ref().Kind)
		}
		if back, err := json.Marshal(r); err != nil || string(back) != text {
			t.Errorf("%s: got %s, %v, want %s", kind, back, err, text)
		}
		newer := strings.Replace(text, "{", `{"from_the_future":{"a":[1]},`, 1)
		if same, err := ParseRecord(kind, []byte(newer)); err != nil || cmp.Diff(same, r, cmp.Comparer(func(a, b wiegand.Bits) bool { return a == b })) != "" {
			t.Errorf("%s with a field that is not known: %v, %v", kind, same, err)
		}
		for _, bad := range []string{"", "{", "null", "[]", `"x"`, text + text, "{}"} {
			if r, err := ParseRecord(kind, []byte(bad)); !errors.Is(err, ErrRecord) || r != nil {
				t.Errorf("%s %q: got %v, %v, want ErrRecord", kind, bad, r, err)
			}
		}
	}
	if _, err := ParseRecord("badge", []byte("{}")); !errors.Is(err, ErrRecord) {
		t.Errorf("badge: %v", err)
	}
}

func TestParseRecordRefuses(t *testing.T) {
	for _, tt := range []struct {
		kind     Kind
		old, new string
		want     string // in the error
	}{
		{KindPerson, `"p1"`, `""`, "id:"},
		{KindPerson, `"p1"`, `"a/b"`, "id:"},
		{KindPerson, `"p1"`, `"a\u0000"`, "id:"},
		{KindPerson, `"p1"`, `"` + strings.Repeat("x", 257) + `"`, "id:"},
		{KindPerson, `"active"`, `"ACTIVE"`, "state:"},
		{KindPerson, `"FULL"`, `"ROBOT"`, "kind:"},
		{KindPerson, `"FULL"`, `""`, "kind:"},
		{KindCredential, `"p1"`, `""`, "person:"},
		{KindCredential, `"card"`, `"iris"`, "technology:"},
		{KindCredential, `"status":"active"`, `"status":"lost"`, "status:"},
		{KindCredential, `"26:1FF9090"`, `"26:FFF9090"`, "bits"},
		{KindCredential, `"26:1FF9090"`, `""`, "bits:"},
		{KindCredential, `"technology":"card"`, `"technology":"pin"`, "bits:"},
		{KindCredential, `"valid_from":1`, `"valid_from":-1`, "valid_from:"},
		{KindCredential, `"valid_until":2`, `"valid_until":253402300800`, "valid_until:"},
		{KindGroup, `"g1"`, `""`, "id:"},
		{KindMembership, `"g1"`, `""`, "group:"},
		{KindGrant, `"front"`, `""`, "door:"},
		{KindGrant, `"s1"`, `"s/1"`, "schedule:"},
		{KindSchedule, `"Europe/Berlin"`, `""`, "zone:"},
		{KindSchedule, `"day":1`, `"day":7`, "weekly[0].day:"},
		{KindSchedule, `"to":1080`, `"to":480`, "weekly[0].to:"},
		{KindSchedule, `2026-12-25`, `25.12.2026`, "holidays[0]:"},
		{KindDoor, `"kind":"door"`, `"kind":"gate"`, "kind:"},
		{KindDoor, `3000`, `300001`, "unlock_ms:"},
		{KindDoor, `20000`, `-1`, "held_ms:"},
		{KindDoor, `"deny"`, `"allow"`, "no_data:"},
		{KindDoor, `"front"`, `"*"`, "all doors"},
		{KindPosture, `"cloud"`, `"sky"`, "origin:"},
		{KindPosture, `"lockdown"`, `"shelter"`, "mode:"},
		{KindPosture, `5`, `-5`, "until:"},
		{KindSetting, `"n"`, `""`, "name:"},
	} {
		text := strings.Replace(records[tt.kind], tt.old, tt.new, 1)
		if text == records[tt.kind] {
			t.Fatalf("%s: %s is not there", tt.kind, tt.old)
		}
		r, err := ParseRecord(tt.kind, []byte(text))
		if r != nil || !errors.Is(err, ErrRecord) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s: got %v, %v, want %q", tt.kind, tt.new, r, err, tt.want)
		}
	}
	// A zone that this machine does not know may be a new one.
	text := strings.Replace(records[KindSchedule], "Europe/Berlin", "Europe/Atlantis", 1)
	if _, err := ParseRecord(KindSchedule, []byte(text)); err != nil {
		t.Error(err)
	}
}

// What is wrong with a card must not tell which card it is.
func TestParseRecordHidesCards(t *testing.T) {
	for _, change := range [][2]string{
		{"51272", "51272.5"}, {"51272", `"51272"`}, {"51272", "-51272"}, {"51272", "5127200000000000000000000"},
		{`"26:1FF9090"`, `"26:51272999"`}, {`"26:1FF9090"`, `51272`}, {`"26:1FF9090"`, `"51272"`},
	} {
		_, err := ParseRecord(KindCredential, []byte(strings.Replace(records[KindCredential], change[0], change[1], 1)))
		if err == nil || strings.Contains(err.Error(), "51272") {
			t.Errorf("%s: %v", change[1], err)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	for kind, text := range records {
		f.Add(string(kind), []byte(text))
	}
	f.Fuzz(func(t *testing.T, kind string, data []byte) {
		r, err := ParseRecord(Kind(kind), data)
		if err != nil {
			if r != nil || !errors.Is(err, ErrRecord) {
				t.Fatalf("%v with %v", r, err)
			}
			return
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseRecord(Kind(kind), text)
		if err != nil {
			t.Fatalf("%s came back as %v", text, err)
		}
		if twice, err := json.Marshal(again); err != nil || string(twice) != string(text) || again.Ref() != r.Ref() || r.Ref().Kind != Kind(kind) {
			t.Fatalf("%s came back as %s, %v", text, twice, err)
		}
		x := NewIndex()
		x.SetReady(true)
		x.Put(r)
		x.Block(r.Ref())
		x.Unblock(r.Ref())
		x.Delete(r.Ref())
		if diff := cmp.Diff(Counts{}, x.Counts()); diff != "" || len(x.people)+len(x.groups)+len(x.doors)+len(x.schedules)+len(x.postures)+len(x.byBits) > 0 {
			t.Fatalf("%s leaves something behind: %s", text, diff)
		}
	})
}

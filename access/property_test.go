package access

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A model is what an Index holds, as plain facts: it decides by looking at all
// of them each time.
type model struct {
	records map[Ref]Record
	blocked map[Ref]bool
}

func get[T Record](m model, kind Kind, key string) (r T, ok bool) {
	r, ok = m.records[Ref{kind, key}].(T)
	return r, ok
}

func all[T Record](m model, kind Kind) (list []T) {
	for _, ref := range slices.SortedFunc(maps.Keys(m.records), compareRefs) {
		if ref.Kind == kind {
			list = append(list, m.records[ref].(T))
		}
	}
	return list
}

func compareRefs(a, b Ref) int {
	if a.Kind != b.Kind {
		return slices.Compare([]byte(a.Kind), []byte(b.Kind))
	}
	return slices.Compare([]byte(a.Key), []byte(b.Key))
}

func (m model) decide(q Query) Decision {
	d, ok := get[Door](m, KindDoor, q.Door)
	if !ok || m.blocked[d.Ref()] {
		return Decision{Reason: UnknownDoor}
	}
	var answers []Decision // in the order of IDs
	var active []bool
	for _, c := range all[Credential](m, KindCredential) {
		if c.Bits == q.Bits && c.Bits.Len() > 0 {
			answers = append(answers, Decision{Reason: m.one(d, c, q.At), Person: c.Person, Credential: c.ID})
			active = append(active, c.Status == CredentialActive)
		}
	}
	if len(answers) == 0 {
		return Decision{Reason: UnknownCard}
	}
	if i := slices.IndexFunc(answers, func(d Decision) bool { return d.Reason == Granted }); i >= 0 {
		dec := answers[i]
		dec.Granted, dec.Unlock = true, DefaultUnlock
		return dec
	}
	return answers[max(0, slices.Index(active, true))]
}

func (m model) one(d Door, c Credential, at time.Time) Reason {
	now := at.Unix()
	p, ok := get[Person](m, KindPerson, c.Person)
	locked := false
	for _, scope := range []string{"*", d.ID} {
		for _, origin := range []string{"cloud", "local"} {
			ref := Ref{KindPosture, scope + "/" + origin}
			po, ok := get[Posture](m, KindPosture, ref.Key)
			locked = locked || m.blocked[ref] || ok && po.Mode == ModeLockdown && (po.Until == 0 || now < po.Until)
		}
	}
	switch {
	case m.blocked[c.Ref()] || m.blocked[Ref{KindPerson, c.Person}]:
		return Blocked
	case c.Status != CredentialActive:
		return CardNotActive
	case !ok || p.State != StateActive:
		return PersonInactive
	case now < c.ValidFrom:
		return NotYetValid
	case c.ValidUntil != 0 && now >= c.ValidUntil:
		return Expired
	case locked:
		return Lockdown
	case p.Kind == KindSmartbox && d.Kind != DoorKindCabinet:
		return WrongDoorKind
	}
	seen := map[Reason]bool{}
	for _, g := range all[Grant](m, KindGrant) {
		mem := Ref{KindMembership, p.ID + "/" + g.Group}
		if m.records[mem] == nil || m.blocked[mem] || g.Door != d.ID || m.blocked[g.Ref()] || m.blocked[Ref{KindGroup, g.Group}] {
			continue
		}
		s, ok := get[Schedule](m, KindSchedule, g.Schedule)
		holds, err := s.Holds(at)
		switch {
		case g.Schedule == "":
			seen[Granted] = true
		case m.blocked[Ref{KindSchedule, g.Schedule}]:
			seen[OutsideHours] = true
		case !ok || err != nil:
			seen[Fault] = true
		case holds:
			seen[Granted] = true
		default:
			seen[OutsideHours] = true
		}
	}
	for _, r := range []Reason{Granted, Fault, OutsideHours} {
		if seen[r] {
			return r
		}
	}
	return NoGroup
}

var (
	somePeople    = rapid.SampledFrom([]string{"p0", "p1", "p2"})
	someGroups    = rapid.SampledFrom([]string{"g0", "g1", "g2"})
	someDoors     = rapid.SampledFrom([]string{"d0", "d1", "d2"})
	someSchedules = rapid.SampledFrom([]string{"s0", "s1", "s2"})
	someStatus    = rapid.SampledFrom([]string{CredentialActive, CredentialActive, CredentialActive, CredentialPending, CredentialSuspended})
	someTimes     = rapid.SampledFrom([]int64{0, 0, 0, noon.Unix() - 3600, noon.Unix(), noon.Unix() + 3600})
)

func someRecord(t *rapid.T) Record {
	switch rapid.SampledFrom([]Kind{
		KindPerson, KindCredential, KindCredential, KindGroup, KindMembership, KindMembership, KindGrant, KindGrant, KindSchedule, KindDoor, KindPosture,
	}).Draw(t, "kind") {
	case KindPerson:
		return Person{
			ID:    somePeople.Draw(t, "person"),
			State: rapid.SampledFrom([]string{StateActive, StateActive, StateInactive}).Draw(t, "state"),
			Kind:  rapid.SampledFrom([]string{KindFull, KindSmartbox}).Draw(t, "kind of person"),
		}
	case KindCredential:
		c := Credential{
			ID:        rapid.SampledFrom([]string{"c0", "c1", "c2", "c3"}).Draw(t, "credential"),
			Person:    somePeople.Draw(t, "person"),
			Status:    someStatus.Draw(t, "status"),
			ValidFrom: someTimes.Draw(t, "from"), ValidUntil: someTimes.Draw(t, "until"),
		}
		if n := rapid.Uint64Range(0, 3).Draw(t, "card"); n > 0 { // few, so that they meet
			c.Bits = card(n)
		}
		return c
	case KindGroup:
		return Group{ID: someGroups.Draw(t, "group")}
	case KindMembership:
		return Membership{somePeople.Draw(t, "person"), someGroups.Draw(t, "group")}
	case KindGrant:
		g := Grant{Group: someGroups.Draw(t, "group"), Door: someDoors.Draw(t, "door")}
		if rapid.Bool().Draw(t, "scheduled") {
			g.Schedule = someSchedules.Draw(t, "schedule")
		}
		return g
	case KindSchedule:
		return Schedule{
			ID:   someSchedules.Draw(t, "schedule"),
			Zone: rapid.SampledFrom([]string{"Europe/Berlin", "America/New_York", "UTC", "Europe/Atlantis"}).Draw(t, "zone"),
			Weekly: rapid.SampledFrom([][]Interval{
				nil, {{3, 0, 1440}}, {{3, 600, 720}, {3, 720, 800}}, {{4, 0, 1440}},
			}).Draw(t, "weekly"),
			Holidays: rapid.SampledFrom([][]string{nil, nil, {"2026-11-25"}}).Draw(t, "holidays"),
		}
	case KindDoor:
		return Door{ID: someDoors.Draw(t, "door"), Kind: rapid.SampledFrom([]string{DoorKindDoor, DoorKindCabinet}).Draw(t, "kind of door")}
	}
	return Posture{
		Scope:  rapid.SampledFrom([]string{"*", "d0", "d1"}).Draw(t, "scope"),
		Origin: rapid.SampledFrom([]string{"cloud", "local"}).Draw(t, "origin"),
		Mode:   rapid.SampledFrom([]string{ModeNormal, ModeUnlocked, ModeNormal, ModeLockdown}).Draw(t, "mode"),
		Until:  someTimes.Draw(t, "until"),
	}
}

// base is where each site of these tests starts, so that changes matter.
var base = []Record{
	Door{ID: "d0", Kind: DoorKindDoor}, Door{ID: "d1", Kind: DoorKindCabinet}, Door{ID: "d2", Kind: DoorKindDoor},
	Person{ID: "p0", State: StateActive, Kind: KindFull}, Person{ID: "p1", State: StateActive, Kind: KindSmartbox}, Person{ID: "p2", State: StateActive, Kind: KindFull},
	Membership{"p0", "g0"}, Membership{"p0", "g1"}, Membership{"p1", "g1"}, Membership{"p2", "g2"},
	Schedule{ID: "s0", Zone: "Europe/Berlin", Weekly: []Interval{{3, 480, 1080}}},
	Schedule{ID: "s1", Zone: "America/New_York", Weekly: []Interval{{3, 0, 720}}, Holidays: []string{"2026-11-26"}},
	Grant{"g0", "d0", "s0"}, Grant{"g0", "d0", "s1"}, Grant{"g1", "d1", ""}, Grant{"g1", "d2", "s1"}, Grant{"g2", "d0", ""}, Grant{"g2", "d2", "s2"}, // s2 is missing
	Credential{ID: "c0", Person: "p0", Status: CredentialActive, Bits: card(1)},
	Credential{ID: "c1", Person: "p1", Status: CredentialActive, Bits: card(2)},
	Credential{ID: "c2", Person: "p2", Status: CredentialActive, Bits: card(3), ValidFrom: noon.Unix() - 7200, ValidUntil: noon.Unix() + 7200},
}

// grow makes an Index and a model by the same steps.
func grow(t *rapid.T) (*Index, model) {
	x, m := NewIndex(), model{map[Ref]Record{}, map[Ref]bool{}}
	x.SetReady(true)
	if rapid.IntRange(0, 3).Draw(t, "start") < 3 { // or with nothing
		for _, r := range base {
			x.Put(r)
			m.records[r.Ref()] = r
		}
	}
	type step struct {
		record Record
		act    string
	}
	steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{someRecord(t), rapid.SampledFrom([]string{"put", "put", "put", "put", "put", "delete", "unblock", "block"}).Draw(t, "act")}
	}), 0, 40).Draw(t, "steps")
	for _, s := range steps {
		ref := s.record.Ref()
		switch s.act {
		case "put":
			x.Put(s.record)
			m.records[ref] = s.record
		case "delete":
			x.Delete(ref)
			delete(m.records, ref)
		case "block":
			x.Block(ref)
			m.blocked[ref] = true
		case "unblock":
			x.Unblock(ref)
			delete(m.blocked, ref)
		}
	}
	return x, m
}

// instants are those at which something changes in the records above, and
// their neighbours.
func instants() (all []time.Time) {
	for h := -18; h <= 18; h++ {
		all = append(all, noon.Add(time.Duration(h)*time.Hour), noon.Add(time.Duration(h)*time.Hour-time.Second))
	}
	return all
}

func eachQuery(f func(Query)) {
	for _, door := range []string{"d0", "d1", "d2", "d3"} {
		for n := range uint64(4) {
			q := Query{Door: door}
			if n > 0 {
				q.Bits = card(n)
			}
			for _, q.At = range instants() {
				f(q)
			}
		}
	}
}

// An Index answers as if it looked at all facts anew, whatever came before.
func TestIndexIsTheModel(t *testing.T) {
	seen := map[Reason]int{}
	rapid.Check(t, func(t *rapid.T) {
		x, m := grow(t)
		eachQuery(func(q Query) {
			seen[x.Decide(q).Reason]++
			if got, want := x.Decide(q), m.decide(q); got != want {
				t.Fatalf("%s, card of bits %s at %v: got %+v, want %+v", q.Door, q.Bits.Text(), q.At, got, want)
			}
		})
	})
	// A property over sites in which nothing happens would say nothing.
	for _, r := range []Reason{ // those that the base has; TestDecide has them all
		UnknownDoor, UnknownCard, NotYetValid, Expired, WrongDoorKind, NoGroup, OutsideHours, Fault, Granted,
	} {
		if seen[r] == 0 {
			t.Errorf("no decision was %q: %v", r, seen)
		}
	}
}

// The same facts in another order, each put and deleted and blocked on the way,
// give the same answers, the same entitlements, and leave nothing behind.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, m := grow(t)
		refs := slices.SortedFunc(maps.Keys(m.records), compareRefs)
		blocks := slices.SortedFunc(maps.Keys(m.blocked), compareRefs)
		y := NewIndex()
		y.SetReady(true)
		steps := make([]func(), 0, len(refs)+len(blocks))
		for _, ref := range refs {
			steps = append(steps, func() { y.Put(m.records[ref]) })
		}
		for _, ref := range blocks {
			steps = append(steps, func() { y.Block(ref) })
		}
		for _, i := range rapid.Permutation(indices(len(steps))).Draw(t, "order") {
			steps[i]()
		}
		doors := []string{"d0", "d1", "d2", "d3"}
		eachQuery(func(q Query) {
			if a, b := x.Decide(q), y.Decide(q); a != b {
				t.Fatalf("%s at %v: %+v and %+v", q.Door, q.At, a, b)
			}
		})
		if a, b := dump(t, x, doors), dump(t, y, doors); a != b {
			t.Fatal(cmp.Diff(a, b))
		}
		for _, ref := range blocks {
			y.Unblock(ref)
		}
		for _, ref := range refs {
			y.Delete(ref)
		}
		if n := len(y.people) + len(y.credentials) + len(y.byBits) + len(y.groups) + len(y.memberships) + len(y.grants) +
			len(y.schedules) + len(y.doors) + len(y.postures) + len(y.everywhere) + len(y.blocked); n != 0 || y.Counts() != (Counts{}) {
			t.Fatalf("%d nodes are left of nothing, counts %+v", n, y.Counts())
		}
	})
}

func indices(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

func dump(t *rapid.T, x *Index, doors []string) string {
	text, err := json.Marshal(x.Entitlements(doors))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s %+v %v %v", text, x.Counts(), x.Doors(), x.Blocked())
}

// A controller that holds the entitlements, the schedules and the postures
// opens exactly when Decide does.
func TestEntitlementsAgreeWithDecide(t *testing.T) {
	both := map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		x, _ := grow(t)
		// Each of two controllers has its own doors.
		tables := map[string][]Entitlement{}
		for _, doors := range [][]string{{"d0", "d2"}, {"d1", "d3"}} {
			table := x.Entitlements(doors)
			if !slices.IsSortedFunc(table, func(a, b Entitlement) int { return compareRefs(a.Credential.Ref(), b.Credential.Ref()) }) {
				t.Fatal("not in the order of IDs")
			}
			for _, e := range table {
				for door := range e.Doors {
					if !slices.Contains(doors, door) {
						t.Fatalf("asked for %v, got %s", doors, door)
					}
				}
			}
			for _, door := range doors {
				tables[door] = table
			}
		}
		eachQuery(func(q Query) {
			opens := false
			for _, e := range tables[q.Door] {
				schedules, ok := e.Doors[q.Door]
				now := q.At.Unix()
				if c := e.Credential; !ok || c.Bits != q.Bits || now < c.ValidFrom || c.ValidUntil != 0 && now >= c.ValidUntil {
					continue
				}
				opens = opens || len(schedules) == 0
				for _, id := range schedules {
					s, ok := x.Schedule(id)
					if !ok {
						t.Fatalf("schedule %s is not there", id)
					}
					holds, err := s.Holds(q.At)
					if err != nil {
						t.Fatal(err)
					}
					opens = opens || holds
				}
			}
			opens = opens && x.PostureAt(q.Door, q.At) != ModeLockdown
			both[opens]++
			if got := x.Decide(q); got.Granted != opens {
				t.Fatalf("%s, card of bits %s at %v: the table opens: %v, Decide: %+v", q.Door, q.Bits.Text(), q.At, opens, got)
			}
		})
	})
	if both[true] == 0 || both[false] == 0 {
		t.Errorf("doors that open and that do not: %v", both)
	}
}

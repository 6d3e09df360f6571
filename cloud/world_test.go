package cloud_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/cloud/store"
	"latchkey/cloud/store/sqlitetest"
	"latchkey/delta"
)

// failer is what *testing.T and *rapid.T share.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// A world is one organisation "acme" with the sites "north" and "south", each
// with a front door and a key cabinet, and the access groups staff and vip.
type world struct {
	failer
	ctx    context.Context
	svc    *cloud.Service
	db     *store.DB
	caller cloud.Caller
	clock  time.Time
	ticks  sync.Mutex // held while the service moves clock
	batch  int        // 0 is the default
	limits cloud.Limits
	wallet bool // is installed at north, as far as a test keeps count
}

const admin = cloud.Actor("admin")

// newWorld opens a world that nothing happened in yet.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := copyOf(t, t.Context(), t.TempDir())
	t.Cleanup(func() { w.db.Close() })
	return w
}

// shortWorld is newWorld, until the run of a property ends.
func shortWorld(t *rapid.T) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "cloud")
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w := copyOf(t, t.Context(), dir)
	t.Cleanup(func() { w.db.Close() })
	return w
}

// template is a furnished world.
var template = sqlitetest.Template{Prepare: func(ctx context.Context, path string) error {
	w := &world{failer: broken{}, ctx: ctx}
	w.open(path)
	w.furnish()
	return w.db.Close()
}}

// broken fails where there is no test to fail.
type broken struct{}

func (broken) Helper()                           {}
func (broken) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (broken) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// copyOf opens a copy of a furnished world in dir; the caller closes its db.
func copyOf(f failer, ctx context.Context, dir string) *world {
	f.Helper()
	file, err := template.File()
	w := &world{failer: f, ctx: ctx, caller: cloud.Caller{Org: "acme"}}
	w.clock = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC) // after all that the template has
	w.ok(err)
	path := filepath.Join(dir, "cloud.db")
	w.ok(os.WriteFile(path, file, 0o600))
	w.open(path)
	tokens, err := w.svc.Tokens(ctx, "acme")
	w.ok(err)
	w.caller.Token = tokens[0].ID
	return w
}

func (w *world) open(path string) {
	w.Helper()
	db, err := store.Open(w.ctx, path)
	w.ok(err)
	w.db = db
	w.restart()
}

// restart makes a new Service over the same store.
func (w *world) restart() {
	w.Helper()
	if w.clock.IsZero() {
		w.clock = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	}
	svc, err := cloud.NewService(twice{w.db}, cloud.Options{Batch: w.batch, Limits: w.limits, Now: func() time.Time {
		w.ticks.Lock()
		defer w.ticks.Unlock()
		w.clock = w.clock.Add(time.Millisecond)
		return w.clock
	}})
	w.ok(err)
	w.svc = svc
}

func (w *world) furnish() {
	w.Helper()
	_, err := w.svc.CreateOrg(w.ctx, admin, cloud.Org{ID: "acme", Name: "Acme"})
	w.ok(err)
	_, _, err = w.svc.CreateToken(w.ctx, admin, "acme", "test")
	w.ok(err)
	for _, site := range []string{"north", "south"} {
		w.site(site)
	}
}

// site makes a property with its doors and access groups.
func (w *world) site(site string) {
	w.Helper()
	_, err := w.svc.PutProperty(w.ctx, admin, "acme", cloud.Property{ID: site, Name: site})
	w.ok(err)
	_, err = w.svc.PutDoor(w.ctx, admin, "acme", site, access.Door{ID: "front", Name: "Front door"})
	w.ok(err)
	_, err = w.svc.PutDoor(w.ctx, admin, "acme", site, access.Door{ID: "keys", Name: "Keys", Kind: access.DoorKindCabinet})
	w.ok(err)
	for _, g := range []string{"staff", "vip"} {
		_, err = w.svc.PutAccessGroup(w.ctx, admin, "acme", site, cloud.AccessGroup{ID: g, Name: g, Grants: []cloud.DoorAccess{{Door: "front"}, {Door: "keys"}}})
		w.ok(err)
	}
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("unexpected error: %v", err)
	}
}

// rule adds a rule at a site.
func (w *world) rule(site string, r cloud.Rule) cloud.Rule {
	w.Helper()
	r.Enabled = true
	if r.Groups == nil {
		r.Groups = []string{"staff"}
	}
	r, err := w.svc.CreateRule(w.ctx, admin, "acme", site, r)
	w.ok(err)
	return r
}

// doc is a SCIM user document.
func doc(userName, card string) map[string]any {
	d := map[string]any{"userName": userName, "externalId": "ext-" + userName, "active": true, "displayName": strings.ToUpper(userName)}
	if card != "" {
		d[cloud.EnterpriseURN] = map[string]any{"cardNumber": card}
	}
	return d
}

func (w *world) user(userName, card string) cloud.User {
	w.Helper()
	u, err := w.svc.CreateUser(w.ctx, w.caller, doc(userName, card))
	w.ok(err)
	return u
}

// patch sets top-level attributes as a PATCH replace does; nil removes.
func (w *world) patch(id string, set map[string]any) (cloud.User, error) {
	return w.svc.UpdateUser(w.ctx, w.caller, id, "", false, func(attrs map[string]any) (map[string]any, error) {
		for k, v := range set {
			if k != "cardNumber" {
				attrs[k] = v
				continue
			}
			ext, _ := attrs[cloud.EnterpriseURN].(map[string]any)
			if ext == nil {
				ext = map[string]any{}
				attrs[cloud.EnterpriseURN] = ext
			}
			if v == nil {
				delete(ext, k)
			} else {
				ext[k] = v
			}
		}
		return attrs, nil
	})
}

func (w *world) mustPatch(id string, set map[string]any) cloud.User {
	w.Helper()
	u, err := w.patch(id, set)
	w.ok(err)
	return u
}

func (w *world) group(name string, members ...string) cloud.Group {
	w.Helper()
	g, err := w.svc.CreateGroup(w.ctx, w.caller, map[string]any{"displayName": name}, members)
	w.ok(err)
	return g
}

func (w *world) person(id string) cloud.Person {
	w.Helper()
	p, err := w.svc.Person(w.ctx, "acme", id)
	w.ok(err)
	return p
}

// entries reads the whole log of a site.
func (w *world) entries(site string) []*delta.Delta {
	w.Helper()
	head, err := w.svc.Head(w.ctx, site)
	w.ok(err)
	var all []*delta.Delta
	payloads, err := w.svc.Read(w.ctx, site, head.Epoch, 0, -1)
	w.ok(err)
	for _, p := range payloads {
		if len(p) > delta.MaxPayload {
			w.Fatalf("payload of %d bytes", len(p))
		}
		m, err := delta.Decode(p)
		w.ok(err)
		all = append(all, m.(*delta.Delta))
	}
	return all
}

// denied lists what the entries of a site after seq deny.
func (w *world) denied(site string, seq uint64) []string {
	w.Helper()
	var out []string
	for _, d := range w.entries(site) {
		if d.Seq > seq {
			for _, r := range d.Deny {
				out = append(out, string(r.Kind))
			}
		}
	}
	slices.Sort(out)
	return out
}

func (w *world) seq(site string) uint64 {
	w.Helper()
	h, err := w.svc.Head(w.ctx, site)
	w.ok(err)
	return h.Seq
}

// fold reads the log from its start as a site would, and checks each entry on
// the way: seq without gaps, prev, digest, removals first, and that what takes
// access away is named in deny.
func (w *world) fold(site string) map[access.Ref]string {
	w.Helper()
	head, err := w.svc.Head(w.ctx, site)
	w.ok(err)
	payloads, err := w.svc.Read(w.ctx, site, head.Epoch, 0, -1)
	w.ok(err)
	held := map[access.Ref]string{}
	opens := w.index(nil)
	at := delta.Head{Epoch: head.Epoch}
	for _, payload := range payloads {
		m, err := delta.Decode(payload)
		w.ok(err)
		d := m.(*delta.Delta)
		w.answersFor(opens, d)
		w.denies(opens, d)
		if d.Seq != at.Seq+1 || d.Prev != at.Hash || d.Epoch != at.Epoch {
			w.Fatalf("%s: entry %d/%d follows on %d/%d, prev right: %v", site, d.Epoch, d.Seq, at.Epoch, at.Seq, d.Prev == at.Hash)
		}
		puts := false
		for _, c := range d.Changes {
			old, had := held[c.Ref]
			if had {
				at.Digest.Sub(c.Ref, []byte(old))
			}
			denied := slices.Contains(d.Deny, c.Ref)
			if c.Op == delta.OpDelete {
				if !had {
					w.Fatalf("%s/%d deletes %v, which is not there", site, d.Seq, c.Ref)
				}
				if puts {
					w.Fatalf("%s/%d: a removal stands behind what is put", site, d.Seq)
				}
				switch c.Kind {
				case access.KindPerson, access.KindCredential, access.KindMembership, access.KindGrant:
					if !denied && !widened(d, c.Ref) {
						w.Fatalf("%s/%d removes %v without a deny", site, d.Seq, c.Ref)
					}
				}
				delete(held, c.Ref)
				continue
			}
			puts = true
			if had && !denied && narrower(old, c) {
				w.Fatalf("%s/%d narrows %v without a deny", site, d.Seq, c.Ref)
			}
			held[c.Ref] = string(c.Record)
			at.Digest.Add(c.Ref, c.Record)
		}
		if at.Digest != d.Digest {
			w.Fatalf("%s/%d: digest %v, want %v", site, d.Seq, d.Digest, at.Digest)
		}
		at.Seq, at.Hash = d.Seq, delta.HashOf(payload)
	}
	if at != head {
		w.Fatalf("%s: the log ends at %+v, head is %+v", site, at, head)
	}
	snapHead, records, _, err := w.svc.Snapshot(w.ctx, site)
	w.ok(err)
	snap := map[access.Ref]string{}
	for _, c := range records {
		snap[c.Ref] = string(c.Record)
	}
	if snapHead != head || !maps.Equal(snap, held) {
		w.Fatalf("%s: the log folds to %d records, the snapshot has %d", site, len(held), len(snap))
	}
	if st, err := w.svc.SiteStatus(w.ctx, "acme", site); !errors.Is(err, cloud.ErrNotFound) { // not of a deleted one
		w.ok(err)
		if got, want := st.Openings, len(pairs(opens)); got != want {
			w.Fatalf("%s: %d openings are counted, want %d", site, got, want)
		}
	}
	return held
}

// pairs are the openings of x without their hours, but for those of none.
func pairs(x *access.Index) map[string]bool {
	all := map[string]bool{}
	for o := range openings(x) {
		at := strings.LastIndexByte(o, ' ')
		if s, ok := x.Schedule(o[at+1:]); !ok || len(s.Weekly) > 0 {
			all[o[:at]] = true
		}
	}
	return all
}

// confirmed gets an act done that may be held: as a person would who looks at it.
func (w *world) confirmed(err error) {
	w.Helper()
	held, ok := errors.AsType[*cloud.Held](err)
	if !ok {
		w.ok(err)
		return
	}
	_, err = w.svc.Confirm(w.ctx, admin, "acme", held.Hold.ID, held.Hold.Preview.Lose.Openings)
	w.ok(err)
}

// answersFor wants d to bear a word for all that it takes from x, as the site
// counts it: else the site might refuse it.
func (w *world) answersFor(x *access.Index, d *delta.Delta) {
	w.Helper()
	next := map[access.Ref]access.Record{}
	for _, c := range d.Changes {
		next[c.Ref] = nil
		if c.Op == delta.OpPut {
			r, err := access.ParseRecord(c.Kind, c.Record)
			w.ok(err)
			next[c.Ref] = r
		}
	}
	if lost := x.Loss(next); d.Approved.Uncovered(lost.Openings) > 0 {
		w.Fatalf("%s/%d takes %d openings from %d people, and its word is for %+v", d.Site, d.Seq, lost.Openings, lost.People, d.Approved)
	}
}

// denies applies d to an index, and wants its deny lane to say no less than what
// opens no more, and of people and cards that it stops no more than that.
func (w *world) denies(x *access.Index, d *delta.Delta) {
	w.Helper()
	for _, ref := range d.Deny {
		x.Block(ref)
	}
	ahead := openings(x)
	for _, ref := range d.Deny {
		x.Unblock(ref)
	}
	for _, c := range d.Changes {
		if c.Op == delta.OpDelete {
			x.Delete(c.Ref)
			continue
		}
		r, err := access.ParseRecord(c.Kind, c.Record)
		w.ok(err)
		x.Put(r)
	}
	after := openings(x)
	for opening := range ahead {
		always := opening[:strings.LastIndexByte(opening, ' ')] + " always"
		if !after[opening] && !after[always] {
			w.Fatalf("%s/%d takes %s away and does not deny it", d.Site, d.Seq, opening)
		}
	}
	for _, ref := range d.Deny {
		if c, ok := x.Credential(ref.Key); ref.Kind == access.KindCredential && ok && c.Status == access.CredentialActive && c.ValidFrom == 0 && c.ValidUntil == 0 {
			w.Fatalf("%s/%d denies a card that stays good", d.Site, d.Seq)
		}
		if p, ok := x.Person(ref.Key); ref.Kind == access.KindPerson && ok && p.State == access.StateActive && p.Kind == access.KindFull {
			w.Fatalf("%s/%d denies a person who stays good", d.Site, d.Seq)
		}
	}
}

// index is an access index of records.
func (w *world) index(records map[access.Ref]string) *access.Index {
	w.Helper()
	x := access.NewIndex()
	x.SetReady(true)
	for ref, doc := range records {
		r, err := access.ParseRecord(ref.Kind, []byte(doc))
		w.ok(err)
		x.Put(r)
	}
	return x
}

// openings is what opens in x: card, door and hours.
func openings(x *access.Index) map[string]bool {
	var doors []string
	for _, d := range x.Doors() {
		doors = append(doors, d.ID)
	}
	all := map[string]bool{}
	for _, e := range x.Entitlements(doors) {
		for door, schedules := range e.Doors {
			if len(schedules) == 0 {
				schedules = []string{"always"}
			}
			for _, s := range schedules {
				all[fmt.Sprintf("%s at %s %s", e.Credential.ID, door, s)] = true
			}
		}
	}
	return all
}

// widened says whether d makes the grant ref one for all hours.
func widened(d *delta.Delta, ref access.Ref) bool {
	always := ref.Key[:strings.LastIndexByte(ref.Key, '/')+1]
	return ref.Kind == access.KindGrant && slices.ContainsFunc(d.Changes, func(c delta.Change) bool {
		return c.Op == delta.OpPut && c.Ref == access.Ref{Kind: access.KindGrant, Key: always}
	})
}

// narrower is the test's own idea of a loss.
func narrower(old string, c delta.Change) bool {
	switch c.Kind {
	case access.KindPerson:
		var a, b access.Person
		json.Unmarshal([]byte(old), &a)
		json.Unmarshal(c.Record, &b)
		return a.State == "active" && b.State != "active" || a.Kind == "FULL" && b.Kind == "SMARTBOX"
	case access.KindCredential:
		var a, b access.Credential
		json.Unmarshal([]byte(old), &a)
		json.Unmarshal(c.Record, &b)
		return a.Status == "active" && b.Status != "active"
	}
	return false
}

// holds says what a site holds of one person: "active", the numbers of cards
// and the groups, sorted.
func (w *world) holds(site, person string) string {
	w.Helper()
	var out []string
	for ref, rec := range w.fold(site) {
		switch ref.Kind {
		case access.KindPerson:
			var p access.Person
			w.ok(json.Unmarshal([]byte(rec), &p))
			if p.ID == person {
				out = append(out, " "+p.State)
			}
		case access.KindCredential:
			var c access.Credential
			w.ok(json.Unmarshal([]byte(rec), &c))
			if c.Person == person {
				text := fmt.Sprint("card ", c.Number)
				if c.Status != access.CredentialActive {
					text += " " + c.Status
				}
				out = append(out, text)
			}
		case access.KindMembership:
			var m access.Membership
			w.ok(json.Unmarshal([]byte(rec), &m))
			if m.Person == person {
				out = append(out, "in "+m.Group)
			}
		}
	}
	slices.Sort(out)
	return strings.TrimSpace(strings.Join(out, ", "))
}

// expect compares what a site holds of a person.
func (w *world) expect(site, person, want string) {
	w.Helper()
	if got := w.holds(site, person); got != want {
		w.Errorf("%s holds %q, want %q", site, got, want)
	}
}

// refused wants an *Invalid and returns its detail.
func (w *world) refused(err error) string {
	w.Helper()
	bad, ok := errors.AsType[*cloud.Invalid](err)
	if !ok {
		w.Fatalf("got error %v, want a refusal", err)
	}
	return bad.Detail
}

// attrs is the document of u.
func attrs(t *testing.T, u cloud.User) map[string]any {
	t.Helper()
	doc, err := u.Attrs()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

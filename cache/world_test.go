package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/access"
	"latchkey/delta"
	"latchkey/wiegand"
)

// noon is when all decisions of these tests are made.
var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

const epoch = 1_795_305_600

// A world is the cloud's end of one site's stream: what the site should hold
// after each seq.
type world struct {
	epoch   uint32
	records map[access.Ref]json.RawMessage
	heads   []delta.Head // by seq; 0 is the empty start
	deltas  []*delta.Delta
	states  []map[access.Ref]json.RawMessage // by seq
}

func newWorld(epoch uint32) *world {
	w := &world{epoch: epoch, records: map[access.Ref]json.RawMessage{}}
	w.heads = append(w.heads, delta.Head{Epoch: epoch})
	w.states = append(w.states, map[access.Ref]json.RawMessage{})
	return w
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func put(r access.Record) delta.Change { return must(delta.Put(r)) }

// publish appends one delta to the stream.
func (w *world) publish(deny []access.Ref, changes ...delta.Change) *delta.Delta {
	d := w.next(deny, changes...)
	w.deltas = append(w.deltas, d)
	w.states = append(w.states, maps.Clone(w.records))
	return d
}

// next is publish that does not keep the delta and the state that it makes.
func (w *world) next(deny []access.Ref, changes ...delta.Change) *delta.Delta {
	last := w.heads[len(w.heads)-1]
	digest := last.Digest
	for _, c := range changes {
		if old, ok := w.records[c.Ref]; ok {
			digest.Sub(c.Ref, old)
			delete(w.records, c.Ref)
		}
		if c.Op == delta.OpPut {
			digest.Add(c.Ref, c.Record)
			w.records[c.Ref] = c.Record
		}
	}
	d := &delta.Delta{Epoch: w.epoch, Seq: last.Seq + 1, Prev: last.Hash, Digest: digest, Deny: deny, Changes: changes}
	w.heads = append(w.heads, delta.Head{Epoch: w.epoch, Seq: d.Seq, Hash: hashOf(d), Digest: digest})
	return d
}

func hashOf(d *delta.Delta) delta.Hash { return delta.HashOf(must(json.Marshal(d))) }

// snapshot is the state at seq, in parts of at most size records.
func (w *world) snapshot(id string, seq uint64, size int) (parts []*delta.Snapshot) {
	var records []delta.Change
	for _, ref := range sortedRefs(w.states[seq]) {
		records = append(records, delta.Change{Op: delta.OpPut, Ref: ref, Record: w.states[seq][ref]})
	}
	for chunk := range slices.Chunk(records, size) {
		parts = append(parts, &delta.Snapshot{ID: id, Part: len(parts) + 1, Head: w.heads[seq], Records: chunk})
	}
	if len(parts) == 0 {
		parts = append(parts, &delta.Snapshot{ID: id, Part: 1, Head: w.heads[seq]})
	}
	for _, p := range parts {
		p.Parts = len(parts)
	}
	return parts
}

// oracle is the index that a site should have.
func oracle(records map[access.Ref]json.RawMessage, blocked []access.Ref, ready bool) *access.Index {
	x := access.NewIndex()
	for ref, raw := range records {
		if known(ref.Kind) {
			x.Put(must(access.ParseRecord(ref.Kind, raw)))
		}
	}
	for _, ref := range blocked {
		x.Block(ref)
	}
	x.SetReady(ready)
	return x
}

// The small world that random changes are made of.
const (
	people = 12
	doors  = 3
	groups = 4
)

func bitsOf(i int) wiegand.Bits {
	return must(wiegand.MakeBits(26, []byte{byte(i >> 16), byte(i >> 8), byte(i), 0x40}))
}

func doorOf(i int) access.Door {
	return access.Door{ID: fmt.Sprintf("d%d", i), Name: fmt.Sprintf("Door %d", i), Kind: access.DoorKindDoor}
}

func personOf(i int, state string) access.Person {
	return access.Person{ID: fmt.Sprintf("p%d", i), Name: fmt.Sprintf("Person <%d>", i), State: state, Kind: access.KindFull}
}

func cardOf(i int, status string) access.Credential {
	return access.Credential{ID: fmt.Sprintf("c%d", i), Person: fmt.Sprintf("p%d", i), Technology: access.TechCard, Format: "H10301", Bits: bitsOf(i), Number: uint64(i), Status: status}
}

func memberOf(i, g int) access.Membership {
	return access.Membership{Person: fmt.Sprintf("p%d", i), Group: fmt.Sprintf("g%d", g)}
}

func grantOf(g, d int) access.Grant {
	return access.Grant{Group: fmt.Sprintf("g%d", g), Door: fmt.Sprintf("d%d", d)}
}

func lockdownOf(d int) access.Posture {
	return access.Posture{Scope: fmt.Sprintf("d%d", d), Origin: "cloud", Mode: access.ModeLockdown}
}

// building is n people with a card each, all of whom may use door i%doors.
func building(n int) (changes []delta.Change) {
	for d := range doors {
		changes = append(changes, put(doorOf(d)))
	}
	for g := range groups {
		changes = append(changes, put(access.Group{ID: fmt.Sprintf("g%d", g)}), put(grantOf(g, g%doors)))
	}
	for i := range n {
		changes = append(changes, put(personOf(i, access.StateActive)), put(cardOf(i, access.CredentialActive)), put(memberOf(i, i%groups)))
	}
	return changes
}

// anyChange is one change of the small world, chosen by r.
func anyChange(r *rand.Rand) delta.Change {
	i, g, d := r.IntN(people), r.IntN(groups), r.IntN(doors)
	var rec access.Record
	switch r.IntN(8) {
	case 0:
		rec = personOf(i, []string{access.StateActive, access.StateInactive}[r.IntN(2)])
	case 1:
		rec = cardOf(i, []string{access.CredentialActive, access.CredentialSuspended}[r.IntN(2)])
	case 2, 3:
		rec = memberOf(i, g)
	case 4:
		rec = grantOf(g, d)
	case 5:
		rec = doorOf(d)
	case 6:
		rec = lockdownOf(d)
	case 7:
		return delta.Change{Op: delta.OpPut, Ref: access.Ref{Kind: "hologram", Key: fmt.Sprint(i)}, Record: json.RawMessage(fmt.Sprintf(`{"x":%d}`, r.IntN(9)))}
	}
	if r.IntN(3) == 0 {
		return delta.Del(rec.Ref())
	}
	return put(rec)
}

// answers is all that an index says of the small world, as a text to compare.
func answers(x *access.Index) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%+v\n", x.Counts())
	var ids []string
	for _, d := range x.Doors() {
		ids = append(ids, d.ID)
		fmt.Fprintf(&b, "%+v\n", d)
	}
	for i := range people {
		for d := range doors {
			fmt.Fprintf(&b, "%v ", x.Decide(access.Query{Door: fmt.Sprintf("d%d", d), Bits: bitsOf(i), At: noon}))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%s\n", must(json.Marshal(x.Entitlements(ids))))
	return b.String()
}

func testKey() []byte { return []byte("0123456789abcdef0123456789abcdef") }

// emptyCache is the file of a new cache of testKey, made once: to make one takes
// five times as long as to open it.
var emptyCache = sync.OnceValue(func() []byte {
	dir := must(os.MkdirTemp("", "latchkey-cache"))
	defer os.RemoveAll(dir)
	db := must(Open(context.Background(), Options{Dir: dir, Key: testKey()}))
	if err := db.Close(); err != nil {
		panic(err)
	}
	return must(os.ReadFile(filepath.Join(dir, "cache.db")))
})

// options are those of a cache that is new.
func options(t testing.TB) Options {
	t.Helper()
	o, err := optionsIn(filepath.Join(t.TempDir(), "site"), emptyCache())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// optionsIn makes dir and gives the options of the cache in it, whose file holds db.
func optionsIn(dir string, db []byte) (Options, error) {
	return Options{Dir: dir, Key: testKey(), Now: func() time.Time { return noon }},
		errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "cache.db"), db, 0o600))
}

func open(t testing.TB, o Options) *DB {
	t.Helper()
	db, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// fill brings the state at seq into db.
func fill(t testing.TB, db *DB, w *world, id string, seq uint64) {
	t.Helper()
	for _, part := range w.snapshot(id, seq, 200) {
		if _, err := db.Stage(t.Context(), part); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Swap(t.Context(), id, nil); err != nil {
		t.Fatal(err)
	}
}

// stocked is a cache that holds the building of n people.
func stocked(t testing.TB, n int) (*DB, *world, Options) {
	t.Helper()
	w := newWorld(epoch)
	w.publish(nil, building(n)...)
	o := options(t)
	db := open(t, o)
	fill(t, db, w, "s", 1)
	return db, w, o
}

func decide(db *DB, card, door int) (dec access.Decision) {
	db.View(func(x *access.Index) {
		dec = x.Decide(access.Query{Door: fmt.Sprintf("d%d", door), Bits: bitsOf(card), At: noon})
	})
	return dec
}

package serialline

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"slices"
)

// The tables of a controller.
const (
	TableCredentials uint8 = 1
	TableSchedules   uint8 = 2
)

// Sizes of what stands in tables.
const (
	KeyLen    = 16
	RecordLen = 32
)

// MaxDoors is how many doors a controller of version 1 works.
const MaxDoors = 4

// A Key names one record of a table. In the credential table it is the card
// itself, so it prints as nothing.
type Key [KeyLen]byte

// A Root is the digest of a whole table: equal roots are equal tables.
type Root [16]byte

const (
	maxKeyBits = 120  // as many as a Key has room for
	hashedKey  = 0xFF // first byte of the key of a longer card
)

// MakeKey makes the key of a card of n bits, 1 to 1024, left aligned in left;
// bits past n do not count. The zero Key comes back where n and left are no
// card.
func MakeKey(n int, left []byte) Key {
	size := (n + 7) / 8
	if n < 1 || n > 1024 || len(left) < size {
		return Key{}
	}
	b := slices.Clone(left[:size])
	if over := size*8 - n; over > 0 {
		b[size-1] &^= 1<<over - 1
	}
	var k Key
	if n <= maxKeyBits {
		k[0] = byte(n)
		copy(k[1:], b)
		return k
	}
	sum := sha256.Sum256(append(binary.LittleEndian.AppendUint16(nil, uint16(n)), b...))
	k[0] = hashedKey
	copy(k[1:], sum[:])
	return k
}

// Bits returns the bits of the card, left aligned. It reports false for the key
// of a card longer than 120 bits, which is a hash, and for what is no key.
func (k Key) Bits() (n int, left []byte, ok bool) {
	n = int(k[0])
	if n < 1 || n > maxKeyBits {
		return 0, nil, false
	}
	return n, slices.Clone(k[1 : 1+(n+7)/8]), true
}

// valid reports whether k can be the key of a card.
func (k Key) valid() bool {
	n, left, ok := k.Bits()
	return ok && MakeKey(n, left) == k || k[0] == hashedKey
}

// String hides the card.
func (k Key) String() string { return "key(hidden)" }

// Format hides the card from every verb.
func (k Key) Format(s fmt.State, _ rune) { io.WriteString(s, k.String()) }

// LogValue hides the card from slog.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// The flags of a credential. A controller says in HELLO which it honours, and
// refuses a record with another.
const (
	FlagCard      uint16 = 1 << 0
	FlagBLE       uint16 = 1 << 1
	FlagWallet    uint16 = 1 << 2
	FlagPIN       uint16 = 1 << 3 // a PIN is wanted besides
	FlagEscort    uint16 = 1 << 4
	FlagFirstIn   uint16 = 1 << 5
	FlagLonger    uint16 = 1 << 6 // the door stays open three times as long
	FlagExempt    uint16 = 1 << 7 // from anti-passback
	FlagTwoA      uint16 = 1 << 8 // first of two persons
	FlagTwoB      uint16 = 1 << 9 // second of two persons
	FlagDuress    uint16 = 1 << 10
	FlagSuspended uint16 = 1 << 11 // known, and opens nothing
)

// A Record is one entry of a table: 32 bytes, of which the first 16 are the key.
// The fields are those of the credential table; in the schedule table the 16
// bytes after the key mean something else (EncodeSchedules), and only Bytes and
// RecordOf touch them. Records are comparable.
type Record struct {
	Key        Key
	Doors      uint16          // bit i is door i, 0 to MaxDoors-1
	Schedules  [MaxDoors]uint8 // of door i; 0 is always, otherwise a slot of the schedule table
	ValidFrom  uint32          // unix minutes; 0 is open
	ValidUntil uint32          // unix minutes, the first that is refused; 0 is open
	Flags      uint16
}

// ErrRecord says that a record does not belong into its table.
var ErrRecord = errors.New("serialline: not a record of this table")

// Bytes returns the record as it stands on the wire and in digests.
func (r Record) Bytes() (b [RecordLen]byte) {
	copy(b[:], r.Key[:])
	binary.LittleEndian.PutUint16(b[16:], r.Doors)
	copy(b[18:], r.Schedules[:])
	binary.LittleEndian.PutUint32(b[22:], r.ValidFrom)
	binary.LittleEndian.PutUint32(b[26:], r.ValidUntil)
	binary.LittleEndian.PutUint16(b[30:], r.Flags)
	return b
}

// RecordOf is the record that has these bytes, whatever its table.
func RecordOf(b [RecordLen]byte) Record {
	return Record{
		Key:        Key(b[:KeyLen]),
		Doors:      binary.LittleEndian.Uint16(b[16:]),
		Schedules:  [MaxDoors]uint8(b[18:]),
		ValidFrom:  binary.LittleEndian.Uint32(b[22:]),
		ValidUntil: binary.LittleEndian.Uint32(b[26:]),
		Flags:      binary.LittleEndian.Uint16(b[30:]),
	}
}

// CheckCredential says what keeps r out of a credential table. The error is an
// ErrRecord and tells nothing of the card.
func (r Record) CheckCredential() error {
	switch {
	case !r.Key.valid():
		return fmt.Errorf("%w: its key is no card's", ErrRecord)
	case r.Doors>>MaxDoors != 0:
		return fmt.Errorf("%w: door mask %#x, want at most %d doors", ErrRecord, r.Doors, MaxDoors)
	}
	return nil
}

// SumOf is the record's part of its bucket's sum.
func SumOf(r Record) uint64 {
	b := r.Bytes()
	sum := sha256.Sum256(b[:])
	return binary.LittleEndian.Uint64(sum[:])
}

// BucketOf is the bucket in which the record of k counts.
func BucketOf(k Key) uint8 { return sha256.Sum256(k[:])[0] }

// A KeySum is what BUCKET tells of one record.
type KeySum struct {
	Key Key
	Sum uint64 // SumOf
}

// A Table is the records of one table with its digest, which it keeps up to date
// at the cost of the records that change. Host and controller both have one. It
// is not safe for concurrent use.
type Table struct {
	records [256]map[Key]Record
	sums    [256]uint64
	n       int
}

// NewTable returns an empty table.
func NewTable() *Table { return &Table{} }

// Put sets the record of its key.
func (t *Table) Put(r Record) {
	b := BucketOf(r.Key)
	if t.records[b] == nil {
		t.records[b] = make(map[Key]Record)
	}
	if old, ok := t.records[b][r.Key]; ok {
		t.sums[b] -= SumOf(old)
	} else {
		t.n++
	}
	t.records[b][r.Key] = r
	t.sums[b] += SumOf(r)
}

// Delete removes the record of k, and reports whether there was one.
func (t *Table) Delete(k Key) bool {
	b := BucketOf(k)
	old, ok := t.records[b][k]
	if ok {
		t.sums[b] -= SumOf(old)
		t.n--
		delete(t.records[b], k)
	}
	return ok
}

// Get returns the record of k.
func (t *Table) Get(k Key) (Record, bool) {
	r, ok := t.records[BucketOf(k)][k]
	return r, ok
}

// Len is the number of records.
func (t *Table) Len() int { return t.n }

// Sums returns the sum of each bucket: the sum of its records, modulo 2^64.
func (t *Table) Sums() [256]uint64 { return t.sums }

// Root returns the digest of the table.
func (t *Table) Root() Root { return RootOf(t.sums) }

// RootOf is the root of a table with those bucket sums: the first 16 bytes of
// SHA-256 over the sums, each little endian.
func RootOf(sums [256]uint64) Root {
	var b [256 * 8]byte
	for i, s := range sums {
		binary.LittleEndian.PutUint64(b[i*8:], s)
	}
	sum := sha256.Sum256(b[:])
	return Root(sum[:])
}

// Bucket returns key and sum of each record in bucket b, sorted by key.
func (t *Table) Bucket(b uint8) []KeySum {
	out := make([]KeySum, 0, len(t.records[b]))
	for k, r := range t.records[b] {
		out = append(out, KeySum{k, SumOf(r)})
	}
	slices.SortFunc(out, func(a, b KeySum) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	return out
}

// All yields every record, in no order.
func (t *Table) All() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		for _, rows := range t.records {
			for _, r := range rows {
				if !yield(r) {
					return
				}
			}
		}
	}
}

// Clone returns a copy that shares nothing.
func (t *Table) Clone() *Table {
	c := &Table{sums: t.sums, n: t.n}
	for i, rows := range t.records {
		if len(rows) == 0 {
			continue
		}
		c.records[i] = make(map[Key]Record, len(rows))
		maps.Copy(c.records[i], rows)
	}
	return c
}

// Package delta is the contract between cloud and site: messages, canonical
// records, digest, signature, and the rules by which a site accepts a delta.
// It is pure: bytes in, values and verdicts out.
package delta

import (
	"encoding/json"
	"time"

	"latchkey/access"
)

// Version is the contract's version, the "v" of every payload.
const Version = 1

// MaxPayload is the largest payload in bytes. The envelope adds a third and a
// header, and MaxSealed, the 128 KiB that some brokers take, must hold it: 96
// KiB would be 128 KiB in base64 before the header.
const MaxPayload = 95 << 10

// The types of message. Down is cloud to site, up is site to cloud.
const (
	TypeDelta    = "delta"    // down
	TypeSnapshot = "snapshot" // down
	TypeBeat     = "beat"     // down
	TypeAck      = "ack"      // down: events are stored
	TypeCommand  = "command"  // down
	TypeHello    = "hello"    // up
	TypeApplied  = "applied"  // up
	TypeNeed     = "need"     // up
	TypeNack     = "nack"     // up
	TypeEvents   = "event"    // up
	TypeResult   = "result"   // up
	TypeProof    = "proof"    // up
	TypeReceipt  = "receipt"  // up: sent by package uplink itself
)

// Head is where a site's stream stands: the last seq of the epoch, the hash of
// that payload, and the digest of all records after it.
type Head struct {
	Epoch  uint32 `json:"epoch"`
	Seq    uint64 `json:"seq"`
	Hash   Hash   `json:"hash"`   // SHA-256 of the payload of Seq; zero for Seq 0
	Digest Digest `json:"digest"` // of all records held after Seq
}

// A Header is what every payload has.
type Header struct {
	V    int       `json:"v"`
	Type string    `json:"type"`
	Site string    `json:"site"`
	At   time.Time `json:"at"` // sender's clock, UTC: for people, no rule reads it
}

// A Message is any of the payload types below, by pointer.
type Message interface{ header() *Header }

func (h *Header) header() *Header { return h }

// ReasonMass is the reason of a Nack of a message that takes very much and bears
// no word for it.
const ReasonMass = "mass"

// The ops of a Change.
const (
	OpPut    = "put"
	OpDelete = "del"
)

// A Change puts or deletes one record. Record is the canonical record, only
// with OpPut; its bytes are kept as received.
type Change struct {
	Op string `json:"op"`
	access.Ref
	Record json.RawMessage `json:"record,omitempty"`
}

// A Delta is one step of a site's stream.
type Delta struct {
	Header
	Epoch    uint32       `json:"epoch"`
	Seq      uint64       `json:"seq"`
	Prev     Hash         `json:"prev"`   // hash of the payload of Seq-1; zero for 1
	Digest   Digest       `json:"digest"` // of all records once this delta is applied
	Deny     []access.Ref `json:"deny,omitempty"`
	Changes  []Change     `json:"changes"`
	Approved *Approval    `json:"approved,omitempty"` // of what it takes
}

// An Approval is the word that a loss of access is meant. Every message that
// takes something bears one: an admin's, or that of the cloud's guard, which
// let it through. A site measures for itself and obeys no mass loss without.
type Approval struct {
	By      string `json:"by"`
	Removes int    `json:"removes"` // openings, at the most
}

// A Snapshot is one part of the whole state at Head. The site takes it only
// when Re is the nonce of this connection's hello and Head is not older than
// what it holds. Parts come in any order and more than once. A site that has
// some and hears no new one for 30 s asks with Need for the missing ones.
type Snapshot struct {
	Header
	ID      string   `json:"id"`   // one for all parts; a newer one discards the older
	Re      string   `json:"re"`   // nonce of the hello that it answers
	Part    int      `json:"part"` // 1 to Parts
	Parts   int      `json:"parts"`
	Head    Head     `json:"head"`
	Records []Change `json:"records"` // OpPut only
	// Approved is the word for what the whole of it takes from a site that
	// holds something; the same in all parts.
	Approved *Approval `json:"approved,omitempty"`
}

// A Beat says every 30 s, and right after each hello, that the cloud is there
// and how far it is.
//
// The rules at the site: only a Beat whose Re is the nonce of the newest hello
// proves contact and position. A cloud that was started anew knows no nonces
// and sends an empty Re: the site answers that with a new hello, under a new
// nonce, but not more than once a second. Any other Re is the echo of an older
// hello and is passed over; answering it with a new one would make two hellos
// chase one another for ever. (Package uplink repeats the newest hello, ever
// more rarely up to every 30 s, while beats do not echo it, and answers each
// that does with the newest Applied.)
type Beat struct {
	Header
	Re   string    `json:"re"`
	Head Head      `json:"head"`
	Time time.Time `json:"time"`
}

// An Ack says that the cloud has stored all events up to and including N.
type Ack struct {
	Header
	EventEpoch string `json:"event_epoch"`
	N          uint64 `json:"n"`
}

// A Command is done at most once.
type Command struct {
	Header
	ID   string          `json:"id"`
	Re   string          `json:"re"`
	TTL  int64           `json:"ttl"`  // seconds since the hello whose nonce Re echoes
	Name string          `json:"name"` // "unlock", "resync", "blink"
	Args json.RawMessage `json:"args,omitempty"`
}

// A Hello opens every connection of a site.
type Hello struct {
	Header
	Head
	Nonce      string `json:"nonce"`    // 16 random bytes, base64url
	Versions   []int  `json:"versions"` // record versions that the site reads
	EventEpoch string `json:"event_epoch"`
	Events     uint64 `json:"events"` // the newest event's n
	Software   string `json:"software,omitempty"`
}

// An Applied is cumulative: everything up to Head is on the site's disk.
type Applied struct {
	Header
	Head
}

// A Need asks for the deltas From..To again, or for a snapshot: whole, or the
// missing Parts of the snapshot ID.
type Need struct {
	Header
	Epoch    uint32 `json:"epoch"`
	From     uint64 `json:"from,omitempty"`
	To       uint64 `json:"to,omitempty"`
	Snapshot bool   `json:"snapshot,omitempty"`
	ID       string `json:"id,omitempty"`
	Parts    []int  `json:"parts,omitempty"`
	Reason   string `json:"reason,omitempty"` // "fork", "digest", "first", …
}

// A Nack says that a message cannot be read or obeyed.
type Nack struct {
	Header
	Epoch  uint32 `json:"epoch"`
	Seq    uint64 `json:"seq"`
	Reason string `json:"reason"` // "signature", "shape", "version", "size", "mass"
	// With "mass": how many openings the message would take, with those that
	// went within the hour without a word for them, from how many people, and how
	// many the site holds.
	Removes  int `json:"removes,omitempty"`
	People   int `json:"people,omitempty"`
	Openings int `json:"openings,omitempty"`
}

// Events carries events up, in order, numbered without gaps.
type Events struct {
	Header
	EventEpoch string         `json:"event_epoch"` // random, made with the event store
	Events     []access.Event `json:"events"`
}

// A Result is what became of a Command.
type Result struct {
	Header
	ID   string `json:"id"`
	OK   bool   `json:"ok"`
	Text string `json:"text,omitempty"`
}

// A Proof says what a controller was read to hold.
type Proof struct {
	Header
	Controllers []ControllerProof `json:"controllers"`
}

// A ControllerProof is one controller's row of a Proof.
type ControllerProof struct {
	Controller string    `json:"controller"`
	Wanted     int       `json:"wanted"` // credentials
	Held       int       `json:"held"`   // credentials proven
	Equal      bool      `json:"equal"`  // its digest equals the wanted one
	Epoch      uint32    `json:"epoch"`  // stream position of the wanted state
	Seq        uint64    `json:"seq"`
	Since      time.Time `json:"since"`
}

// A Receipt says that one part of a snapshot reached the site. It paces the
// parts, so that a slow line is never sent more than its broker will hold; what
// the site made of the part is said by Applied, Need or Nack.
type Receipt struct {
	Header
	ID   string `json:"id"`
	Re   string `json:"re"` // as in the part: one that came under an older nonce does not count
	Part int    `json:"part"`
}

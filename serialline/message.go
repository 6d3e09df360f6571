package serialline

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// The operations (serial door link: Operations).
const (
	OpHello  uint8 = 0x01
	OpPoll   uint8 = 0x02
	OpTime   uint8 = 0x03
	OpBegin  uint8 = 0x10
	OpPut    uint8 = 0x11
	OpDel    uint8 = 0x12
	OpCommit uint8 = 0x13
	OpAbort  uint8 = 0x14
	OpDigest uint8 = 0x15
	OpBucket uint8 = 0x16
	OpRevoke uint8 = 0x17
	OpUpsert uint8 = 0x18
	OpEvents uint8 = 0x20
	OpAck    uint8 = 0x21
	OpDoor   uint8 = 0x30
	OpPulse  uint8 = 0x31
	OpSignal uint8 = 0x32
	OpError  uint8 = 0xFF
)

// How much one frame carries.
const (
	MaxPut      = 7  // records
	MaxDel      = 14 // keys
	MaxRevoke   = 14 // keys
	MaxUpsert   = 7  // records
	MaxEvents   = 5
	DigestPage  = 26 // bucket sums
	DigestPages = 10 // of one table
	BucketPage  = 9  // keys and sums
)

// ErrPayload says that a payload is not what its operation carries.
var ErrPayload = errors.New("serialline: payload")

// A Code says why a controller refused an operation. errors.Is finds it in the
// errors of Client.
type Code uint8

// The codes.
const (
	CodeUnknownOp  Code = 1
	CodePayload    Code = 2
	CodeSealed     Code = 3  // sealed frames are not spoken here
	CodeHello      Code = 4  // HELLO first: the controller has started since
	CodeEpoch      Code = 5  // lower epoch than the table's
	CodeVersion    Code = 6  // older version than the table's, in one epoch
	CodeBase       Code = 7  // the transaction starts from another version than the table's
	CodeFullLoad   Code = 8  // a higher epoch needs a transaction that is full
	CodeBusyTxn    Code = 9  // another transaction is open
	CodeTxn        Code = 10 // no such transaction is open
	CodeIndex      Code = 11 // records are missing before this one
	CodeIncomplete Code = 12 // COMMIT before all records came
	CodeRoot       Code = 13 // the table would have another root
	CodeFull       Code = 14 // no room
	CodeRecord     Code = 15 // a record that the table cannot hold or the controller not honour
	CodeTable      Code = 16 // no such table
	CodeDoor       Code = 17 // no such door or reader
	CodeMode       Code = 18 // no such mode, or a lease where none may or must be
	CodeStep       Code = 19 // the clock would step further than allowed
	CodeStorage    Code = 20 // the controller's own storage failed
	CodeOutOfOrder Code = 21 // an ACK of events that were never told
	CodeHeld       Code = 22 // the door is held in another mode, which must be released first
)

// Error names the code.
func (c Code) Error() string {
	text := map[Code]string{
		CodeUnknownOp: "unknown operation", CodePayload: "malformed payload", CodeSealed: "sealed mode not supported",
		CodeHello: "HELLO first", CodeEpoch: "lower epoch than the table's", CodeVersion: "older version than the table's",
		CodeBase: "transaction from another version than the table's", CodeFullLoad: "a higher epoch needs a full load",
		CodeBusyTxn: "another transaction is open", CodeTxn: "no such transaction", CodeIndex: "records are missing before this one",
		CodeIncomplete: "records are missing", CodeRoot: "the table would have another digest", CodeFull: "no room",
		CodeRecord: "a record that it cannot hold", CodeTable: "no such table", CodeDoor: "no such door or reader",
		CodeMode: "no such mode or lease", CodeStep: "clock step too large", CodeStorage: "storage failed",
		CodeOutOfOrder: "events were not told yet", CodeHeld: "the door is held in another mode",
	}[c]
	if text == "" {
		return fmt.Sprintf("refused with code %d", uint8(c))
	}
	return text
}

// A Refusal is the payload of an OpError reply, and the error that Client makes
// of it.
type Refusal struct {
	Op     uint8 // what was refused
	Code   Code
	Detail []byte // at most 32 bytes: for CodeRoot the root that the table would have
}

// Error says what was refused and why.
func (r *Refusal) Error() string {
	return fmt.Sprintf("serialline: operation %#02x refused: %s", r.Op, r.Code.Error())
}

// Unwrap is the code.
func (r *Refusal) Unwrap() error { return r.Code }

// A HelloRequest opens a session (page 0), or asks for what HELLO tells of one
// table (page 1, 2: the table).
type HelloRequest struct {
	Nonce [8]byte
	Page  uint8
}

// An Identity answers page 0.
type Identity struct {
	Echo      [8]byte // the host's nonce
	Proto     uint8   // version of the link
	Model     string  // at most 16 bytes of ASCII
	Serial    [8]byte
	Boot      uint32 // random at each start
	Nonce     [8]byte
	Doors     uint8
	Readers   uint8
	Flags     uint16 // credential flags that the controller honours
	MaxEvents uint32 // room of the event ring
}

// A TableInfo answers page 1 and 2.
type TableInfo struct {
	Table    uint8
	Epoch    uint32 // 0: never loaded
	Version  uint64
	Root     Root   // with revoked keys absent
	Txn      uint64 // open transaction, 0 for none
	Next     uint32 // the record that it goes on at
	Count    uint32 // records in the table
	Capacity uint32
	Revoked  uint32 // keys revoked since the last commit
}

// A PollReply answers POLL.
type PollReply struct {
	Inputs  uint16
	Outputs uint16
	Doors   [MaxDoors]DoorState
	Readers [MaxDoors]uint8 // bit 0 online
	Tamper  bool
	Battery uint16 // mV, 0 for none
	Head    uint64 // seq of the newest event, 0 for none
	Tail    uint64 // seq of the oldest event that is not acked, 0 for none
	Lost    uint64 // events overwritten before their ACK, ever
	// Checks are the first 8 bytes of the roots of tables 1 and 2: a change that
	// the host did not make shows in the next poll.
	Checks [2]uint64
}

// A DoorState is how one door stands.
type DoorState struct {
	Mode     Mode
	Open     bool // by its contact
	Released bool // the strike lets go
}

// A Mode of a door (serial door link: Doors).
type Mode uint8

// The modes. ModeFree and ModeUnlocked end with their lease; the others are
// kept over a loss of power.
const (
	ModeNormal   Mode = 0 // cards decide; releases any other mode
	ModeSecure   Mode = 1 // cards are off, the exit button works
	ModeFree     Mode = 2 // cards open their doors outside their schedules too
	ModeUnlocked Mode = 3 // the strike lets go
	ModeLockdown Mode = 4 // no card opens
	ModeDisabled Mode = 5 // neither cards nor PULSE
)

// Leased reports whether the mode carries a lease.
func (m Mode) Leased() bool { return m == ModeFree || m == ModeUnlocked }

// A TimeRequest sets the clock.
type TimeRequest struct {
	UnixMS  int64
	MaxStep uint32 // seconds; 0 is any. A clock that is not set takes any step
}

// A TimeReply tells the clock as it was.
type TimeReply struct {
	UnixMS int64
	Set    bool
}

// A BeginRequest opens a transaction, or goes on with the one of the same Txn.
type BeginRequest struct {
	Table  uint8
	Full   bool   // the table becomes what the transaction puts, and nothing else
	Txn    uint64 // never 0; the host takes another for another content
	Epoch  uint32
	Base   uint64 // version of the table now; does not count when Full
	Target uint64 // version after COMMIT
	Count  uint32 // records and keys that PUT and DEL will bring
}

// A PutRequest brings records First, First+1, … of a transaction.
type PutRequest struct {
	Txn     uint64
	First   uint32
	Records []Record // 1 to MaxPut
}

// A DelRequest brings keys that go; they count like records.
type DelRequest struct {
	Txn   uint64
	First uint32
	Keys  []Key // 1 to MaxDel
}

// A CommitRequest makes a transaction the table, if its root is then Root.
type CommitRequest struct {
	Txn  uint64
	Root Root
}

// A CommitReply says what the table is now.
type CommitReply struct {
	Version uint64
	Root    Root
}

// A DigestRequest asks for one page of a table's bucket sums.
type DigestRequest struct{ Table, Page uint8 }

// A DigestReply is one page: the sums of buckets Page*DigestPage and after.
type DigestReply struct {
	Version uint64
	Root    Root // of the whole table, in each page
	Revoked uint32
	Sums    []uint64 // DigestPage, fewer on the last page
}

// A BucketRequest asks for one page of a bucket.
type BucketRequest struct{ Table, Bucket, Page uint8 }

// A BucketReply is one page.
type BucketReply struct {
	Total   uint16 // records in the bucket
	Entries []KeySum
	More    bool // there is another page; worked out from Total, not on the wire
}

// An UpsertRequest adds or replaces credentials outside transactions.
type UpsertRequest struct {
	Epoch   uint32   // the table's
	Records []Record // 1 to MaxUpsert
}

// An EventsRequest asks for events of seq From and after.
type EventsRequest struct {
	From uint64
	Max  uint8 // 1 to MaxEvents
}

// An EventsReply has the oldest events first.
type EventsReply struct {
	Head, Tail, Lost uint64 // as in PollReply
	Events           []Event
}

// An Event is one thing that a controller saw or did.
type Event struct {
	Seq    uint64 // grows for ever, with gaps
	Boot   uint32 // of the start during which it happened
	UnixMS int64  // by the controller's clock, or ms since it started
	Set    bool   // the clock was set
	Kind   EventKind
	Door   uint8 // 0xFF for none
	Reader uint8 // 0xFF for none
	Reason Reason
	Key    Key // the card; EventPulse: the actor; EventMode: the mode, in the first byte; zero for none
}

// None is the door or reader of an event that has none.
const None = 0xFF

// Time is when the event happened; zero where the clock was not set.
func (e Event) Time() time.Time {
	if !e.Set {
		return time.Time{}
	}
	return time.UnixMilli(e.UnixMS).UTC()
}

// An EventKind is what an event is about.
type EventKind uint8

// The kinds of event.
const (
	EventAccess     EventKind = 1 // a card, decided by the controller
	EventDoorOpened EventKind = 2
	EventDoorClosed EventKind = 3
	EventDoorForced EventKind = 4
	EventDoorHeld   EventKind = 5
	EventExit       EventKind = 6
	EventTamper     EventKind = 7
	EventStarted    EventKind = 8  // the controller started
	EventPulse      EventKind = 9  // PULSE opened the door
	EventMode       EventKind = 10 // DOOR changed the mode, or its lease ended
	EventChanged    EventKind = 11 // a table was changed at the controller itself
	EventPowerFail  EventKind = 12
)

// A Reason is why a card was granted or denied.
type Reason uint8

// The reasons.
const (
	ReasonNone         Reason = 0
	ReasonGranted      Reason = 1
	ReasonUnknownCard  Reason = 2
	ReasonWrongFormat  Reason = 3
	ReasonSuspended    Reason = 4 // card not active
	ReasonNoDoor       Reason = 5 // the card opens other doors
	ReasonOutsideHours Reason = 6
	ReasonNotYetValid  Reason = 7
	ReasonExpired      Reason = 8
	ReasonLockdown     Reason = 9
	ReasonNoData       Reason = 10 // no table yet, or the door is in ModeSecure
	ReasonRevoked      Reason = 11
	ReasonFault        Reason = 12
	ReasonUnknownDoor  Reason = 13
)

// String is the reason in the words in which a site's events give it. What is
// no reason of this version is a fault.
func (r Reason) String() string {
	words := [...]string{
		ReasonNone:         "fault",
		ReasonGranted:      "granted",
		ReasonUnknownCard:  "unknown card",
		ReasonWrongFormat:  "wrong format",
		ReasonSuspended:    "card not active",
		ReasonNoDoor:       "no group for this door",
		ReasonOutsideHours: "outside schedule",
		ReasonNotYetValid:  "not yet valid",
		ReasonExpired:      "expired",
		ReasonLockdown:     "lockdown",
		ReasonNoData:       "no data yet",
		ReasonRevoked:      "revoked",
		ReasonFault:        "fault",
		ReasonUnknownDoor:  "unknown door",
	}
	if int(r) < len(words) {
		return words[r]
	}
	return words[ReasonFault]
}

// A DoorRequest sets a door's mode.
type DoorRequest struct {
	Door  uint8
	Mode  Mode
	Lease uint16 // seconds, 1 to 65535 for modes with a lease, otherwise 0
}

// A PulseRequest opens a door once.
type PulseRequest struct {
	Door  uint8
	MS    uint32 // 1 to 300000
	Actor [8]byte
}

// MaxPulse is the longest PULSE.
const MaxPulse = 5 * time.Minute

// A SignalRequest drives a reader's LED and buzzer.
type SignalRequest struct {
	Reader  uint8
	Pattern Pattern
	MS      uint16 // how long
}

// A Pattern is what a reader shows.
type Pattern uint8

// The patterns.
const (
	PatternOff    Pattern = 0
	PatternGrant  Pattern = 1 // green, one tone
	PatternDeny   Pattern = 2 // red, three tones
	PatternNotice Pattern = 3 // amber, for an installer to find the reader
)

// AppendNext is the reply to BEGIN, PUT and DEL: the index of the record that
// the transaction wants next.
func AppendNext(b []byte, next uint32) []byte { return binary.LittleEndian.AppendUint32(b, next) }

// ParseNext reads what AppendNext wrote.
func ParseNext(p []byte) (uint32, error) {
	r := reader{b: p}
	n := r.u32()
	return n, r.end("NEXT")
}

// AppendBusy is the payload of a busy reply.
func AppendBusy(b []byte, wait time.Duration) []byte {
	return binary.LittleEndian.AppendUint16(b, uint16(min(max(wait.Milliseconds(), 1), 0xFFFF)))
}

// ParseBusy reads how long to wait.
func ParseBusy(p []byte) (time.Duration, error) {
	r := reader{b: p}
	ms := r.u16()
	return time.Duration(ms) * time.Millisecond, r.end("BUSY")
}

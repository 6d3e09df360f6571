package serialline

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// The payloads' bytes. Everything is little endian. Append makes what Parse
// takes, byte for byte, and Parse refuses what the struct cannot hold.

var le = binary.LittleEndian

// A reader takes fields from the front of a payload. After the first field that
// is not there, all are zero, and end says so.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || len(r.b) < n {
		r.bad = true
		return make([]byte, n)
	}
	f := r.b[:n]
	r.b = r.b[n:]
	return f
}

func (r *reader) u8() uint8   { return r.take(1)[0] }
func (r *reader) u16() uint16 { return le.Uint16(r.take(2)) }
func (r *reader) u32() uint32 { return le.Uint32(r.take(4)) }
func (r *reader) u64() uint64 { return le.Uint64(r.take(8)) }

// flag is a byte that is 0 or 1.
func (r *reader) flag() bool {
	v := r.u8()
	if v > 1 {
		r.bad = true
	}
	return v == 1
}

func (r *reader) end(op string) error {
	if r.bad || len(r.b) != 0 {
		return fmt.Errorf("%w of %s: too short, too long or out of range", ErrPayload, op)
	}
	return nil
}

func appendFlag(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// Append appends the payload to b; likewise below.
func (m HelloRequest) Append(b []byte) []byte { return append(append(b, m.Nonce[:]...), m.Page) }

// ParseHelloRequest reads the payload; likewise below. The error is an
// ErrPayload.
func ParseHelloRequest(p []byte) (m HelloRequest, err error) {
	r := reader{b: p}
	m = HelloRequest{[8]byte(r.take(8)), r.u8()}
	return m, r.end("HELLO")
}

const modelLen = 16

// Append appends the payload. A longer Model is cut.
func (m Identity) Append(b []byte) []byte {
	b = append(b, m.Echo[:]...)
	b = append(b, m.Proto)
	var model [modelLen]byte
	copy(model[:], m.Model)
	b = append(b, model[:]...)
	b = append(b, m.Serial[:]...)
	b = le.AppendUint32(b, m.Boot)
	b = append(b, m.Nonce[:]...)
	b = append(b, m.Doors, m.Readers)
	b = le.AppendUint16(b, m.Flags)
	return le.AppendUint32(b, m.MaxEvents)
}

// ParseIdentity reads the reply to HELLO page 0.
func ParseIdentity(p []byte) (m Identity, err error) {
	r := reader{b: p}
	m.Echo = [8]byte(r.take(8))
	m.Proto = r.u8()
	m.Model = strings.TrimRight(string(r.take(modelLen)), "\x00")
	for _, c := range []byte(m.Model) {
		if c < ' ' || c > '~' {
			r.bad = true
		}
	}
	m.Serial = [8]byte(r.take(8))
	m.Boot = r.u32()
	m.Nonce = [8]byte(r.take(8))
	m.Doors, m.Readers = r.u8(), r.u8()
	m.Flags = r.u16()
	m.MaxEvents = r.u32()
	return m, r.end("HELLO")
}

// Append appends the payload.
func (m TableInfo) Append(b []byte) []byte {
	b = append(b, m.Table)
	b = le.AppendUint32(b, m.Epoch)
	b = le.AppendUint64(b, m.Version)
	b = append(b, m.Root[:]...)
	b = le.AppendUint64(b, m.Txn)
	b = le.AppendUint32(b, m.Next)
	b = le.AppendUint32(b, m.Count)
	b = le.AppendUint32(b, m.Capacity)
	return le.AppendUint32(b, m.Revoked)
}

// ParseTableInfo reads the reply to HELLO page 1 and 2.
func ParseTableInfo(p []byte) (m TableInfo, err error) {
	r := reader{b: p}
	m = TableInfo{r.u8(), r.u32(), r.u64(), Root(r.take(16)), r.u64(), r.u32(), r.u32(), r.u32(), r.u32()}
	return m, r.end("HELLO table")
}

// Append appends the payload.
func (m PollReply) Append(b []byte) []byte {
	b = le.AppendUint16(b, m.Inputs)
	b = le.AppendUint16(b, m.Outputs)
	for _, d := range m.Doors {
		s := uint8(d.Mode) << 4
		if d.Open {
			s |= 1
		}
		if d.Released {
			s |= 2
		}
		b = append(b, s)
	}
	b = append(b, m.Readers[:]...)
	b = appendFlag(b, m.Tamper)
	b = le.AppendUint16(b, m.Battery)
	b = le.AppendUint64(b, m.Head)
	b = le.AppendUint64(b, m.Tail)
	b = le.AppendUint64(b, m.Lost)
	b = le.AppendUint64(b, m.Checks[0])
	return le.AppendUint64(b, m.Checks[1])
}

// ParsePollReply reads the reply to POLL.
func ParsePollReply(p []byte) (m PollReply, err error) {
	r := reader{b: p}
	m.Inputs, m.Outputs = r.u16(), r.u16()
	for i := range m.Doors {
		s := r.u8()
		m.Doors[i] = DoorState{Mode(s >> 4), s&1 != 0, s&2 != 0}
		r.bad = r.bad || s&0x0C != 0
	}
	m.Readers = [MaxDoors]uint8(r.take(MaxDoors))
	m.Tamper = r.flag()
	m.Battery = r.u16()
	m.Head, m.Tail, m.Lost = r.u64(), r.u64(), r.u64()
	m.Checks = [2]uint64{r.u64(), r.u64()}
	return m, r.end("POLL")
}

// Check is what PollReply.Checks has of a root.
func (r Root) Check() uint64 { return le.Uint64(r[:]) }

// Append appends the payload.
func (m TimeRequest) Append(b []byte) []byte {
	return le.AppendUint32(le.AppendUint64(b, uint64(m.UnixMS)), m.MaxStep)
}

// ParseTimeRequest reads the payload of TIME.
func ParseTimeRequest(p []byte) (m TimeRequest, err error) {
	r := reader{b: p}
	m = TimeRequest{int64(r.u64()), r.u32()}
	return m, r.end("TIME")
}

// Append appends the payload.
func (m TimeReply) Append(b []byte) []byte {
	return appendFlag(le.AppendUint64(b, uint64(m.UnixMS)), m.Set)
}

// ParseTimeReply reads the reply to TIME.
func ParseTimeReply(p []byte) (m TimeReply, err error) {
	r := reader{b: p}
	m = TimeReply{int64(r.u64()), r.flag()}
	return m, r.end("TIME")
}

// Append appends the payload.
func (m BeginRequest) Append(b []byte) []byte {
	b = appendFlag(append(b, m.Table), m.Full)
	b = le.AppendUint64(b, m.Txn)
	b = le.AppendUint32(b, m.Epoch)
	b = le.AppendUint64(b, m.Base)
	b = le.AppendUint64(b, m.Target)
	return le.AppendUint32(b, m.Count)
}

// ParseBeginRequest reads the payload of BEGIN.
func ParseBeginRequest(p []byte) (m BeginRequest, err error) {
	r := reader{b: p}
	m = BeginRequest{r.u8(), r.flag(), r.u64(), r.u32(), r.u64(), r.u64(), r.u32()}
	r.bad = r.bad || m.Txn == 0
	return m, r.end("BEGIN")
}

func appendRecords(b []byte, records []Record) []byte {
	for _, rec := range records {
		w := rec.Bytes()
		b = append(b, w[:]...)
	}
	return b
}

// records takes what is left of the payload.
func (r *reader) records(most int) []Record {
	n := len(r.b) / RecordLen
	if n < 1 || n > most || len(r.b)%RecordLen != 0 {
		r.bad = true
		return nil
	}
	out := make([]Record, n)
	for i := range out {
		out[i] = RecordOf([RecordLen]byte(r.take(RecordLen)))
	}
	return out
}

func (r *reader) keys(most int) []Key {
	n := len(r.b) / KeyLen
	if n < 1 || n > most || len(r.b)%KeyLen != 0 {
		r.bad = true
		return nil
	}
	out := make([]Key, n)
	for i := range out {
		out[i] = Key(r.take(KeyLen))
	}
	return out
}

func appendKeys(b []byte, keys []Key) []byte {
	for _, k := range keys {
		b = append(b, k[:]...)
	}
	return b
}

// Append appends the payload.
func (m PutRequest) Append(b []byte) []byte {
	return appendRecords(le.AppendUint32(le.AppendUint64(b, m.Txn), m.First), m.Records)
}

// ParsePutRequest reads the payload of PUT.
func ParsePutRequest(p []byte) (m PutRequest, err error) {
	r := reader{b: p}
	m = PutRequest{r.u64(), r.u32(), r.records(MaxPut)}
	return m, r.end("PUT")
}

// Append appends the payload.
func (m DelRequest) Append(b []byte) []byte {
	return appendKeys(le.AppendUint32(le.AppendUint64(b, m.Txn), m.First), m.Keys)
}

// ParseDelRequest reads the payload of DEL.
func ParseDelRequest(p []byte) (m DelRequest, err error) {
	r := reader{b: p}
	m = DelRequest{r.u64(), r.u32(), r.keys(MaxDel)}
	return m, r.end("DEL")
}

// Append appends the payload.
func (m CommitRequest) Append(b []byte) []byte {
	return append(le.AppendUint64(b, m.Txn), m.Root[:]...)
}

// ParseCommitRequest reads the payload of COMMIT.
func ParseCommitRequest(p []byte) (m CommitRequest, err error) {
	r := reader{b: p}
	m = CommitRequest{r.u64(), Root(r.take(16))}
	return m, r.end("COMMIT")
}

// Append appends the payload.
func (m CommitReply) Append(b []byte) []byte {
	return append(le.AppendUint64(b, m.Version), m.Root[:]...)
}

// ParseCommitReply reads the reply to COMMIT.
func ParseCommitReply(p []byte) (m CommitReply, err error) {
	r := reader{b: p}
	m = CommitReply{r.u64(), Root(r.take(16))}
	return m, r.end("COMMIT")
}

// AppendTxn is the payload of ABORT.
func AppendTxn(b []byte, txn uint64) []byte { return le.AppendUint64(b, txn) }

// ParseTxn reads the payload of ABORT.
func ParseTxn(p []byte) (uint64, error) {
	r := reader{b: p}
	txn := r.u64()
	return txn, r.end("ABORT")
}

// Append appends the payload.
func (m DigestRequest) Append(b []byte) []byte { return append(b, m.Table, m.Page) }

// ParseDigestRequest reads the payload of DIGEST.
func ParseDigestRequest(p []byte) (m DigestRequest, err error) {
	r := reader{b: p}
	m = DigestRequest{r.u8(), r.u8()}
	r.bad = r.bad || m.Page >= DigestPages
	return m, r.end("DIGEST")
}

// Append appends the payload.
func (m DigestReply) Append(b []byte) []byte {
	b = le.AppendUint64(b, m.Version)
	b = append(b, m.Root[:]...)
	b = le.AppendUint32(b, m.Revoked)
	for _, s := range m.Sums {
		b = le.AppendUint64(b, s)
	}
	return b
}

// ParseDigestReply reads the reply to DIGEST.
func ParseDigestReply(p []byte) (m DigestReply, err error) {
	r := reader{b: p}
	m = DigestReply{Version: r.u64(), Root: Root(r.take(16)), Revoked: r.u32()}
	n := len(r.b) / 8
	if n < 1 || n > DigestPage {
		r.bad = true
	}
	for range n {
		m.Sums = append(m.Sums, r.u64())
	}
	return m, r.end("DIGEST")
}

// Append appends the payload.
func (m BucketRequest) Append(b []byte) []byte { return append(b, m.Table, m.Bucket, m.Page) }

// ParseBucketRequest reads the payload of BUCKET.
func ParseBucketRequest(p []byte) (m BucketRequest, err error) {
	r := reader{b: p}
	m = BucketRequest{r.u8(), r.u8(), r.u8()}
	return m, r.end("BUCKET")
}

// Append appends the payload.
func (m BucketReply) Append(b []byte) []byte {
	b = le.AppendUint16(b, m.Total)
	for _, e := range m.Entries {
		b = le.AppendUint64(append(b, e.Key[:]...), e.Sum)
	}
	return b
}

// ParseBucketReply reads the reply to BUCKET for that page.
func ParseBucketReply(p []byte, page uint8) (m BucketReply, err error) {
	r := reader{b: p}
	m.Total = r.u16()
	before := int(page) * BucketPage
	n := len(r.b) / (KeyLen + 8)
	r.bad = r.bad || n != max(0, min(BucketPage, int(m.Total)-before))
	for range min(n, BucketPage) {
		m.Entries = append(m.Entries, KeySum{Key(r.take(KeyLen)), r.u64()})
	}
	m.More = before+n < int(m.Total)
	return m, r.end("BUCKET")
}

// AppendRevoke is the payload of REVOKE: 1 to MaxRevoke keys.
func AppendRevoke(b []byte, keys []Key) []byte { return appendKeys(b, keys) }

// ParseRevoke reads the payload of REVOKE.
func ParseRevoke(p []byte) ([]Key, error) {
	r := reader{b: p}
	keys := r.keys(MaxRevoke)
	return keys, r.end("REVOKE")
}

// Append appends the payload.
func (m UpsertRequest) Append(b []byte) []byte {
	return appendRecords(le.AppendUint32(b, m.Epoch), m.Records)
}

// ParseUpsertRequest reads the payload of UPSERT.
func ParseUpsertRequest(p []byte) (m UpsertRequest, err error) {
	r := reader{b: p}
	m = UpsertRequest{r.u32(), r.records(MaxUpsert)}
	return m, r.end("UPSERT")
}

// Append appends the payload.
func (m EventsRequest) Append(b []byte) []byte { return append(le.AppendUint64(b, m.From), m.Max) }

// ParseEventsRequest reads the payload of EVENTS.
func ParseEventsRequest(p []byte) (m EventsRequest, err error) {
	r := reader{b: p}
	m = EventsRequest{r.u64(), r.u8()}
	r.bad = r.bad || m.Max < 1 || m.Max > MaxEvents
	return m, r.end("EVENTS")
}

// EventLen is the length of an event on the wire.
const EventLen = 42

// Append appends the event as it stands on the wire.
func (e Event) Append(b []byte) []byte {
	b = le.AppendUint64(b, e.Seq)
	b = le.AppendUint32(b, e.Boot)
	b = le.AppendUint64(b, uint64(e.UnixMS))
	b = appendFlag(b, e.Set)
	b = append(b, byte(e.Kind), e.Door, e.Reader, byte(e.Reason), 0)
	return append(b, e.Key[:]...)
}

// ParseEvent reads EventLen bytes.
func ParseEvent(p []byte) (Event, error) {
	r := reader{b: p}
	e := r.event()
	return e, r.end("event")
}

func (r *reader) event() Event {
	e := Event{
		Seq: r.u64(), Boot: r.u32(), UnixMS: int64(r.u64()), Set: r.flag(),
		Kind: EventKind(r.u8()), Door: r.u8(), Reader: r.u8(), Reason: Reason(r.u8()),
	}
	r.bad = r.u8() != 0 || r.bad
	e.Key = Key(r.take(KeyLen))
	return e
}

// Append appends the payload.
func (m EventsReply) Append(b []byte) []byte {
	b = le.AppendUint64(b, m.Head)
	b = le.AppendUint64(b, m.Tail)
	b = le.AppendUint64(b, m.Lost)
	for _, e := range m.Events {
		b = e.Append(b)
	}
	return b
}

// ParseEventsReply reads the reply to EVENTS.
func ParseEventsReply(p []byte) (m EventsReply, err error) {
	r := reader{b: p}
	m = EventsReply{Head: r.u64(), Tail: r.u64(), Lost: r.u64()}
	n := len(r.b) / EventLen
	r.bad = r.bad || n > MaxEvents
	for range min(n, MaxEvents) {
		e := r.event()
		r.bad = r.bad || len(m.Events) > 0 && e.Seq <= m.Events[len(m.Events)-1].Seq
		m.Events = append(m.Events, e)
	}
	return m, r.end("EVENTS")
}

// AppendAck is the payload of ACK: all events up to seq are on the host's disk.
func AppendAck(b []byte, seq uint64) []byte { return le.AppendUint64(b, seq) }

// ParseAck reads the payload of ACK.
func ParseAck(p []byte) (uint64, error) {
	r := reader{b: p}
	seq := r.u64()
	return seq, r.end("ACK")
}

// Append appends the payload.
func (m DoorRequest) Append(b []byte) []byte {
	return le.AppendUint16(append(b, m.Door, byte(m.Mode)), m.Lease)
}

// ParseDoorRequest reads the payload of DOOR.
func ParseDoorRequest(p []byte) (m DoorRequest, err error) {
	r := reader{b: p}
	m = DoorRequest{r.u8(), Mode(r.u8()), r.u16()}
	return m, r.end("DOOR")
}

// Append appends the payload.
func (m PulseRequest) Append(b []byte) []byte {
	return append(le.AppendUint32(append(b, m.Door), m.MS), m.Actor[:]...)
}

// ParsePulseRequest reads the payload of PULSE.
func ParsePulseRequest(p []byte) (m PulseRequest, err error) {
	r := reader{b: p}
	m = PulseRequest{r.u8(), r.u32(), [8]byte(r.take(8))}
	r.bad = r.bad || m.MS == 0 || int64(m.MS) > MaxPulse.Milliseconds()
	return m, r.end("PULSE")
}

// Append appends the payload.
func (m SignalRequest) Append(b []byte) []byte {
	return le.AppendUint16(append(b, m.Reader, byte(m.Pattern)), m.MS)
}

// ParseSignalRequest reads the payload of SIGNAL.
func ParseSignalRequest(p []byte) (m SignalRequest, err error) {
	r := reader{b: p}
	m = SignalRequest{r.u8(), Pattern(r.u8()), r.u16()}
	return m, r.end("SIGNAL")
}

// Append appends the payload. A longer Detail is cut.
func (r *Refusal) Append(b []byte) []byte {
	return append(append(b, r.Op, byte(r.Code)), r.Detail[:min(len(r.Detail), maxDetail)]...)
}

const maxDetail = 32

// ParseRefusal reads the payload of an OpError reply.
func ParseRefusal(p []byte) (*Refusal, error) {
	r := reader{b: p}
	m := &Refusal{Op: r.u8(), Code: Code(r.u8())}
	if len(r.b) > 0 && len(r.b) <= maxDetail {
		m.Detail = append(m.Detail, r.take(len(r.b))...)
	}
	return m, r.end("ERROR")
}

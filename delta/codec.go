package delta

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"latchkey/access"
)

// kindOf is the type and the direction of m; nothing for a Message that is
// none of this package's.
func kindOf(m Message) (name, typ string) {
	switch m.(type) {
	case *Delta:
		return TypeDelta, DownTyp
	case *Snapshot:
		return TypeSnapshot, DownTyp
	case *Beat:
		return TypeBeat, DownTyp
	case *Ack:
		return TypeAck, DownTyp
	case *Command:
		return TypeCommand, DownTyp
	case *Hello:
		return TypeHello, UpTyp
	case *Applied:
		return TypeApplied, UpTyp
	case *Need:
		return TypeNeed, UpTyp
	case *Nack:
		return TypeNack, UpTyp
	case *Events:
		return TypeEvents, UpTyp
	case *Result:
		return TypeResult, UpTyp
	case *Proof:
		return TypeProof, UpTyp
	case *Receipt:
		return TypeReceipt, UpTyp
	default:
		return "", ""
	}
}

// blank is an empty message of the type; nil for a type that is not known.
func blank(name string) Message {
	switch name {
	case TypeDelta:
		return new(Delta)
	case TypeSnapshot:
		return new(Snapshot)
	case TypeBeat:
		return new(Beat)
	case TypeAck:
		return new(Ack)
	case TypeCommand:
		return new(Command)
	case TypeHello:
		return new(Hello)
	case TypeApplied:
		return new(Applied)
	case TypeNeed:
		return new(Need)
	case TypeNack:
		return new(Nack)
	case TypeEvents:
		return new(Events)
	case TypeResult:
		return new(Result)
	case TypeProof:
		return new(Proof)
	case TypeReceipt:
		return new(Receipt)
	default:
		return nil
	}
}

// TypOf is the envelope's typ for m: DownTyp for what the cloud sends, UpTyp
// for what a site sends, and nothing for a Message that has no type of its own.
func TypOf(m Message) string {
	_, typ := kindOf(m)
	return typ
}

// HeaderOf is m's header, to be set before Encode or read after Decode.
func HeaderOf(m Message) *Header { return m.header() }

// Encode makes the payload of m. It sets V and Type, turns times to UTC, and
// refuses what Decode at the other end would refuse, with ErrShape or ErrSize.
func Encode(m Message) ([]byte, error) {
	name, _ := kindOf(m)
	if name == "" {
		return nil, fmt.Errorf("%w: %T", ErrType, m)
	}
	h := m.header()
	h.V, h.Type = Version, name
	if err := normalise(m); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrShape, name, err)
	}
	if err := check(m); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrShape, name, err)
	}
	payload, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrShape, name, err)
	}
	if len(payload) > MaxPayload {
		return nil, fmt.Errorf("%w: %s of %d bytes, want at most %d", ErrSize, name, len(payload), MaxPayload)
	}
	// A record, or a command's arguments, may be fine alone and too deep here.
	if err := checkJSON(payload); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrShape, name, err)
	}
	return payload, nil
}

// Peek reads the parts of a payload that stay readable in every version: V,
// Type and Site. At stays zero.
func Peek(payload []byte) (Header, error) {
	if len(payload) > MaxPayload {
		return Header{}, fmt.Errorf("%w: payload of %d bytes, want at most %d", ErrSize, len(payload), MaxPayload)
	}
	if err := checkJSON(payload); err != nil {
		return Header{}, fmt.Errorf("%w: %w", ErrShape, err)
	}
	var h struct {
		V    int    `json:"v"`
		Type string `json:"type"`
		Site string `json:"site"`
	}
	if err := json.Unmarshal(payload, &h); err != nil {
		return Header{}, fmt.Errorf("%w: %w", ErrShape, err)
	}
	if h.V < 1 {
		return Header{}, fmt.Errorf("%w: v %d, want at least 1", ErrShape, h.V)
	}
	if err := CheckSite(h.Site); err != nil {
		return Header{}, err
	}
	return Header{V: h.V, Type: h.Type, Site: h.Site}, nil
}

// Decode reads a payload. Fields that it does not know are passed over; a
// higher version is ErrVersion, an unknown type ErrType, and a value out of
// its range ErrShape. payload is not kept.
func Decode(payload []byte) (Message, error) {
	h, err := Peek(payload)
	if err != nil {
		return nil, err
	}
	if h.V > Version {
		return nil, fmt.Errorf("%w: v %d, want %d", ErrVersion, h.V, Version)
	}
	m := blank(h.Type)
	if m == nil {
		return nil, fmt.Errorf("%w: %.40q", ErrType, h.Type)
	}
	if err := json.Unmarshal(payload, m); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrShape, h.Type, err)
	}
	if err := normalise(m); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrShape, h.Type, err)
	}
	if err := check(m); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrShape, h.Type, err)
	}
	return m, nil
}

// A Denial is what a delta of any version takes away.
type Denial struct {
	Head     Head // of the delta; Digest stays zero
	Refs     []access.Ref
	Approved *Approval // nil also where this version does not understand it
}

// DecodeDeny reads the deny list of a delta of any version. It is how a site
// that is too old for a delta still takes access away: deny, epoch and seq never
// change their form.
func DecodeDeny(payload []byte) (Denial, error) {
	h, err := Peek(payload)
	if err != nil {
		return Denial{}, err
	}
	if h.Type != TypeDelta {
		return Denial{}, fmt.Errorf("%w: %.40q, want %q", ErrType, h.Type, TypeDelta)
	}
	var d struct {
		Epoch    uint32          `json:"epoch"`
		Seq      uint64          `json:"seq"`
		Deny     []access.Ref    `json:"deny"`
		Approved json.RawMessage `json:"approved"`
	}
	if err := json.Unmarshal(payload, &d); err != nil {
		return Denial{}, fmt.Errorf("%w: deny: %w", ErrShape, err)
	}
	if err := checkPosition(d.Epoch, d.Seq); err != nil {
		return Denial{}, fmt.Errorf("%w: deny: %w", ErrShape, err)
	}
	for i, ref := range d.Deny {
		if err := checkRef(ref); err != nil {
			return Denial{}, fmt.Errorf("%w: deny[%d]: %w", ErrShape, i, err)
		}
	}
	denial := Denial{Head: Head{Epoch: d.Epoch, Seq: d.Seq, Hash: HashOf(payload)}, Refs: d.Deny}
	var a Approval
	if json.Unmarshal(d.Approved, &a) == nil && a.check() == nil {
		denial.Approved = &a
	}
	return denial, nil
}

// CheckSite refuses what is no site id: 1 to 32 of a-z, 0-9 and '-', but not
// "cloud". A site's id is a level of its topics, where some brokers hang up on
// other characters, and its user name at the broker, where the cloud is "cloud".
func CheckSite(id string) error {
	if err := checkSite(id); err != nil {
		return fmt.Errorf("%w: %w", ErrShape, err)
	}
	return nil
}

func checkSite(id string) error {
	if len(id) < 1 || len(id) > 32 {
		return fmt.Errorf("site id of %d characters, want 1 to 32", len(id))
	}
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("site id %q: want a-z, 0-9 and '-'", id)
		}
	}
	if id == "cloud" {
		return fmt.Errorf("site id %q is the cloud's own name", id)
	}
	return nil
}

// normalise brings m to the one value that its payload stands for, so that
// decoding what was encoded gives an equal message.
func normalise(m Message) error {
	h := m.header()
	h.At = h.At.UTC()
	switch m := m.(type) {
	case *Delta:
		if len(m.Deny) == 0 {
			m.Deny = nil
		}
		m.Changes = normaliseChanges(m.Changes)
	case *Snapshot:
		m.Records = normaliseChanges(m.Records)
	case *Beat:
		m.Time = m.Time.UTC()
	case *Command:
		args, err := compactOrNil(m.Args)
		if err != nil {
			return fmt.Errorf("args: %w", err)
		}
		m.Args = args
	case *Hello:
		if m.Versions == nil {
			m.Versions = []int{}
		}
	case *Need:
		if len(m.Parts) == 0 {
			m.Parts = nil
		}
	case *Events:
		if m.Events == nil {
			m.Events = []access.Event{}
		}
		for i := range m.Events {
			e := &m.Events[i]
			e.At, e.DeviceTime, e.Since = e.At.UTC(), e.DeviceTime.UTC(), e.Since.UTC()
		}
	case *Proof:
		if m.Controllers == nil {
			m.Controllers = []ControllerProof{}
		}
		for i := range m.Controllers {
			m.Controllers[i].Since = m.Controllers[i].Since.UTC()
		}
	}
	return nil
}

func normaliseChanges(changes []Change) []Change {
	if changes == nil {
		return []Change{}
	}
	for i := range changes {
		if string(changes[i].Record) == "null" {
			changes[i].Record = nil
		}
	}
	return changes
}

func compactOrNil(raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	return compact(raw)
}

// The bounds of fields.
const (
	maxToken = 64   // ids, nonces, names
	maxKey   = 512  // a record's key
	maxText  = 4096 // text for people
	maxParts = 1 << 16
	maxTTL   = 24 * 60 * 60 // seconds
)

// check holds every field of m against its range. Its errors name the field.
func check(m Message) error {
	h := m.header()
	if err := checkSite(h.Site); err != nil {
		return err
	}
	if err := checkTime("at", h.At); err != nil {
		return err
	}
	switch m := m.(type) {
	case *Delta:
		return m.check()
	case *Snapshot:
		return m.check()
	case *Beat:
		return first(checkTokenOrNone("re", m.Re), m.Head.check(), checkTime("time", m.Time))
	case *Ack:
		return first(checkToken("event_epoch", m.EventEpoch), checkNumber("n", m.N))
	case *Command:
		return m.check()
	case *Hello:
		return m.check()
	case *Applied:
		return first(m.Head.check(), checkPosition(m.Epoch, max(m.Seq, 1)))
	case *Need:
		return m.check()
	case *Nack:
		return first(checkNumber("seq", m.Seq), checkText("reason", m.Reason, 1, 256), checkCount("removes", m.Removes), checkCount("people", m.People), checkCount("openings", m.Openings))
	case *Events:
		return m.check()
	case *Result:
		return first(checkToken("id", m.ID), checkText("text", m.Text, 0, maxText))
	case *Proof:
		return m.check()
	case *Receipt:
		if m.Part < 1 || m.Part > maxParts {
			return fmt.Errorf("part %d, want 1 to %d", m.Part, maxParts)
		}
		return first(checkToken("id", m.ID), checkToken("re", m.Re))
	default:
		return nil
	}
}

func (d *Delta) check() error {
	if err := checkPosition(d.Epoch, d.Seq); err != nil {
		return err
	}
	if (d.Seq == 1) != (d.Prev == Hash{}) {
		return fmt.Errorf("prev %q of seq %d: want none for 1 and one for all others", d.Prev, d.Seq)
	}
	for i, ref := range d.Deny {
		if err := checkRef(ref); err != nil {
			return fmt.Errorf("deny[%d]: %w", i, err)
		}
	}
	return first(d.Approved.check(), checkChanges("changes", d.Changes, true))
}

func (s *Snapshot) check() error {
	if err := first(checkToken("id", s.ID), checkToken("re", s.Re), s.Head.check(), checkPosition(s.Head.Epoch, max(s.Head.Seq, 1))); err != nil {
		return err
	}
	if s.Parts < 1 || s.Parts > maxParts || s.Part < 1 || s.Part > s.Parts {
		return fmt.Errorf("part %d of %d, want 1 to %d of at most %d", s.Part, s.Parts, s.Parts, maxParts)
	}
	return first(s.Approved.check(), checkChanges("records", s.Records, false))
}

func (c *Command) check() error {
	if c.TTL < 1 || c.TTL > maxTTL {
		return fmt.Errorf("ttl %d s, want 1 to %d", c.TTL, maxTTL)
	}
	return first(checkToken("id", c.ID), checkToken("re", c.Re), checkToken("name", c.Name))
}

func (h *Hello) check() error {
	if err := first(h.Head.check(), checkNumber("events", h.Events), checkText("software", h.Software, 0, 256)); err != nil {
		return err
	}
	if err := checkNonce(h.Nonce); err != nil {
		return err
	}
	if err := checkTokenOrNone("event_epoch", h.EventEpoch); err != nil {
		return err
	}
	if len(h.Versions) > 16 {
		return fmt.Errorf("%d versions, want at most 16", len(h.Versions))
	}
	for _, v := range h.Versions {
		if v < 1 || v > 1000 {
			return fmt.Errorf("versions: %d, want 1 to 1000", v)
		}
	}
	return nil
}

func (n *Need) check() error {
	if err := first(checkTokenOrNone("id", n.ID), checkText("reason", n.Reason, 0, 256), checkNumber("from", n.From), checkNumber("to", n.To)); err != nil {
		return err
	}
	switch {
	case !n.Snapshot && (n.Epoch == 0 || n.From == 0):
		return fmt.Errorf("epoch %d, from %d: want both, or a snapshot", n.Epoch, n.From)
	case n.To != 0 && n.To < n.From:
		return fmt.Errorf("from %d to %d", n.From, n.To)
	case len(n.Parts) > 0 && (!n.Snapshot || n.ID == ""):
		return fmt.Errorf("parts without a snapshot's id")
	case len(n.Parts) > maxParts:
		return fmt.Errorf("%d parts, want at most %d", len(n.Parts), maxParts)
	}
	for i, part := range n.Parts {
		if part < 1 || part > maxParts || i > 0 && part <= n.Parts[i-1] {
			return fmt.Errorf("parts[%d]: %d, want 1 to %d, ascending", i, part, maxParts)
		}
	}
	return nil
}

func (e *Events) check() error {
	if err := checkToken("event_epoch", e.EventEpoch); err != nil {
		return err
	}
	for i := range e.Events {
		ev := &e.Events[i]
		if err := checkNumber("n", ev.N); err != nil {
			return err
		}
		if ev.N == 0 || i > 0 && ev.N != e.Events[i-1].N+1 {
			return fmt.Errorf("events[%d]: n %d, want numbers from 1 without a gap", i, ev.N)
		}
		err := first(
			checkTime("at", ev.At), checkTime("since", ev.Since), checkTime("device_time", ev.DeviceTime),
			checkText("kind", ev.Kind, 1, maxToken), checkText("reason", string(ev.Reason), 0, 256),
			checkText("door", ev.Door, 0, maxKey), checkText("reader", ev.Reader, 0, maxKey),
			checkText("controller", ev.Controller, 0, maxKey), checkText("person", ev.Person, 0, maxKey),
			checkText("credential", ev.Credential, 0, maxKey), checkText("card", ev.Card, 0, 256),
			checkText("decided_by", ev.DecidedBy, 0, maxToken), checkText("text", ev.Text, 0, maxText),
			checkNumber("count", ev.Count))
		if err == nil && ev.Device != nil {
			err = first(checkText("device.serial", ev.Device.Serial, 0, maxKey), checkNumber("device.seq", ev.Device.Seq))
		}
		if err != nil {
			return fmt.Errorf("events[%d]: %w", i, err)
		}
	}
	return nil
}

func (p *Proof) check() error {
	for i := range p.Controllers {
		c := &p.Controllers[i]
		if err := first(checkText("controller", c.Controller, 1, maxKey), checkTime("since", c.Since), checkNumber("seq", c.Seq)); err != nil {
			return fmt.Errorf("controllers[%d]: %w", i, err)
		}
		if c.Wanted < 0 || c.Wanted > math.MaxInt32 || c.Held < 0 || c.Held > math.MaxInt32 {
			return fmt.Errorf("controllers[%d]: wanted %d, held %d: want 0 to %d", i, c.Wanted, c.Held, math.MaxInt32)
		}
	}
	return nil
}

// check refuses a position that no stream has. {0, 0} is "no state yet".
func (h Head) check() error {
	if err := checkNumber("seq", h.Seq); err != nil {
		return err
	}
	if h.Epoch == 0 && h.Seq != 0 {
		return fmt.Errorf("epoch 0 with seq %d", h.Seq)
	}
	if (h.Seq == 0) != (h.Hash == Hash{}) {
		return fmt.Errorf("hash %q of seq %d: want none for 0 and one for all others", h.Hash, h.Seq)
	}
	return nil
}

// checkChanges refuses two changes of one record: which of them held would
// depend on who reads.
func checkChanges(field string, changes []Change, deletes bool) error {
	seen := make(map[access.Ref]bool, len(changes))
	for i := range changes {
		c := &changes[i]
		err := checkRef(c.Ref)
		switch {
		case err != nil:
		case seen[c.Ref]:
			err = fmt.Errorf("%s %q twice", c.Kind, c.Key)
		case c.Op == OpPut:
			err = checkCanonical(c.Record)
		case c.Op == OpDelete && deletes:
			if len(c.Record) != 0 {
				err = fmt.Errorf("op %q with a record", c.Op)
			}
		default:
			err = fmt.Errorf("op %.20q", c.Op)
		}
		if err != nil {
			return fmt.Errorf("%s[%d]: %w", field, i, err)
		}
		seen[c.Ref] = true
	}
	return nil
}

func checkRef(ref access.Ref) error {
	if len(ref.Kind) < 1 || len(ref.Kind) > 32 {
		return fmt.Errorf("type of %d characters, want 1 to 32", len(ref.Kind))
	}
	for _, c := range []byte(ref.Kind) {
		if !isToken(c) {
			return fmt.Errorf("type %q: want letters, digits, '_' and '-'", ref.Kind)
		}
	}
	return checkText("key", ref.Key, 1, maxKey)
}

func checkPosition(epoch uint32, seq uint64) error {
	if epoch == 0 {
		return fmt.Errorf("epoch 0")
	}
	if seq == 0 || seq > math.MaxInt64 {
		return fmt.Errorf("seq %d, want 1 to %d", seq, uint64(math.MaxInt64))
	}
	return nil
}

// checkNumber keeps counters within what a database holds.
func checkNumber(field string, n uint64) error {
	if n > math.MaxInt64 {
		return fmt.Errorf("%s %d, want at most %d", field, n, uint64(math.MaxInt64))
	}
	return nil
}

// checkNonce refuses what NonceOf would not write. The length is checked as
// well because the decoder passes over line ends.
func checkNonce(nonce string) error {
	raw, err := strict64.DecodeString(nonce)
	if err != nil || len(raw) != 16 || len(nonce) != strict64.EncodedLen(16) {
		return fmt.Errorf("nonce %.40q, want 16 bytes in base64url", nonce)
	}
	return nil
}

// NonceOf is the text of a hello's nonce: base64url without padding.
func NonceOf(random [16]byte) string { return strict64.EncodeToString(random[:]) }

func checkToken(field, s string) error {
	if len(s) < 1 || len(s) > maxToken {
		return fmt.Errorf("%s of %d characters, want 1 to %d", field, len(s), maxToken)
	}
	for _, c := range []byte(s) {
		if !isToken(c) {
			return fmt.Errorf("%s %q: want letters, digits, '_' and '-'", field, s)
		}
	}
	return nil
}

func checkTokenOrNone(field, s string) error {
	if s == "" {
		return nil
	}
	return checkToken(field, s)
}

func isToken(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// checkText refuses texts of the wrong length in bytes, and control characters,
// among them the zero byte that separates a digest's parts.
func checkText(field, s string, low, high int) error {
	if len(s) < low || len(s) > high {
		return fmt.Errorf("%s of %d bytes, want %d to %d", field, len(s), low, high)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("%s is not UTF-8", field)
	}
	for _, c := range []byte(s) {
		if c < ' ' && c != '\n' && c != '\t' || c == 0x7f {
			return fmt.Errorf("%s has the control character 0x%02x", field, c)
		}
	}
	return nil
}

// checkTime refuses years that JSON cannot carry. The zero time is fine.
func checkTime(field string, t time.Time) error {
	if y := t.Year(); y < 1 || y > 9999 {
		return fmt.Errorf("%s in the year %d, want 1 to 9999", field, y)
	}
	return nil
}

// first is the first of errs that is one.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

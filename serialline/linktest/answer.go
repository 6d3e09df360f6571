package linktest

import (
	"bytes"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"latchkey/serialline"
)

// answer handles one frame. It returns what goes onto the wire, each as bytes,
// and how long to wait before. The error is ErrPower.
func (c *Controller) answer(f serialline.Frame) (replies [][]byte, wait time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, 0, ErrPower
	}
	if f.Reply() || f.Addr != c.conf.Addr && f.Addr != serialline.AnyAddr || c.mute {
		return nil, 0, nil
	}
	c.counts.Frames++
	if c.lies.due(&c.lies.Reboot) {
		if err := c.start(); err != nil {
			return nil, 0, err
		}
		return nil, 0, nil
	}
	r := c.reply(f)
	if c.flash.dead {
		return nil, 0, ErrPower
	}
	if f.Op != serialline.OpHello && c.lies.due(&c.lies.Busy) {
		r.Op, r.Payload = f.Op, serialline.AppendBusy(nil, busyFor)
		r.Flags |= serialline.FlagBusy
	}
	wire, err := r.AppendBinary(nil)
	if err != nil {
		return nil, 0, err
	}
	replies = [][]byte{wire}
	if c.lies.due(&c.lies.Damage) {
		wire[len(wire)/2] ^= 0x20
	}
	if c.lies.due(&c.lies.Double) {
		replies = append(replies, wire)
	}
	if c.lies.due(&c.lies.Drop) {
		replies = nil
	}
	if c.lies.due(&c.lies.Late) {
		wait = c.lies.LateBy
	}
	return replies, wait, nil
}

// busyFor is how long a controller that lies to be busy asks to wait.
const busyFor = 15 * time.Millisecond

// reply makes the reply to a request, or finds it where it was made before.
func (c *Controller) reply(f serialline.Frame) serialline.Frame {
	c.sweep()
	c.lastSeen = c.conf.Now()
	r := serialline.Frame{Addr: c.conf.Addr | serialline.ReplyAddr, Seq: f.Seq, Op: f.Op}
	if f.Seq != 0 && f.Seq == c.cache.seq && f.Op == c.cache.op && f.Flags == c.cache.flags && bytes.Equal(f.Payload, c.cache.request) {
		c.counts.Repeated++
		return c.cache.reply
	}
	payload, refusal := c.do(f)
	switch {
	case refusal != nil:
		r.Op = serialline.OpError
		payload = refusal.Append(nil)
	case len(payload) > serialline.MaxPayload:
		r.Op = serialline.OpError
		payload = (&serialline.Refusal{Op: f.Op, Code: serialline.CodeStorage}).Append(nil)
	}
	r.Payload = payload
	if !c.session {
		r.Flags |= serialline.FlagRebooted
	}
	if c.timeless {
		r.Flags |= serialline.FlagClock
	}
	if c.ring.tail() != 0 {
		r.Flags |= serialline.FlagEvents
	}
	if f.Seq == 0 {
		c.cache = reply{} // HELLO begins anew
	} else if c.session {
		c.cache = reply{f.Seq, f.Op, f.Flags, slices.Clone(f.Payload), r}
	}
	return r
}

// do carries a request out.
func (c *Controller) do(f serialline.Frame) (payload []byte, refusal *serialline.Refusal) {
	payload, err := c.operate(f)
	if err == nil {
		return payload, nil
	}
	refusal = &serialline.Refusal{Op: f.Op, Code: serialline.CodeStorage}
	var root rootError
	switch {
	case errors.As(err, &root):
		refusal.Code, refusal.Detail = serialline.CodeRoot, root[:]
	case errors.As(err, &refusal.Code):
	case errors.Is(err, serialline.ErrPayload):
		refusal.Code = serialline.CodePayload
	case errors.Is(err, serialline.ErrRecord), errors.Is(err, serialline.ErrSchedule):
		refusal.Code = serialline.CodeRecord
	default:
		c.log.Error("operation failed", "op", f.Op, "err", err)
	}
	return nil, refusal
}

// A rootError is the root that the table would have had.
type rootError serialline.Root

func (rootError) Error() string { return serialline.CodeRoot.Error() }

func (c *Controller) operate(f serialline.Frame) ([]byte, error) {
	if f.Flags&serialline.FlagSealed != 0 {
		return nil, serialline.CodeSealed
	}
	if f.Op == serialline.OpHello {
		return c.hello(f)
	}
	if f.Seq == 0 {
		return nil, serialline.CodePayload
	}
	if !c.session {
		return nil, serialline.CodeHello
	}
	switch f.Op {
	case serialline.OpPoll:
		return c.poll(f.Payload)
	case serialline.OpTime:
		return c.setTime(f.Payload)
	case serialline.OpBegin:
		return c.begin(f.Payload)
	case serialline.OpPut:
		return c.put(f.Payload)
	case serialline.OpDel:
		return c.del(f.Payload)
	case serialline.OpCommit:
		return c.commit(f.Payload)
	case serialline.OpAbort:
		return c.abort(f.Payload)
	case serialline.OpDigest:
		return c.digest(f.Payload)
	case serialline.OpBucket:
		return c.bucket(f.Payload)
	case serialline.OpRevoke:
		return c.revoke(f.Payload)
	case serialline.OpUpsert:
		return c.upsert(f.Payload)
	case serialline.OpEvents:
		return c.readEvents(f.Payload)
	case serialline.OpAck:
		return c.ack(f.Payload)
	case serialline.OpDoor:
		return c.door(f.Payload)
	case serialline.OpPulse:
		return c.pulse(f.Payload)
	case serialline.OpSignal:
		return c.signal(f.Payload)
	}
	return nil, serialline.CodeUnknownOp
}

func (c *Controller) hello(f serialline.Frame) ([]byte, error) {
	m, err := serialline.ParseHelloRequest(f.Payload)
	if err != nil {
		return nil, err
	}
	if m.Page == 0 {
		if f.Seq != 0 {
			return nil, serialline.CodePayload
		}
		c.session = true
		id := serialline.Identity{
			Echo: m.Nonce, Proto: serialline.Version, Model: c.conf.Model, Serial: c.conf.Serial, Boot: c.boot,
			Doors: uint8(len(c.conf.Readers)), Readers: uint8(len(c.conf.Readers)), Flags: honoured, MaxEvents: uint32(c.conf.Events),
		}
		rand.Read(id.Nonce[:])
		return id.Append(nil), nil
	}
	if f.Seq == 0 {
		return nil, serialline.CodePayload
	}
	if !c.session {
		return nil, serialline.CodeHello
	}
	t := c.state.table(m.Page)
	if t == nil {
		return nil, serialline.CodeTable
	}
	info := serialline.TableInfo{
		Table: m.Page, Epoch: t.epoch, Version: t.version, Root: t.rows.Root(),
		Count: uint32(t.rows.Len()), Capacity: uint32(c.capacity(m.Page)),
	}
	if x := c.state.txn; x != nil && x.Table == m.Page {
		info.Txn, info.Next = x.Txn, x.next
	}
	if m.Page == serialline.TableCredentials {
		info.Revoked = uint32(len(c.state.revoked))
	}
	return info.Append(nil), nil
}

func (c *Controller) capacity(table uint8) int {
	if table == serialline.TableSchedules {
		return c.conf.Schedules
	}
	return c.conf.Capacity
}

func empty(p []byte) error {
	if len(p) != 0 {
		return serialline.CodePayload
	}
	return nil
}

func (c *Controller) poll(p []byte) ([]byte, error) {
	if err := empty(p); err != nil {
		return nil, err
	}
	m := serialline.PollReply{
		Tamper: c.tamper, Head: c.ring.head(), Tail: c.ring.tail(), Lost: c.ring.lost,
		Checks: [2]uint64{
			serialline.Root(c.state.tables[1].rows.Root()).Check(),
			serialline.Root(c.state.tables[2].rows.Root()).Check(),
		},
	}
	for i := range c.conf.Readers {
		m.Doors[i] = serialline.DoorState{Mode: c.mode(i), Open: c.doors[i].open, Released: c.released(i)}
		m.Readers[i] = 1
		if m.Doors[i].Released {
			m.Outputs |= 1 << i
		}
		if m.Doors[i].Open {
			m.Inputs |= 1 << i
		}
	}
	return m.Append(nil), nil
}

// keepStep is the step of the clock from which on it is written down: a host
// that sets it every minute must not wear the flash out.
const keepStep = time.Second

func (c *Controller) setTime(p []byte) ([]byte, error) {
	m, err := serialline.ParseTimeRequest(p)
	if err != nil {
		return nil, err
	}
	now, set := c.now()
	step := time.UnixMilli(m.UnixMS).Sub(now).Abs()
	if set && m.MaxStep != 0 && step > time.Duration(m.MaxStep)*time.Second {
		return nil, serialline.CodeStep
	}
	old := serialline.TimeReply{UnixMS: now.UnixMilli(), Set: set}
	if !set {
		old.UnixMS = 0
	}
	offset := m.UnixMS - c.conf.Now().UnixMilli()
	if !set || step >= keepStep {
		if err := c.change(entryClock, clockEntry(offset, m.UnixMS)); err != nil {
			return nil, err
		}
	}
	c.state.offset, c.timeless = offset, false
	return old.Append(nil), nil
}

func (c *Controller) begin(p []byte) ([]byte, error) {
	m, err := serialline.ParseBeginRequest(p)
	if err != nil {
		return nil, err
	}
	t := c.state.table(m.Table)
	if t == nil {
		return nil, serialline.CodeTable
	}
	if x := c.state.txn; x != nil {
		if x.BeginRequest == m {
			return serialline.AppendNext(nil, x.next), nil
		}
		return nil, serialline.CodeBusyTxn
	}
	switch {
	case m.Epoch < t.epoch || m.Epoch == 0:
		return nil, serialline.CodeEpoch
	case m.Epoch == t.epoch && m.Target < t.version:
		return nil, serialline.CodeVersion
	case m.Epoch > t.epoch && !m.Full:
		return nil, serialline.CodeFullLoad
	case !m.Full && m.Base != t.version:
		return nil, serialline.CodeBase
	}
	return serialline.AppendNext(nil, 0), c.change(entryBegin, p)
}

// open is the open transaction, if it is that one.
func (c *Controller) open(txn uint64) (*transaction, error) {
	if c.state.txn == nil || c.state.txn.Txn != txn {
		return nil, serialline.CodeTxn
	}
	return c.state.txn, nil
}

// fits reports how many of n items from first on are new to the transaction.
func (x *transaction) fits(first uint32, n int) (skip int, err error) {
	switch {
	case first > x.next:
		return 0, serialline.CodeIndex
	case uint64(first)+uint64(n) > uint64(x.Count):
		return 0, serialline.CodePayload
	}
	return min(int(x.next-first), n), nil
}

func (c *Controller) put(p []byte) ([]byte, error) {
	m, err := serialline.ParsePutRequest(p)
	if err != nil {
		return nil, err
	}
	x, err := c.open(m.Txn)
	if err != nil {
		return nil, err
	}
	skip, err := x.fits(m.First, len(m.Records))
	if err != nil {
		return nil, err
	}
	for _, r := range m.Records {
		if err := c.check(x.Table, r); err != nil {
			return nil, err
		}
	}
	if skip < len(m.Records) {
		m.First, m.Records = m.First+uint32(skip), m.Records[skip:]
		if c.state.size(m.Records...) > c.capacity(x.Table) {
			return nil, serialline.CodeFull
		}
		if err := c.change(entryPut, m.Append(nil)); err != nil {
			return nil, err
		}
	}
	return serialline.AppendNext(nil, x.next), nil
}

// check says what keeps a record out of a table.
func (c *Controller) check(table uint8, r serialline.Record) error {
	if table == serialline.TableSchedules {
		return serialline.CheckSchedule(r)
	}
	if r.Flags&^honoured != 0 || r.Doors>>len(c.conf.Readers) != 0 {
		return serialline.CodeRecord
	}
	return r.CheckCredential()
}

func (c *Controller) del(p []byte) ([]byte, error) {
	m, err := serialline.ParseDelRequest(p)
	if err != nil {
		return nil, err
	}
	x, err := c.open(m.Txn)
	if err != nil {
		return nil, err
	}
	skip, err := x.fits(m.First, len(m.Keys))
	if err != nil {
		return nil, err
	}
	if skip < len(m.Keys) {
		m.First, m.Keys = m.First+uint32(skip), m.Keys[skip:]
		if err := c.change(entryDel, m.Append(nil)); err != nil {
			return nil, err
		}
	}
	return serialline.AppendNext(nil, x.next), nil
}

func (c *Controller) commit(p []byte) ([]byte, error) {
	m, err := serialline.ParseCommitRequest(p)
	if err != nil {
		return nil, err
	}
	x, err := c.open(m.Txn)
	if err != nil {
		// The reply to COMMIT may have been lost, and power as well.
		for _, t := range c.state.tables[1:] {
			if t.lastTxn == m.Txn && m.Txn != 0 {
				return serialline.CommitReply{Version: t.version, Root: t.rows.Root()}.Append(nil), nil
			}
		}
		return nil, err
	}
	if x.next != x.Count {
		return nil, serialline.CodeIncomplete
	}
	// Tried first, and written down only if it is what the host expects.
	t := c.state.tables[x.Table]
	undo := c.state.merge()
	root := t.rows.Root()
	switch {
	case root != m.Root:
		err = rootError(root)
	case t.rows.Len() > c.capacity(x.Table):
		err = serialline.CodeFull
	case x.Table == serialline.TableSchedules:
		_, err = serialline.DecodeSchedules(t.rows)
	}
	undo()
	if err != nil {
		return nil, err
	}
	if err := c.change(entryCommit, p); err != nil {
		return nil, err
	}
	return serialline.CommitReply{Version: t.version, Root: root}.Append(nil), nil
}

func (c *Controller) abort(p []byte) ([]byte, error) {
	txn, err := serialline.ParseTxn(p)
	if err != nil {
		return nil, err
	}
	if _, err := c.open(txn); err != nil {
		return nil, nil
	}
	return nil, c.change(entryAbort, p)
}

func (c *Controller) digest(p []byte) ([]byte, error) {
	m, err := serialline.ParseDigestRequest(p)
	if err != nil {
		return nil, err
	}
	t := c.state.table(m.Table)
	if t == nil {
		return nil, serialline.CodeTable
	}
	sums := t.rows.Sums()
	first := int(m.Page) * serialline.DigestPage
	r := serialline.DigestReply{Version: t.version, Root: t.rows.Root(), Sums: sums[first:min(first+serialline.DigestPage, len(sums))]}
	if m.Table == serialline.TableCredentials {
		r.Revoked = uint32(len(c.state.revoked))
	}
	return r.Append(nil), nil
}

func (c *Controller) bucket(p []byte) ([]byte, error) {
	m, err := serialline.ParseBucketRequest(p)
	if err != nil {
		return nil, err
	}
	t := c.state.table(m.Table)
	if t == nil {
		return nil, serialline.CodeTable
	}
	all := t.rows.Bucket(m.Bucket)
	first := min(int(m.Page)*serialline.BucketPage, len(all))
	return serialline.BucketReply{
		Total: uint16(min(len(all), 0xFFFF)), Entries: all[first:min(first+serialline.BucketPage, len(all))],
	}.Append(nil), nil
}

func (c *Controller) revoke(p []byte) ([]byte, error) {
	keys, err := serialline.ParseRevoke(p)
	if err != nil {
		return nil, err
	}
	if err := c.change(entryRevoke, p); err != nil {
		// The host is told that it will not last, and the doors obey all the same.
		for _, k := range keys {
			c.state.revoke(k)
		}
		return nil, err
	}
	return nil, nil
}

func (c *Controller) upsert(p []byte) ([]byte, error) {
	m, err := serialline.ParseUpsertRequest(p)
	if err != nil {
		return nil, err
	}
	t := c.state.tables[serialline.TableCredentials]
	if m.Epoch != t.epoch || m.Epoch == 0 {
		return nil, serialline.CodeEpoch
	}
	fresh := make(map[serialline.Key]bool)
	for _, r := range m.Records {
		if err := c.check(serialline.TableCredentials, r); err != nil {
			return nil, err
		}
		if _, ok := t.rows.Get(r.Key); !ok {
			fresh[r.Key] = true
		}
	}
	if t.rows.Len()+len(fresh) > c.capacity(serialline.TableCredentials) {
		return nil, serialline.CodeFull
	}
	return nil, c.change(entryUpsert, p)
}

func (c *Controller) readEvents(p []byte) ([]byte, error) {
	m, err := serialline.ParseEventsRequest(p)
	if err != nil {
		return nil, err
	}
	i := c.ring.from(m.From)
	return serialline.EventsReply{
		Head: c.ring.head(), Tail: c.ring.tail(), Lost: c.ring.lost,
		Events: c.ring.list[i:min(i+int(m.Max), len(c.ring.list))],
	}.Append(nil), nil
}

func (c *Controller) ack(p []byte) ([]byte, error) {
	seq, err := serialline.ParseAck(p)
	if err != nil {
		return nil, err
	}
	switch {
	case seq >= c.ring.next:
		return nil, serialline.CodeOutOfOrder
	case seq <= c.ring.acked:
		return nil, nil
	}
	if err := c.events.append(entryAck, p); err != nil {
		return nil, err
	}
	c.ring.acked = seq
	return nil, nil
}

func (c *Controller) door(p []byte) ([]byte, error) {
	m, err := serialline.ParseDoorRequest(p)
	if err != nil {
		return nil, err
	}
	if int(m.Door) >= len(c.conf.Readers) {
		return nil, serialline.CodeDoor
	}
	if m.Mode > serialline.ModeDisabled || m.Mode.Leased() != (m.Lease != 0) {
		return nil, serialline.CodeMode
	}
	d, before := &c.doors[m.Door], c.mode(int(m.Door))
	if m.Mode.Leased() {
		if kept := c.state.modes[m.Door]; kept != serialline.ModeNormal {
			return nil, serialline.CodeHeld // it must be released first
		}
		d.lease, d.until = m.Mode, c.conf.Now().Add(time.Duration(m.Lease)*time.Second)
	} else {
		if m.Mode != c.state.modes[m.Door] {
			if err := c.change(entryMode, []byte{m.Door, byte(m.Mode)}); err != nil {
				return nil, err
			}
		}
		d.lease = serialline.ModeNormal
	}
	if m.Mode != before {
		c.modeEvent(int(m.Door), m.Mode)
	}
	return nil, nil
}

func (c *Controller) pulse(p []byte) ([]byte, error) {
	m, err := serialline.ParsePulseRequest(p)
	if err != nil {
		return nil, err
	}
	if int(m.Door) >= len(c.conf.Readers) {
		return nil, serialline.CodeDoor
	}
	if c.mode(int(m.Door)) == serialline.ModeDisabled {
		return nil, serialline.CodeHeld
	}
	var actor serialline.Key
	copy(actor[:], m.Actor[:])
	c.record(serialline.Event{Kind: serialline.EventPulse, Door: m.Door, Reader: serialline.None, Key: actor})
	c.release(int(m.Door), time.Duration(m.MS)*time.Millisecond)
	return nil, nil
}

func (c *Controller) signal(p []byte) ([]byte, error) {
	m, err := serialline.ParseSignalRequest(p)
	if err != nil {
		return nil, err
	}
	if int(m.Reader) >= len(c.conf.Readers) {
		return nil, serialline.CodeDoor
	}
	if m.Pattern > serialline.PatternNotice {
		return nil, serialline.CodeMode
	}
	c.signals[m.Reader] = m.Pattern
	return nil, nil
}

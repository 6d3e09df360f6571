package serialline

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"
)

// Errors of Client.
var (
	// ErrOffline says that the controller did not answer. Say Hello, after a
	// while.
	ErrOffline = errors.New("serialline: controller does not answer")
	// ErrHello says that no session is open: there was no Hello yet, or the
	// controller was offline or has started anew since. Say Hello.
	ErrHello = errors.New("serialline: no session: HELLO first")
	// ErrTwo says that two controllers answer to one address.
	ErrTwo = errors.New("serialline: two controllers with one address")
	// ErrReply says that the reply is whole but is no reply to what was asked.
	ErrReply = errors.New("serialline: reply makes no sense")
)

// How a Client waits (serial door link: Exchange).
const (
	DefaultTimeout = 60 * time.Millisecond // for the controller to begin its reply
	Tries          = 3
	maxBusy        = 30 * time.Second      // a controller that is busy for longer is offline
	twoWait        = 40 * time.Millisecond // a second answer to HELLO comes within
)

// A ClientConfig says whom a Client talks to.
type ClientConfig struct {
	Addr    uint8         // 1 to 126, or AnyAddr
	Baud    int           // for the time that frames take; 0 is 38400
	Timeout time.Duration // for a reply to begin; 0 is DefaultTimeout
}

// ClientStats counts what a Client met.
type ClientStats struct {
	Exchanges uint64 // that were answered
	Retries   uint64
	Damaged   uint64 // frames whose CRC or form was wrong
	Late      uint64 // replies to an earlier request
	Foreign   uint64 // frames from or for other addresses
	Busy      uint64
	Offline   uint64 // exchanges that were given up
}

// A Client is a host's end of the link with one controller. It is synchronous:
// one goroutine uses it, and several clients on one line take turns on one
// goroutine. Every method returns once the controller has answered; the error
// is ErrOffline after Tries silent time-outs, ErrHello where a session must be
// opened first, a *Refusal (and so a Code) when the controller said no, the
// context's error, or the port's own, after which the port must be opened anew.
// A method that fails may have been carried out all the same.
type Client struct {
	port Port
	conf ClientConfig
	byte time.Duration // one byte on the line

	scan    Scanner
	in      [512]byte
	left    []byte // of in, not scanned yet
	out     []byte
	payload []byte

	session bool
	seq     uint8
	flags   uint8 // of the last reply
	stats   ClientStats
}

// NewClient returns a client that talks over port, which stays the caller's to
// close. It sends nothing yet.
func NewClient(port Port, conf ClientConfig) (*Client, error) {
	if conf.Addr < 1 || conf.Addr > AnyAddr {
		return nil, fmt.Errorf("serialline: address %d, want 1 to %d", conf.Addr, AnyAddr)
	}
	if conf.Baud == 0 {
		conf.Baud = 38400
	}
	if conf.Baud < 0 {
		return nil, fmt.Errorf("%w: got %d", ErrBaud, conf.Baud)
	}
	if conf.Timeout == 0 {
		conf.Timeout = DefaultTimeout
	}
	var seq [1]byte
	rand.Read(seq[:])
	// A start at random: a late reply to who spoke before us is then most likely
	// none to us.
	return &Client{port: port, conf: conf, byte: 10 * time.Second / time.Duration(conf.Baud), seq: seq[0]}, nil
}

// Stats returns the counts so far.
func (c *Client) Stats() ClientStats { return c.stats }

// Flags returns the flags of the last reply: FlagEvents, FlagClock.
func (c *Client) Flags() uint8 { return c.flags }

// Session reports whether a session is open.
func (c *Client) Session() bool { return c.session }

// call makes one exchange and returns the reply's payload, good until the next.
func (c *Client) call(ctx context.Context, op uint8, payload []byte) ([]byte, error) {
	if !c.session {
		return nil, ErrHello
	}
	if c.seq++; c.seq == 0 {
		c.seq = 1
	}
	f, err := c.exchange(ctx, Frame{Addr: c.conf.Addr, Seq: c.seq, Op: op, Payload: payload}, nil)
	if err != nil {
		return nil, err
	}
	if f.Flags&FlagRebooted != 0 {
		c.session = false
		return nil, fmt.Errorf("%w: the controller has started since", ErrHello)
	}
	return c.reply(f, op)
}

// reply tells a reply from a refusal.
func (c *Client) reply(f Frame, op uint8) ([]byte, error) {
	if f.Op != OpError {
		return f.Payload, nil
	}
	r, err := ParseRefusal(f.Payload)
	if err != nil || r.Op != op {
		return nil, fmt.Errorf("%w: error frame for another operation", ErrReply)
	}
	if r.Code == CodeHello {
		c.session = false
		return nil, fmt.Errorf("%w: %w", ErrHello, r)
	}
	return nil, r
}

// exchange sends f until something answers it. accept, if not nil, may turn a
// reply down; it then counts as late.
func (c *Client) exchange(ctx context.Context, f Frame, accept func(Frame) bool) (Frame, error) {
	// No context can end a blocked Read. A deadline in the past can.
	stop := context.AfterFunc(ctx, func() { c.port.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var err error
	if c.out, err = f.AppendBinary(c.out[:0]); err != nil {
		return Frame{}, err
	}
	wait := c.conf.Timeout + time.Duration(len(c.out)+MaxWire)*c.byte
	var busyUntil time.Time
	for try := 0; try < Tries; {
		if err := ctx.Err(); err != nil {
			return Frame{}, err
		}
		if n, err := c.port.Write(c.out); err != nil {
			return Frame{}, fmt.Errorf("serialline: write: %w", err)
		} else if n < len(c.out) {
			return Frame{}, fmt.Errorf("serialline: write: %d of %d bytes", n, len(c.out))
		}
		if err := c.port.Drain(); err != nil {
			return Frame{}, fmt.Errorf("serialline: drain: %w", err)
		}
		answer, err := c.await(ctx, f, time.Now().Add(wait), accept)
		switch {
		case err == nil && answer.Flags&FlagBusy != 0:
			pause, err := ParseBusy(answer.Payload)
			if err != nil {
				return Frame{}, err
			}
			c.stats.Busy++
			now := time.Now()
			if busyUntil.IsZero() {
				busyUntil = now.Add(maxBusy)
			}
			if now.Add(pause).After(busyUntil) {
				try = Tries
				continue
			}
			if err := sleep(ctx, max(pause, time.Millisecond)); err != nil {
				return Frame{}, err
			}
			try = 0
		case err == nil:
			c.stats.Exchanges++
			c.flags = answer.Flags
			return answer, nil
		case ctx.Err() != nil: // our own stop is not the controller's silence
			return Frame{}, ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded):
			if try++; try < Tries {
				c.stats.Retries++
			}
		default:
			return Frame{}, err
		}
	}
	// Its last reply, if it gave one, stays in its cache, and would answer a
	// request of the same number a whole round later: HELLO empties the cache.
	c.session = false
	c.stats.Offline++
	return Frame{}, fmt.Errorf("%w: address %d, operation %#02x, %d tries", ErrOffline, c.conf.Addr, f.Op, Tries)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// await reads until a reply to f comes or the deadline is there. Anything else
// on the line is counted and ignored.
func (c *Client) await(ctx context.Context, f Frame, deadline time.Time, accept func(Frame) bool) (Frame, error) {
	if err := c.port.SetReadDeadline(deadline); err != nil {
		return Frame{}, fmt.Errorf("serialline: deadline: %w", err)
	}
	if err := ctx.Err(); err != nil { // the stop may have come before our deadline, which then hides it
		return Frame{}, err
	}
	for {
		for len(c.left) > 0 {
			n, g, err := c.scan.Scan(c.left)
			c.left = c.left[n:]
			switch {
			case errors.Is(err, ErrMore):
			case err != nil:
				c.stats.Damaged++
			case !g.Reply() || c.conf.Addr != AnyAddr && g.Addr != c.conf.Addr|ReplyAddr:
				c.stats.Foreign++ // our own echo among them, on two wires
			case g.Seq != f.Seq || g.Op != f.Op && g.Op != OpError:
				c.stats.Late++
			case g.Flags&FlagSealed != 0:
				return Frame{}, fmt.Errorf("%w: the controller seals its replies", ErrSealed)
			case accept != nil && g.Op != OpError && g.Flags&FlagBusy == 0 && !accept(g):
				c.stats.Late++
			default:
				c.payload = append(c.payload[:0], g.Payload...)
				g.Payload = c.payload
				return g, nil
			}
		}
		n, err := c.port.Read(c.in[:])
		c.left = c.in[:n]
		if n == 0 && err != nil {
			return Frame{}, fmt.Errorf("serialline: read: %w", err)
		}
		// A line full of noise must not keep us here for ever.
		if n > 0 && time.Now().After(deadline.Add(c.conf.Timeout)) {
			return Frame{}, os.ErrDeadlineExceeded
		}
	}
}

// A Hello is what a controller says of itself.
type Hello struct {
	Identity
	Credentials TableInfo
	Schedules   TableInfo
}

// Hello opens a session: it empties the controller's reply cache and asks who
// it is and what its tables hold. It fails with ErrTwo where two controllers
// answer.
func (c *Client) Hello(ctx context.Context) (Hello, error) {
	c.session = false
	var h Hello
	req := HelloRequest{}
	rand.Read(req.Nonce[:])
	// The echo tells this HELLO's reply from one to an earlier HELLO.
	ours := func(f Frame) bool {
		id, err := ParseIdentity(f.Payload)
		return err == nil && id.Echo == req.Nonce
	}
	hello := Frame{Addr: c.conf.Addr, Op: OpHello, Payload: req.Append(nil)}
	f, err := c.exchange(ctx, hello, ours)
	if err != nil {
		return h, err
	}
	p, err := c.reply(f, OpHello)
	if err != nil {
		return h, err
	}
	if h.Identity, err = ParseIdentity(p); err != nil {
		return h, err
	}
	if h.Proto != Version {
		return h, fmt.Errorf("%w: the controller speaks %d, want %d", ErrVersion, h.Proto, Version)
	}
	if err := c.alone(ctx, hello, h.Serial, ours); err != nil {
		return h, err
	}
	c.session = true
	for table, info := range map[uint8]*TableInfo{TableCredentials: &h.Credentials, TableSchedules: &h.Schedules} {
		if *info, err = c.Table(ctx, table); err != nil {
			return h, err
		}
	}
	return h, nil
}

// alone listens whether another controller answers too.
func (c *Client) alone(ctx context.Context, hello Frame, serial [8]byte, ours func(Frame) bool) error {
	stop := context.AfterFunc(ctx, func() { c.port.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	deadline := time.Now().Add(twoWait + MaxWire*c.byte)
	for {
		f, err := c.await(ctx, hello, deadline, ours)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return err
		case f.Op == OpError || f.Flags&FlagBusy != 0:
			continue
		}
		if id, _ := ParseIdentity(f.Payload); id.Serial != serial {
			return fmt.Errorf("%w: %d is %x and %x", ErrTwo, c.conf.Addr, serial, id.Serial)
		}
	}
}

// Table asks what the controller holds in one table.
func (c *Client) Table(ctx context.Context, table uint8) (TableInfo, error) {
	p, err := c.call(ctx, OpHello, HelloRequest{Page: table}.Append(nil))
	if err != nil {
		return TableInfo{}, err
	}
	info, err := ParseTableInfo(p)
	if err == nil && info.Table != table {
		err = fmt.Errorf("%w: table %d, want %d", ErrReply, info.Table, table)
	}
	return info, err
}

// Poll asks how controller, doors and readers stand.
func (c *Client) Poll(ctx context.Context) (PollReply, error) {
	p, err := c.call(ctx, OpPoll, nil)
	if err != nil {
		return PollReply{}, err
	}
	return ParsePollReply(p)
}

// SetTime sets the controller's clock, which must not step by more than maxStep
// (whole seconds; 0 is any) unless it is not set. It returns the clock as it
// was, and whether it was set.
func (c *Client) SetTime(ctx context.Context, now time.Time, maxStep time.Duration) (old time.Time, set bool, err error) {
	p, err := c.call(ctx, OpTime, TimeRequest{now.UnixMilli(), uint32(maxStep / time.Second)}.Append(nil))
	if err != nil {
		return time.Time{}, false, err
	}
	r, err := ParseTimeReply(p)
	return time.UnixMilli(r.UnixMS).UTC(), r.Set, err
}

// Begin opens a transaction, or goes on with the one of the same Txn. It
// returns the index of the record that the controller wants next.
func (c *Client) Begin(ctx context.Context, b BeginRequest) (next uint32, err error) {
	return c.next(ctx, OpBegin, b.Append(nil))
}

func (c *Client) next(ctx context.Context, op uint8, payload []byte) (uint32, error) {
	p, err := c.call(ctx, op, payload)
	if err != nil {
		return 0, err
	}
	return ParseNext(p)
}

// Put brings 1 to MaxPut records of a transaction, the first of which has index
// first.
func (c *Client) Put(ctx context.Context, txn uint64, first uint32, records ...Record) (next uint32, err error) {
	if len(records) < 1 || len(records) > MaxPut {
		return 0, fmt.Errorf("serialline: PUT of %d records, want 1 to %d", len(records), MaxPut)
	}
	return c.next(ctx, OpPut, PutRequest{txn, first, records}.Append(nil))
}

// Del brings 1 to MaxDel keys that go.
func (c *Client) Del(ctx context.Context, txn uint64, first uint32, keys ...Key) (next uint32, err error) {
	if len(keys) < 1 || len(keys) > MaxDel {
		return 0, fmt.Errorf("serialline: DEL of %d keys, want 1 to %d", len(keys), MaxDel)
	}
	return c.next(ctx, OpDel, DelRequest{txn, first, keys}.Append(nil))
}

// Commit makes the transaction the table, if its root is then root. A key that
// REVOKE or UPSERT touched after BEGIN keeps what they gave it, and root is
// that of the result.
func (c *Client) Commit(ctx context.Context, txn uint64, root Root) (CommitReply, error) {
	p, err := c.call(ctx, OpCommit, CommitRequest{txn, root}.Append(nil))
	if err != nil {
		return CommitReply{}, err
	}
	return ParseCommitReply(p)
}

// Abort drops the transaction. One that is not open is no error.
func (c *Client) Abort(ctx context.Context, txn uint64) error {
	return c.done(ctx, OpAbort, AppendTxn(nil, txn))
}

// done is for operations whose reply is empty.
func (c *Client) done(ctx context.Context, op uint8, payload []byte) error {
	p, err := c.call(ctx, op, payload)
	if err == nil && len(p) != 0 {
		err = fmt.Errorf("%w: %d bytes in answer to operation %#02x", ErrReply, len(p), op)
	}
	return err
}

// Digest reads one page, 0 to DigestPages-1, of a table's bucket sums.
func (c *Client) Digest(ctx context.Context, table, page uint8) (DigestReply, error) {
	p, err := c.call(ctx, OpDigest, DigestRequest{table, page}.Append(nil))
	if err != nil {
		return DigestReply{}, err
	}
	r, err := ParseDigestReply(p)
	if want := min(DigestPage, 256-int(page)*DigestPage); err == nil && len(r.Sums) != want {
		err = fmt.Errorf("%w: %d sums on page %d, want %d", ErrReply, len(r.Sums), page, want)
	}
	return r, err
}

// Bucket reads one page of a bucket.
func (c *Client) Bucket(ctx context.Context, table, bucket, page uint8) (BucketReply, error) {
	p, err := c.call(ctx, OpBucket, BucketRequest{table, bucket, page}.Append(nil))
	if err != nil {
		return BucketReply{}, err
	}
	return ParseBucketReply(p, page)
}

// Revoke takes 1 to MaxRevoke cards out at once, for good, whatever transaction
// is open. When it returns nil they open nothing any more, also after a loss of
// power.
func (c *Client) Revoke(ctx context.Context, keys ...Key) error {
	if len(keys) < 1 || len(keys) > MaxRevoke {
		return fmt.Errorf("serialline: REVOKE of %d keys, want 1 to %d", len(keys), MaxRevoke)
	}
	return c.done(ctx, OpRevoke, AppendRevoke(nil, keys))
}

// Upsert adds or replaces 1 to MaxUpsert credentials at once, all or none,
// whatever transaction is open. epoch is that of the table.
func (c *Client) Upsert(ctx context.Context, epoch uint32, records ...Record) error {
	if len(records) < 1 || len(records) > MaxUpsert {
		return fmt.Errorf("serialline: UPSERT of %d records, want 1 to %d", len(records), MaxUpsert)
	}
	return c.done(ctx, OpUpsert, UpsertRequest{epoch, records}.Append(nil))
}

// Events reads up to most, at most MaxEvents, events of seq from and after.
func (c *Client) Events(ctx context.Context, from uint64, most int) (EventsReply, error) {
	p, err := c.call(ctx, OpEvents, EventsRequest{from, uint8(min(max(most, 1), MaxEvents))}.Append(nil))
	if err != nil {
		return EventsReply{}, err
	}
	r, err := ParseEventsReply(p)
	if err == nil && len(r.Events) > 0 && r.Events[0].Seq < from {
		err = fmt.Errorf("%w: event %d, asked for %d and after", ErrReply, r.Events[0].Seq, from)
	}
	return r, err
}

// Ack tells the controller that all events up to seq are on the host's disk.
func (c *Client) Ack(ctx context.Context, seq uint64) error {
	return c.done(ctx, OpAck, AppendAck(nil, seq))
}

// Door sets a door's mode. A mode with a lease wants 1 s to 18 h of it, any
// other mode 0.
func (c *Client) Door(ctx context.Context, door uint8, mode Mode, lease time.Duration) error {
	if lease < 0 || lease > 0xFFFF*time.Second || mode.Leased() != (lease >= time.Second) {
		return fmt.Errorf("serialline: lease of %v for mode %d: %w", lease, mode, CodeMode)
	}
	return c.done(ctx, OpDoor, DoorRequest{door, mode, uint16(lease / time.Second)}.Append(nil))
}

// Pulse opens a door for d, 1 ms to MaxPulse. A second one while the first
// lasts starts the time anew. actor stands for who wanted it.
func (c *Client) Pulse(ctx context.Context, door uint8, d time.Duration, actor [8]byte) error {
	if d < time.Millisecond || d > MaxPulse {
		return fmt.Errorf("serialline: pulse of %v, want 1 ms to %v", d, MaxPulse)
	}
	return c.done(ctx, OpPulse, PulseRequest{door, uint32(d.Milliseconds()), actor}.Append(nil))
}

// Signal has a reader show a pattern for d, at most 65 s.
func (c *Client) Signal(ctx context.Context, reader uint8, p Pattern, d time.Duration) error {
	ms := min(max(d.Milliseconds(), 0), 0xFFFF)
	return c.done(ctx, OpSignal, SignalRequest{reader, p, uint16(ms)}.Append(nil))
}

// DigestOf reads all pages of a table's digest. changed reports that the table
// changed while it was read, in which case the sums do not fit together.
func (c *Client) DigestOf(ctx context.Context, table uint8) (sums [256]uint64, first DigestReply, changed bool, err error) {
	for page := range uint8(DigestPages) {
		r, err := c.Digest(ctx, table, page)
		if err != nil {
			return sums, first, false, err
		}
		copy(sums[int(page)*DigestPage:], r.Sums)
		if page == 0 {
			first = r
		}
		changed = changed || !bytes.Equal(r.Root[:], first.Root[:]) || r.Version != first.Version
	}
	return sums, first, changed || RootOf(sums) != first.Root, nil
}

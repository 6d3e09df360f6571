package osdp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

const (
	discoverDelay = 200 * time.Millisecond // that a PD may take to begin its reply (OSDP v2.2 §5.7)
	discoverTries = 3                      // of an address that answers, but not well
	discoverBusy  = 100 * time.Millisecond // from BUSY to the next try
	discoverLong  = 300                    // bytes of a PDCAP that says a lot
)

// A Found is what answered at an address.
type Found struct {
	Addr uint8 // 0 to 126
	ID   PDID  // zero if it would not say
	Caps PDCAP // nil if it would not say
	// Damaged: something answered each time, and never whole. Two PDs answer at
	// this address at once, or the line is bad.
	Damaged bool
	// Double: one question had two answers. Two PDs have this address.
	Double bool
}

// Discover asks each of addrs on port, which runs at baud bits per second, who
// it is, and gives found what answers, in that order. It asks in the clear, as
// every PD must allow, with the 8-bit checksum, which every PD must know, and
// from sequence 0: a PD that another panel works loses that panel's session. A
// silent address takes a fifth of a second. Nobody else may use the line
// meanwhile. It returns ctx's error when ctx ends, and the port's.
func Discover(ctx context.Context, port Port, baud int, addrs []uint8, found func(Found)) error {
	d := &discovery{ctx: ctx, port: port, baud: baud}
	stop := context.AfterFunc(ctx, func() { port.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for _, a := range addrs {
		f, ok, err := d.address(a)
		if err != nil {
			return err
		}
		if ok {
			found(f)
		}
	}
	return nil
}

type discovery struct {
	ctx  context.Context
	port Port
	baud int
	scan Scanner
	buf  [MaxFrame]byte
}

// address looks for a PD at a.
func (d *discovery) address(a uint8) (found Found, ok bool, err error) {
	id, found, ok, err := d.ask(a, Frame{Addr: a, Checksum: true, Code: CodeID, Data: []byte{IDStandard}})
	if err != nil || !ok || found.Damaged {
		return found, ok, err
	}
	found.ID, _ = ParseReply(id.Code, id.Data).(PDID)
	caps, more, answered, err := d.ask(a, Frame{Addr: a, Seq: 1, Checksum: true, Code: CodeCAP, Data: []byte{0}})
	found.Double = found.Double || more.Double
	if answered && !more.Damaged {
		found.Caps, _ = ParseReply(caps.Code, caps.Data).(PDCAP)
	}
	return found, true, err
}

// ask puts question to a until it has one good answer, or none at all, or has
// had discoverTries.
func (d *discovery) ask(a uint8, question Frame) (reply Frame, found Found, ok bool, err error) {
	for range discoverTries {
		replies, damaged, err := d.exchange(a, question)
		if err != nil {
			return Frame{}, Found{}, false, err
		}
		found = Found{Addr: a, Damaged: damaged && len(replies) == 0, Double: len(replies) > 1}
		switch {
		case len(replies) == 0 && !damaged:
			return Frame{}, Found{}, false, nil
		case len(replies) == 0:
		case replies[0].Code == CodeBUSY:
			if !sleep(d.ctx, discoverBusy) {
				return Frame{}, Found{}, false, d.ctx.Err()
			}
		default:
			return replies[0], found, true, nil
		}
	}
	return Frame{}, found, true, nil
}

// exchange sends f and takes what comes back until the line has been quiet for
// long enough: what a sends, and whether anything else came than that and our
// own echo.
func (d *discovery) exchange(a uint8, f Frame) (replies []Frame, damaged bool, err error) {
	if err := d.quieten(); err != nil {
		return nil, false, err
	}
	wire, err := f.AppendBinary([]byte{Mark})
	if err != nil {
		return nil, false, err
	}
	if _, err := d.port.Write(wire); err != nil {
		return nil, false, fmt.Errorf("osdp: write: %w", err)
	}
	until := time.Now().Add(discoverDelay + d.air(len(wire)))
	last := until.Add(discoverDelay + d.air(2*discoverLong)) // of somebody who does not stop
	for {
		n, err := d.read(until)
		d.scan.Feed(d.buf[:n])
		if n > 0 { // there may be more behind it
			until = earlier(time.Now().Add(interCharacter), last)
		}
		replies, damaged = d.take(a, replies, damaged)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			for d.scan.GiveUp() { // a whole frame may stand behind the start of one
				replies, damaged = d.take(a, replies, damaged)
			}
			return replies, damaged || d.scan.Skipped > 0, d.ctx.Err()
		}
		if err != nil {
			return nil, false, err
		}
	}
}

// take adds the replies of a that are whole, and says whether there were damaged
// frames.
func (d *discovery) take(a uint8, replies []Frame, damaged bool) ([]Frame, bool) {
	for {
		f, err := d.scan.Next()
		switch {
		case errors.Is(err, ErrShort):
			return replies, damaged
		case err != nil:
			damaged = true
		case f.Reply && f.Addr == a:
			f.Data = bytes.Clone(f.Data)
			replies = append(replies, f)
		}
	}
}

// quieten forgets what came before, and leaves the line in peace for two
// characters (OSDP v2.2 §5.7).
func (d *discovery) quieten() error {
	for {
		n, err := d.read(time.Now().Add(d.air(2)))
		if errors.Is(err, os.ErrDeadlineExceeded) && n == 0 {
			d.scan = Scanner{}
			return d.ctx.Err()
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
}

// read reads until the given time.
func (d *discovery) read(until time.Time) (int, error) {
	if err := d.port.SetReadDeadline(until); err != nil {
		return 0, fmt.Errorf("osdp: port: %w", err)
	}
	if err := d.ctx.Err(); err != nil { // it ended between AfterFunc and SetReadDeadline
		return 0, err
	}
	n, err := d.port.Read(d.buf[:])
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, fmt.Errorf("osdp: read: %w", err)
	}
	return n, err
}

// air is how long n bytes take on the line.
func (d *discovery) air(n int) time.Duration {
	return time.Duration(n) * 10 * time.Second / time.Duration(d.baud)
}

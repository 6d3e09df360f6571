package osdp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"latchkey/osdp"
	"latchkey/osdp/osdptest"
)

// A world is where an attack is tried: in a bubble, where an hour is soon over
// and a lot can be tried, or between two pseudo-terminals in real time.
type world struct {
	t    *testing.T
	real bool
}

// hostile tries an attack in both worlds.
func hostile(t *testing.T, attack func(w world)) {
	t.Run("bubble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { attack(world{t, false}) })
	})
	t.Run("ptys", func(t *testing.T) {
		t.Parallel()
		attack(world{t, true})
	})
}

// most is how long to wait for what must not happen.
func (w world) most(d time.Duration) time.Duration {
	if w.real {
		return min(d, 700*time.Millisecond)
	}
	return d
}

// times is how often to try.
func (w world) times(n int) int {
	if w.real {
		return min(n, 3)
	}
	return n
}

// cables gives the panel's port, the two ends of who sits in between, and the
// PDs' port.
func (w world) cables() (panel osdp.Port, first, second io.ReadWriteCloser, pds osdp.Port) {
	if w.real {
		first, a := openPTY(w.t)
		second, b := openPTY(w.t)
		return a, first, second, b
	}
	a, b := net.Pipe()
	c, d := net.Pipe()
	w.t.Cleanup(func() { a.Close(); d.Close() })
	return a, b, c, d
}

// openPTY gives both ends of a pseudo-terminal that changes no bytes. Closing
// an end ends its Read.
func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	open := func(name string) (int, *os.File) {
		fd, err := unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			t.Skipf("no pseudo-terminal here: %v", err)
		}
		return fd, os.NewFile(uintptr(fd), name)
	}
	fd, master := open("/dev/ptmx")
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err := errors.Join(err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)); err != nil {
		t.Fatal(err)
	}
	fd, slave = open(fmt.Sprintf("/dev/pts/%d", n))
	raw := unix.Termios{Cflag: unix.CS8 | unix.CREAD | unix.CLOCAL}
	raw.Cc[unix.VMIN] = 1
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &raw); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// A sniffed is a frame as it came to who sits in between.
type sniffed struct {
	toPD bool
	osdp.Frame
	wire []byte // from SOM to check
}

// A mitm sits between a panel and its PDs. It hears every frame and sends on
// what its hook makes of it.
type mitm struct {
	panel, pds io.ReadWriteCloser
	out        [2]chan []byte // to the panel and to the PDs; what does not fit is lost

	mu   sync.Mutex // guards what follows
	hook func(s sniffed) (on [][]byte)
	seen []sniffed
	keep int // of seen, the latest; 0 for all
}

// run works m until both its ends fail.
func (m *mitm) run() {
	var readers, writers sync.WaitGroup
	for i, to := range []io.Writer{m.panel, m.pds} {
		out := m.out[i]
		writers.Go(func() {
			for b := range out {
				to.Write(b) // that nobody takes it is no matter
			}
		})
		readers.Go(func() { m.pump(i == 0) })
	}
	readers.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, out := range m.out {
		close(out)
		m.out[i] = nil
	}
	writers.Wait()
}

func (m *mitm) pump(toPD bool) {
	from := m.pds
	if toPD {
		from = m.panel
	}
	var scan osdp.Scanner
	buf := make([]byte, osdp.MaxFrame)
	for {
		n, err := from.Read(buf)
		scan.Feed(buf[:n])
		for {
			f, err := scan.Next()
			if errors.Is(err, osdp.ErrShort) {
				break
			}
			if err == nil {
				m.pass(toPD, f)
			}
		}
		if err != nil {
			return
		}
	}
}

// pass hears f and sends on what the hook says; without one, f itself.
func (m *mitm) pass(toPD bool, f osdp.Frame) {
	wire, err := f.AppendBinary(nil)
	if err != nil {
		panic(err) // it came from a line
	}
	// What f points to is the scanner's.
	f, _, _ = osdp.ParseFrame(wire)
	s := sniffed{toPD, f, wire}
	m.mu.Lock()
	m.seen = append(m.seen, s)
	if over := len(m.seen) - m.keep; m.keep > 0 && over > m.keep {
		m.seen = slices.Delete(m.seen, 0, over)
	}
	on := [][]byte{wire}
	if m.hook != nil {
		on = m.hook(s)
	}
	for _, b := range on {
		m.say(toPD, b)
	}
	m.mu.Unlock()
}

// say puts the frame b onto the line.
func (m *mitm) say(toPD bool, b []byte) { m.put(toPD, append([]byte{osdp.Mark}, b...)) }

// put puts bytes onto the line that need be no frame.
func (m *mitm) put(toPD bool, b []byte) {
	i := 0
	if toPD {
		i = 1
	}
	select {
	case m.out[i] <- b:
	default:
	}
}

// does has m make of every frame what hook says.
func (m *mitm) does(hook func(s sniffed) [][]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = hook
}

// poses has m answer the panel in the PD's place. An answer of nil is silence.
func (m *mitm) poses(answer func(f osdp.Frame) []byte) {
	m.does(func(s sniffed) [][]byte {
		if !s.toPD {
			return nil
		}
		if b := answer(s.Frame); b != nil {
			m.say(false, b)
		}
		return nil
	})
}

// sniffed is what m has heard so far.
func (m *mitm) sniffed() []sniffed {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.seen)
}

// commands are the codes of all clear commands that m has heard, once each.
func (m *mitm) commands() (clear []byte) {
	for _, s := range m.sniffed() {
		if s.toPD && s.SCBType < osdp.SCS15 && !slices.Contains(clear, s.Code) {
			clear = append(clear, s.Code)
		}
	}
	slices.Sort(clear)
	return clear
}

// A site is a panel, its PDs, and a mitm in between.
type site struct {
	world
	*mitm
	line   *osdp.Line
	events chan osdp.Event
	close  func()
}

// newSite works the line of the panel's list and pds until it is closed, or the
// test ends.
func newSite(w world, m *mitm, list []osdp.PDConfig, pds ...*osdptest.PD) *site {
	panel, first, second, far := w.cables()
	m.panel, m.pds = first, second
	m.out = [2]chan []byte{make(chan []byte, 1000), make(chan []byte, 1000)}
	s := &site{world: w, mitm: m, events: make(chan osdp.Event, 1<<16)}
	s.line = osdp.NewLine(osdp.NewBus(list, osdp.Options{Baud: 115200}), func(context.Context) (osdp.Port, error) { return panel, nil }, nil)
	ctx, cancel := context.WithCancel(w.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { osdptest.ServeLine(ctx, far, pds...) })
	wg.Go(m.run)
	wg.Go(func() { s.line.Run(ctx, func(e osdp.Event) { s.events <- e }) })
	s.close = sync.OnceFunc(func() {
		cancel()
		first.Close()
		second.Close()
		wg.Wait()
	})
	w.t.Cleanup(s.close)
	return s
}

// oneReader is newSite with one PD, which the panel knows as it is.
func oneReader(w world, m *mitm, c osdptest.Config) (*site, *osdptest.PD) {
	pd := osdptest.NewPD(c)
	return newSite(w, m, []osdp.PDConfig{panelOf(c)}, pd), pd
}

// wait waits for an event of one of kinds.
func (s *site) wait(most time.Duration, kinds ...osdp.Kind) (osdp.Event, bool) {
	over := time.NewTimer(most)
	defer over.Stop()
	for {
		select {
		case e := <-s.events:
			if slices.Contains(kinds, e.Kind) {
				return e, true
			}
		case <-over.C:
			return osdp.Event{}, false
		}
	}
}

// want is wait for what must happen soon, and nothing of not before it.
func (s *site) want(kind osdp.Kind, not ...osdp.Kind) osdp.Event {
	s.t.Helper()
	most := 10 * time.Second // one that refuses has 8 s before it is offline
	if s.real {
		most = 20 * time.Second // the machine may have other things to do
	}
	e, ok := s.wait(most, append(not, kind)...)
	if !ok || e.Kind != kind {
		s.t.Fatalf("%v, want %v within %v: %+v", e, kind, most, s.line.Stats()[0])
	}
	return e
}

// never is wait for what must not happen.
func (s *site) never(most time.Duration, kinds ...osdp.Kind) {
	s.t.Helper()
	if e, ok := s.wait(s.most(most), kinds...); ok {
		s.t.Errorf("%v", e)
	}
}

// away lets d go by, and tells how much of it the panel's one reader was offline.
func (s *site) away(d time.Duration) (off time.Duration) {
	since, over := time.Time{}, time.NewTimer(s.most(d))
	defer over.Stop()
	for {
		select {
		case e := <-s.events:
			switch e.Kind {
			case osdp.Offline:
				since = e.At
			case osdp.Online:
				off, since = off+e.At.Sub(since), time.Time{}
			case osdp.Card, osdp.CardText, osdp.Keypad:
				s.t.Errorf("%v, and nobody showed one", e)
			}
		case <-over.C:
			if !since.IsZero() {
				off += time.Since(since)
			}
			return off
		}
	}
}

// yieldsNothing checks that the panel has said nothing in the clear that it must
// not, and has asked for no SCBK-D.
func (s *site) yieldsNothing() {
	s.t.Helper()
	for _, f := range s.sniffed() {
		if clear := f.SCBType < osdp.SCS15; f.toPD && clear && !slices.Contains(inClear, f.Code) {
			s.t.Errorf("the panel said %v in the clear", f.Frame)
		}
		if f.SCBType == osdp.SCS11 && osdp.AsksDefault(f.Frame) {
			s.t.Error("SCBK-D was tried")
		}
	}
}

// wireOf is f from SOM to check.
func wireOf(f osdp.Frame) []byte {
	b, err := f.AppendBinary(nil)
	if err != nil {
		panic(err)
	}
	return b
}

// forged is a clear reply to the command f.
func forged(f osdp.Frame, r osdp.Reply) osdp.Frame {
	data, err := r.AppendData(nil)
	if err != nil {
		panic(err)
	}
	return osdp.Frame{Addr: f.Addr, Reply: true, Seq: f.Seq, Code: r.Code(), Data: bytes.Clone(data)}
}

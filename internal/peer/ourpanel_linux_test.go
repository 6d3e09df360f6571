package peer

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"latchkey/osdp"
	"latchkey/serialline"
)

// asPanel in its environment makes the test binary a control panel: so the CPU
// time of ours can be told from that of the test, and is measured like that of
// libosdp's in C.
const asPanel = "LATCHKEY_AS_PANEL"

func TestMain(m *testing.M) {
	if os.Getenv(asPanel) == "" {
		os.Exit(m.Run())
	}
	if err := servePanel(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// startOurPanel runs our control panel in a process of its own, with a poll each
// poll, or as it is by default when 0. It takes the orders "badge", "file" and
// "usage" of programs/cp.c, and reports the same. It needs c.Line; there is
// nothing to refresh.
func startOurPanel(t testing.TB, c PanelConfig, poll time.Duration) *Process {
	t.Helper()
	t.Setenv(asPanel, "1")
	return start(t, "our panel", nil, append([]string{os.Args[0], c.Line, poll.String()}, c.pds()...)...)
}

// servePanel works the line args[0] with a poll each args[1], until standard
// input ends. Behind them are its PDs, each an address, and perhaps "=" and its
// key.
func servePanel(args []string) error {
	p := &ourPanel{}
	poll, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	var pds []osdp.PDConfig
	for _, arg := range args[2:] {
		c, err := parsePD(arg)
		if err != nil {
			return err
		}
		pds = append(pds, c)
		p.addrs = append(p.addrs, c.Addr)
	}
	p.line = osdp.NewLine(osdp.NewBus(pds, osdp.Options{Baud: 115200, Poll: poll}), func(context.Context) (osdp.Port, error) {
		return serialline.Open(serialline.Config{Path: args[0], Baud: 115200})
	}, nil)
	// Orders come through the runtime's poller: a Read of them that blocks would
	// keep a thread busy for a while, and that would count as ours.
	if err := unix.SetNonblock(unix.Stdin, true); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	p.report("ready", nil)
	tasks.Go(func() { p.line.Run(ctx, p.event) })
	for orders := bufio.NewScanner(os.NewFile(uintptr(unix.Stdin), "orders")); orders.Scan(); {
		if err := p.obey(ctx, &tasks, orders.Text()); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	cancel()
	tasks.Wait()
	return nil
}

func parsePD(arg string) (c osdp.PDConfig, err error) {
	addr, hex, keyed := strings.Cut(arg, "=")
	n, err := strconv.ParseUint(addr, 10, 7)
	if err != nil {
		return c, err
	}
	c.Addr = uint8(n)
	if !keyed {
		c.Security = osdp.AllowClear
		return c, nil
	}
	key, err := osdp.ParseKey(hex)
	c.Keys.Current = &key
	return c, err
}

// An ourPanel is our control panel behind the orders and reports of the one in C.
type ourPanel struct {
	line  *osdp.Line
	addrs []uint8

	mu    sync.Mutex // of standard output, and guards badge
	badge osdp.OUT   // sent to a PD whenever it reports a card; nil: nothing
}

func (p *ourPanel) report(is string, fields Report) {
	r := Report{"is": is, "at": monotonic()}
	maps.Copy(r, fields)
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // not of what is in here
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	os.Stdout.Write(append(b, '\n'))
}

// monotonic is the clock that the peers' reports go by.
func monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // Linux has it
	}
	return t.Nano()
}

func (p *ourPanel) obey(ctx context.Context, tasks *sync.WaitGroup, order string) error {
	var a, b, c int
	switch {
	case order == "usage":
		return p.usage()
	case scan(order, "badge %d %d %d", &a, &b, &c):
		p.mu.Lock()
		defer p.mu.Unlock()
		p.badge = osdp.OUT{{Output: uint8(a), Action: osdp.OutputAction(b), Timer: time.Duration(c) * tick}}
	case scan(order, "file %d %d %d", &a, &b, &c):
		tasks.Go(func() {
			err := p.line.SendFile(ctx, p.addrs[a], osdp.File{Type: uint8(b), Content: fileContent(c)}, nil)
			p.report("sent", Report{"pd": a, "ok": err == nil, "size": c})
		})
	default:
		return fmt.Errorf("no such order: %s", order)
	}
	return nil
}

func scan(s, format string, to ...any) bool {
	n, err := fmt.Sscanf(s, format, to...)
	return err == nil && n == len(to)
}

func (p *ourPanel) usage() error {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return err
	}
	var polls uint64
	for _, s := range p.line.Stats() {
		polls += s.Polls
	}
	p.report("usage", Report{"cpu_ns": u.Utime.Nano() + u.Stime.Nano(), "polls": polls})
	return nil
}

// event is called by the line, which must not wait.
func (p *ourPanel) event(e osdp.Event) {
	pd := slices.Index(p.addrs, e.Addr)
	switch e.Kind {
	case osdp.Online, osdp.Offline:
		p.report("online", Report{"pd": pd, "up": e.Kind == osdp.Online})
	case osdp.Secured:
		p.report("secure", Report{"pd": pd, "up": true})
	case osdp.Card:
		p.mu.Lock()
		badge := p.badge
		p.mu.Unlock()
		if badge != nil {
			go p.open(pd, badge)
		}
		p.report("event", Report{"pd": pd, "name": "RAW"})
	}
}

func (p *ourPanel) open(pd int, out osdp.OUT) {
	err := p.line.Send(context.Background(), p.addrs[pd], out)
	p.report("done", Report{"pd": pd, "ok": err == nil})
}

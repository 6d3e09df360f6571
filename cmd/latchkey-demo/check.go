package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"latchkey/access"
	"latchkey/building"
	"latchkey/internal/pause"
	"latchkey/internal/program"
	"latchkey/wiegand"
)

const (
	inTime     = 2 * time.Second        // a change must be seen at every door within this
	settleTime = 20 * time.Second       // after a fault everything must agree again within this
	badgeEvery = 50 * time.Millisecond  // while a card is being changed
	swapWatch  = 600 * time.Millisecond // how long before and after a change cards are held to the readers
)

// A checkCmd shows that the demonstration does its work: it starts one as a
// process of its own and is a directory, people at doors, and bad luck.
type checkCmd struct {
	Dir  string `help:"Where data and logs go, and stay; empty is a folder that goes when all is well." placeholder:"DIR"`
	Okta bool   `help:"Show only what follows from a suspension at Okta."`

	Effects bool `help:"Show only what the recorded directory sequences do at the doors."`
}

func (c *checkCmd) Run(e *program.Env) (err error) {
	dir := c.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "latchkey-check-"); err != nil {
			return err
		}
		defer func() {
			if err == nil {
				err = os.RemoveAll(dir)
			}
		}()
	}
	k := &check{ctx: e.Context, out: e.Stdout, dir: dir, seen: map[string]tally{}}
	stop, err := k.start()
	if err != nil {
		return err
	}
	steps := k.run
	switch {
	case c.Okta:
		steps = k.okta
	case c.Effects:
		steps = k.recordedEffects
	}
	err = errors.Join(steps(), stop())
	if err != nil {
		return fmt.Errorf("%w; data and logs are in %s", err, dir)
	}
	fmt.Fprintln(e.Stdout, "all steps passed")
	return nil
}

// A check is one run.
type check struct {
	ctx   context.Context
	out   io.Writer
	dir   string
	exe   string
	info  Info
	entra *entra
	sim   *client
	bits  *wiegand.Format

	mu     sync.Mutex
	seen   map[string]tally
	active []*subject // people who must get in
}

// Readers: one where the agent decides, one where the controller does.
const (
	readerHQ    = "front"
	readerDepot = "dock"
)

var deciders = map[string]string{readerHQ: access.ByAgent, readerDepot: access.ByController}

// start runs `latchkey-demo --json` as a process and waits for its line.
func (k *check) start() (stop func() error, err error) {
	if k.exe, err = os.Executable(); err != nil {
		return nil, err
	}
	cat, err := wiegand.Load()
	if err != nil {
		return nil, err
	}
	k.bits, _ = cat.Lookup("H10302")
	cmd := exec.Command(k.exe, "run", "--json", "--dir", k.dir)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = childAttr()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() error {
		return errors.Join(cmd.Process.Signal(syscall.SIGINT), cmd.Wait())
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &k.info)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the demonstration did not start: %w", err), stop())
	}
	k.say("demonstration ready", "%s", since(begin))
	k.sim = &client{base: k.info.SimURL}
	k.entra, err = newEntra(k.info.SCIMURL, k.info.SCIMToken)
	return stop, err
}

func (k *check) run() error {
	people := k.people(4)
	ann, bob, cy, dee := people[0], people[1], people[2], people[3]
	if err := k.entra.makeGroup(k.ctx, ann, employees); err != nil {
		return err
	}
	for _, p := range people[1:] {
		p.vars["gid"] = ann.vars["gid"]
	}
	return inOrder(
		func() error { _, _, err := k.secure("from the start", 0); return err },
		func() error { return k.lifeCycle(ann, bob) },
		func() error { return k.agreed("after the life cycle") },
		k.badInput,
		func() error { return k.depotAlone(ann, bob) },
		func() error { return k.agreed("with the depot's agent at work again") },
		k.okta,
		func() error { return k.brokerGone(cy) },
		func() error { return k.kill("agent-hq", cy, dee) },
		func() error { return k.kill("agent-depot", cy, dee) },
		func() error { return k.kill("cloud", cy, dee) },
		func() error {
			return k.secureAgain("kill -9 sim", func() error { return k.kill("sim", cy, dee) })
		},
		k.checkerNotices,
	)
}

func inOrder(steps ...func() error) error {
	for _, s := range steps {
		if err := s(); err != nil {
			return err
		}
	}
	return nil
}

// people makes n persons that no earlier run in this folder knew.
func (k *check) people(n int) (all []*subject) {
	for range n {
		digits := strconv.Itoa(10000 + rand.IntN(90000))
		guid := func() string {
			return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", rand.Uint32(), rand.IntN(1<<16), rand.IntN(1<<12), rand.IntN(1<<12), rand.Int64N(1<<48))
		}
		all = append(all, &subject{card: "777" + digits, vars: map[string]string{
			"rand": fmt.Sprintf("p%08x", rand.Uint32()), "digits": digits, "guid1": guid(), "guid5": guid(),
		}})
	}
	return all
}

// lifeCycle is a person's way through the directory: hired, disabled, enabled,
// another card, gone.
func (k *check) lifeCycle(ann, bob *subject) error {
	old := ann.card
	return inOrder(
		func() error { return k.expect("user and membership created", ann.card, true, "", k.hire(ann)) },
		func() error { return k.pages(ann, "hired", "may open Front door of Headquarters") },
		func() error {
			return k.expect(`PATCH active "False"`, ann.card, false, access.PersonInactive, k.off(ann))
		},
		func() error { return k.pages(ann, "disabled", "may not open Front door of Headquarters") },
		func() error { return k.expect(`PATCH active "True"`, ann.card, true, "", k.on(ann)) },
		func() error { return k.swap(ann) },
		func() error { return k.expect("the old card", old, false, access.UnknownCard, nil) },
		func() error { return k.expect("a second person", bob.card, true, "", k.hire(bob)) },
		func() error { return k.expect("DELETE", ann.card, false, access.UnknownCard, k.gone(ann)) },
	)
}

// The acts of the directory. Each is done when it is called, and says when its
// answer had come.
type act func() (time.Time, error)

func (k *check) hire(s *subject) act {
	return func() (time.Time, error) {
		at, err := k.entra.hire(k.ctx, s)
		k.active = append(k.active, s)
		return at, err
	}
}

func (k *check) off(s *subject) act {
	return func() (time.Time, error) { k.drop(s); return k.entra.disable(k.ctx, s) }
}

func (k *check) on(s *subject) act {
	return func() (time.Time, error) { k.active = append(k.active, s); return k.entra.enable(k.ctx, s) }
}

func (k *check) gone(s *subject) act {
	return func() (time.Time, error) { k.drop(s); return k.entra.fire(k.ctx, s) }
}

func (k *check) drop(s *subject) {
	k.active = slices.DeleteFunc(k.active, func(a *subject) bool { return a == s })
}

// expect does act and waits until card is answered as wanted at both readers,
// and fails when that takes longer than inTime or another one decides.
func (k *check) expect(what, card string, granted bool, reason access.Reason, do act) error {
	from := time.Now()
	if do != nil {
		at, err := do()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		from = at
	}
	return k.seenAt(what, card, granted, reason, from, inTime)
}

func (k *check) seenAt(what, card string, granted bool, reason access.Reason, from time.Time, limit time.Duration) error {
	var g sync.WaitGroup
	errs := make([]error, 2)
	for i, reader := range []string{readerHQ, readerDepot} {
		g.Go(func() { errs[i] = k.waitFor(what, reader, card, granted, reason, from, limit) })
	}
	g.Wait()
	return errors.Join(errs...)
}

func (k *check) waitFor(what, reader, card string, granted bool, reason access.Reason, from time.Time, limit time.Duration) error {
	for {
		s, err := k.badge(reader, card)
		took := time.Since(from)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %s: %w", what, reader, err)
		case (s.Decision == building.DecisionGranted) == granted && s.Decision != building.DecisionNone:
			if s.DecidedBy != deciders[reader] {
				return fmt.Errorf("%s: %s: decided by the %s, want the %s", what, reader, s.DecidedBy, deciders[reader])
			}
			if reason != "" && s.Reason != reason && s.Reason != access.Blocked && reader == readerHQ {
				return fmt.Errorf("%s: %s: reason %q, want %q", what, reader, s.Reason, reason)
			}
			k.say(what, "%-6s %s by the %s, %q, %.0f ms after the answer (badge itself %.0f ms)", reader, s.Decision, s.DecidedBy, s.Reason, ms(took), s.LatencyMS)
			return nil
		case took > limit:
			return fmt.Errorf("%s: %s: still %s (%s) %s after the directory's answer, want granted=%v within %s", what, reader, s.Decision, s.Reason, since(from), granted, limit)
		}
	}
}

// badge is the user's command, `latchkey-sim badge`.
func (k *check) badge(reader, card string) (s building.Shown, err error) {
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(k.ctx, k.exe, "sim", "badge", "--url", k.info.SimURL, "--reader", reader, "--format", "H10302", "--number", card)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	if jsonErr := json.Unmarshal(out.Bytes(), &s); jsonErr != nil {
		return s, fmt.Errorf("badge: %w: %s", errors.Join(err, jsonErr), errOut.Bytes())
	}
	k.count(reader, s.Decision)
	return s, nil
}

// hold holds a card to a reader by the simulator's API, where starting a
// process each time would take too long.
func (k *check) hold(reader, card string) (building.Outcome, error) {
	n, err := strconv.ParseUint(card, 10, 64)
	if err != nil {
		return building.Outcome{}, err
	}
	bits, err := k.bits.Encode(map[string]uint64{"card": n})
	if err != nil {
		return building.Outcome{}, err
	}
	var o building.Outcome
	if err := k.sim.post(k.ctx, "/badge", building.Card{Reader: reader, Bits: bits}, &o); err != nil {
		return o, err
	}
	k.count(reader, o.Decision)
	return o, nil
}

func (k *check) count(reader, decision string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.seen[reader]
	switch decision {
	case building.DecisionGranted:
		t.granted++
	case building.DecisionDenied:
		t.denied++
	}
	k.seen[reader] = t
}

// swap changes a person's card while both the old and the new one are held to
// both readers all the time.
func (k *check) swap(s *subject) error {
	old, fresh := s.card, "555"+s.vars["digits"]
	var g sync.WaitGroup
	stop := make(chan struct{})
	watches := []*swapWatcher{{reader: readerHQ}, {reader: readerDepot}}
	for _, w := range watches {
		g.Go(func() { w.run(k, old, fresh, stop) })
	}
	pause.For(k.ctx, swapWatch)
	at, err := k.entra.newCard(k.ctx, s, fresh)
	pause.For(k.ctx, swapWatch)
	close(stop)
	g.Wait()
	if err != nil {
		return err
	}
	for _, w := range watches {
		if err := w.judge(); err != nil {
			return fmt.Errorf("card change at %s: %w", w.reader, err)
		}
		k.say("cardNumber changed", "%-6s old refused %.0f ms, new granted %.0f ms after the answer; never both, neither for %.0f ms; %d cards held, one each %.0f ms",
			w.reader, ms(w.lastOld.Sub(at)), ms(w.firstNew.Sub(at)), ms(w.firstNew.Sub(w.lastOld)), w.held, ms(w.took)/float64(w.held))
	}
	return nil
}

// A swapWatcher holds two cards in turn to one reader and notes what happens.
type swapWatcher struct {
	reader   string
	err      error
	held     int
	took     time.Duration
	lastOld  time.Time // when the old card was last let in
	firstNew time.Time // when the new card was first let in
	both     bool      // the old card was let in after the new one
	relapse  bool      // the new card was refused after it had been let in
}

func (w *swapWatcher) run(k *check, old, fresh string, stop <-chan struct{}) {
	begin := time.Now()
	defer func() { w.took = time.Since(begin) }()
	next := time.NewTicker(badgeEvery / 2) // each of the two cards once in badgeEvery
	defer next.Stop()
	for w.err == nil {
		for _, card := range []string{old, fresh} {
			select {
			case <-stop:
				return
			case <-next.C:
			}
			o, err := k.hold(w.reader, card)
			if err != nil || o.Decision == building.DecisionNone {
				w.err = errors.Join(fmt.Errorf("badge: %s", o.Decision), err)
				return
			}
			w.held++
			w.note(card == fresh, o.Decision == building.DecisionGranted)
		}
	}
}

func (w *swapWatcher) note(fresh, granted bool) {
	now := time.Now()
	switch {
	case !fresh && granted:
		w.lastOld = now
		w.both = w.both || !w.firstNew.IsZero()
	case fresh && granted && w.firstNew.IsZero():
		w.firstNew = now
	case fresh && !granted && !w.firstNew.IsZero():
		w.relapse = true
	}
}

func (w *swapWatcher) judge() error {
	switch {
	case w.err != nil:
		return w.err
	case w.lastOld.IsZero():
		return errors.New("the old card was never let in")
	case w.firstNew.IsZero():
		return errors.New("the new card was never let in")
	case w.both:
		return errors.New("both cards were let in at the same time")
	case w.relapse:
		return errors.New("the new card was refused again")
	case w.firstNew.Sub(w.lastOld) > inTime:
		return fmt.Errorf("neither card was let in for %s", w.firstNew.Sub(w.lastOld))
	}
	return nil
}

// depotAlone stops the depot's agent: its controller decides by itself.
func (k *check) depotAlone(revoked, valid *subject) error {
	pid := k.pid("agent-depot")
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	err := inOrder(
		func() error {
			return k.waitFor("depot's agent stopped, valid card", readerDepot, valid.card, true, "", time.Now(), inTime)
		},
		func() error {
			return k.waitFor("depot's agent stopped, revoked card", readerDepot, revoked.card, false, "", time.Now(), inTime)
		},
	)
	return errors.Join(err, syscall.Kill(pid, syscall.SIGCONT))
}

// brokerGone kills the broker again and again while a person's access changes.
func (k *check) brokerGone(cy *subject) error {
	if err := k.expect("a third person", cy.card, true, "", k.hire(cy)); err != nil {
		return err
	}
	if err := k.signal("broker", syscall.SIGKILL); err != nil {
		return err
	}
	k.drop(cy)
	from, err := k.entra.disable(k.ctx, cy)
	if err != nil {
		return fmt.Errorf("the directory's call with the broker away: %w", err)
	}
	if err := k.seenAt("broker killed, doors go on", k.active[0].card, true, "", time.Now(), inTime); err != nil {
		return err
	}
	for range 3 {
		pause.For(k.ctx, badgeEvery)
		if err := k.signal("broker", syscall.SIGKILL); err != nil {
			return err
		}
	}
	if err := k.seenAt("broker killed 4 times, the change arrives", cy.card, false, "", from, settleTime); err != nil {
		return err
	}
	return k.agreed("after the broker's deaths")
}

// kill ends a process by force between two changes.
func (k *check) kill(name string, cy, dee *subject) error {
	what := "kill -9 " + name
	before, after := k.on(cy), k.hire(dee)
	if slices.Contains(k.active, cy) {
		before = k.off(cy)
	}
	if dee.id() != "" {
		after = k.on(dee)
		if slices.Contains(k.active, dee) {
			after = k.off(dee)
		}
	}
	if _, err := before(); err != nil {
		return fmt.Errorf("%s: the change before: %w", what, err)
	}
	if err := k.signal(name, syscall.SIGKILL); err != nil {
		return err
	}
	from := time.Now()
	if err := k.retry(after); err != nil {
		return fmt.Errorf("%s: the change after: %w", what, err)
	}
	if err := k.agreed(what); err != nil {
		return err
	}
	k.say(what, "all parts agree %s after the kill", since(from))
	for _, s := range []*subject{cy, dee} {
		if err := k.seenAt(what, s.card, slices.Contains(k.active, s), "", time.Now(), inTime); err != nil {
			return err
		}
	}
	return k.agreed(what)
}

// retry does what a directory does with a call that was not answered: it
// makes it again.
func (k *check) retry(do act) error {
	ctx, cancel := context.WithTimeout(k.ctx, settleTime)
	defer cancel()
	done := slices.Clone(k.active)
	return until(ctx, func() error {
		k.active = slices.Clone(done)
		_, err := do()
		return err
	})
}

func (k *check) consistency() *consistency {
	return &consistency{
		api: &client{base: k.info.AdminURL + "/api/v1", token: k.info.AdminToken}, sim: k.sim, sites: k.info.Sites, format: k.bits,
		cards: func() (all []uint64) {
			for _, s := range k.active {
				n, _ := strconv.ParseUint(s.card, 10, 64)
				all = append(all, n)
			}
			return all
		},
		seen: func() map[string]tally {
			k.mu.Lock()
			defer k.mu.Unlock()
			return maps.Clone(k.seen)
		},
	}
}

// agreed waits until all parts say the same.
func (k *check) agreed(when string) error {
	ctx, cancel := context.WithTimeout(k.ctx, settleTime)
	defer cancel()
	c := k.consistency()
	if err := until(ctx, func() error { return c.check(k.ctx) }); err != nil {
		return fmt.Errorf("%s: the parts do not agree: %w", when, err)
	}
	k.say("log, caches, table and events agree", "%s", when)
	return nil
}

// checkerNotices shows that agreed can fail: with an entry of the log left out,
// and with a change that a stopped agent cannot take.
func (k *check) checkerNotices() error {
	c := k.consistency()
	c.dropSeq = 3
	err := c.check(k.ctx)
	if err == nil {
		return errors.New("the checker did not notice a delta that was left out of the log")
	}
	k.say("a delta dropped from the log is noticed", "%q", firstLine(err))

	// A change that cannot reach its site: the broker stands still.
	pid := k.pid("broker")
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	_, actErr := k.off(k.active[len(k.active)-1])()
	err = k.consistency().check(k.ctx)
	if err := errors.Join(actErr, syscall.Kill(pid, syscall.SIGCONT)); err != nil {
		return err
	}
	if err == nil {
		return errors.New("the checker did not notice a delta that its site never got")
	}
	k.say("a delta kept from its site is noticed", "%q", firstLine(err))
	return k.agreed("with that delta delivered")
}

func (k *check) signal(name string, sig syscall.Signal) error {
	pid := k.pid(name)
	if err := syscall.Kill(pid, sig); err != nil {
		return fmt.Errorf("%s (pid %d): %w", name, pid, err)
	}
	ctx, cancel := context.WithTimeout(k.ctx, settleTime)
	defer cancel()
	return until(ctx, func() error { // the next signal must go to its successor
		if k.pid(name) == pid {
			return fmt.Errorf("%s is not started again", name)
		}
		return nil
	})
}

// pid is the child's pid as the demonstration last noted it.
func (k *check) pid(name string) int {
	b, err := os.ReadFile(filepath.Join(k.dir, "pids.json"))
	if err != nil {
		return 0
	}
	var pids map[string]int
	if json.Unmarshal(b, &pids) != nil {
		return 0
	}
	return pids[name]
}

func (k *check) say(what, format string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	fmt.Fprintf(k.out, "%-42s %s\n", what, fmt.Sprintf(format, args...))
}

func firstLine(err error) string {
	line, _, _ := bytes.Cut([]byte(err.Error()), []byte("\n"))
	return string(line)
}

func since(t time.Time) string { return time.Since(t).Round(time.Millisecond).String() }

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

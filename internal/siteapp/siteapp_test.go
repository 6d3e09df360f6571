package siteapp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/access"
	"latchkey/agent"
	"latchkey/cache"
	"latchkey/controller"
	"latchkey/delta"
	"latchkey/internal/program"
	"latchkey/packaging"
	"latchkey/wiegand"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestSampleSiteFile(t *testing.T) {
	text := must(packaging.Files.ReadFile("site.yaml"))
	cfg, err := agent.ParseConfig("packaging/site.yaml", text, must(wiegand.Load()))
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.OSDP) != 1 || len(cfg.Serial) != 1 {
		t.Errorf("the sample shows %d OSDP lines and %d controllers, want one of each", len(cfg.OSDP), len(cfg.Serial))
	}
}

// open is an empty cache.
func open(t *testing.T) *cache.DB {
	t.Helper()
	db := must(cache.Open(t.Context(), cache.Options{Dir: t.TempDir(), Key: bytes.Repeat([]byte{1}, cache.KeySize)}))
	t.Cleanup(func() { db.Close() })
	return db
}

// fill makes db hold a state in which every card of people opens door "dock"
// during "hours".
func fill(t *testing.T, db *cache.DB, people int) delta.Head {
	t.Helper()
	records := []access.Record{
		access.Door{ID: "dock", Name: "Dock", Kind: access.DoorKindDoor}, access.Door{ID: "lab", Name: "Lab", Kind: access.DoorKindDoor},
		access.Group{ID: "staff"}, access.Grant{Group: "staff", Door: "dock", Schedule: "hours"},
		access.Schedule{ID: "hours", Zone: "UTC", Weekly: []access.Interval{{Day: 1, From: 480, To: 1080}}},
	}
	for i := range people {
		id := fmt.Sprint("p", i)
		bits := must(wiegand.MakeBits(26, []byte{1, byte(i >> 8), byte(i), 0}))
		records = append(records, access.Person{ID: id, State: access.StateActive, Kind: access.KindFull}, access.Membership{Person: id, Group: "staff"},
			access.Credential{ID: "c" + id, Person: id, Technology: access.TechCard, Bits: bits, Status: access.CredentialActive})
	}
	return swapIn(t, db, records)
}

// swapIn makes records the state of db.
func swapIn(t *testing.T, db *cache.DB, records []access.Record) delta.Head {
	t.Helper()
	part := &delta.Snapshot{ID: "s", Part: 1, Parts: 1, Head: delta.Head{Epoch: 9, Seq: 4, Hash: delta.Hash{4}}}
	for _, r := range records {
		c := must(delta.Put(r))
		part.Head.Digest.Add(c.Ref, c.Record)
		part.Records = append(part.Records, c)
	}
	if missing, err := db.Stage(t.Context(), part); err != nil || missing != nil {
		t.Fatalf("stage: %v %v", missing, err)
	}
	if err := db.Swap(t.Context(), "s", nil); err != nil {
		t.Fatal(err)
	}
	return part.Head
}

func TestWantedIsWhatTheDoorsNeed(t *testing.T) {
	db := open(t)
	w := newWants(db)
	if got := w.wanted([]string{"dock"}); got.Ready || len(got.Entitlements) > 0 {
		t.Fatalf("before any data: %+v, want nothing to push", got)
	}
	head := fill(t, db, 3)
	got := w.wanted([]string{"dock"})
	if !got.Ready || got.Epoch != head.Epoch || got.Seq != head.Seq || len(got.Entitlements) != 3 || len(got.Schedules) != 1 || got.Postures["dock"] != access.ModeNormal {
		t.Errorf("wanted %+v", got)
	}
	if got := w.wanted([]string{"lab"}); !got.Ready || len(got.Entitlements) != 0 {
		t.Errorf("a controller of another door: %d cards, want none", len(got.Entitlements))
	}
	person := access.Ref{Kind: access.KindPerson, Key: "p1"}
	if err := db.Block(t.Context(), head.Epoch, head.Seq+5, []access.Ref{person}); err != nil {
		t.Fatal(err)
	}
	if got := w.wanted([]string{"dock"}); len(got.Entitlements) != 2 {
		t.Errorf("with one person blocked: %d cards, want 2", len(got.Entitlements))
	}
}

// A controller decides by itself, so a card of another facility must not be in
// its table.
func TestControllersGetNoForeignFacility(t *testing.T) {
	db := open(t)
	format, ok := must(wiegand.Load()).Lookup("H10301")
	if !ok {
		t.Fatal("no format H10301")
	}
	records := []access.Record{
		access.Door{ID: "dock", Kind: access.DoorKindDoor}, access.Group{ID: "staff"}, access.Grant{Group: "staff", Door: "dock"},
		access.Person{ID: "ann", State: access.StateActive, Kind: access.KindFull}, access.Membership{Person: "ann", Group: "staff"},
		access.Credential{ID: "raw", Person: "ann", Technology: access.TechCard, Bits: must(wiegand.ParseBits("27:1")), Status: access.CredentialActive},
	}
	for facility := range uint64(4) {
		bits := must(format.Encode(map[string]uint64{"facility": facility, "card": 7}))
		records = append(records, access.Credential{ID: fmt.Sprint("f", facility), Person: "ann", Technology: access.TechCard, Bits: bits, Status: access.CredentialActive})
	}
	swapIn(t, db, records)
	w := newWants(db)
	ids := func() (ids []string) {
		for _, e := range w.wanted([]string{"dock"}).Entitlements {
			ids = append(ids, e.Credential.ID)
		}
		return ids
	}
	if got := ids(); len(got) != 5 {
		t.Errorf("any facility: %v, want 5 cards", got)
	}
	w.cards.Uses = []wiegand.Use{{Format: format, Facilities: []uint64{1, 3}}}
	if got, want := ids(), []string{"f1", "f3", "raw"}; !slices.Equal(got, want) {
		t.Errorf("facilities 1 and 3: %v, want %v", got, want)
	}
}

// A machine that starts in 1970 must not leave a door unlocked whose time was
// up before: modes are held against the agent's clock, which knows better.
func TestModesEndByTheAgentsClock(t *testing.T) {
	db := open(t)
	head := fill(t, db, 1)
	open := must(delta.Put(access.Posture{Scope: "dock", Origin: "cloud", Mode: access.ModeUnlocked, Until: time.Now().Add(time.Hour).Unix()}))
	d := &delta.Delta{Epoch: head.Epoch, Seq: head.Seq + 1, Prev: head.Hash, Digest: head.Digest, Changes: []delta.Change{open}}
	d.Digest.Add(open.Ref, open.Record)
	if err := db.Apply(t.Context(), d, delta.Hash{5}); err != nil {
		t.Fatal(err)
	}
	w := newWants(db)
	w.watch([]string{"dock"})
	if got := w.wanted([]string{"dock"}).Postures["dock"]; got != access.ModeUnlocked || w.modes()["dock"] != got {
		t.Errorf("in its hour: %q", got)
	}
	w.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	if got := w.wanted([]string{"dock"}).Postures["dock"]; got != access.ModeNormal || w.modes()["dock"] != got {
		t.Errorf("past its hour by the agent's clock: %q", got)
	}
}

// A change that comes alone is told at once; many are told together.
func TestChangesAreToldTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t)
		head := fill(t, db, 1)
		w := newWants(db)
		w.watch([]string{"dock"})
		w.took(time.Second) // a large site
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { w.run(ctx); close(done) }()
		time.Sleep(10 * wantsMost)
		synctest.Wait()
		block := func(i int) {
			ref := access.Ref{Kind: access.KindPerson, Key: fmt.Sprint("x", i)}
			if err := db.Block(t.Context(), head.Epoch, head.Seq+9, []access.Ref{ref}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		before, wait := w.changes()
		block(0)
		if now, _ := w.changes(); now != before+1 {
			t.Errorf("a single change was told %d times at once, want once", now-before)
		}
		select {
		case <-wait:
		default:
			t.Error("nobody was woken")
		}
		before, _ = w.changes()
		for i := range 100 { // for a second
			block(i + 1)
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(wantsMost)
		synctest.Wait()
		if now, _ := w.changes(); now-before < 4 || now-before > 6 {
			t.Errorf("100 changes in a second were told %d times, want 5", now-before)
		}
		cancel()
		<-done
	})
}

func TestLedgerOfControllers(t *testing.T) {
	l := ledger{open(t)}
	rows := []controller.LedgerRow{
		{Credential: "c1", State: controller.StateProven, Since: time.UnixMilli(1000).UTC(), Version: 4},
		{Credential: "c2", State: controller.StateCannotHold, Since: time.UnixMilli(2000).UTC(), Version: 5, Text: "too long"},
	}
	if err := l.SetLedger(t.Context(), "dock", rows); err != nil {
		t.Fatal(err)
	}
	got, err := l.Ledger(t.Context(), "dock")
	if d := cmp.Diff(rows, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
}

func TestDriversOfTheSampleSite(t *testing.T) {
	cfg := must(agent.ParseConfig("site.yaml", must(packaging.Files.ReadFile("site.yaml")), must(wiegand.Load())))
	db := open(t)
	w := newWants(db)
	var names []string
	for _, d := range newDrivers(cfg, db, nil, w, slog.New(slog.DiscardHandler)) {
		st := d.Status()
		if st.Problem != "" || len(st.Doors) != 1 {
			t.Errorf("%s: problem %q, doors %v", d.Name(), st.Problem, st.Doors)
		}
		names = append(names, st.Kind+" "+st.Name)
	}
	if !slices.Equal(names, []string{"osdp bus-1", "serial dock-controller"}) || !slices.Equal(w.doors, []string{"dock"}) {
		t.Errorf("drivers %v, doors with a table %v", names, w.doors)
	}
	if a, b := input(nil), input(new(uint8)); a != 0 || b != 1 {
		t.Errorf("no input is %d and input 0 is %d, want 0 and 1", a, b)
	}
}

// A gateway is the folder of one agent, whose ports and broker are absent.
type gateway struct{ dir, page, file, key string }

func newGateway(t *testing.T) gateway {
	t.Helper()
	g := gateway{dir: t.TempDir(), page: freeAddr()}
	g.key = filepath.Join(g.dir, "site.key")
	var out, errs bytes.Buffer
	if code := Main(t.Context(), []string{"keygen", "--site", "hq", "--out", g.key}, &out, &errs); code != program.OK {
		t.Fatalf("keygen: %s", errs.String())
	}
	g.file = g.site(t, g.page, strings.TrimSpace(out.String()))
	return g
}

func freeAddr() string {
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	return l.Addr().String()
}

// site writes a site file with the page at addr.
func (g gateway) site(t *testing.T, addr, cloudKey string) string {
	t.Helper()
	text := fmt.Sprintf(`
site: hq
state_dir: %q
cloud: {broker: "mqtt://127.0.0.1:1", cloud_keys: [%q]}
status: {listen: %q}
log: {level: debug}
osdp: [{name: bus-1, port: %q, readers: [{name: front, address: 1, door: front, security: allow-clear}]}]
serial: [{name: dock, port: %q, address: 1, doors: [{door: dock, index: 0}]}]
`, g.dir, cloudKey, addr, filepath.Join(g.dir, "ttyA"), filepath.Join(g.dir, "ttyB"))
	file := filepath.Join(g.dir, strings.ReplaceAll(addr, ":", "-")+".yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// run starts the agent; stop ends it as SIGTERM does and returns its exit code
// and its log.
func (g gateway) run(t *testing.T) (stop func() (int, string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	var log bytes.Buffer
	go func() { done <- Main(ctx, []string{"run", "--config", g.file}, io.Discard, &log) }()
	return func() (int, string) {
		cancel()
		return <-done, log.String()
	}
}

// A site whose ports and broker are absent still serves its page, stops within
// a moment in the middle of its work, and leaves no goroutine and no file open.
func TestRunWithoutHardwareAndCloud(t *testing.T) {
	g := newGateway(t)
	var before int
	for i := range 3 {
		stop := g.run(t)
		st := until(t, g.page)
		if st.Ready || st.Site != "hq" || len(st.Controllers) != 2 || len(st.Tasks) < 8 {
			t.Errorf("status %+v", st)
		}
		var said bytes.Buffer
		if code := Main(t.Context(), []string{"status", "--config", g.file}, &said, &said); code != int(degraded) || !strings.Contains(said.String(), "No doors are known yet.") ||
			!strings.Contains(said.String(), "\n! Reader front (bus-1) is not encrypted") {
			t.Errorf("status: exit %d\n%s", code, said.String())
		}
		began := time.Now()
		if code, log := stop(); code != program.OK {
			t.Errorf("run ended with %d\n%s", code, log)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the stop took %v, want less than 5 s", took)
		}
		http.DefaultClient.CloseIdleConnections()
		settled := settle()
		if i == 0 {
			before = settled // what libraries start once stays
		} else if settled > before {
			buf := make([]byte, 1<<20)
			t.Errorf("%d goroutines after run %d, want %d as after the first\n%s", settled, i+1, before, buf[:runtime.Stack(buf, true)])
		}
	}
}

// settle waits until the number of goroutines stops falling, and returns it.
func settle() int {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	least, same := runtime.NumGoroutine(), 0
	for same < 20 {
		<-tick.C
		if n := runtime.NumGoroutine(); n < least {
			least, same = n, 0
		} else {
			same++
		}
	}
	return least
}

// What operators cannot have is no reason to leave doors alone, and is told: here
// no control socket, and files of keys that nobody can read.
func TestRunTellsWhatItFound(t *testing.T) {
	g := newGateway(t)
	for _, name := range []string{controlName, "reader-keys"} {
		if err := os.WriteFile(filepath.Join(g.dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stop := g.run(t)
	all := strings.Join(until(t, g.page).Problems, "\n")
	for _, want := range []string{"`latchkey-agent osdp` does not work here", "reader-keys.bad-1"} {
		if !strings.Contains(all, want) {
			t.Errorf("problems %q, want %q among them", all, want)
		}
	}
	if code, log := stop(); code != program.OK {
		t.Errorf("run ended with %d\n%s", code, log)
	}
}

// Two agents on one state would undo each other's work.
func TestSecondAgentIsRefused(t *testing.T) {
	g := newGateway(t)
	stop := g.run(t)
	until(t, g.page)
	second := g
	var out, errs bytes.Buffer
	Main(t.Context(), []string{"keygen", "--site", "hq", "--out", g.key}, &out, &errs) // prints the one it has
	second.file = g.site(t, freeAddr(), strings.TrimSpace(out.String()))
	errs.Reset()
	if code := Main(t.Context(), []string{"run", "--config", second.file}, io.Discard, &errs); code != program.Failed {
		t.Errorf("a second agent ended with %d, want %d", code, program.Failed)
	}
	if want := fmt.Sprintf("state_dir %s: another program works with it (process %d)", g.dir, os.Getpid()); !strings.Contains(errs.String(), want) {
		t.Errorf("it said %q, want %q", errs.String(), want)
	}
	if code, log := stop(); code != program.OK {
		t.Errorf("the first ended with %d\n%s", code, log)
	}
	unlock, err := lockState(g.dir) // and its lock with it
	if err != nil {
		t.Fatal(err)
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
}

// until asks the page at addr until it answers.
func until(t *testing.T, addr string) (st agent.Status) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(10 * time.Second); ; {
		req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/api/status", nil))
		if resp, err := http.DefaultClient.Do(req); err == nil {
			err := json.NewDecoder(resp.Body).Decode(&st)
			resp.Body.Close()
			if err == nil && len(st.Tasks) >= 8 {
				return st
			}
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the page does not answer")
		}
	}
}

// Whoever opens connections by the hundred waits; nobody is turned away for
// ever, and closing ends the waiting.
func TestConnectionsAreLimited(t *testing.T) {
	inner := must(net.Listen("tcp", "127.0.0.1:0"))
	l := limit(inner, 2)
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	for range 3 {
		c := must(net.Dial("tcp", inner.Addr().String()))
		defer c.Close()
	}
	first, second := <-accepted, <-accepted
	select {
	case <-accepted:
		t.Fatal("a third connection was accepted")
	case <-time.After(50 * time.Millisecond):
	}
	first.Close()
	first.Close() // twice is once
	third := <-accepted
	l.Close()
	if _, more := <-accepted; more {
		t.Error("accepted after Close")
	}
	second.Close()
	third.Close()
}

// Whoever opens connections and says nothing keeps nobody from the page.
func TestSilentConnectionsGiveWay(t *testing.T) {
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	}()
	for range 2 * maxConns {
		defer must(net.Dial("tcp", l.Addr().String())).Close()
	}
	client := &http.Client{Timeout: 4 * time.Second, Transport: new(http.Transport)} // silence alone ends after 5 s
	for range 3 {
		resp, err := client.Get("http://" + l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if text := must(io.ReadAll(resp.Body)); string(text) != "ok" {
			t.Errorf("got %q", text)
		}
		resp.Body.Close()
		client.CloseIdleConnections()
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

package linktest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"latchkey/access"
	"latchkey/serialline"

	"pgregory.net/rapid"
)

// A talker speaks to a controller without a line: one frame, one reply.
type talker struct {
	c   *Controller
	seq uint8
}

func (h *talker) say(op uint8, payload []byte) (serialline.Frame, error) {
	if op == serialline.OpHello {
		h.seq = 0
	} else if h.seq++; h.seq == 0 {
		h.seq = 1
	}
	replies, _, err := h.c.answer(serialline.Frame{Addr: 5, Seq: h.seq, Op: op, Payload: payload})
	if err != nil {
		return serialline.Frame{}, err
	}
	f, err := serialline.ParseFrame(replies[0][1 : len(replies[0])-1])
	if err != nil {
		return f, err
	}
	if f.Op == serialline.OpError {
		r, err := serialline.ParseRefusal(f.Payload)
		return f, errors.Join(r, err)
	}
	return f, nil
}

// A step is one operation, and what the table is once it was answered.
type step struct {
	name    string
	op      uint8
	payload []byte
	root    serialline.Root // of the table once the step was answered
	revoked serialline.Key  // answered with reason revoked from here on; zero is none
}

// session is a story with a load, a revocation in its middle, an upsert and a
// second load.
func session() []step {
	var out []step
	rows := serialline.NewTable()
	add := func(name string, op uint8, payload []byte) {
		out = append(out, step{name: name, op: op, payload: payload, root: rows.Root()})
	}
	put := func(r ...serialline.Record) {
		for _, r := range r {
			rows.Put(r)
		}
	}
	hello := serialline.HelloRequest{}.Append(nil)
	add("HELLO", serialline.OpHello, hello)
	b := full(1)
	b.Count = 9
	add("BEGIN 1", serialline.OpBegin, b.Append(nil))
	add("PUT", serialline.OpPut, serialline.PutRequest{Txn: 1, Records: recs(0, 7)}.Append(nil))
	add("PUT", serialline.OpPut, serialline.PutRequest{Txn: 1, First: 7, Records: recs(7, 9)}.Append(nil))
	put(recs(0, 9)...)
	add("COMMIT 1", serialline.OpCommit, serialline.CommitRequest{Txn: 1, Root: rows.Root()}.Append(nil))
	b2 := serialline.BeginRequest{Table: 1, Txn: 2, Epoch: 10, Base: 1, Target: 2, Count: 4}
	add("BEGIN 2", serialline.OpBegin, b2.Append(nil))
	rows.Delete(rec(3).Key)
	add("REVOKE", serialline.OpRevoke, serialline.AppendRevoke(nil, []serialline.Key{rec(3).Key}))
	out[len(out)-1].revoked = rec(3).Key
	add("DEL", serialline.OpDel, serialline.DelRequest{Txn: 2, Keys: []serialline.Key{rec(4).Key, rec(5).Key}}.Append(nil))
	add("PUT", serialline.OpPut, serialline.PutRequest{Txn: 2, First: 2, Records: []serialline.Record{rec(20), rec(3)}}.Append(nil))
	put(rec(30), rec(31))
	add("UPSERT", serialline.OpUpsert, serialline.UpsertRequest{Epoch: 10, Records: []serialline.Record{rec(30), rec(31)}}.Append(nil))
	rows.Delete(rec(4).Key)
	rows.Delete(rec(5).Key)
	put(rec(20))
	add("COMMIT 2", serialline.OpCommit, serialline.CommitRequest{Txn: 2, Root: rows.Root()}.Append(nil))
	add("DOOR", serialline.OpDoor, serialline.DoorRequest{Door: 1, Mode: serialline.ModeLockdown}.Append(nil))
	return out
}

// TestPowerCutAfterEveryWrite cuts the power during each write of the session,
// with nothing, a part and all of it on the disk, and looks what a start finds.
func TestPowerCutAfterEveryWrite(t *testing.T) {
	steps := session()
	dry := newFlash()
	c := open(t, dry)
	base := dry.clone()
	writes := dry.writes
	for h, i := (&talker{c: c}), 0; i < len(steps); i++ {
		if _, err := h.say(steps[i].op, steps[i].payload); err != nil {
			t.Fatalf("%s: %v", steps[i].name, err)
		}
		if _, root, _ := c.Dump(); root != steps[i].root {
			t.Fatalf("%s: the test does not know what the table is", steps[i].name)
		}
	}
	writes = dry.writes - writes
	if writes < 10 {
		t.Fatalf("%d writes: this test would check little", writes)
	}
	for cut := range writes {
		for _, part := range []int{0, 1, 9, 1 << 20} {
			name := fmt.Sprintf("write %d, %d bytes of it", cut, part)
			f := base.clone()
			c := open(t, f)
			c.CutPower(cut, part)
			h := &talker{c: c}
			at := 0
			for ; at < len(steps); at++ {
				if _, err := h.say(steps[at].op, steps[at].payload); err != nil {
					if !errors.Is(err, ErrPower) {
						t.Fatalf("%s: %s: %v", name, steps[at].name, err)
					}
					break
				}
			}
			if at == len(steps) {
				t.Fatalf("%s: the power was not cut", name)
			}
			c.Close()

			c = open(t, f)
			_, root, _ := c.Dump()
			old := serialline.NewTable().Root()
			if at > 0 {
				old = steps[at-1].root
			}
			// The step that was never answered was done, or it was not.
			if root != old && root != steps[at].root {
				t.Fatalf("%s, in %s: the table is neither the old nor the new one", name, steps[at].name)
			}
			for _, s := range steps[:at] {
				if s.revoked != (serialline.Key{}) && !c.state.revoked[s.revoked] && root != steps[len(steps)-1].root {
					t.Fatalf("%s: an answered REVOKE is forgotten", name)
				}
			}
			if d := c.Present(0, card(3)); at > 6 && d.Granted {
				t.Fatalf("%s: a revoked card opens the door", name)
			}

			// And the host can go on from there to the same end.
			h = &talker{c: c}
			if _, err := h.say(serialline.OpHello, steps[0].payload); err != nil {
				t.Fatal(err)
			}
			for ; at < len(steps); at++ {
				if steps[at].op == serialline.OpHello {
					continue
				}
				_, err := h.say(steps[at].op, steps[at].payload)
				if err != nil && !(steps[at].op == serialline.OpBegin && errors.Is(err, serialline.CodeBusyTxn)) {
					t.Fatalf("%s: then %s: %v", name, steps[at].name, err)
				}
			}
			if _, root, version := c.Dump(); root != steps[len(steps)-1].root || version != 2 {
				t.Fatalf("%s: the rest does not lead to the same table", name)
			}
		}
	}
}

// TestStartsAreCutToo cuts the power during the writes of a start, again and
// again: events keep their numbers, and no number is given twice.
func TestStartsAreCutToo(t *testing.T) {
	f := newFlash()
	seen := map[[2]uint64]bool{}
	last := uint64(0)
	for i := range 40 {
		cutAt := &cutter{flash: f, armed: i%4 != 3, left: i % 3, part: i % 7}
		c, err := OpenController(Config{Addr: 5, Readers: []string{"a"}, flash: cutAt})
		if err != nil {
			if !errors.Is(err, ErrPower) {
				t.Fatal(err)
			}
			continue
		}
		c.Present(0, card(i))
		if c.flash.dead || cutAt.dead {
			continue
		}
		for _, e := range c.ring.list {
			if e.Seq > last {
				if id := [2]uint64{uint64(e.Boot), e.Seq}; seen[id] {
					t.Fatalf("seq %d twice", e.Seq)
				} else {
					seen[id] = true
				}
			}
		}
		if c.ring.head() <= last {
			t.Fatalf("start %d: seq fell from %d to %d", i, last, c.ring.head())
		}
		last = c.ring.head()
	}
	if last < seqJump {
		t.Error("nothing was written: this test would check nothing")
	}
}

// TestDamagedJournalIsNoTable: a journal that is damaged elsewhere than at its
// end is not taken for an older, shorter one: that would bring revoked cards
// back.
func TestDamagedJournalIsNoTable(t *testing.T) {
	f := newFlash()
	c := open(t, f)
	h := &talker{c: c}
	for _, s := range session() {
		if _, err := h.say(s.op, s.payload); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	b := f.files["state"]
	end := len(b) - (2 + entryOver) // where its last entry, the mode, begins
	for i := range end {
		bad := f.clone()
		bad.files["state"][i] ^= 0x10
		_, err := OpenController(Config{Addr: 5, Readers: []string{"front", "back"}, flash: bad})
		if !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d: got %v, want ErrDamaged", i, err)
		}
	}
}

// TestRewriteChangesNothing: a journal that was rewritten makes the same state,
// an open transaction and all.
func TestRewriteChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFlash()
		c, err := OpenController(Config{Addr: 5, Readers: []string{"a", "b"}, flash: f})
		if err != nil {
			t.Fatal(err)
		}
		h := &talker{c: c}
		h.say(serialline.OpHello, serialline.HelloRequest{}.Append(nil))
		txn, next, version := uint64(0), uint32(0), uint64(0)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			n := rapid.IntRange(0, 6).Draw(t, "card")
			r := rec(n)
			r.Doors = rapid.Uint16Range(0, 3).Draw(t, "doors")
			switch rapid.IntRange(0, 6).Draw(t, "op") {
			case 0:
				txn++
				b := serialline.BeginRequest{Table: 1, Full: version == 0 || rapid.Bool().Draw(t, "full"), Txn: txn, Epoch: 3, Base: version, Target: version + 1, Count: 1000}
				if _, err := h.say(serialline.OpBegin, b.Append(nil)); err == nil {
					next = 0
				} else {
					txn--
				}
			case 1, 2:
				if _, err := h.say(serialline.OpPut, serialline.PutRequest{Txn: txn, First: next, Records: []serialline.Record{r}}.Append(nil)); err == nil {
					next++
				}
			case 3:
				if _, err := h.say(serialline.OpDel, serialline.DelRequest{Txn: txn, First: next, Keys: []serialline.Key{r.Key}}.Append(nil)); err == nil {
					next++
				}
			case 4:
				h.say(serialline.OpRevoke, serialline.AppendRevoke(nil, []serialline.Key{r.Key}))
			case 5:
				h.say(serialline.OpUpsert, serialline.UpsertRequest{Epoch: 3, Records: []serialline.Record{r}}.Append(nil))
			case 6:
				if c.state.txn == nil {
					break
				}
				c.state.txn.Count = next // as if that had been announced
				undo := c.state.merge()
				root := c.state.tables[1].rows.Root()
				undo()
				if _, err := h.say(serialline.OpCommit, serialline.CommitRequest{Txn: txn, Root: root}.Append(nil)); err != nil {
					t.Fatal(err)
				}
				version++
			}
		}
		want := finger(c.state)
		again := newFlash()
		again.files["state"] = append([]byte(journalMagic), c.state.entries()...)
		s := newState()
		if _, err := openJournal(again, "state", s.apply); err != nil {
			t.Fatal(err)
		}
		if got := finger(s); got != want {
			t.Fatalf("rewritten:\n got %s\nwant %s", got, want)
		}
		s = newState()
		if _, err := openJournal(f, "state", s.apply); err != nil {
			t.Fatal(err)
		}
		if s.txn != nil {
			s.txn.Count = c.state.txn.Count
		}
		if got := finger(s); got != want {
			t.Fatalf("replayed:\n got %s\nwant %s", got, want)
		}
	})
}

// finger is a text that is equal for equal states, as far as they matter.
func finger(s *state) string {
	var b strings.Builder
	for _, t := range s.tables[1:] {
		fmt.Fprintf(&b, "%x %d %d %d\n", t.rows.Root(), t.epoch, t.version, t.lastTxn)
	}
	rows := serialline.NewTable()
	mark := func(k serialline.Key, flags uint16) { rows.Put(serialline.Record{Key: k, Flags: flags}) }
	for k := range s.revoked {
		mark(k, 1)
	}
	fmt.Fprintf(&b, "revoked %d %x\n", rows.Len(), rows.Root())
	if x := s.txn; x != nil {
		rows = serialline.NewTable()
		for k, r := range x.staged {
			rows.Put(r.record)
			if r.del {
				mark(k, 2)
			}
		}
		fmt.Fprintf(&b, "%+v next %d staged %d %x\n", x.BeginRequest, x.next, len(x.staged), rows.Root())
		rows = serialline.NewTable()
		for k := range x.touched {
			mark(k, 3)
		}
		fmt.Fprintf(&b, "touched %d %x", rows.Len(), rows.Root())
	}
	return b.String()
}

// TestKilled kills the process that has the controller, in the midst of
// revoking, and opens its folder: what was answered holds.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("LINKTEST_KILLED_DIR"); dir != "" {
		killed(dir)
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), "LINKTEST_KILLED_DIR="+dir)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	answered := 0
	for lines := bufio.NewScanner(out); answered < 100 && lines.Scan(); {
		if lines.Text() == fmt.Sprint("revoked ", answered) {
			answered++
		}
	}
	must(t, cmd.Process.Kill())
	cmd.Wait()
	if answered < 100 {
		t.Fatalf("%d answers came", answered)
	}
	c, err := OpenController(Config{Dir: dir, Addr: 5, Readers: []string{"a"}})
	must(t, err)
	defer c.Close()
	records, _, version := c.Dump()
	if version != 1 || len(records) > 400 {
		t.Fatalf("version %d, %d records", version, len(records))
	}
	for n := range answered {
		if d := c.Present(0, card(n)); d.Reason != access.Blocked {
			t.Fatalf("card %d: got %q, want %q", n, d.Reason, access.Blocked)
		}
	}
	if d := c.Present(0, card(499)); !d.Granted {
		t.Fatalf("a card that was not revoked: got %q", d.Reason)
	}
	if _, err := OpenController(Config{Dir: dir, Addr: 5, Readers: []string{"a"}}); err == nil {
		t.Error("two controllers in one folder")
	}
}

// killed is the child of TestKilled. It ends with the kill.
func killed(dir string) {
	c, err := OpenController(Config{Dir: dir, Addr: 5, Readers: []string{"a"}})
	if err != nil {
		panic(err)
	}
	h := &talker{c: c}
	must := func(_ serialline.Frame, err error) {
		if err != nil {
			panic(err)
		}
	}
	must(h.say(serialline.OpHello, serialline.HelloRequest{}.Append(nil)))
	all := recs(0, 500)
	for i := range all {
		all[i].Doors = 1
	}
	b := full(1)
	b.Count = 500
	must(h.say(serialline.OpBegin, b.Append(nil)))
	for i := 0; i < len(all); i += 5 {
		must(h.say(serialline.OpPut, serialline.PutRequest{Txn: 1, First: uint32(i), Records: all[i : i+5]}.Append(nil)))
	}
	must(h.say(serialline.OpCommit, serialline.CommitRequest{Txn: 1, Root: rootOf(all...)}.Append(nil)))
	for n := range 450 {
		must(h.say(serialline.OpRevoke, serialline.AppendRevoke(nil, []serialline.Key{all[n].Key})))
		fmt.Println("revoked", n)
	}
	for {
		time.Sleep(time.Hour)
	}
}

// BenchmarkRevoke is a small operation on a real disk.
func BenchmarkRevoke(b *testing.B) {
	c, err := OpenController(Config{Dir: b.TempDir(), Addr: 5, Readers: []string{"a"}})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	h := &talker{c: c}
	h.say(serialline.OpHello, serialline.HelloRequest{}.Append(nil))
	var worst time.Duration
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		if _, err := h.say(serialline.OpRevoke, serialline.AppendRevoke(nil, []serialline.Key{rec(i % 10000).Key})); err != nil {
			b.Fatal(err)
		}
		worst = max(worst, time.Since(start))
	}
	b.ReportMetric(float64(worst.Microseconds())/1000, "ms-worst")
}

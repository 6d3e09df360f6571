package linktest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/access"
	"latchkey/serialline"
	"latchkey/wiegand"
)

func card(n int) wiegand.Bits {
	b, err := wiegand.MakeBits(26, []byte{byte(n >> 8), byte(n), 0x5A, 0x40})
	if err != nil {
		panic(err)
	}
	return b
}

func rec(n int) serialline.Record {
	b := card(n)
	return serialline.Record{Key: serialline.MakeKey(b.Len(), b.Bytes()), Doors: 3, Flags: serialline.FlagCard}
}

func recs(from, to int) (out []serialline.Record) {
	for n := from; n < to; n++ {
		out = append(out, rec(n))
	}
	return out
}

func open(t testing.TB, f *memFlash, change ...func(*Config)) *Controller {
	t.Helper()
	conf := Config{Addr: 5, Serial: [8]byte{7}, Model: "test", Readers: []string{"front", "back"}, flash: f}
	for _, ch := range change {
		ch(&conf)
	}
	c, err := OpenController(conf)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// serve puts c on a line and says who talks to it. It must run in a bubble.
func serve(t *testing.T, c *Controller) *serialline.Client {
	t.Helper()
	host, devices := wire(1)
	return attach(t, c, host, devices[0])
}

func attach(t *testing.T, c *Controller, host, device *end) *serialline.Client {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Serve(ctx, device) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, ErrPower) {
			t.Errorf("Serve: %v", err)
		}
	})
	cl, err := serialline.NewClient(host, serialline.ClientConfig{Addr: 5})
	if err != nil {
		t.Fatal(err)
	}
	return cl
}

// load brings records into a table by one transaction.
func load(ctx context.Context, cl *serialline.Client, b serialline.BeginRequest, root serialline.Root, records []serialline.Record) error {
	b.Count = uint32(len(records))
	next, err := cl.Begin(ctx, b)
	for err == nil && int(next) < len(records) {
		end := min(int(next)+serialline.MaxPut, len(records))
		next, err = cl.Put(ctx, b.Txn, next, records[next:end]...)
	}
	if err == nil {
		_, err = cl.Commit(ctx, b.Txn, root)
	}
	return err
}

func rootOf(records ...serialline.Record) serialline.Root {
	t := serialline.NewTable()
	for _, r := range records {
		t.Put(r)
	}
	return t.Root()
}

func full(txn uint64) serialline.BeginRequest {
	return serialline.BeginRequest{Table: serialline.TableCredentials, Full: true, Txn: txn, Epoch: 10, Target: 1}
}

// must stops the test at an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func hello(t *testing.T, cl *serialline.Client) serialline.Hello {
	t.Helper()
	h, err := cl.Hello(t.Context())
	must(t, err)
	return h
}

// greeted is a new controller on a line, and the host that has said hello to it.
// It must run in a bubble.
func greeted(t *testing.T) (*Controller, *serialline.Client) {
	t.Helper()
	c := open(t, newFlash())
	cl := serve(t, c)
	hello(t, cl)
	return c, cl
}

func wantReason(t *testing.T, c *Controller, door int, b wiegand.Bits, want access.Reason) {
	t.Helper()
	if d := c.Present(door, b); d.Reason != want || d.Granted != (want == access.Granted) {
		t.Errorf("got %v, %q, want %q", d.Granted, d.Reason, want)
	}
}

func TestLoadDecideRevokeUpsert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, newFlash())
		cl := serve(t, c)
		ctx := t.Context()
		wantReason(t, c, 0, card(1), access.NoData)
		if h := hello(t, cl); h.Serial != [8]byte{7} || h.Model != "test" || h.Credentials.Epoch != 0 || h.Credentials.Capacity != DefaultCapacity {
			t.Fatalf("got %+v", h)
		}
		_, _, err := cl.SetTime(ctx, time.Now(), 0)
		must(t, err)
		all := recs(0, 20)
		all[3].Doors = 1
		all[4].ValidUntil = uint32(time.Now().Unix() / 60)
		all[5].ValidFrom = uint32(time.Now().Unix()/60) + 1
		all[6].Flags |= serialline.FlagSuspended
		must(t, load(ctx, cl, full(1), rootOf(all...), all))
		wantReason(t, c, 0, card(1), access.Granted)
		wantReason(t, c, 1, card(3), access.NoGroup)
		wantReason(t, c, 0, card(4), access.Expired)
		wantReason(t, c, 0, card(5), access.NotYetValid)
		wantReason(t, c, 0, card(6), access.CardNotActive)
		wantReason(t, c, 0, card(99), access.UnknownCard)
		wantReason(t, c, 2, card(1), access.UnknownDoor)

		must(t, cl.Revoke(ctx, all[1].Key, rec(99).Key))
		wantReason(t, c, 0, card(1), access.Blocked)
		must(t, cl.Upsert(ctx, 10, rec(50), all[1]))
		wantReason(t, c, 0, card(50), access.Granted)
		wantReason(t, c, 0, card(1), access.Granted)
		sums, first, changed, err := cl.DigestOf(ctx, serialline.TableCredentials)
		must(t, err)
		want := rootOf(append(all, rec(50))...)
		if changed || first.Root != want || serialline.RootOf(sums) != want || first.Version != 1 || first.Revoked != 1 {
			t.Errorf("digest: %v, root equal %v, %d revoked", changed, first.Root == want, first.Revoked)
		}
		n := 0
		for b := range 256 {
			r, err := cl.Bucket(ctx, serialline.TableCredentials, uint8(b), 0)
			must(t, err)
			n += len(r.Entries)
		}
		if n != 21 {
			t.Errorf("%d records in the buckets, want 21", n)
		}
		if got, root, version := c.Dump(); len(got) != 21 || root != want || version != 1 {
			t.Errorf("Dump has %d records of version %d", len(got), version)
		}
	})
}

// TestPartialTransaction: records that come and keys that go, in any mixture.
func TestPartialTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, cl := greeted(t)
		ctx := t.Context()
		must(t, load(ctx, cl, full(1), rootOf(recs(0, 4)...), recs(0, 4)))
		_, err := cl.Begin(ctx, serialline.BeginRequest{Table: serialline.TableCredentials, Txn: 2, Epoch: 10, Base: 1, Target: 2, Count: 4})
		must(t, err)
		_, err = cl.Put(ctx, 2, 0, rec(7))
		must(t, err)
		next, err := cl.Del(ctx, 2, 1, rec(1).Key, rec(2).Key)
		if err != nil || next != 3 {
			t.Fatalf("next %d, %v; want 3", next, err)
		}
		_, err = cl.Put(ctx, 2, 3, rec(2)) // the last word on a key counts
		must(t, err)
		want := rootOf(rec(0), rec(2), rec(3), rec(7))
		_, err = cl.Commit(ctx, 2, want)
		must(t, err)
		if _, root, _ := c.Dump(); root != want {
			t.Error("the table is not what it should be")
		}
		for _, n := range []int{0, serialline.MaxDel + 1} {
			if _, err := cl.Del(ctx, 2, 0, make([]serialline.Key, n)...); err == nil || !strings.Contains(err.Error(), "want 1 to") {
				t.Errorf("DEL of %d keys: %v, want it refused before it goes out", n, err)
			}
		}
	})
}

// TestFastLaneBeatsTransaction: what REVOKE and UPSERT say after BEGIN is newer
// than the load, and holds after COMMIT.
func TestFastLaneBeatsTransaction(t *testing.T) {
	for _, isFull := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c, cl := greeted(t)
			ctx := t.Context()
			old := recs(0, 3)
			must(t, load(ctx, cl, full(1), rootOf(old...), old))
			must(t, cl.Revoke(ctx, rec(0).Key)) // before BEGIN: the PUT below clears it
			narrow := rec(2)
			narrow.Doors = 2
			b := serialline.BeginRequest{Table: 1, Full: isFull, Txn: 2, Epoch: 10, Base: 1, Target: 2, Count: 4}
			_, err := cl.Begin(ctx, b)
			must(t, err)
			_, err = cl.Put(ctx, 2, 0, rec(0), rec(1), rec(2), rec(3))
			must(t, err)
			must(t, cl.Revoke(ctx, rec(1).Key))
			must(t, cl.Upsert(ctx, 10, narrow))
			must(t, c.Reboot()) // all of this outlives a loss of power
			hello(t, cl)
			want := rootOf(rec(0), narrow, rec(3))
			_, err = cl.Commit(ctx, 2, rootOf(recs(0, 4)...))
			var refusal *serialline.Refusal
			if !errors.As(err, &refusal) || refusal.Code != serialline.CodeRoot || serialline.Root(refusal.Detail) != want {
				t.Fatalf("full %v: got %v", isFull, err)
			}
			r, err := cl.Commit(ctx, 2, want)
			must(t, err)
			if r.Version != 2 || r.Root != want {
				t.Errorf("got version %d", r.Version)
			}
			again, err := cl.Commit(ctx, 2, want) // its reply was lost
			must(t, err)
			if again != r {
				t.Error("a second COMMIT is answered differently")
			}
			wantReason(t, c, 0, card(0), access.Granted)
			wantReason(t, c, 0, card(1), access.Blocked)
			wantReason(t, c, 0, card(2), access.NoGroup)
		})
	}
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, newFlash(), func(c *Config) { c.Capacity = 5 })
		cl := serve(t, c)
		ctx := t.Context()
		if _, err := cl.Poll(ctx); !errors.Is(err, serialline.ErrHello) {
			t.Fatalf("without HELLO: got %v", err)
		}
		hello(t, cl)
		begin := func(b serialline.BeginRequest) error { _, err := cl.Begin(ctx, b); return err }
		want := func(name string, err error, code serialline.Code) {
			t.Helper()
			if !errors.Is(err, code) {
				t.Errorf("%s: got %v, want %v", name, err, code)
			}
		}
		want("an UPSERT before any load", cl.Upsert(ctx, 10, rec(1)), serialline.CodeEpoch)
		b := full(1)
		b.Target = 5
		must(t, load(ctx, cl, b, rootOf(recs(0, 4)...), recs(0, 4)))

		b = serialline.BeginRequest{Table: 1, Txn: 2, Epoch: 10, Base: 5, Target: 6, Count: 2}
		low, older, base, higher, table := b, b, b, b, b
		low.Epoch, low.Full = 9, true
		older.Target = 4
		base.Base = 4
		higher.Epoch = 11
		table.Table = 3
		want("a lower epoch", begin(low), serialline.CodeEpoch)
		want("an older version", begin(older), serialline.CodeVersion)
		want("another base", begin(base), serialline.CodeBase)
		want("a higher epoch that is not full", begin(higher), serialline.CodeFullLoad)
		want("no such table", begin(table), serialline.CodeTable)
		must(t, begin(b))
		other := b
		other.Txn = 3
		want("a second transaction", begin(other), serialline.CodeBusyTxn)
		put := func(txn uint64, first uint32, r ...serialline.Record) error {
			_, err := cl.Put(ctx, txn, first, r...)
			return err
		}
		want("another transaction's PUT", put(3, 0, rec(9)), serialline.CodeTxn)
		want("a PUT with a hole before it", put(2, 1, rec(9)), serialline.CodeIndex)
		want("a PUT past the count", put(2, 0, recs(0, 3)...), serialline.CodePayload)
		want("a PUT that does not fit", put(2, 0, recs(8, 10)...), serialline.CodeFull)
		odd := rec(9)
		odd.Flags = serialline.FlagPIN
		want("a flag that is not honoured", put(2, 0, odd), serialline.CodeRecord)
		odd = rec(9)
		odd.Doors = 4
		want("a door that is not there", put(2, 0, odd), serialline.CodeRecord)
		want("COMMIT too early", func() error { _, err := cl.Commit(ctx, 2, rootOf()); return err }(), serialline.CodeIncomplete)
		must(t, cl.Abort(ctx, 2))
		must(t, cl.Abort(ctx, 2))
		want("an UPSERT of another epoch", cl.Upsert(ctx, 9, rec(0)), serialline.CodeEpoch)
		want("an UPSERT that does not fit", cl.Upsert(ctx, 10, recs(7, 9)...), serialline.CodeFull)
		must(t, cl.Upsert(ctx, 10, recs(0, 5)...)) // four of them are there already
		want("an ACK of what was not told", cl.Ack(ctx, 1<<40), serialline.CodeOutOfOrder)
		want("no such door", cl.Pulse(ctx, 2, time.Second, [8]byte{}), serialline.CodeDoor)
		if got, root, version := c.Dump(); len(got) != 5 || root != rootOf(recs(0, 5)...) || version != 5 {
			t.Error("a refused operation changed the table")
		}
		// Mending at the same version is no rollback.
		mend := serialline.BeginRequest{Table: 1, Txn: 9, Epoch: 10, Base: 5, Target: 5}
		must(t, load(ctx, cl, mend, rootOf(recs(0, 5)...), recs(2, 3)))
	})
}

// TestSealedIsRefused: a frame that claims to be sealed is told so, in so many
// words, and nothing is done.
func TestSealedIsRefused(t *testing.T) {
	c := open(t, newFlash())
	replies, _, err := c.answer(serialline.Frame{Addr: 5, Seq: 0, Op: serialline.OpHello, Flags: serialline.FlagSealed, Payload: serialline.HelloRequest{}.Append(nil)})
	must(t, err)
	f, err := serialline.ParseFrame(replies[0][1 : len(replies[0])-1])
	must(t, err)
	if r, err := serialline.ParseRefusal(f.Payload); f.Op != serialline.OpError || err != nil || r.Code != serialline.CodeSealed {
		t.Errorf("got %+v", f)
	}
}

// TestLies: nothing that goes wrong on the line does a thing twice, or not at
// all.
func TestLies(t *testing.T) {
	for _, tt := range []struct {
		name string
		lies Lies
		want func(serialline.ClientStats) bool
	}{
		{"lost replies", Lies{Drop: 2}, func(s serialline.ClientStats) bool { return s.Retries == 2 }},
		{"damaged replies", Lies{Damage: 2}, func(s serialline.ClientStats) bool { return s.Damaged == 2 && s.Retries == 2 }},
		{"doubled replies", Lies{Double: 3}, func(s serialline.ClientStats) bool { return s.Late >= 1 && s.Retries == 0 }},
		{"late replies", Lies{Late: 1, LateBy: 250 * time.Millisecond}, func(s serialline.ClientStats) bool { return s.Retries >= 1 && s.Late >= 1 }},
		{"busy", Lies{Busy: 4}, func(s serialline.ClientStats) bool { return s.Busy == 4 && s.Retries == 0 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, cl := greeted(t)
				ctx := t.Context()
				must(t, load(ctx, cl, full(1), rootOf(recs(0, 3)...), recs(0, 3)))
				before := c.Counts().LastSeq
				c.Lie(tt.lies)
				must(t, cl.Pulse(ctx, 0, time.Second, [8]byte{1}))
				must(t, cl.Pulse(ctx, 1, time.Second, [8]byte{2}))
				must(t, cl.Upsert(ctx, 10, rec(9)))
				must(t, cl.Revoke(ctx, rec(1).Key))
				if s := cl.Stats(); !tt.want(s) {
					t.Errorf("got %+v", s)
				}
				if got := c.Counts().LastSeq - before; got != 2 {
					t.Errorf("%d pulses, want 2", got)
				}
				if _, root, _ := c.Dump(); root != rootOf(rec(0), rec(2), rec(9)) {
					t.Error("the table is not what it should be")
				}
			})
		})
	}
}

func TestSilentControllerIsOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, cl := greeted(t)
		c.Mute(true)
		start := time.Now()
		if _, err := cl.Poll(t.Context()); !errors.Is(err, serialline.ErrOffline) {
			t.Fatalf("got %v, want ErrOffline", err)
		}
		byteTime := 10 * time.Second / 38400
		if took, want := time.Since(start), 3*(60*time.Millisecond+time.Duration(12+serialline.MaxWire)*byteTime); took != want {
			t.Errorf("offline after %v, want %v", took, want)
		}
		c.Mute(false)
		if _, err := cl.Poll(t.Context()); !errors.Is(err, serialline.ErrHello) {
			t.Errorf("without a new HELLO: got %v", err)
		}
		hello(t, cl)
		// A stop is not the controller's silence.
		c.Mute(true)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := cl.Poll(ctx); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, serialline.ErrOffline) {
			t.Errorf("a stopped poll: got %v", err)
		}
	})
}

// TestRebootInMidPush: the host hears of it, and goes on where the controller
// is.
func TestRebootInMidPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, newFlash())
		cl := serve(t, c)
		ctx := t.Context()
		first := hello(t, cl)
		all := recs(0, 40)
		b := full(77)
		b.Count = 40
		_, err := cl.Begin(ctx, b)
		must(t, err)
		_, err = cl.Put(ctx, 77, 0, all[:7]...)
		must(t, err)
		c.Lie(Lies{Reboot: 1})
		if _, err = cl.Put(ctx, 77, 7, all[7:14]...); !errors.Is(err, serialline.ErrHello) {
			t.Fatalf("got %v, want ErrHello", err)
		}
		wantReason(t, c, 0, card(1), access.NoData) // not before COMMIT
		h := hello(t, cl)
		if h.Boot == first.Boot || h.Credentials.Txn != 77 || h.Credentials.Next != 7 {
			t.Fatalf("got boot %d, transaction %d at %d", h.Boot, h.Credentials.Txn, h.Credentials.Next)
		}
		must(t, load(ctx, cl, b, rootOf(all...), all))
		wantReason(t, c, 0, card(39), access.Granted)
	})
}

func TestTwoControllersWithOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := open(t, newFlash())
		b := open(t, newFlash(), func(c *Config) { c.Serial = [8]byte{8} })
		host, devices := wire(2)
		cl := attach(t, a, host, devices[0])
		attach(t, b, host, devices[1])
		if _, err := cl.Hello(t.Context()); !errors.Is(err, serialline.ErrTwo) {
			t.Fatalf("got %v, want ErrTwo", err)
		}
		b.Mute(true)
		hello(t, cl)
	})
}

func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, cl := greeted(t)
		ctx := t.Context()
		loc, err := time.LoadLocation("Europe/Berlin")
		must(t, err)
		zone, err := serialline.ZoneOf(loc, 2026)
		must(t, err)
		hours, err := serialline.EncodeSchedules(map[uint8]serialline.Schedule{7: {Zone: zone, Weekly: []serialline.Interval{{Days: 0x7F, From: 8 * 60, To: 18 * 60}}}})
		must(t, err)
		must(t, load(ctx, cl, serialline.BeginRequest{Table: serialline.TableSchedules, Full: true, Txn: 1, Epoch: 10, Target: 1}, rootOf(hours...), hours))
		day := rec(1)
		day.Schedules = [4]uint8{7, 0, 0, 0}
		lost := rec(2)
		lost.Schedules = [4]uint8{8, 8, 0, 0} // a slot that is not there
		must(t, load(ctx, cl, full(2), rootOf(day, lost), []serialline.Record{day, lost}))

		if cl.Flags()&serialline.FlagClock == 0 {
			t.Error("a clock that was never set goes for set")
		}
		wantReason(t, c, 0, card(1), access.OutsideHours)
		wantReason(t, c, 1, card(1), access.Granted) // always
		noon := time.Date(2026, 11, 23, 12, 0, 0, 0, loc)
		old, set, err := cl.SetTime(ctx, noon, time.Minute) // any step, as it is not set
		must(t, err)
		if set || old.Year() != 1970 {
			t.Errorf("old time %v, set %v", old, set)
		}
		wantReason(t, c, 0, card(1), access.Granted)
		wantReason(t, c, 0, card(2), access.OutsideHours)
		if _, _, err := cl.SetTime(ctx, noon.Add(6*time.Hour), time.Minute); !errors.Is(err, serialline.CodeStep) {
			t.Errorf("a step too far: got %v", err)
		}
		_, _, err = cl.SetTime(ctx, noon.Add(6*time.Hour), 0)
		must(t, err)
		wantReason(t, c, 0, card(1), access.OutsideHours)
		_, _, err = cl.SetTime(ctx, noon, 0)
		must(t, err)
		must(t, c.Reboot()) // the battery keeps it
		wantReason(t, c, 0, card(1), access.Granted)
		c.ForgetClock()
		wantReason(t, c, 0, card(1), access.OutsideHours)
		hello(t, cl)
		p, err := cl.Events(ctx, c.Counts().LastSeq, 5)
		must(t, err)
		if len(p.Events) != 1 || p.Events[0].Set || !p.Events[0].Time().IsZero() || p.Events[0].Reason != serialline.ReasonOutsideHours {
			t.Errorf("got %+v", p.Events)
		}
	})
}

// TestNoBattery: after a loss of power the clock stands at the last time known,
// so that what had expired stays expired, and no schedule holds.
func TestNoBattery(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	f := newFlash()
	conf := func(c *Config) { c.NoBattery, c.Now = true, func() time.Time { return now } }
	c := open(t, f, conf)
	must(t, c.change(entryClock, clockEntry(0, now.UnixMilli())))
	c.timeless = false
	r := rec(1)
	r.ValidUntil = uint32(now.Unix()/60) + 1
	must(t, c.change(entryTable, append([]byte{1}, make([]byte, 20)...)))
	c.state.tables[1].epoch = 1
	must(t, c.change(entryUpsert, serialline.UpsertRequest{Epoch: 1, Records: []serialline.Record{r}}.Append(nil)))
	wantReason(t, c, 0, card(1), access.Granted)
	now = now.Add(2 * time.Minute)
	wantReason(t, c, 0, card(1), access.Expired) // and this event has the time
	must(t, c.Close())
	now = time.Unix(0, 0)
	c = open(t, f, conf)
	c.state.tables[1].epoch = 1
	wantReason(t, c, 0, card(1), access.Expired)
	if _, set := c.now(); set {
		t.Error("a clock without a battery goes for set")
	}
}

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlash()
		c := open(t, f, func(c *Config) { c.Events = 8 })
		cl := serve(t, c)
		ctx := t.Context()
		hello(t, cl)
		for n := range 6 {
			c.Present(0, card(n))
		}
		p, err := cl.Events(ctx, 1, 5)
		must(t, err)
		if len(p.Events) != 5 || p.Tail != 1 || p.Head != 7 || p.Lost != 0 || p.Events[0].Kind != serialline.EventStarted || p.Events[1].Key != rec(0).Key {
			t.Fatalf("got %d events, tail %d, head %d, lost %d", len(p.Events), p.Tail, p.Head, p.Lost)
		}
		if cl.Flags()&serialline.FlagEvents == 0 {
			t.Error("no flag says that events wait")
		}
		must(t, cl.Ack(ctx, 5))
		must(t, cl.Ack(ctx, 3)) // an old one changes nothing
		for n := range 9 {
			c.Present(0, card(n))
		}
		q, err := cl.Poll(ctx)
		must(t, err)
		if q.Head != 16 || q.Tail != 9 || q.Lost != 3 { // 6, 7 and 8 were overwritten
			t.Errorf("head %d, tail %d, lost %d, want 16, 9, 3", q.Head, q.Tail, q.Lost)
		}
		must(t, cl.Ack(ctx, 16))
		_, err = cl.Poll(ctx)
		must(t, err)
		if cl.Flags()&serialline.FlagEvents != 0 || c.Counts().Unacked != 0 {
			t.Error("acked events go on to wait")
		}
		must(t, c.Reboot())
		if n := c.Counts(); n.LastSeq != 17+seqJump || n.Lost != 3 {
			t.Errorf("after an unclean start: seq %d, lost %d", n.LastSeq, n.Lost)
		}
		must(t, c.Close())
		c = open(t, f, func(c *Config) { c.Events = 8 })
		if n := c.Counts(); n.LastSeq != 18+seqJump || n.Lost != 3 || n.Unacked != 2 {
			t.Errorf("after a clean start: seq %d, lost %d, %d not acked", n.LastSeq, n.Lost, n.Unacked)
		}
	})
}

func TestDoors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, cl := greeted(t)
		ctx := t.Context()
		must(t, load(ctx, cl, full(1), rootOf(rec(1)), recs(1, 2)))
		must(t, cl.Door(ctx, 0, serialline.ModeLockdown, 0))
		wantReason(t, c, 0, card(1), access.Lockdown)
		wantReason(t, c, 1, card(1), access.Granted)
		if err := cl.Door(ctx, 0, serialline.ModeUnlocked, time.Minute); !errors.Is(err, serialline.CodeHeld) {
			t.Errorf("unlocked over lockdown: got %v", err)
		}
		must(t, c.Reboot())
		hello(t, cl)
		wantReason(t, c, 0, card(1), access.Lockdown) // it outlives a loss of power
		must(t, cl.Door(ctx, 0, serialline.ModeSecure, 0))
		wantReason(t, c, 0, card(1), access.NoData)
		must(t, cl.Door(ctx, 0, serialline.ModeNormal, 0))
		wantReason(t, c, 0, card(1), access.Granted)
		time.Sleep(DefaultUnlock)
		if c.Released(0) {
			t.Error("a grant's strike never holds again")
		}
		must(t, cl.Door(ctx, 0, serialline.ModeUnlocked, 10*time.Second))
		time.Sleep(9 * time.Second)
		if !c.Released(0) {
			t.Error("unlocked, and the strike holds")
		}
		time.Sleep(time.Second)
		if c.Released(0) {
			t.Error("the lease has run out, and the strike lets go")
		}
		must(t, cl.Pulse(ctx, 0, 2*time.Second, [8]byte{3}))
		p, err := cl.Poll(ctx)
		must(t, err)
		if !p.Doors[0].Released || p.Doors[1].Released || p.Outputs != 1 {
			t.Errorf("after PULSE: %+v", p.Doors)
		}
		must(t, cl.Door(ctx, 1, serialline.ModeDisabled, 0))
		if err := cl.Pulse(ctx, 1, time.Second, [8]byte{}); !errors.Is(err, serialline.CodeHeld) {
			t.Errorf("PULSE on a disabled door: got %v", err)
		}
		if err := cl.Door(ctx, 1, serialline.ModeLockdown, time.Second); !errors.Is(err, serialline.CodeMode) {
			t.Errorf("a lease for lockdown: got %v", err)
		}
		time.Sleep(3 * time.Second)
		c.SetDoor(0, true)
		c.SetDoor(0, false)
		c.Exit(0)
		c.SetDoor(0, true)
		c.SetTamper(true)
		must(t, cl.Signal(ctx, 1, serialline.PatternNotice, time.Second))
		if c.Signal(1) != serialline.PatternNotice {
			t.Error("the reader shows nothing")
		}
		got := c.ring.list[len(c.ring.list)-5:]
		kinds := []serialline.EventKind{got[0].Kind, got[1].Kind, got[2].Kind, got[3].Kind, got[4].Kind}
		if !slices.Equal(kinds, []serialline.EventKind{serialline.EventDoorForced, serialline.EventDoorClosed, serialline.EventExit, serialline.EventDoorOpened, serialline.EventTamper}) {
			t.Errorf("got events of kinds %v", kinds)
		}
	})
}

// TestForeignChange: the next poll shows what was changed behind the host's
// back.
func TestForeignChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, cl := greeted(t)
		ctx := t.Context()
		must(t, load(ctx, cl, full(1), rootOf(recs(0, 3)...), recs(0, 3)))
		must(t, c.Meddle(serialline.TableCredentials, []serialline.Key{rec(1).Key}, recs(7, 8)))
		p, err := cl.Poll(ctx)
		must(t, err)
		if p.Checks[0] != rootOf(rec(0), rec(2), rec(7)).Check() || p.Checks[1] != rootOf().Check() {
			t.Error("the checks do not tell of the change")
		}
	})
}

func TestTransactionIsDroppedAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, cl := greeted(t)
		_, err := cl.Begin(t.Context(), full(1))
		must(t, err)
		time.Sleep(txnLife)
		if h := hello(t, cl); h.Credentials.Txn != 0 {
			t.Error("the transaction is still open")
		}
	})
}

package peer

import (
	"math/rand/v2"
	"testing"
	"time"

	"latchkey/osdp"
)

// benchAddr is the address of the PD.
const benchAddr = 9

// sampleInterval is how often libosdp's control panel comes to poll a PD when it
// is refreshed as its sample does: it waits for more than 50 ms, in steps of
// SampleRefresh, and takes a reply one step after its command.
const sampleInterval = 70 * time.Millisecond

// BenchmarkSideBySide has our panel and libosdp's in C serve the same PD,
// libosdp's, one after the other. Each panel is a process of its own. As long as
// that is not what is measured, libosdp's is patient: in its default set-up, one
// late reply on a busy machine would end the benchmark.
func BenchmarkSideBySide(b *testing.B) {
	key := testKey(0x10)
	for _, what := range []struct {
		name    string
		key     []byte
		poll    time.Duration // of ours
		peer    PanelConfig
		measure func(*testing.B, *bench)
	}{
		// Only with a refresh each ms libosdp's polls as often as ours.
		{"cpu-per-poll/50ms-clear", nil, 50 * time.Millisecond, PanelConfig{Patient: true, Refresh: time.Millisecond}, cpuPerPoll},
		{"cpu-per-poll/50ms-secure", key[:], 50 * time.Millisecond, PanelConfig{Patient: true, Refresh: time.Millisecond}, cpuPerPoll},
		{"cpu-per-poll/70ms-secure", key[:], sampleInterval, PanelConfig{Patient: true}, cpuPerPoll},
		{"badge-to-out", key[:], 0, PanelConfig{Patient: true}, badgeToOut},
		{"poll-gap-in-file", key[:], 0, PanelConfig{Patient: true}, pollGapInFile},
		{"bad-frame-to-good", key[:], 0, PanelConfig{}, badFrameToGood},
	} {
		what.peer.Addrs, what.peer.Keys = []uint8{benchAddr}, [][]byte{what.key}
		run := func(who string, start func(b *testing.B, line string) *Process) {
			b.Run(what.name+"/"+who, func(b *testing.B) {
				e := newBench(b, what.key)
				e.panel = start(b, e.wire.Path(0))
				e.panel.Await(b, Report{"is": "online", "up": true})
				if what.key != nil {
					e.panel.Await(b, Report{"is": "secure", "up": true})
				}
				e.polls(b, 10) // what is done once is over
				b.ResetTimer()
				what.measure(b, e)
			})
		}
		run("ours", func(b *testing.B, line string) *Process {
			return startOurPanel(b, PanelConfig{Line: line, Addrs: what.peer.Addrs, Keys: what.peer.Keys}, what.poll)
		})
		run("peer", func(b *testing.B, line string) *Process {
			what.peer.Line = line
			return StartPanel(b, what.peer)
		})
	}
}

// A bench is one panel and one PD on a wire that is watched.
type bench struct {
	wire   *Wire
	panel  *Process
	pd     *PD
	frames chan seen // what is not taken from it is lost
}

// seen is a frame on the wire.
type seen struct {
	at   time.Time
	end  int // who sent it: 0 the panel, 1 the PD
	code byte
}

func newBench(b *testing.B, key []byte) *bench {
	e := &bench{wire: NewWire(b, 2), frames: make(chan seen, 1<<13)}
	e.pd = StartPD(b, PDConfig{Line: e.wire.Path(1), Addr: benchAddr, Key: key, Outputs: 1})
	for end := range 2 {
		e.wire.Watch(end, func(f osdp.Frame) {
			select {
			case e.frames <- seen{time.Now(), end, f.Code}:
			default: // nobody looks
			}
		})
	}
	return e
}

// polls waits for n polls from now on, and gives the time of the last.
func (e *bench) polls(b *testing.B, n int) (last time.Time) {
	b.Helper()
	for len(e.frames) > 0 {
		<-e.frames
	}
	late := time.After(patience)
	for n > 0 {
		select {
		case s := <-e.frames:
			if s.end == 0 && s.code == osdp.CodePOLL {
				n, last = n-1, s.at
			}
		case <-late:
			b.Fatal("no polls")
		}
	}
	return last
}

// cpuPerPoll is the processor time that a panel takes for each poll, all that it
// does in between included.
func cpuPerPoll(b *testing.B, e *bench) {
	var cpu, polls int64
	e.usage(b) // its first time takes longer
	for b.Loop() {
		before := e.usage(b)
		e.polls(b, 60)
		after := e.usage(b)
		cpu += after.Int("cpu_ns") - before.Int("cpu_ns")
		polls += after.Int("polls") - before.Int("polls")
	}
	b.ReportMetric(float64(cpu)/float64(polls), "ns/op")
	b.ReportMetric(b.Elapsed().Seconds()*1000/float64(polls), "ms/poll")
}

func (e *bench) usage(b *testing.B) Report {
	e.panel.Order(b, "usage")
	return e.panel.Await(b, Report{"is": "usage"})
}

// badgeToOut is the time from a card at the PD to OUT at the PD.
func badgeToOut(b *testing.B, e *bench) {
	e.panel.Order(b, "badge 0 5 20")
	random := rand.New(rand.NewPCG(1, 2))
	var sum, worst time.Duration
	trials := 0
	for b.Loop() {
		for range 40 {
			<-time.After(time.Duration(random.Int64N(int64(2 * sampleInterval)))) // so that cards come anywhere between two polls
			e.pd.Tell(b, osdp.RAW{Bits: 26, Data: make([]byte, 4)})
			shown := e.pd.Await(b, Report{"is": "queued"})
			out := e.pd.Await(b, Report{"is": "command", "name": "OUT"})
			d := out.At() - shown.At()
			sum, worst = sum+d, max(worst, d)
			trials++
		}
	}
	b.ReportMetric(float64(sum)/float64(trials), "ns/op")
	b.ReportMetric(worst.Seconds()*1000, "worst-ms")
}

// pollGapInFile is the longest time from poll to poll while a file of 100 kB
// goes to the PD.
func pollGapInFile(b *testing.B, e *bench) {
	const size = 100_000
	var worst time.Duration
	polls := 0
	for b.Loop() {
		last := e.polls(b, 1)
		e.panel.Order(b, "file 0 1 100000")
		e.pd.AwaitFile(b, 1, fileContent(size))
		for len(e.frames) > 0 {
			s := <-e.frames
			if s.end != 0 {
				continue
			}
			worst = max(worst, s.at.Sub(last))
			if s.code == osdp.CodePOLL {
				last = s.at
				polls++
			}
		}
		e.panel.Await(b, Report{"is": "sent", "ok": true})
	}
	b.ReportMetric(float64(worst), "ns/op")
	b.ReportMetric(float64(polls)/float64(b.N), "polls/file")
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/file")
}

// badFrameToGood is the time from a damaged reply to the next that is whole. It
// is cut off where there is none: libosdp's panel takes the PD offline for 5
// minutes, and that is what it takes then.
func badFrameToGood(b *testing.B, e *bench) {
	const cut = 10 * time.Second
	var sum time.Duration
	trials, lost := 0, 0
	for b.Loop() {
		for range 5 {
			if lost > 0 {
				break
			}
			e.polls(b, 5)
			trials++
			select {
			case d := <-e.damage():
				sum += d
			case <-time.After(cut):
				sum += cut
				lost++
			}
			e.wire.Meddle(1, nil)
		}
	}
	b.ReportMetric(float64(sum)/float64(trials), "ns/op")
	b.ReportMetric(float64(lost), "lost")
}

// damage spoils the next reply, and tells how long after it another one came.
func (e *bench) damage() <-chan time.Duration {
	again := make(chan time.Duration, 1)
	var bad time.Time
	e.wire.Meddle(1, func(reply []byte) ([]byte, time.Duration) {
		switch {
		case bad.IsZero():
			bad = time.Now()
			reply[len(reply)-1] ^= 1
		case len(again) == 0:
			again <- time.Since(bad)
		}
		return reply, 0
	})
	return again
}

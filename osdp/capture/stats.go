package capture

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"latchkey/osdp"
)

// Stats sums a trace up, PD by PD. The zero Stats is ready. One goroutine owns
// it.
type Stats struct {
	// Noise is how many bytes stood in no frame, on all lines.
	Noise int
	pds   map[place]*PDStats
}

// PDStats is how one PD and its line did. Times are between the beginnings of
// records, as the recorder saw them.
type PDStats struct {
	Line       string
	Addr       uint8
	Commands   int                  // to the PD, repeats among them
	Replies    int                  // repeats among them
	Retries    int                  // commands that came again
	Silent     int                  // commands without any reply before the next
	BadChecks  int                  // frames with a wrong CRC or checksum that bore its address
	NAKs       map[osdp.NAKCode]int // by reason; those that nobody could read are not in it
	Busy       int
	WrongMACs  int
	Unread     int           // frames of a secure channel that could not be read
	WorstGap   time.Duration // longest time between two commands to the PD
	asked      time.Time     // the command that waits for its reply
	last       time.Time     // the last command
	latencies  []time.Duration
	sortedUpTo int
}

// Add counts m.
func (s *Stats) Add(m Message) {
	if m.Verdict == NoFrame {
		s.Noise += len(m.Wire)
		return
	}
	at := place{m.Line, m.Addr()}
	if s.pds == nil {
		s.pds = map[place]*PDStats{}
	}
	if s.pds[at] == nil {
		s.pds[at] = &PDStats{Line: m.Line, Addr: m.Addr(), NAKs: map[osdp.NAKCode]int{}}
	}
	s.pds[at].add(m)
}

func (p *PDStats) add(m Message) {
	switch m.Verdict {
	case BadCheck:
		p.BadChecks++
		return
	case WrongMAC:
		p.WrongMACs++
	case NoKey, NotFollowed:
		p.Unread++
	}
	if m.FromACU {
		p.command(m)
	} else {
		p.reply(m)
	}
}

func (p *PDStats) command(m Message) {
	p.Commands++
	if m.Repeat {
		p.Retries++
	}
	if !p.asked.IsZero() {
		p.Silent++
	}
	if !p.last.IsZero() {
		p.WorstGap = max(p.WorstGap, m.Time.Sub(p.last))
	}
	p.asked, p.last = m.Time, m.Time
}

func (p *PDStats) reply(m Message) {
	p.Replies++
	if !p.asked.IsZero() {
		p.latencies = append(p.latencies, m.Time.Sub(p.asked))
		p.asked = time.Time{}
	}
	switch r := m.Reply.(type) {
	case osdp.NAK:
		p.NAKs[r.Reason]++
	case osdp.BUSY:
		p.Busy++
	}
}

// Latency is the time within which the given share of the replies began, such
// as 0.99, and 1 for all; 0 when there was none. The share is from 0 to 1.
func (p *PDStats) Latency(share float64) time.Duration {
	n := len(p.latencies)
	if n == 0 {
		return 0
	}
	if p.sortedUpTo < n {
		slices.Sort(p.latencies)
		p.sortedUpTo = n
	}
	return p.latencies[min(int(share*float64(n)), n-1)]
}

// PDs are all PDs that were spoken to or spoke, by line and address.
func (s *Stats) PDs() []*PDStats {
	return slices.SortedFunc(maps.Values(s.pds), func(a, b *PDStats) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Addr, b.Addr))
	})
}

// Print writes a table, one PD a line.
func (s *Stats) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "line\tPD\tcommands\treplies\tretries\tsilent\tbad check\twrong MAC\tunread\tbusy\tlatency p50\tp99\tmax\tworst gap\tNAKs")
	for _, p := range s.PDs() {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%v\t%v\t%v\t%v\t%s\n", cmp.Or(p.Line, "-"), p.Addr, p.Commands, p.Replies,
			p.Retries, p.Silent, p.BadChecks, p.WrongMACs, p.Unread, p.Busy,
			round(p.Latency(0.5)), round(p.Latency(0.99)), round(p.Latency(1)), round(p.WorstGap), p.nakText())
	}
	if s.Noise > 0 {
		fmt.Fprintf(t, "%d bytes in no frame\n", s.Noise)
	}
	return t.Flush()
}

func (p *PDStats) nakText() string {
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(p.NAKs)) {
		parts = append(parts, fmt.Sprintf("%d × %v", p.NAKs[reason], reason))
	}
	return cmp.Or(strings.Join(parts, ", "), "none")
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

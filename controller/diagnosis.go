package controller

import (
	"fmt"
	"time"

	"latchkey/osdp"
)

// A Remark is something about a line, in words for people.
type Remark struct {
	Text     string `json:"text"`
	Harmless bool   `json:"harmless,omitempty"` // nobody needs to do anything
}

// What a diagnosis goes by. Rates are fractions of what was asked for in the
// time between its two looks.
const (
	lookEvery = 10 * time.Second
	lookBack  = time.Minute // old trouble is no trouble

	tellFrom   = 3                      // of anything: less is chance
	echoRate   = 0.2                    // an adapter hears itself always; one echo may be another panel that repeats us
	damageRate = 0.01                   // CRC errors of a line that wants looking at
	brokenRate = 0.5                    // of damaged answers: noise does not do that to one address alone
	silentRate = 0.03                   // commands without an answer
	lateRate   = 0.01                   // answers that come when their time is over
	twiceRate  = 0.2                    // second answers: a twin gives one each time, unless the two collide
	chatRate   = 0.01                   // unasked replies for each answer that disturb others
	chatter    = 1.5                    // … and that no twin can give
	busyRate   = 0.3                    // BUSY for each answer
	slowPoll   = 250 * time.Millisecond // between polls, what a person at a door feels
	noiseBytes = 20                     // that make no frame, while nobody answers
)

// A look is what a line looked like at one moment.
type look struct {
	at   time.Time
	pds  []osdp.PDStats
	port osdp.PortStats
}

// A diagnosis is what is odd on a line.
type diagnosis struct {
	line []Remark
	pds  map[uint8][]Remark // by address
}

// diagnose compares two looks at a line and says what went wrong in between. It
// says nothing of a line that was not looked at twice.
func diagnose(was, is look) diagnosis {
	d := diagnosis{pds: map[uint8][]Remark{}}
	var all counts
	var each []counts
	for _, p := range is.pds {
		for _, before := range was.pds {
			if before.Name == p.Name { // an address may change
				c := since(before, p)
				all, each = all.plus(c), append(each, c)
			}
		}
	}
	if len(each) == 0 {
		return d
	}
	d.aboutLine(all, is.port.Skipped-was.port.Skipped)
	d.damage(all, each)
	for _, c := range each {
		for _, text := range c.remarks(all.otherPanel >= tellFrom) {
			d.pds[c.addr] = append(d.pds[c.addr], Remark{Text: text})
		}
	}
	if len(d.line) == 0 && len(d.pds) == 0 { // else it follows from what is said
		d.lesser(all, slowest(each, is.at.Sub(was.at)))
	}
	return d
}

func (d *diagnosis) say(format string, args ...any) {
	d.line = append(d.line, Remark{Text: fmt.Sprintf(format, args...)})
}

// aboutLine says what no single reader can be blamed for.
func (d *diagnosis) aboutLine(all counts, skipped uint64) {
	// Where an adapter hears itself, an echo now and then comes too late to be
	// known for one.
	if all.otherPanel >= tellFrom && all.otherPanel > all.echoes {
		d.say("Another controller asks the readers on this line. Two controllers on one line disturb each other: take one of them off.")
	}
	if all.echoes >= tellFrom && all.echoes.of(all.asked()) >= echoRate {
		d.line = append(d.line, Remark{"The adapter hears itself. That is harmless; if it has a switch for echo, switch it off.", true})
	}
	if all.answers == 0 && skipped >= noiseBytes {
		d.say("Bytes come in that are no answers. Look at the speed (baud), and whether the line's two wires are exchanged.")
	}
}

// lesser says what is often a consequence of something else.
func (d *diagnosis) lesser(all counts, gap time.Duration) {
	if all.foreign >= tellFrom {
		d.say("Answers come from an address that was not asked. Look for a reader on this line that is not in the site file.")
	}
	if gap >= slowPoll {
		d.say("The line is too slow for its readers: each is asked only every %.1f s. A higher speed, or fewer readers on the line, makes cards answer sooner.", gap.Seconds())
	}
}

// slowest is the mean time between two exchanges with the PD that had the
// fewest; 0 if none was online all the while.
func slowest(each []counts, took time.Duration) (gap time.Duration) {
	for _, c := range each {
		if n := c.asked(); c.steady && n > 0 {
			gap = max(gap, took/time.Duration(n))
		}
	}
	return gap
}

// damage says where answers come damaged: on the whole line, or from one reader.
func (d *diagnosis) damage(all counts, each []counts) {
	var bad []counts
	for _, c := range each {
		if c.damaged >= tellFrom && c.damaged.of(c.asked()) >= damageRate {
			bad = append(bad, c)
		}
	}
	switch {
	case len(bad) == 0:
	case len(bad) == 1 && len(each) > 1 && bad[0].damaged.of(bad[0].asked()) >= brokenRate:
		d.pds[bad[0].addr] = append(d.pds[bad[0].addr], Remark{Text: fmt.Sprintf("Most answers from address %d are damaged, and those of the other readers on the line "+
			"are not: two readers have this address, or its cable is bad.", bad[0].addr)})
	case len(bad) == 1:
		d.pds[bad[0].addr] = append(d.pds[bad[0].addr], Remark{Text: damageText(bad[0])})
	default:
		d.line = append(d.line, Remark{Text: damageText(all)})
	}
}

func damageText(c counts) string {
	return fmt.Sprintf("Many damaged answers (%s): look at the cable, the termination and the speed.", c.damaged.outOf(c.asked(), "answers"))
}

// A number counts something between two looks.
type number uint64

// of is the fraction that n is of all.
func (n number) of(all number) float64 {
	if all == 0 {
		return 0
	}
	return float64(n) / float64(all)
}

// outOf is n of all in words, such as "3 of 100 answers".
func (n number) outOf(all number, what string) string {
	return fmt.Sprintf("%d of 100 %s", max(1, int(100*n.of(all)+0.5)), what)
}

// counts are what happened to one PD, or to all, between two looks.
type counts struct {
	addr   uint8
	steady bool // online all the while

	answers, retries, damaged, busy                    number
	echoes, otherPanel, foreign, late, unasked, second number
	macErrors, clearReplies                            number
}

// since is what happened between two looks at a PD.
func since(was, is osdp.PDStats) counts {
	return counts{
		addr: is.Addr, steady: was.Online && is.Online && was.Since.Equal(is.Since),
		answers: number(is.Latency.Count() - was.Latency.Count()),
		retries: number(is.Retries - was.Retries), damaged: number(is.CRCErrors - was.CRCErrors), busy: number(is.Busy - was.Busy),
		echoes: number(is.Echoes - was.Echoes), otherPanel: number(is.OtherPanel - was.OtherPanel), foreign: number(is.Foreign - was.Foreign),
		late: number(is.Late - was.Late), unasked: number(is.Unasked - was.Unasked), second: number(is.Twice - was.Twice),
		macErrors: number(is.MACErrors - was.MACErrors), clearReplies: number(is.ClearReplies - was.ClearReplies),
	}
}

func (c counts) plus(o counts) counts {
	return counts{
		answers: c.answers + o.answers, retries: c.retries + o.retries, damaged: c.damaged + o.damaged, busy: c.busy + o.busy,
		echoes: c.echoes + o.echoes, otherPanel: c.otherPanel + o.otherPanel, foreign: c.foreign + o.foreign, late: c.late + o.late,
		unasked: c.unasked + o.unasked, second: c.second + o.second, macErrors: c.macErrors + o.macErrors, clearReplies: c.clearReplies + o.clearReplies,
	}
}

// asked is how many times an answer was waited for.
func (c counts) asked() number { return c.answers + c.retries }

// remarks are what is odd about one PD, but for damage. Where another panel
// asks it, its answers to that one are no sign of anything.
func (c counts) remarks(otherPanel bool) (texts []string) {
	say := func(format string, args ...any) { texts = append(texts, fmt.Sprintf(format, args...)) }
	if c.macErrors > 0 {
		say("Answers came in its name that were not authentic (%d in the last minute). They were not believed. Noise hardly does that: have its cable looked at.", c.macErrors)
	}
	if c.clearReplies > 0 {
		say("Answers came in its name without encryption (%d in the last minute). They were not believed. Have its cable looked at.", c.clearReplies)
	}
	if otherPanel {
		return texts
	}
	switch {
	case c.unasked < tellFrom || c.unasked.of(c.answers) < chatRate:
	case c.unasked.of(c.answers) > chatter || c.second.of(c.answers) < twiceRate:
		say("This reader talks without being asked, which disturbs the others on its line. Switch it off and on; if it goes on, have it exchanged.")
	default:
		say("Two readers answer at address %d. Give one of them another address.", c.addr)
	}
	if c.late >= tellFrom && c.late.of(c.asked()) >= lateRate {
		say("Its answers come too late (%s). It, or a converter on the way to it, is slow.", c.late.outOf(c.asked(), "answers"))
	}
	if lost := c.lost(); lost >= tellFrom && lost.of(c.asked()) >= silentRate {
		say("It often does not answer (%s): look at its cable and its power.", lost.outOf(c.asked(), "times"))
	}
	if c.busy >= tellFrom && c.busy.of(c.answers+c.busy) >= busyRate {
		say("It says that it is busy (%s). If that does not end, switch it off and on.", c.busy.outOf(c.answers+c.busy, "answers"))
	}
	return texts
}

// lost is how often nothing came at all: a damaged or late answer makes for a
// repeat, too, and so does BUSY.
func (c counts) lost() number {
	if other := c.damaged + c.late + c.busy; other < c.retries {
		return c.retries - other
	}
	return 0
}

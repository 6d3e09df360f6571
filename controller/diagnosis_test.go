package controller

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/osdp"
)

// aMinute is two looks at a line, a minute apart, in which every reader gave
// 1000 answers and was otherwise as change says. Before it there had been
// trouble of each kind: what is over must not be told of.
func aMinute(readers int, change func(pds []osdp.PDStats, port *osdp.PortStats)) (was, is look) {
	for i := range readers {
		p := osdp.PDStats{
			Addr: uint8(5 + i), Name: string(rune('a' + i)), Online: true, Since: time.Unix(0, 0), Polls: 5000, Retries: 900, CRCErrors: 800, Busy: 700,
			Echoes: 600, OtherPanel: 500, Foreign: 400, Late: 300, Unasked: 200, Twice: 100, MACErrors: 90, ClearReplies: 80,
		}
		p.Latency.Counts[2] = 5000
		was.pds = append(was.pds, p)
		p.Polls += 1000
		p.Latency.Counts[2] += 1000
		is.pds = append(is.pds, p)
	}
	was.at, is.at = time.Unix(1000, 0), time.Unix(1060, 0)
	was.port.Skipped, is.port.Skipped = 10_000, 10_000
	if change != nil {
		change(is.pds, &is.port)
	}
	return was, is
}

func texts(d diagnosis) (list []string) {
	for _, r := range d.line {
		list = append(list, r.Text)
	}
	for _, rs := range d.pds {
		for _, r := range rs {
			list = append(list, r.Text)
		}
	}
	return list
}

// A fault is what is wrong with a line for a minute, and what is said of it.
type fault struct {
	name     string
	change   func(pds []osdp.PDStats, port *osdp.PortStats)
	at       uint8 // the address that the remark is about, or line
	want     string
	harmless bool
}

const line = 0

func faults() []fault {
	return []fault{
		{"another panel", func(p []osdp.PDStats, _ *osdp.PortStats) {
			p[0].OtherPanel += 200
			p[1].Foreign, p[1].Unasked, p[1].Late = p[1].Foreign+180, p[1].Unasked+150, p[1].Late+40 // the answers to it
		}, line, "Another controller asks the readers on this line.", false},
		{"an echo", func(p []osdp.PDStats, _ *osdp.PortStats) {
			p[0].Echoes, p[1].Echoes = p[0].Echoes+1000, p[1].Echoes+990
			p[1].OtherPanel += 10 // some came too late to be known
		}, line, "The adapter hears itself.", true},
		{"two at one address", func(p []osdp.PDStats, _ *osdp.PortStats) {
			p[0].Unasked, p[0].Twice = p[0].Unasked+700, p[0].Twice+650
			p[1].Foreign += 300
		}, 5, "Two readers answer at address 5.", false},
		{"two at one address, at the same moment", func(p []osdp.PDStats, _ *osdp.PortStats) {
			p[0].CRCErrors, p[0].Retries = p[0].CRCErrors+2000, p[0].Retries+2000
		}, 5, "Most answers from address 5 are damaged", false},
		{"chatter", func(p []osdp.PDStats, _ *osdp.PortStats) { p[0].Unasked, p[0].Twice = p[0].Unasked+60, p[0].Twice+20 }, 5,
			"This reader talks without being asked", false},
		{"much chatter", func(p []osdp.PDStats, _ *osdp.PortStats) {
			p[0].Unasked, p[0].Twice = p[0].Unasked+8000, p[0].Twice+900
		}, 5,
			"This reader talks without being asked", false},
		{"noise at one reader", func(p []osdp.PDStats, _ *osdp.PortStats) {
			p[0].CRCErrors, p[0].Retries = p[0].CRCErrors+31, p[0].Retries+31
		}, 5, "Many damaged answers (3 of 100 answers): look at the cable, the termination and the speed.", false},
		{"noise everywhere", func(p []osdp.PDStats, _ *osdp.PortStats) {
			for i := range p {
				p[i].CRCErrors, p[i].Retries = p[i].CRCErrors+111, p[i].Retries+111
			}
		}, line, "Many damaged answers (10 of 100 answers)", false},
		{"slow answers", func(p []osdp.PDStats, _ *osdp.PortStats) { p[1].Late, p[1].Retries = p[1].Late+20, p[1].Retries+20 }, 6,
			"Its answers come too late (2 of 100 answers).", false},
		{"silence", func(p []osdp.PDStats, _ *osdp.PortStats) { p[1].Retries += 111 }, 6, "It often does not answer (10 of 100 times)", false},
		{"busy", func(p []osdp.PDStats, _ *osdp.PortStats) { p[1].Retries, p[1].Busy = p[1].Retries+1000, p[1].Busy+1000 }, 6,
			"It says that it is busy (50 of 100 answers).", false},
		{"forged", func(p []osdp.PDStats, _ *osdp.PortStats) { p[1].MACErrors += 2 }, 6, "Answers came in its name that were not authentic (2 in the last minute).", false},
		{"clear", func(p []osdp.PDStats, _ *osdp.PortStats) { p[1].ClearReplies++ }, 6, "Answers came in its name without encryption (1 in the last minute).", false},
		{"a stranger", func(p []osdp.PDStats, _ *osdp.PortStats) { p[0].Foreign += 40 }, line, "Answers come from an address that was not asked.", false},
		{"another speed", func(p []osdp.PDStats, port *osdp.PortStats) {
			for i := range p {
				p[i].Latency.Counts[2] -= 1000
			}
			port.Skipped += 500
		}, line, "Bytes come in that are no answers.", false},
		{"a slow line", func(p []osdp.PDStats, _ *osdp.PortStats) { p[1].Latency.Counts[2] -= 850 }, line, "each is asked only every 0.4 s.", false},
	}
}

// TestDiagnosis: each fault has its words, where it is, and no others beside it.
func TestDiagnosis(t *testing.T) {
	for _, tt := range faults() {
		t.Run(tt.name, func(t *testing.T) {
			d := diagnose(aMinute(2, tt.change))
			at := d.line
			if tt.at != line {
				at = d.pds[tt.at]
			}
			if len(texts(d)) != 1 || len(at) != 1 || !strings.Contains(at[0].Text, tt.want) || at[0].Harmless != tt.harmless {
				t.Errorf("got %+v and %+v, want %q at %d", d.line, d.pds, tt.want, tt.at)
			}
		})
	}
}

// TestDiagnosisOfAWell: what is normal, or over, is not told of.
func TestDiagnosisOfAWell(t *testing.T) {
	for name, change := range map[string]func(pds []osdp.PDStats, port *osdp.PortStats){
		"nothing new": nil,
		"a slip of each kind": func(p []osdp.PDStats, port *osdp.PortStats) {
			p[0].CRCErrors, p[0].Retries, p[0].Late, p[0].Unasked, p[0].OtherPanel, p[0].Busy, p[0].Foreign = 801, 902, 301, 202, 501, 701, 401
			port.Skipped += 200
		},
		"it was offline": func(p []osdp.PDStats, _ *osdp.PortStats) {
			p[1].Since, p[1].Latency.Counts[2] = time.Unix(1050, 0), 5010
		},
		"all are offline": func(p []osdp.PDStats, _ *osdp.PortStats) {
			p[0], p[1] = osdp.PDStats{Name: "a"}, osdp.PDStats{Name: "b"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			was, is := aMinute(2, change)
			if name == "all are offline" {
				was.pds = slices.Clone(is.pds)
			}
			if got := texts(diagnose(was, is)); len(got) > 0 {
				t.Errorf("got %q, want nothing", got)
			}
		})
	}
	_, is := aMinute(2, nil)
	if got := texts(diagnose(look{}, is)); len(got) > 0 {
		t.Errorf("before a second look: %q, want nothing", got)
	}
}

// TestLooks: what is compared with is about a minute old, never more than that
// and a bit.
func TestLooks(t *testing.T) {
	var l looks
	if !l.oldest().at.IsZero() {
		t.Error("a look before the first")
	}
	start := time.Unix(0, 0)
	for i := range 100 {
		at := start.Add(time.Duration(i) * lookEvery)
		l.add(look{at: at})
		if age := at.Sub(l.oldest().at); age >= lookBack || i > 10 && age < lookBack-lookEvery {
			t.Errorf("look %d: the oldest is %v old", i, age)
		}
	}
}

// TestManualKnowsTheWords: whatever the page says of a reader or a line, the
// installers' manual says what to do.
func TestManualKnowsTheWords(t *testing.T) {
	manual, err := os.ReadFile("../docs/manual/installer.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(manual), "| the page says | what to do |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var known []string
	for row := range strings.Lines(table) {
		words, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " |")
		known = append(known, strings.ToLower(strings.Trim(words, " …")))
	}
	said := []string{alteredText, portText}
	for trouble := osdp.NoKey; trouble <= osdp.Swapped; trouble++ {
		said = append(said, troubleText(trouble))
	}
	for _, f := range faults() {
		said = append(said, texts(diagnose(aMinute(2, f.change)))...)
	}
	used := map[string]bool{}
	for _, text := range said {
		i := slices.IndexFunc(known, func(words string) bool { return strings.Contains(strings.ToLower(text), words) })
		if i < 0 {
			t.Errorf("the manual has nothing on: %s", text)
			continue
		}
		used[known[i]] = true
	}
	for _, words := range known {
		if !used[words] {
			t.Errorf("the manual has %q, which nothing says", words)
		}
	}
}

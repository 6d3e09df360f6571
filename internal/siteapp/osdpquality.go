package siteapp

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"latchkey/internal/program"
)

type qualityCmd struct {
	siteFile
	JSON bool `help:"Print one device a line, as JSON."`
}

// Run ends with degraded when a reader is not online, or not as the site file
// wants it.
func (c *qualityCmd) Run(e *program.Env) error {
	cfg, _, err := c.load()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(e.Context, quickly)
	defer cancel()
	all, err := newControlClient(cfg.StateDir).quality(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		out := json.NewEncoder(e.Stdout)
		for _, q := range all {
			if err := out.Encode(q); err != nil {
				return err
			}
		}
	} else if err := printQuality(e.Stdout, all); err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(q readerQuality) bool { return !q.Online }) {
		return degraded
	}
	return nil
}

func printQuality(w io.Writer, all []readerQuality) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "READER\tLINE\tADDRESS\tSTATE\tPOLLS\tRETRIES\tCRC ERRORS\tREPLY p50/p99/max\tWORST GAP\tREFUSALS")
	for _, q := range all {
		reply := "-"
		if q.ReplyMeasured {
			reply = short(q.ReplyP50) + "/" + short(q.ReplyP99) + "/" + short(q.ReplyMax)
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%d\t%d\t%d\t%s\t%s\t%s\n", strings.Join(q.Readers, ", "), q.Line, q.Address, q.state(),
			q.Polls, q.Retries, q.CRCErrors, reply, short(q.WorstPollGap), q.refusals())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, q := range all {
		for _, line := range q.remarks() {
			fmt.Fprintf(w, "- %s: %s\n", strings.Join(q.Readers, ", "), line)
		}
	}
	return nil
}

// short is a time in seconds as people read it in a table.
func short(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d == 0:
		return "-"
	case d < 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}

func (q readerQuality) state() string {
	switch {
	case q.Online && q.Secure:
		return "secure"
	case q.Online:
		return "NOT ENCRYPTED"
	case q.Trouble != "":
		return "not served"
	}
	return "offline"
}

func (q readerQuality) refusals() string {
	if len(q.NAKs) == 0 {
		return "-"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(q.NAKs)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, q.NAKs[name]))
	}
	return strings.Join(parts, ", ")
}

// remarks are what the numbers of q mean, where they mean something.
func (q readerQuality) remarks() (lines []string) {
	say := func(n uint64, format string) {
		if n > 0 {
			lines = append(lines, fmt.Sprintf(format, n))
		}
	}
	if q.Trouble != "" {
		lines = append(lines, q.Trouble)
	}
	say(q.Echoes, "%d of our own frames came back: the adapter hears itself; that is harmless")
	say(q.OtherPanel, "%d commands that are not ours: another panel is on this line")
	say(q.Unasked, "%d replies that nobody asked for: two devices may have this address")
	say(q.MACErrors, "%d replies were not authentic: noise, or somebody on the line")
	say(q.ClearReplies, "%d replies without encryption inside the secure channel were not believed")
	return lines
}

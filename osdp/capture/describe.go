package capture

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
)

// Describe writes a line for each frame of records, as a [Reader]'s All gives
// them: time, line, who to whom, sequence number, name, verdict and flags, text.
// A bad record gets a line as well. Describe ends with the error that ends
// records, or w's. It returns the sums of what it has seen, also with an error.
func Describe(w io.Writer, records iter.Seq2[Record, error], o Options) (*Stats, error) {
	d := describer{w: w, show: o.ShowSecrets, decoder: Decoder{Keys: o.Keys}}
	for r, err := range records {
		if errors.Is(err, ErrRecord) {
			_, err = fmt.Fprintln(w, err)
		} else if err == nil {
			err = d.print(d.decoder.Decode(r))
		}
		if err != nil {
			return &d.stats, err
		}
	}
	return &d.stats, d.print(d.decoder.Close())
}

type describer struct {
	w       io.Writer
	show    bool
	decoder Decoder
	stats   Stats
}

func (d *describer) print(list []Message) error {
	for _, m := range list {
		d.stats.Add(m)
		if _, err := fmt.Fprintln(d.w, line(m, d.show)); err != nil {
			return fmt.Errorf("capture: write: %w", err)
		}
	}
	return nil
}

// line is m as a line of a listing, in columns.
func line(m Message, show bool) string {
	seq := "-"
	if m.Verdict != NoFrame {
		seq = fmt.Sprint(m.Frame.Seq)
	}
	s := fmt.Sprintf("%s %-14s %s %-12s %-10s", m.Time.UTC().Format("2006-01-02 15:04:05.000000"), m.Ends(), seq, m.Name(), m.Flags())
	if m.Line != "" {
		s = m.Line + " " + s
	}
	if t := m.Text(show); t != "" {
		s += "  " + t
	}
	return strings.TrimRight(s, " ")
}

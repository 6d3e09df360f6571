package building

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"latchkey/access"
	"latchkey/internal/pause"
	"latchkey/internal/program"
	"latchkey/wiegand"
)

// What `badge` answers by its exit code, besides 0 for granted.
const (
	exitDenied = program.Exit(3)
	exitNone   = program.Exit(4)
)

// Main is latchkey-sim without the process: arguments in, output and exit code
// out.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var grammar struct {
		Serve serveCmd `cmd:"" help:"Run a simulated building on pseudo-terminals."`
		Badge badgeCmd `cmd:"" help:"Hold a card to a reader; exit 0 granted, 3 denied, 4 no answer."`
	}
	env := &program.Env{Context: ctx, Stdout: stdout, Stderr: stderr}
	return program.Run(env, "latchkey-sim", "A simulated building: readers and door controllers without the hardware.", &grammar, args)
}

type serveCmd struct {
	Config string `help:"The building, as JSON." required:"" placeholder:"FILE"`
	Listen string `help:"Where the API listens; keep it on loopback." default:"127.0.0.1:9460"`
}

func (c *serveCmd) Run(e *program.Env) (err error) {
	text, err := os.ReadFile(c.Config)
	if err != nil {
		return err
	}
	var cfg Config
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&cfg); err != nil {
		return fmt.Errorf("%s: %w", c.Config, err)
	}
	b, err := Open(cfg, slog.New(slog.NewTextHandler(e.Stderr, nil)).With("program", "sim"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: b.Handler(), ReadHeaderTimeout: 5 * time.Second}
	g, ctx := errgroup.WithContext(e.Context)
	g.Go(func() error { return b.Run(ctx) })
	g.Go(func() error {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error { <-ctx.Done(); return srv.Close() })
	return g.Wait()
}

type badgeCmd struct {
	URL      string  `help:"The simulator's URL." required:"" placeholder:"URL"`
	Reader   string  `help:"The reader's name." required:""`
	Format   string  `help:"The card's Wiegand format." default:"H10302"`
	Facility *uint64 `help:"The facility code, where the format has one."`
	Number   uint64  `help:"The card number." required:""`
}

// A Shown is the line that `badge` prints.
type Shown struct {
	Decision  string        `json:"decision"`
	Reason    access.Reason `json:"reason"`
	DecidedBy string        `json:"decided_by"`
	LatencyMS float64       `json:"latency_ms"`
}

func (c *badgeCmd) Run(e *program.Env) error {
	bits, err := c.bits()
	if err != nil {
		return err
	}
	var o Outcome
	if err := call(e.Context, http.MethodPost, c.URL+"/badge", Card{c.Reader, bits}, &o); err != nil {
		return err
	}
	line, err := json.Marshal(Shown{o.Decision, c.reason(e.Context, o), o.DecidedBy, o.LatencyMS})
	if err != nil {
		return err
	}
	fmt.Fprintf(e.Stdout, "%s\n", line)
	switch o.Decision {
	case DecisionGranted:
		return nil
	case DecisionDenied:
		return exitDenied
	default:
		return exitNone
	}
}

func (c *badgeCmd) bits() (wiegand.Bits, error) {
	cat, err := wiegand.Load()
	if err != nil {
		return wiegand.Bits{}, err
	}
	f, ok := cat.Lookup(c.Format)
	if !ok {
		return wiegand.Bits{}, fmt.Errorf("format %q: want one of the formats that `latchkey-agent card formats` lists", c.Format)
	}
	fields := map[string]uint64{"card": c.Number}
	if c.Facility != nil {
		fields["facility"] = *c.Facility
	}
	return f.Encode(fields)
}

// reasonWait is how long the site may take to write its event down.
const reasonWait = 700 * time.Millisecond

// reason looks into the site's event log for what was decided at the reader
// just now. A site that cannot be asked leaves it unknown.
func (c *badgeCmd) reason(ctx context.Context, o Outcome) access.Reason {
	const unknown = "unknown"
	if o.Decision == DecisionNone {
		return unknown
	}
	var readers []ReaderInfo
	if err := call(ctx, http.MethodGet, c.URL+"/readers", nil, &readers); err != nil {
		return unknown
	}
	ctx, cancel := context.WithTimeout(ctx, reasonWait)
	defer cancel()
	for _, r := range readers {
		if r.Name != c.Reader || r.EventLog == "" {
			continue
		}
		q := url.Values{"reader": {c.Reader}, "kind": {access.EventAccess}, "limit": {"1"}, "since": {o.At.Add(-time.Millisecond).Format(time.RFC3339Nano)}}
		for ctx.Err() == nil {
			var events []access.Event
			if err := call(ctx, http.MethodGet, strings.TrimRight(r.EventLog, "/")+"/api/events?"+q.Encode(), nil, &events); err == nil && len(events) > 0 {
				return events[0].Reason
			}
			pause.For(ctx, 30*time.Millisecond)
		}
	}
	return unknown
}

// call does one JSON request. An answer that is not 200 is an error with the
// text that came.
func call(ctx context.Context, method, u string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, u, body)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		var p struct{ Error string }
		if json.Unmarshal(text, &p) == nil && p.Error != "" {
			return errors.New(p.Error)
		}
		return fmt.Errorf("%s %s: %s: %s", method, u, resp.Status, bytes.TrimSpace(text))
	}
	return json.Unmarshal(text, out)
}

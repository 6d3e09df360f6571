// Package building is a simulated building: OSDP readers and door controllers
// on pseudo-terminals, as an agent would find them on serial ports, and an
// HTTP API to hold cards to the readers and to look at what the hardware did.
//
// The agents and the building share nothing but the ptys.
package building

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"latchkey/serialline/linktest"
	"latchkey/wiegand"
)

// A Config says what stands in the building. It is the file that
// `latchkey-sim serve` reads, as JSON.
type Config struct {
	// Dir keeps the controllers' tables, and in dev/ a link for each line by
	// its name, which stays the same when the simulator is started again.
	Dir         string       `json:"dir"`
	Lines       []Line       `json:"lines"`
	Controllers []Controller `json:"controllers"`
	// EventLogs are the status pages of the sites, by site: only `badge` asks
	// there, for the reason that the site wrote down.
	EventLogs map[string]string `json:"event_logs,omitempty"`
}

// A Line is one RS-485 line of OSDP readers.
type Line struct {
	Name    string   `json:"name"`
	Site    string   `json:"site"`
	Readers []Reader `json:"readers"`
}

// A Reader is one OSDP reader with a strike on output 0.
type Reader struct {
	Name    string `json:"name"`
	Address uint8  `json:"address"` // 0 to 126
}

// A Controller is one door controller on the serial door link, with a table of
// its own.
type Controller struct {
	Name    string   `json:"name"`
	Site    string   `json:"site"`
	Address uint8    `json:"address"` // 1 to 126
	Readers []string `json:"readers"` // reader i stands at door i; 1 to 4
}

// The decisions that a badge can meet.
const (
	DecisionGranted = "granted"
	DecisionDenied  = "denied"
	DecisionNone    = "none" // nobody answered within answerWait
)

// answerWait is how long a card is held to a reader.
const answerWait = 2 * time.Second

// An Outcome is what a person at the reader saw.
type Outcome struct {
	Decision  string    `json:"decision"`
	DecidedBy string    `json:"decided_by,omitempty"` // "agent" or "controller"
	At        time.Time `json:"at"`                   // when the card was held to the reader
	LatencyMS float64   `json:"latency_ms"`
}

// A Building is the running hardware.
type Building struct {
	cfg     Config
	log     *slog.Logger
	readers map[string]*reader
	order   []string // reader names as configured
	tables  []table
	tasks   []task
	closers []func() error
}

type task struct {
	name string
	run  func(context.Context) error
}

type table struct {
	Controller
	hw *linktest.Controller
}

// A reader is one place to hold a card to. One card at a time.
type reader struct {
	name, site string
	decidedBy  string
	mu         sync.Mutex // held while a card is at the reader
	hold       func(ctx context.Context, b wiegand.Bits) string
	mute       func(bool)

	tally   sync.Mutex // guards the counts
	granted uint64
	denied  uint64
	none    uint64
}

// Open makes the building of cfg: its ptys and its controllers' tables. Close
// must be called once Run has returned, or in its place. log may be nil.
func Open(cfg Config, log *slog.Logger) (_ *Building, err error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	b := &Building{cfg: cfg, log: log, readers: map[string]*reader{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	if err := os.MkdirAll(filepath.Join(cfg.Dir, "dev"), 0o755); err != nil {
		return nil, fmt.Errorf("building: %w", err)
	}
	for _, l := range cfg.Lines {
		if err := b.addLine(l); err != nil {
			return nil, fmt.Errorf("building: line %s: %w", l.Name, err)
		}
	}
	for _, c := range cfg.Controllers {
		if err := b.addController(c); err != nil {
			return nil, fmt.Errorf("building: controller %s: %w", c.Name, err)
		}
	}
	if len(b.readers) == 0 {
		return nil, errors.New("building: no readers: want a line or a controller")
	}
	return b, nil
}

// Close gives the ptys and tables back.
func (b *Building) Close() error {
	var errs []error
	for _, c := range slices.Backward(b.closers) {
		errs = append(errs, c())
	}
	b.closers = nil
	return errors.Join(errs...)
}

// Run works the hardware until ctx ends.
func (b *Building) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, t := range b.tasks {
		g.Go(func() error {
			if err := t.run(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("building: %s: %w", t.name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// Badge holds a card to the named reader until somebody answers, for 2 s at
// the most.
func (b *Building) Badge(ctx context.Context, name string, bits wiegand.Bits) (Outcome, error) {
	r, ok := b.readers[name]
	if !ok {
		return Outcome{}, fmt.Errorf("building: no reader %q; there are %v", name, b.order)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	start := time.Now()
	o := Outcome{Decision: r.hold(ctx, bits), At: start.UTC()}
	o.LatencyMS = float64(time.Since(start).Microseconds()) / 1000
	if o.Decision != DecisionNone {
		o.DecidedBy = r.decidedBy
	}
	r.count(o.Decision)
	return o, nil
}

func (r *reader) count(decision string) {
	r.tally.Lock()
	defer r.tally.Unlock()
	switch decision {
	case DecisionGranted:
		r.granted++
	case DecisionDenied:
		r.denied++
	default:
		r.none++
	}
}

func (b *Building) add(r *reader) error {
	if _, ok := b.readers[r.name]; ok || r.name == "" {
		return fmt.Errorf("reader %q: want a name that no other reader has", r.name)
	}
	b.readers[r.name] = r
	b.order = append(b.order, r.name)
	return nil
}

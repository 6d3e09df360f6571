package siteapp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"latchkey/internal/program"
	"latchkey/osdp/capture"
)

type traceCmd struct {
	siteFile
	Reader      string        `help:"Only this reader, by its name in the site file; otherwise all lines."`
	Out         string        `help:"A file to write, whose name ends in .osdpcap or .pcapng; otherwise each frame is explained at once." placeholder:"FILE"`
	For         time.Duration `help:"How long to record." default:"30s"`
	JSON        bool          `help:"Print osdpcap, a JSON object a frame."`
	ShowSecrets bool          `help:"Keep cards, PINs and keys that cross the line in the clear. Whoever has the file has them."`
}

// maxTrace is the longest time to record in one go.
const maxTrace = 24 * time.Hour

// Run records until its time is up or it is interrupted; both are as it should
// be.
func (c *traceCmd) Run(e *program.Env) error {
	format := capture.OSDPCap
	if c.Out != "" && c.JSON {
		return errors.New("osdp trace: --out and --json: want one of them")
	}
	if c.Out != "" {
		var err error
		if format, err = traceFormat(c.Out); err != nil {
			return fmt.Errorf("osdp trace: %w", err)
		}
	}
	if c.For < time.Second || c.For > maxTrace {
		return fmt.Errorf("osdp trace: --for %v: want 1s to %v", c.For, maxTrace)
	}
	cfg, _, err := c.load()
	if err != nil {
		return err
	}
	q := url.Values{"reader": {c.Reader}, "format": {format.String()}, "seconds": {strconv.Itoa(int(c.For.Seconds()))}}
	if c.ShowSecrets {
		q.Set("secrets", "true")
	}
	body, err := newControlClient(cfg.StateDir).do(e.Context, http.MethodGet, "/osdp/trace?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	defer body.Close()
	switch {
	case c.Out == "" && c.JSON:
		return record(e.Context, e.Stdout, body)
	case c.Out == "":
		r, err := capture.NewReader(body)
		if err != nil {
			return fmt.Errorf("osdp trace: %w", err)
		}
		return describe(e.Stdout, r.All(), capture.Options{ShowSecrets: c.ShowSecrets})
	}
	f, err := createTrace(c.Out)
	if err != nil {
		return fmt.Errorf("osdp trace: %w", err)
	}
	return errors.Join(record(e.Context, f, body), f.Close())
}

// traceFormat is the format of a trace to be written to path.
func traceFormat(path string) (capture.Format, error) {
	format, err := capture.ParseFormat(strings.TrimPrefix(filepath.Ext(path), "."))
	if err != nil {
		return 0, fmt.Errorf("--out %s: want a name that ends in .osdpcap or .pcapng", path)
	}
	return format, nil
}

// createTrace makes the file of a trace. Nobody but who asked may read it: even
// without secrets it tells who works here, and when. So it must be new: a file
// that is there keeps its mode, and a link leads to another's. It may also be
// the trace that is read.
func createTrace(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("--out %s: is there already, and is not written over: want a new name, or remove it", path)
	}
	return f, err
}

// record copies a trace until ctx ends.
func record(ctx context.Context, w io.Writer, trace io.Reader) error {
	if _, err := io.Copy(w, trace); err != nil && ctx.Err() == nil {
		return fmt.Errorf("osdp trace: %w", err)
	}
	return nil
}

package siteapp

import (
	"context"
	"fmt"

	"latchkey/agent"
	"latchkey/controller"
	"latchkey/internal/readerkeys"
	"latchkey/osdp"
)

// An osdpLine is a line's driver as operators need it: a *controller.OSDP.
type osdpLine interface {
	Name() string
	Rotate(ctx context.Context, reader string) error
	Install(ctx context.Context, reader string) error
	Import(ctx context.Context, reader string, key osdp.Key) error
	Forget(reader string) error
	Quality() []osdp.PDStats
	Tap(f func(osdp.Captured)) (stop func())
}

// readers are all OSDP readers of a site, whatever line they are on.
type readers struct {
	cfg   []agent.OSDPConfig
	lines map[string]osdpLine // by name
}

// newReaders finds the lines of cfg among drivers.
func newReaders(cfg *agent.Config, drivers []controller.Driver) *readers {
	r := &readers{cfg.OSDP, map[string]osdpLine{}}
	for _, d := range drivers {
		if l, ok := d.(osdpLine); ok {
			r.lines[l.Name()] = l
		}
	}
	return r
}

// line is where the named reader is.
func (r *readers) line(name string) (osdpLine, uint8, error) {
	for _, l := range r.cfg {
		for _, reader := range l.Readers {
			if reader.Name == name {
				return r.lines[l.Name], reader.Address, nil
			}
		}
	}
	return nil, 0, fmt.Errorf("%w: the site file has no OSDP reader %q; `latchkey-agent osdp quality` lists them", controller.ErrUnknownDoor, name)
}

func (r *readers) Rotate(ctx context.Context, reader string) error {
	l, _, err := r.line(reader)
	if err != nil {
		return err
	}
	return l.Rotate(ctx, reader)
}

func (r *readers) Install(ctx context.Context, reader string) error {
	l, _, err := r.line(reader)
	if err != nil {
		return err
	}
	return l.Install(ctx, reader)
}

func (r *readers) Import(ctx context.Context, reader string, key osdp.Key) error {
	l, _, err := r.line(reader)
	if err != nil {
		return err
	}
	return l.Import(ctx, reader, key)
}

func (r *readers) Forget(reader string) error {
	l, _, err := r.line(reader)
	if err != nil {
		return err
	}
	return l.Forget(reader)
}

// strangers says which of the places that keys are kept for are not in the site
// file: a line that was renamed there has lost the keys of its readers.
func strangers(cfg *agent.Config, places []string) (problems []string) {
	known := map[string]bool{}
	for _, l := range cfg.OSDP {
		for _, r := range l.Readers {
			known[readerkeys.Place(l.Name, r.Address)] = true
		}
	}
	for _, p := range places {
		if !known[p] {
			problems = append(problems, fmt.Sprintf("There is a key for a reader at %s, which is not in the site file. If its line has another name now, give the line its old one.", p))
		}
	}
	return problems
}

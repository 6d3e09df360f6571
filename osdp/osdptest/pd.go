// Package osdptest is a simulated OSDP reader, for tests and for a building
// that stands on no wall.
package osdptest

import (
	"context"

	"latchkey/osdp"
	"latchkey/wiegand"
)

// A Config describes a simulated PD.
type Config struct {
	Addr      uint8      // 0 to 126
	ID        osdp.PDID  // what it says it is
	Caps      osdp.PDCAP // nil: worked out from Readers, Inputs and Outputs
	Readers   int        // reader heads, 1 when 0
	Inputs    int
	Outputs   int
	OnCommand func(osdp.Command)        // each command that is carried out, repeats not
	OnOutput  func(output int, on bool) // each change of an output
}

// A PD is a simulated reader.
type PD struct{ cfg Config }

// NewPD returns a PD that is switched on and waits for its panel.
func NewPD(c Config) *PD { return &PD{cfg: c} }

// Serve answers on port until ctx ends, and then returns nil.
func (p *PD) Serve(ctx context.Context, port osdp.Port) error { return ServeLine(ctx, port, p) }

// ServeLine answers for several PDs on one line.
func ServeLine(ctx context.Context, port osdp.Port, pds ...*PD) error { <-ctx.Done(); return nil }

// Present holds a card before a reader head.
func (p *PD) Present(reader uint8, b wiegand.Bits) {}

// Key presses keys at reader head 0.
func (p *PD) Key(digits string) {}

// SetInput changes an input.
func (p *PD) SetInput(n int, on bool) {}

// Mute makes the PD silent, and deaf.
func (p *PD) Mute(on bool) {}

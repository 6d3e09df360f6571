package delta

import (
	"fmt"
	"math"
)

// How much of what opens may go without anybody's word (design, "Mass-loss
// guard"): up to MassPercent of it, or MassOpenings where that is more.
const (
	MassPercent  = 10
	MassOpenings = 20
)

// MassLimit is how many of held openings may go within an hour without anybody's
// word.
func MassLimit(held int) int { return max(held*MassPercent/100, MassOpenings) }

// Uncovered is how many of lost openings nobody's word covers: all of them where
// a is nil.
func (a *Approval) Uncovered(lost int) int {
	if a == nil {
		return lost
	}
	return max(lost-a.Removes, 0)
}

func (a *Approval) check() error {
	if a == nil {
		return nil
	}
	if err := checkText("approved.by", a.By, 1, 256); err != nil {
		return err
	}
	return checkCount("approved.removes", a.Removes)
}

func checkCount(field string, n int) error {
	if n < 0 || n > math.MaxInt32 {
		return fmt.Errorf("%s %d, want 0 to %d", field, n, math.MaxInt32)
	}
	return nil
}

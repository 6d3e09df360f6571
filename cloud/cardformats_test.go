package cloud_test

import (
	"testing"

	"latchkey/cloud"
)

// TestCardFormats: each format that is offered is one that a badge type takes,
// with the highest facility code that it says and with no higher one.
func TestCardFormats(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	with := 0
	formats := w.svc.CardFormats()
	for _, f := range formats {
		put := func(facility *uint64) error {
			_, err := w.svc.PutBadgeType(w.ctx, admin, "acme", cloud.BadgeType{ID: "try", Format: f.Name, Facility: facility})
			return err
		}
		w.ok(put(f.Facility))
		if f.Facility == nil {
			w.refused(put(new(uint64)))
			continue
		}
		with++
		if *f.Facility < 1<<63 {
			w.refused(put(new(*f.Facility + 1)))
		}
	}
	if len(formats) < 50 || with < 30 {
		t.Errorf("got %d formats, %d of them with a facility code", len(formats), with)
	}
}

package pause_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/internal/pause"
)

func TestFor(t *testing.T) {
	for _, tt := range []struct {
		name          string
		d, ends, want time.Duration // ends: ctx does; want: the wait
		alive         bool
	}{
		{"to its end", time.Minute, time.Hour, time.Minute, true},
		{"no time", 0, time.Hour, 0, true},
		{"less than none", -time.Minute, time.Hour, 0, true},
		{"ended meanwhile", time.Hour, time.Minute, time.Minute, false},
		{"ended before", time.Hour, 0, 0, false},
		{"ended before, and no time", 0, 0, 0, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), tt.ends)
			defer cancel()
			began := time.Now()
			if alive := pause.For(ctx, tt.d); alive != tt.alive || time.Since(began) != tt.want {
				t.Errorf("%s: alive %v after %v, want %v after %v", tt.name, alive, time.Since(began), tt.alive, tt.want)
			}
		})
	}
}

package ago_test

import (
	"testing"
	"time"

	"latchkey/internal/ago"
)

func TestWords(t *testing.T) {
	now := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		age  time.Duration
		want string
	}{
		{0, "just now"}, {10*time.Second - 1, "just now"}, {10 * time.Second, "10 seconds ago"}, {time.Minute, "60 seconds ago"}, {2*time.Minute - 1, "119 seconds ago"},
		{2 * time.Minute, "2 minutes ago"}, {2*time.Hour - 1, "119 minutes ago"}, {2 * time.Hour, "2 hours ago"}, {48*time.Hour - 1, "47 hours ago"},
		{48 * time.Hour, "2 days ago"}, {1000 * time.Hour, "41 days ago"},
		{-time.Minute + 1, "just now"}, {-time.Minute, "60 seconds in the future"}, {-5 * time.Minute, "5 minutes in the future"}, {-72 * time.Hour, "3 days in the future"},
	} {
		if got := ago.Words(now, now.Add(-tt.age)); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.age, got, tt.want)
		}
	}
	if got := ago.Words(now, time.Time{}); got != "never" {
		t.Errorf("the zero time: %q, want never", got)
	}
}

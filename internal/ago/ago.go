// Package ago says in words how long ago something was, so that all pages say
// it alike.
package ago

import (
	"fmt"
	"time"
)

// Words says how old t is at now: "just now", "5 minutes ago", "3 days ago", and
// "never" for the zero time. What is a minute or more ahead of now, as after a
// clock that went back, is "5 minutes in the future".
func Words(now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case t.IsZero():
		return "never"
	case d <= -time.Minute:
		return span(-d) + " in the future"
	case d < 10*time.Second:
		return "just now"
	}
	return span(d) + " ago"
}

// span is d, of 2 seconds or more, in the one unit that fits it; never 1 of it.
func span(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d seconds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

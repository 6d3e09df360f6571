package okta

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// How long a call waits before it is made again.
const (
	firstBackoff = time.Second
	maxBackoff   = time.Minute
	// A bucket is of one minute: a Reset that is further away is a clock that is
	// wrong, ours or theirs.
	maxPause = 2 * time.Minute
)

// A Rate is what Okta said last of one of its rate limits.
type Rate struct {
	Limit     int       `json:"limit"`          // calls a minute
	Remaining int       `json:"remaining"`      // of them
	Reset     time.Time `json:"reset,omitzero"` // when Remaining is Limit again, by Okta's clock
}

// rateOf reads the rate limit in h; ok is false where it is not there whole.
func rateOf(h http.Header) (r Rate, ok bool) {
	limit, err1 := strconv.Atoi(h.Get("X-Rate-Limit-Limit"))
	remaining, err2 := strconv.Atoi(h.Get("X-Rate-Limit-Remaining"))
	reset, err3 := strconv.ParseInt(h.Get("X-Rate-Limit-Reset"), 10, 64)
	if err1 != nil || err2 != nil || err3 != nil || limit < 0 || remaining < 0 {
		return Rate{}, false
	}
	return Rate{Limit: limit, Remaining: remaining, Reset: time.Unix(reset, 0).UTC()}, true
}

// low says that a tenth of the bucket or less is left, which is for others:
// the organisation's own programs share it.
func (r Rate) low() bool { return r.Remaining*10 <= r.Limit }

// untilReset is how long the bucket needs to fill, measured by Okta's clock
// alone (Reset − Date + 1 s), so that ours may be wrong.
func (r Rate) untilReset(date time.Time) time.Duration {
	return min(max(r.Reset.Sub(date)+time.Second, time.Second), maxPause)
}

// pauseAfter is how long to wait after an answer before the same bucket is
// asked again; 0 is not at all. try counts the answers 429 in a row.
func pauseAfter(code int, h http.Header, now time.Time, try int) time.Duration {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		date = now
	}
	r, ok := rateOf(h)
	switch {
	case code == http.StatusTooManyRequests && (!ok || r.Limit == 0 || r.Remaining > 0):
		// Too many calls at once rather than too many a minute: Reset is then
		// only a hint, and says nothing about when another call ends.
		return backoff(try)
	case code == http.StatusTooManyRequests, ok && r.Limit > 0 && r.low():
		return r.untilReset(date)
	}
	return 0
}

// backoff is the wait before try n, from 1: it doubles up to maxBackoff, and
// half of it is random, so that those who failed together do not come back
// together.
func backoff(n int) time.Duration {
	d := maxBackoff
	if n < 7 {
		d = min(firstBackoff<<max(n-1, 0), maxBackoff)
	}
	return d/2 + rand.N(d/2+1)
}

package okta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"latchkey/internal/pause"
)

// Limits of one call.
const (
	callTimeout = 60 * time.Second // from the request to the last byte of the answer
	maxAnswer   = 32 << 20         // bytes; a page of 200 users has some 600 KB
	maxTries    = 6                // of a call that fails
	maxBusy     = 12               // answers 429 in a row
	maxPages    = 100_000          // of one list
)

// A ClientConfig says whom a Client asks, and how.
type ClientConfig struct {
	Domain    string // as ParseDomain takes it
	Token     Token
	Transport http.RoundTripper // nil is one of the Client's own
	Log       *slog.Logger      // nil discards
}

// A Client reads one Okta organisation. It may be used by any number of
// goroutines, which then wait for one another's rate limits.
//
// A call is made again, with growing waits, when the connection breaks, also in
// the middle of an answer, when Okta fails (5xx), and when it has had too many
// calls (429). It stops on its own at a tenth of the calls that are left.
type Client struct {
	base  *url.URL
	token Token
	http  *http.Client
	log   *slog.Logger

	mu     sync.Mutex
	pauses map[string]time.Time // by bucket: when it may be asked again
	rates  map[string]Rate
	calls  int
	used   time.Time
}

// NewClient makes a Client. Nothing is asked yet.
func NewClient(c ClientConfig) (*Client, error) {
	base, err := ParseDomain(c.Domain)
	if err != nil {
		return nil, err
	}
	if c.Transport == nil {
		c.Transport = NewTransport()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Client{
		base: base, token: c.Token, log: c.Log, pauses: map[string]time.Time{}, rates: map[string]Rate{},
		http: &http.Client{Transport: c.Transport, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // the token goes nowhere else
		}},
	}, nil
}

// NewTransport is how a Client without one of its ClientConfig reaches Okta.
func NewTransport() *http.Transport {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: callTimeout, IdleConnTimeout: 90 * time.Second,
		MaxConnsPerHost: 2, MaxResponseHeaderBytes: 64 << 10,
	}
}

// Stats is what a Client has seen.
type Stats struct {
	Calls    int             `json:"calls"`                 // answered, since the Client was made
	LastUsed time.Time       `json:"token_used,omitzero"`   // when Okta last took the token
	Rates    map[string]Rate `json:"rate_limits,omitempty"` // by what was asked: users, groups, …
	Paused   time.Time       `json:"paused_until,omitzero"` // the latest of the pauses that a rate limit asked for
}

// Stats returns what c has seen so far.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := Stats{Calls: c.calls, LastUsed: c.used, Rates: maps.Clone(c.rates)}
	for _, t := range c.pauses {
		if t.After(st.Paused) && t.After(time.Now()) {
			st.Paused = t
		}
	}
	return st
}

// An answer is a success of Okta.
type answer struct {
	date   time.Time // Okta's clock
	header http.Header
}

// get asks for u and reads the answer into v. bucket names the rate limit.
func (c *Client) get(ctx context.Context, bucket string, u *url.URL, v any) (answer, error) {
	failed, busy := 0, 0
	for {
		if err := c.waitFor(ctx, bucket); err != nil {
			return answer{}, err
		}
		a, code, err := c.once(ctx, bucket, u, v, busy+1)
		var wait time.Duration
		switch {
		case err == nil:
			return a, nil
		case ctx.Err() != nil:
			return answer{}, ctx.Err()
		case code == http.StatusTooManyRequests:
			if busy++; busy > maxBusy { // its pause is the bucket's
				return answer{}, err
			}
		case !passing(code, err):
			return answer{}, err
		default:
			if failed++; failed >= maxTries {
				return answer{}, fmt.Errorf("%w (%d times)", err, failed)
			}
			wait = backoff(failed)
		}
		c.log.DebugContext(ctx, "Okta is asked again", "what", bucket, "err", err, "wait", wait)
		if !pause.For(ctx, wait) {
			return answer{}, ctx.Err()
		}
	}
}

// passing says whether what went wrong may be over soon.
func passing(code int, err error) bool {
	_, isAnswer := errors.AsType[*Error](err)
	return !isAnswer || code >= 500
}

// once makes one call. Its error is an *Error where Okta answered.
func (c *Client) once(ctx context.Context, bucket string, u *url.URL, v any, try int) (answer, int, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return answer{}, 0, fmt.Errorf("okta: %s: %w", bucket, err)
	}
	req.Header.Set("Authorization", "SSWS "+string(c.token))
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "latchkey-cloud")
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, 0, fmt.Errorf("okta: %s: %w", bucket, bare(err))
	}
	defer resp.Body.Close()
	c.heard(bucket, resp, try)
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return answer{}, 0, fmt.Errorf("okta: %s: the answer breaks off after %d bytes: %w", bucket, len(body), bare(err))
	case len(body) > maxAnswer:
		return answer{}, 0, fmt.Errorf("okta: %s: got an answer of more than %d bytes, want at most that", bucket, maxAnswer)
	case resp.StatusCode != http.StatusOK:
		return answer{}, resp.StatusCode, problem(bucket, resp.StatusCode, body)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return answer{}, 0, fmt.Errorf("okta: %s: the answer is not what the API promises: %w", bucket, err)
	}
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		date = time.Now()
	}
	return answer{date, resp.Header}, resp.StatusCode, nil
}

// bare is err without the URL that *url.Error repeats.
func bare(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// problem reads Okta's own words from the body of a refusal.
func problem(what string, status int, body []byte) error {
	var e struct {
		Code    string `json:"errorCode"`
		Summary string `json:"errorSummary"`
	}
	json.Unmarshal(body, &e) // what is no JSON comes from something in between
	return &Error{What: what, Status: status, Code: printable(e.Code, 20), Summary: printable(e.Summary, 200)}
}

// printable is at most n characters of s on one line.
func printable(s string, n int) string {
	var b strings.Builder
	for _, r := range s {
		if b.Len() >= n {
			break
		}
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}

// heard notes what an answer says of its rate limit.
func (c *Client) heard(bucket string, resp *http.Response, try int) {
	now := time.Now()
	pause := pauseAfter(resp.StatusCode, resp.Header, now, try)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	if resp.StatusCode == http.StatusOK {
		c.used = now
	}
	if r, ok := rateOf(resp.Header); ok {
		c.rates[bucket] = r
	}
	if pause > 0 {
		c.pauses[bucket] = now.Add(pause)
	}
}

// waitFor waits until bucket may be asked.
func (c *Client) waitFor(ctx context.Context, bucket string) error {
	c.mu.Lock()
	until := c.pauses[bucket]
	c.mu.Unlock()
	pause.For(ctx, time.Until(until))
	return ctx.Err()
}

package okta

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// HookPath is where event hooks are served, before an organisation's id.
const HookPath = "/okta/events/"

// maxHook is how large an event hook's body may be, in bytes, and maxChallenge
// how long the challenge of a verification.
const (
	maxHook      = 1 << 20
	maxChallenge = 1024
)

// ServeHTTP answers Okta's event hooks below HookPath: the verification, which
// echoes a challenge, and events, which show the secret of the connection as
// their Authorization. An event only queues a ping, so the answer comes well
// within the 3 s that Okta waits.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	org, ok := strings.CutPrefix(r.URL.Path, HookPath)
	// Without a reader there is nothing to compare with, but the same is done, so
	// that the time says nothing of who is a customer.
	conn, err := s.connection(r.Context(), org)
	if !ok || err != nil {
		conn = connection{}
	}
	shown := sha256.Sum256([]byte(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")))
	if subtle.ConstantTimeCompare(shown[:], conn.Hook[:]) != 1 || err != nil {
		http.Error(w, "want the event hook's secret as Authorization", http.StatusUnauthorized)
		return
	}
	switch r.Method {
	case http.MethodGet:
		verify(w, r.Header.Get("X-Okta-Verification-Challenge"))
	case http.MethodPost:
		s.hooked(w, r, org, conn.Domain)
	default:
		w.Header().Set("Allow", "GET, POST")
		http.Error(w, "want GET or POST", http.StatusMethodNotAllowed)
	}
}

func verify(w http.ResponseWriter, challenge string) {
	if challenge == "" || len(challenge) > maxChallenge {
		http.Error(w, "want the header x-okta-verification-challenge", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]string{"verification": challenge})
}

// hooked queues the objects that an event hook names, here or for the process
// that reads.
func (s *Service) hooked(w http.ResponseWriter, r *http.Request, org, domain string) {
	var body struct {
		Data struct {
			Events []Event `json:"events"`
		} `json:"data"`
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxHook))
	if err == nil {
		err = json.Unmarshal(text, &body)
	}
	if err != nil {
		http.Error(w, "want an event hook's JSON of at most 1 MiB", http.StatusBadRequest)
		return
	}
	var p pings
	p.add(body.Data.Events)
	switch reader := s.reader(org); {
	case p.empty():
	case reader != nil:
		reader.ping(p) // what does not fit is in the System Log, too
	case s.cloud.Leases() != nil:
		if err := s.passOn(r.Context(), org, domain, p); err != nil {
			s.o.Log.ErrorContext(r.Context(), "an event hook could not be passed on", "org", org, "err", err)
			http.Error(w, "try again", http.StatusServiceUnavailable)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

package siteapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"latchkey/controller"
	"latchkey/osdp"
	"latchkey/osdp/capture"
)

const (
	controlBody = 4 << 10 // bytes of a request, far more than any has

	// maxWindow is the longest time for which a reader without a key of its own
	// may be given one over the default key.
	maxWindow = 10 * time.Minute
	// actTime is how long any other act may take: a reader that is asked once a
	// second because it is ill gets a few chances.
	actTime = 30 * time.Second
)

// A readerKeeper does what an operator wants done to OSDP readers, each called
// by its name in the site file. A name that is none is a
// controller.ErrUnknownDoor. The first three wait until the reader has proven
// its key, or ctx ends.
type readerKeeper interface {
	// Install gives a reader in installation mode a new key, over the default
	// key: whoever listens on the line learns it.
	Install(ctx context.Context, reader string) error
	// Rotate gives a reader a new key under the one that it has.
	Rotate(ctx context.Context, reader string) error
	// Import takes the key that a reader has already.
	Import(ctx context.Context, reader string, key osdp.Key) error
	// Forget lets another device take the reader's place.
	Forget(reader string) error

	Quality() []readerQuality
	// Trace gives emit what the line of a reader carries, or all lines for "",
	// until ctx ends (nil) or emit fails. It calls ready once it listens.
	Trace(ctx context.Context, reader string, ready func(), emit func(capture.Record) error) error
}

// A keyRequest asks for an act on one reader's key.
type keyRequest struct {
	Reader string `json:"reader"`
	// Seconds is how long a window of keyset stays open, InsecureBus the
	// operator's consent to it.
	Seconds     int  `json:"seconds,omitzero"`
	InsecureBus bool `json:"insecure_bus,omitzero"`
	// Key is the one that the reader has, for import.
	Key string `json:"key,omitzero"`
}

// A refusal is the body of an answer other than 200.
type refusal struct {
	Error string `json:"error"`
}

// A controlServer serves the operator's acts.
type controlServer struct {
	keeper readerKeeper
	log    *slog.Logger
}

// newControl is what the control socket answers.
func newControl(k readerKeeper, log *slog.Logger) http.Handler {
	c := &controlServer{k, log}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /osdp/keyset", c.act("keyset", c.keyset))
	mux.HandleFunc("POST /osdp/import", c.act("import", c.importKey))
	mux.HandleFunc("POST /osdp/rotate", c.act("rotate", func(ctx context.Context, r keyRequest) error { return k.Rotate(ctx, r.Reader) }))
	mux.HandleFunc("POST /osdp/forget", c.act("forget", func(_ context.Context, r keyRequest) error { return k.Forget(r.Reader) }))
	mux.HandleFunc("GET /osdp/quality", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, k.Quality()) })
	mux.HandleFunc("GET /osdp/trace", c.trace)
	return mux
}

// act makes a handler of f. Each act is logged twice, when it begins and when it
// ends, with who asked for it.
func (c *controlServer) act(name string, f func(context.Context, keyRequest) error) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		in, err := readRequest(w, req)
		if err != nil {
			answer(w, http.StatusBadRequest, refusal{err.Error()})
			return
		}
		// The server's own limits are for requests that are answered at once; and
		// its read deadline would end ctx.
		long := http.NewResponseController(w)
		if err := errors.Join(long.SetReadDeadline(time.Time{}), long.SetWriteDeadline(time.Now().Add(maxWindow+actTime))); err != nil {
			answer(w, http.StatusInternalServerError, refusal{err.Error()})
			return
		}
		log := c.log.With("act", "osdp "+name, "reader", in.Reader, "by", peerOf(req.Context()))
		log.Info("operator acts")
		ctx, cancel := context.WithTimeout(req.Context(), actTime+time.Duration(in.Seconds)*time.Second)
		defer cancel()
		if err := f(ctx, in); err != nil {
			log.Warn("operator's act failed", "err", err)
			answer(w, statusOf(err), refusal{err.Error()})
			return
		}
		log.Info("operator's act is done")
		answer(w, http.StatusOK, struct{}{})
	}
}

func readRequest(w http.ResponseWriter, req *http.Request) (in keyRequest, err error) {
	dec := json.NewDecoder(http.MaxBytesReader(w, req.Body, controlBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return in, fmt.Errorf("request: %w", err) // encoding/json tells no strings
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return in, errors.New("request: more than one value, want one")
	}
	if in.Seconds < 0 || time.Duration(in.Seconds)*time.Second > maxWindow {
		return in, fmt.Errorf("request: %d seconds, want 0 to %d", in.Seconds, int(maxWindow.Seconds()))
	}
	return in, nil
}

// keyset opens a window for one reader. It closes with the first success, with
// its time, with the request and with the agent.
func (c *controlServer) keyset(ctx context.Context, in keyRequest) error {
	if !in.InsecureBus {
		return errors.New("keyset: want insecure_bus: the key goes over the default key, which everybody knows")
	}
	if in.Seconds == 0 {
		return errors.New("keyset: 0 seconds, want the time for which the window is open")
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(in.Seconds)*time.Second)
	defer cancel()
	return c.keeper.Install(ctx, in.Reader)
}

func (c *controlServer) importKey(ctx context.Context, in keyRequest) error {
	key, err := osdp.ParseKey(in.Key)
	if err != nil {
		return err
	}
	return c.keeper.Import(ctx, in.Reader, key)
}

// statusOf is the HTTP status for an act's error.
func statusOf(err error) int {
	switch {
	case errors.Is(err, controller.ErrUnknownDoor):
		return http.StatusNotFound
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	}
	return http.StatusConflict
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) // who hung up misses it
}

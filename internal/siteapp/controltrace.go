package siteapp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"latchkey/agent"
	"latchkey/osdp/capture"
)

// traceWrite is how long whoever watches a trace may take to read what is there.
const traceWrite = 10 * time.Second

// trace streams what a line carries, in the form of a file, for so many seconds
// or until the client hangs up.
func (c *controlServer) trace(w http.ResponseWriter, req *http.Request) {
	q := req.URL.Query()
	format, err := capture.ParseFormat(q.Get("format"))
	seconds, err2 := strconv.ParseUint(q.Get("seconds"), 10, 32)
	if err := errors.Join(err, err2); err != nil {
		answer(w, http.StatusBadRequest, refusal{err.Error()})
		return
	}
	long := http.NewResponseController(w)
	if err := long.SetReadDeadline(time.Time{}); err != nil { // it would end the request's context
		answer(w, http.StatusInternalServerError, refusal{err.Error()})
		return
	}
	secrets := q.Has("secrets")
	log := c.log.With("act", "osdp trace", "reader", q.Get("reader"), "secrets", secrets, "by", peerOf(req.Context()))
	log.Info("operator acts")
	defer log.Info("operator's act is done")
	ctx, cancel := context.WithTimeout(req.Context(), time.Duration(seconds)*time.Second)
	defer cancel()
	live := &liveWriter{w: w, long: long}
	out := capture.NewWriter(live, format, capture.Options{
		ShowSecrets: secrets, Source: agent.Software, Annotate: format == capture.PCAPNG, // Wireshark shows it; others say it themselves
	})
	err = c.keeper.Trace(ctx, q.Get("reader"), live.begin, func(r capture.Record) error {
		err := out.Write(r)
		if errors.Is(err, capture.ErrRecord) { // one that the format cannot hold
			log.Debug("frame not traced", "err", err)
			return nil
		}
		return err
	})
	if err == nil {
		err = out.Close()
	}
	if err != nil && !live.begun {
		answer(w, statusOf(err), refusal{err.Error()})
	}
}

// A liveWriter sends at once what it is given, to somebody who must read it in
// time.
type liveWriter struct {
	w     io.Writer
	long  *http.ResponseController
	begun bool
}

// begin tells the client that there is a trace; what there is to say about a
// client that has gone, Write says.
func (l *liveWriter) begin() {
	l.begun = true
	l.long.Flush()
}

func (l *liveWriter) Write(b []byte) (int, error) {
	if err := l.long.SetWriteDeadline(time.Now().Add(traceWrite)); err != nil {
		return 0, err
	}
	n, err := l.w.Write(b)
	if err != nil {
		return n, err
	}
	return n, l.long.Flush()
}

package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

//go:embed testdata/scim_vectors.json
var scimVectors []byte

// A sequence is a recorded conversation of a directory with a SCIM server.
type sequence struct {
	Name  string `json:"name"`
	Steps []struct {
		Method       string            `json:"method"`
		Path         string            `json:"path"`
		Headers      map[string]string `json:"headers"`
		Body         json.RawMessage   `json:"body"`
		ExpectStatus json.RawMessage   `json:"expectStatus"` // a number or a list of them
		Save         map[string]string `json:"save"`
		Effect       string            `json:"effect"` // what the doors should do then, in words
	} `json:"steps"`
}

// An entra sends what Microsoft Entra ID sends: the requests of recorded
// sequences, with a person's own values in them.
type entra struct {
	base  string // the tenant URL
	token string
	seqs  []sequence
}

func newEntra(base, token string) (*entra, error) {
	e := &entra{base: base, token: token}
	if err := json.Unmarshal(scimVectors, &e.seqs); err != nil {
		return nil, fmt.Errorf("recorded sequences: %w", err)
	}
	return e, nil
}

// A subject is who a request is about: the values for a sequence's variables.
type subject struct {
	vars map[string]string
	card string // the number as the directory sends it
}

func (s *subject) id() string { return s.vars["uid"] }

// send plays step i (from 0) of the named sequence about s and returns when the
// answer had come. edit may change the body's text before it is sent.
func (e *entra) send(ctx context.Context, name string, i int, s *subject, edit func(string) string) (time.Time, error) {
	n := slices.IndexFunc(e.seqs, func(q sequence) bool { return q.Name == name })
	if n < 0 || i >= len(e.seqs[n].Steps) {
		return time.Time{}, fmt.Errorf("no recorded request %s/%d", name, i)
	}
	step := e.seqs[n].Steps[i]
	fill := func(t string) string {
		for k, v := range s.vars {
			t = strings.ReplaceAll(t, "{{"+k+"}}", v)
		}
		return strings.ReplaceAll(t, "{{token}}", e.token)
	}
	body := fill(string(step.Body))
	if edit != nil {
		body = edit(body)
	}
	req, err := http.NewRequestWithContext(ctx, step.Method, e.base+fill(step.Path), bytes.NewReader([]byte(body)))
	if err != nil {
		return time.Time{}, err
	}
	for k, v := range step.Headers {
		req.Header.Set(k, fill(v))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return time.Time{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return time.Time{}, err
	}
	at := time.Now()
	if !bytes.Contains(step.ExpectStatus, fmt.Append(nil, resp.StatusCode)) {
		return at, fmt.Errorf("%s %s: %s, want %s: %s", step.Method, step.Path, resp.Status, step.ExpectStatus, text)
	}
	return at, s.save(step.Save, text)
}

func (s *subject) save(want map[string]string, body []byte) error {
	for name, pointer := range want {
		var doc map[string]any
		if err := json.Unmarshal(body, &doc); err != nil {
			return err
		}
		v, ok := doc[strings.TrimPrefix(pointer, "/")].(string)
		if !ok {
			return fmt.Errorf("the answer has no %s", pointer)
		}
		s.vars[name] = v
	}
	return nil
}

// The recorded sequences that the check uses, and their steps.
const (
	lifeCycle  = "entra-disable-then-restore-keeps-groups"
	stepUser   = 0
	stepGroup  = 1
	stepMember = 2
	stepOff    = 3
	stepOn     = 6
	cardChange = "entra-card-change"
	stepCard   = 1
	hardDelete = "entra-hard-delete"
	stepDelete = 1
)

// hire creates a person with a card and puts them into the group.
func (e *entra) hire(ctx context.Context, s *subject) (time.Time, error) {
	if _, err := e.send(ctx, lifeCycle, stepUser, s, func(b string) string {
		return strings.ReplaceAll(b, "777"+s.vars["digits"], s.card)
	}); err != nil {
		return time.Time{}, err
	}
	return e.send(ctx, lifeCycle, stepMember, s, nil)
}

func (e *entra) makeGroup(ctx context.Context, s *subject, name string) error {
	_, err := e.send(ctx, lifeCycle, stepGroup, s, func(b string) string {
		return strings.ReplaceAll(b, "Group_"+s.vars["rand"]+"_5", name)
	})
	return err
}

func (e *entra) disable(ctx context.Context, s *subject) (time.Time, error) {
	return e.send(ctx, lifeCycle, stepOff, s, nil)
}

func (e *entra) enable(ctx context.Context, s *subject) (time.Time, error) {
	return e.send(ctx, lifeCycle, stepOn, s, nil)
}

func (e *entra) newCard(ctx context.Context, s *subject, number string) (time.Time, error) {
	at, err := e.send(ctx, cardChange, stepCard, s, func(b string) string {
		return strings.ReplaceAll(b, "200"+s.vars["digits"], number)
	})
	if err == nil {
		s.card = number
	}
	return at, err
}

func (e *entra) fire(ctx context.Context, s *subject) (time.Time, error) {
	return e.send(ctx, hardDelete, stepDelete, s, nil)
}

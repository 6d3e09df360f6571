package okta

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"latchkey/cloud"
)

// byAdmin is who acts through the administrator's API.
const byAdmin = cloud.Actor("admin")

const atOkta = "/orgs/{org}/okta"

// A Body is what an administrator says of a connection. What is absent is the
// default, but the token, which stays as it is.
type Body struct {
	Domain    string   `json:"domain"`
	Token     string   `json:"token,omitempty"`
	Poll      string   `json:"poll,omitempty"` // such as "60s"
	Delta     string   `json:"delta,omitempty"`
	Reconcile string   `json:"reconcile,omitempty"`
	Valid     []string `json:"valid_statuses,omitempty"`
	CardAttr  string   `json:"card_attribute,omitempty"`
	KindAttr  string   `json:"kind_attribute,omitempty"`
}

// A SetAnswer is the answer to a call that set a connection.
type SetAnswer struct {
	Status
	HookPath   string `json:"event_hook_path"`
	HookSecret string `json:"event_hook_secret,omitempty"` // shown this once
}

// Routes adds the administrator's calls to an API that authenticates them and
// words refusals: on's patterns are of http.ServeMux, and run's value is the
// answer.
func (s *Service) Routes(on func(pattern string, run func(r *http.Request) (any, error))) {
	on("GET "+atOkta, func(r *http.Request) (any, error) { return s.Status(r.Context(), r.PathValue("org")) })
	on("PUT "+atOkta, s.set)
	on("DELETE "+atOkta, s.off)
	on("POST "+atOkta+"/sync", func(r *http.Request) (any, error) { return nil, s.Sync(r.Context(), r.PathValue("org")) })
	on("POST "+atOkta+"/confirm", s.confirm)
}

func (s *Service) set(r *http.Request) (any, error) {
	var b Body
	if err := decode(r, &b); err != nil {
		return nil, err
	}
	q := Request{Token: b.Token, Settings: Settings{Domain: b.Domain, Valid: b.Valid, CardAttr: b.CardAttr, KindAttr: b.KindAttr}}
	for _, d := range []struct {
		name, text string
		to         *time.Duration
	}{{"poll", b.Poll, &q.Poll}, {"delta", b.Delta, &q.Delta}, {"reconcile", b.Reconcile, &q.Reconcile}} {
		if d.text == "" {
			continue
		}
		var err error
		if *d.to, err = time.ParseDuration(d.text); err != nil || *d.to <= 0 {
			return nil, invalid(d.name, fmt.Errorf("got %.20q, want a time such as 60s or 24h", d.text))
		}
	}
	org := r.PathValue("org")
	hook, err := s.Set(r.Context(), byAdmin, org, q)
	if err != nil {
		return nil, err
	}
	st, err := s.Status(r.Context(), org)
	return SetAnswer{st, HookPath + org, hook}, err
}

func (s *Service) confirm(r *http.Request) (any, error) {
	var b struct {
		Lose *int `json:"lose"`
	}
	if err := decode(r, &b); err != nil {
		return nil, err
	}
	if b.Lose == nil {
		return nil, invalid("lose", errors.New("is required: how many people the status says would lose access"))
	}
	org := r.PathValue("org")
	if err := s.Confirm(r.Context(), byAdmin, org, *b.Lose); err != nil {
		return nil, err
	}
	return s.Status(r.Context(), org)
}

// An OffAnswer says what came of switching the reading off.
type OffAnswer struct {
	GivenBack int `json:"given_back"` // people who were locked out by it alone, and are not any more
}

func (s *Service) off(r *http.Request) (any, error) {
	var b struct {
		GiveBack bool `json:"give_back"`
	}
	if err := decode(r, &b); err != nil {
		return nil, err
	}
	n, err := s.Off(r.Context(), byAdmin, r.PathValue("org"), b.GiveBack)
	return OffAnswer{n}, err
}

// decode reads the one JSON object that r's body is; unknown keys are refused.
// The API bounds the body.
func decode(r *http.Request, v any) error {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return invalid("body", err)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return invalid("body", errors.New("got what is no JSON object of the fields that this call has"))
	}
	if dec.More() {
		return invalid("body", errors.New("got more than one JSON object"))
	}
	return nil
}

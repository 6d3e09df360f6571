package okta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"latchkey/cloud"
)

// calledName is the setting in which a process leaves what event hooks named for
// the one that reads.
const calledName = "okta-called"

// maxCalled is how many users, and how many groups, wait there; the next poll
// finds the others.
const maxCalled = 500

// A called is what waits. Of another domain's it says nothing.
type called struct {
	Domain string `json:"domain"`
	pings
}

// passOn leaves p for the process that reads org's Okta, which looks for it
// every lookAgain.
func (s *Service) passOn(ctx context.Context, org, domain string, p pings) error {
	for {
		doc, c, err := waiting(ctx, s.cloud, org)
		if err != nil {
			return err
		}
		if c.Domain != domain {
			c = called{Domain: domain}
		}
		c.Users, c.Groups = with(c.Users, p.Users...), with(c.Groups, p.Groups...)
		c.Users, c.Groups = c.Users[:min(len(c.Users), maxCalled)], c.Groups[:min(len(c.Groups), maxCalled)]
		next, err := json.Marshal(c)
		if err != nil {
			return err
		}
		if same, err := s.cloud.SwapSetting(ctx, org, calledName, doc, next); err != nil || same {
			return err // else another hook came, or what waited was taken
		}
	}
}

// hear takes what other processes left.
func (r *reader) hear(ctx context.Context) error {
	doc, c, err := waiting(ctx, r.cloud, r.org)
	if err != nil || doc == nil {
		return err
	}
	same, err := r.cloud.SwapSetting(ctx, r.org, calledName, doc, nil)
	if err == nil && same && c.Domain == r.set.Domain {
		r.ping(c.pings)
	}
	return err // what came meanwhile is taken at the next look
}

// waiting is what is left for the process that reads; doc is nil for nothing.
func waiting(ctx context.Context, s *cloud.Service, org string) (doc []byte, c called, err error) {
	doc, err = s.Setting(ctx, org, calledName)
	if errors.Is(err, cloud.ErrNotFound) {
		return nil, c, nil
	}
	if err == nil {
		err = json.Unmarshal(doc, &c)
	}
	if err != nil {
		err = fmt.Errorf("okta: what event hooks named of %s: %w", org, err)
	}
	return doc, c, err
}

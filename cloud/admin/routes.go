package admin

import (
	"fmt"
	"net/http"
	"time"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/delta"
)

// routes is the whole API in one place.
func (s *server) routes(cloudKey string) {
	s.on("GET /cloud-key", func(*http.Request) (any, error) { return map[string]string{"key": cloudKey}, nil })
	s.orgRoutes()
	s.siteRoutes()
	s.ruleRoutes()
	s.peopleRoutes()
	s.viewRoutes()
}

func org(r *http.Request) string  { return r.PathValue("org") }
func site(r *http.Request) string { return r.PathValue("site") }
func id(r *http.Request) string   { return r.PathValue("id") }

func (s *server) orgRoutes() {
	s.on("GET /orgs", func(r *http.Request) (any, error) { return list(s.d.Orgs(r.Context())) })
	s.on("GET /orgs/{org}", func(r *http.Request) (any, error) { return one(s.d.Org(r.Context(), org(r))) })
	s.on("POST /orgs", func(r *http.Request) (any, error) {
		var in struct {
			ID      string        `json:"id"`
			Name    string        `json:"name"`
			Profile cloud.Profile `json:"profile"`
		}
		if err := read(r, &in); err != nil {
			return nil, err
		}
		return one(s.d.CreateOrg(r.Context(), bySystem, cloud.Org{ID: in.ID, Name: in.Name, Profile: in.Profile}))
	})
	s.on("PATCH /orgs/{org}", func(r *http.Request) (any, error) {
		var in cloud.OrgPatch
		if err := read(r, &in); err != nil {
			return nil, err
		}
		return one(s.d.PatchOrg(r.Context(), bySystem, org(r), in))
	})
	s.on("GET /orgs/{org}/tokens", func(r *http.Request) (any, error) { return list(s.d.Tokens(r.Context(), org(r))) })
	s.on("POST /orgs/{org}/tokens", func(r *http.Request) (any, error) {
		var in struct {
			Label string `json:"label"`
		}
		if err := read(r, &in); err != nil {
			return nil, err
		}
		t, secret, err := s.d.CreateToken(r.Context(), bySystem, org(r), in.Label)
		return struct {
			cloud.Token
			Secret string `json:"token"` // shown this once
		}{t, secret}, err
	})
	s.on("DELETE /orgs/{org}/tokens/{id}", func(r *http.Request) (any, error) {
		return nothing(s.d.DeleteToken(r.Context(), bySystem, org(r), id(r)))
	})
	s.on("GET /orgs/{org}/badge-types", func(r *http.Request) (any, error) { return list(s.d.BadgeTypes(r.Context(), org(r))) })
	s.on("PUT /orgs/{org}/badge-types/{id}", func(r *http.Request) (any, error) {
		var in cloud.BadgeType
		if err := read(r, &in); err != nil {
			return nil, err
		}
		in.ID = id(r)
		return one(s.d.PutBadgeType(r.Context(), bySystem, org(r), in))
	})
	s.on("DELETE /orgs/{org}/badge-types/{id}", func(r *http.Request) (any, error) {
		return nothing(s.d.DeleteBadgeType(r.Context(), bySystem, org(r), id(r)))
	})
}

func (s *server) siteRoutes() {
	const at = "/orgs/{org}/properties/{site}"
	s.on("GET /orgs/{org}/properties", func(r *http.Request) (any, error) { return list(s.d.Properties(r.Context(), org(r))) })
	s.on("GET "+at, func(r *http.Request) (any, error) { return one(s.d.Property(r.Context(), org(r), site(r))) })
	s.on("PUT "+at, func(r *http.Request) (any, error) {
		var in struct {
			Name   string   `json:"name"`
			Key    string   `json:"key"`
			Wallet bool     `json:"wallet"`
			Pilot  []string `json:"pilot_groups"`
		}
		if err := read(r, &in); err != nil {
			return nil, err
		}
		p := cloud.Property{ID: site(r), Name: in.Name, Key: in.Key, Wallet: in.Wallet, Pilot: in.Pilot}
		return one(s.d.PutProperty(r.Context(), bySystem, org(r), p))
	})
	s.on("DELETE "+at, func(r *http.Request) (any, error) {
		return nothing(s.d.DeleteProperty(r.Context(), bySystem, org(r), site(r)))
	})
	s.on("GET "+at+"/doors", func(r *http.Request) (any, error) { return list(s.d.Doors(r.Context(), org(r), site(r))) })
	s.on("PUT "+at+"/doors/{id}", func(r *http.Request) (any, error) {
		var in access.Door
		if err := read(r, &in); err != nil {
			return nil, err
		}
		in.ID = id(r)
		return one(s.d.PutDoor(r.Context(), bySystem, org(r), site(r), in))
	})
	s.on("DELETE "+at+"/doors/{id}", func(r *http.Request) (any, error) {
		return nothing(s.d.DeleteDoor(r.Context(), bySystem, org(r), site(r), id(r)))
	})
	s.on("GET "+at+"/groups", func(r *http.Request) (any, error) { return list(s.d.AccessGroups(r.Context(), org(r), site(r))) })
	s.on("PUT "+at+"/groups/{id}", func(r *http.Request) (any, error) {
		var in cloud.AccessGroup
		if err := read(r, &in); err != nil {
			return nil, err
		}
		in.ID = id(r)
		return one(s.d.PutAccessGroup(r.Context(), bySystem, org(r), site(r), in))
	})
	s.on("DELETE "+at+"/groups/{id}", func(r *http.Request) (any, error) {
		return nothing(s.d.DeleteAccessGroup(r.Context(), bySystem, org(r), site(r), id(r)))
	})
	s.on("GET "+at+"/schedules", func(r *http.Request) (any, error) { return list(s.d.Schedules(r.Context(), org(r), site(r))) })
	s.on("PUT "+at+"/schedules/{id}", func(r *http.Request) (any, error) {
		var in access.Schedule
		if err := read(r, &in); err != nil {
			return nil, err
		}
		in.ID = id(r)
		return one(s.d.PutSchedule(r.Context(), bySystem, org(r), site(r), in))
	})
	s.on("DELETE "+at+"/schedules/{id}", func(r *http.Request) (any, error) {
		return nothing(s.d.DeleteSchedule(r.Context(), bySystem, org(r), site(r), id(r)))
	})
}

// A ruleBody is what an administrator says of a rule; the rest is the cloud's.
type ruleBody struct {
	Name       string            `json:"name"`
	Enabled    *bool             `json:"enabled"` // absent is true
	Match      string            `json:"match"`   // absent is "all"
	Conditions []cloud.Condition `json:"conditions"`
	Groups     []string          `json:"groups"`
	Role       string            `json:"role"`
	Mobile     cloud.Mobile      `json:"mobile"`
	OnlyNew    bool              `json:"only_new"`
}

func readRule(r *http.Request) (cloud.Rule, error) {
	var in ruleBody
	if err := read(r, &in); err != nil {
		return cloud.Rule{}, err
	}
	if in.Match == "" {
		in.Match = cloud.MatchAll
	}
	return cloud.Rule{
		ID: id(r), Name: in.Name, Enabled: in.Enabled == nil || *in.Enabled, Match: in.Match, Conditions: in.Conditions,
		Groups: in.Groups, Role: in.Role, Mobile: in.Mobile, OnlyNew: in.OnlyNew,
	}, nil
}

func (s *server) ruleRoutes() {
	const at = "/orgs/{org}/properties/{site}/rules"
	s.on("GET "+at, func(r *http.Request) (any, error) { return list(s.d.Rules(r.Context(), org(r), site(r))) })
	s.on("POST "+at, func(r *http.Request) (any, error) {
		in, err := readRule(r)
		if err != nil {
			return nil, err
		}
		return one(s.d.CreateRule(r.Context(), bySystem, org(r), site(r), in))
	})
	s.on("POST "+at+"/order", func(r *http.Request) (any, error) {
		var in struct {
			IDs []string `json:"ids"`
		}
		if err := read(r, &in); err != nil {
			return nil, err
		}
		return list(s.d.OrderRules(r.Context(), bySystem, org(r), site(r), in.IDs))
	})
	s.on("PUT "+at+"/{id}", func(r *http.Request) (any, error) {
		in, err := readRule(r)
		if err != nil {
			return nil, err
		}
		return one(s.d.PutRule(r.Context(), bySystem, org(r), site(r), in))
	})
	s.on("DELETE "+at+"/{id}", func(r *http.Request) (any, error) {
		return nothing(s.d.DeleteRule(r.Context(), bySystem, org(r), site(r), id(r)))
	})
}

func (s *server) peopleRoutes() {
	const at = "/orgs/{org}/people"
	s.on("GET "+at, func(r *http.Request) (any, error) {
		n, err := limit(r, 100)
		if err != nil {
			return nil, err
		}
		q := cloud.PeopleQuery{Search: r.URL.Query().Get("search"), After: r.URL.Query().Get("after"), Limit: min(n, 500)}
		return list(s.d.People(r.Context(), org(r), q))
	})
	s.on("GET "+at+"/{id}", func(r *http.Request) (any, error) { return one(s.d.Person(r.Context(), org(r), id(r))) })
	s.on("POST "+at, func(r *http.Request) (any, error) {
		var in cloud.NewPerson
		if err := read(r, &in); err != nil {
			return nil, err
		}
		return one(s.d.CreatePerson(r.Context(), bySystem, org(r), in))
	})
	s.on("PATCH "+at+"/{id}", func(r *http.Request) (any, error) {
		var in cloud.PersonPatch
		if err := read(r, &in); err != nil {
			return nil, err
		}
		return one(s.d.PatchPerson(r.Context(), bySystem, org(r), id(r), in))
	})
	s.on("DELETE "+at+"/{id}", func(r *http.Request) (any, error) {
		return nothing(s.d.DeletePerson(r.Context(), bySystem, org(r), id(r)))
	})
	s.on("POST "+at+"/{id}/cards", func(r *http.Request) (any, error) {
		var in cloud.NewCard
		if err := read(r, &in); err != nil {
			return nil, err
		}
		return one(s.d.AddCard(r.Context(), bySystem, org(r), id(r), in))
	})
	s.on("PATCH /orgs/{org}/cards/{id}", func(r *http.Request) (any, error) {
		var in cloud.CardPatch
		if err := read(r, &in); err != nil {
			return nil, err
		}
		return one(s.d.PatchCard(r.Context(), bySystem, org(r), id(r), in))
	})
	s.on("DELETE /orgs/{org}/cards/{id}", func(r *http.Request) (any, error) {
		return nothing(s.d.DeleteCard(r.Context(), bySystem, org(r), id(r)))
	})
	s.on("PUT "+at+"/{id}/groups/{site}/{group}", func(r *http.Request) (any, error) {
		return nothing(s.d.AddMembership(r.Context(), bySystem, org(r), id(r), site(r), r.PathValue("group")))
	})
	s.on("DELETE "+at+"/{id}/groups/{site}/{group}", func(r *http.Request) (any, error) {
		return nothing(s.d.RemoveMembership(r.Context(), bySystem, org(r), id(r), site(r), r.PathValue("group")))
	})
	s.on("GET /orgs/{org}/directory-groups", func(r *http.Request) (any, error) {
		return list(s.d.DirectoryGroups(r.Context(), org(r)))
	})
}

// A LogEntry is one delta of a site's log, as an administrator may see it:
// what changed, and never the records themselves, which have the cards in them.
type LogEntry struct {
	Epoch   uint32       `json:"epoch"`
	Seq     uint64       `json:"seq"`
	At      time.Time    `json:"at"`
	Prev    delta.Hash   `json:"prev"`
	Hash    delta.Hash   `json:"hash"` // of this entry's payload: the next one's prev
	Digest  delta.Digest `json:"digest"`
	Deny    []access.Ref `json:"deny"`
	Changes []LogChange  `json:"changes"`
}

// A LogChange names one record that was put or deleted.
type LogChange struct {
	Op string `json:"op"`
	access.Ref
}

func logEntries(payloads [][]byte) ([]LogEntry, error) {
	entries := []LogEntry{}
	for _, p := range payloads {
		m, err := delta.Decode(p)
		if err != nil {
			return nil, err
		}
		d, ok := m.(*delta.Delta)
		if !ok {
			return nil, fmt.Errorf("admin: a %T in a site's log: want a delta", m)
		}
		e := LogEntry{Epoch: d.Epoch, Seq: d.Seq, At: d.At, Prev: d.Prev, Hash: delta.HashOf(p), Digest: d.Digest, Deny: d.Deny}
		for _, c := range d.Changes {
			e.Changes = append(e.Changes, LogChange{c.Op, c.Ref})
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func (s *server) viewRoutes() {
	const at = "/orgs/{org}/properties/{site}"
	s.on("GET "+at+"/status", func(r *http.Request) (any, error) { return one(s.d.SiteStatus(r.Context(), org(r), site(r))) })
	s.on("GET "+at+"/log", func(r *http.Request) (any, error) {
		epoch, err := number(r, "epoch", 0)
		if err != nil {
			return nil, err
		}
		after, err := number(r, "after", 0)
		if err != nil {
			return nil, err
		}
		n, err := limit(r, 100)
		if err != nil {
			return nil, err
		}
		payloads, err := s.d.SiteLog(r.Context(), org(r), site(r), uint32(epoch), after, n)
		if err != nil {
			return nil, err
		}
		entries, err := logEntries(payloads)
		return map[string]any{"entries": entries}, err
	})
	s.on("GET "+at+"/events", func(r *http.Request) (any, error) {
		after, err := number(r, "after", 0)
		if err != nil {
			return nil, err
		}
		n, err := limit(r, 100)
		if err != nil {
			return nil, err
		}
		return list(s.d.SiteEvents(r.Context(), org(r), site(r), after, n))
	})
	s.on("GET /orgs/{org}/audit", func(r *http.Request) (any, error) {
		n, err := limit(r, 100)
		if err != nil {
			return nil, err
		}
		return list(s.d.Audit(r.Context(), org(r), r.URL.Query().Get("before"), n))
	})
}

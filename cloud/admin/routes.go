package admin

import (
	"math"
	"net/http"
	"time"

	"latchkey/access"
	"latchkey/cloud"
)

// The longest pages that the domain gives.
const (
	mostPeople  = 500
	mostEntries = 1000
)

// Where things stand.
const (
	atOrg    = "/orgs/{org}"
	atSite   = atOrg + "/properties/{site}"
	atPeople = atOrg + "/people"
	atPerson = atPeople + "/{id}"
)

// routes is the whole API in one place.
func (s *server) routes(cloudKey string) {
	s.on("GET /cloud-key", func(*http.Request) (any, error) { return map[string]string{"key": cloudKey}, nil })
	s.on("GET /mapping", func(*http.Request) (any, error) { return cloud.MappingTable(), nil })
	s.on("GET "+atOrg+"/mapping", func(r *http.Request) (any, error) { return list(s.cloud.Mapping(r.Context(), org(r))) })
	s.orgRoutes()
	s.propertyRoutes()
	s.ruleRoutes()
	s.holdRoutes()
	s.peopleRoutes()
	s.viewRoutes()
}

func org(r *http.Request) string  { return r.PathValue("org") }
func site(r *http.Request) string { return r.PathValue("site") }
func id(r *http.Request) string   { return r.PathValue("id") }

// list makes JSON's [] of an empty list.
func list[T any](l []T, err error) (any, error) {
	if l == nil {
		l = []T{}
	}
	return l, err
}

func one[T any](v T, err error) (any, error)  { return v, err }
func made[T any](v T, err error) (any, error) { return created{v}, err }
func nothing(err error) (any, error)          { return nil, err }

type newOrg struct {
	ID      string        `json:"id"`
	Name    string        `json:"name"`
	Profile cloud.Profile `json:"profile"`
}

type newToken struct {
	Label string `json:"label"`
}

// A rotation says how long the token that is replaced goes on beside the new
// one.
type rotation struct {
	OverlapHours float64 `json:"overlap_hours"`
}

// A shownToken is a token with its secret, which is shown this once.
type shownToken struct {
	cloud.Token
	Secret string `json:"token"`
}

func (s *server) orgRoutes() {
	s.on("GET /orgs", func(r *http.Request) (any, error) { return list(s.cloud.Orgs(r.Context())) })
	s.on("POST /orgs", With(func(r *http.Request, in newOrg) (any, error) {
		return made(s.cloud.CreateOrg(r.Context(), byAdmin, cloud.Org{ID: in.ID, Name: in.Name, Profile: in.Profile}))
	}))
	s.on("GET "+atOrg, func(r *http.Request) (any, error) { return one(s.cloud.Org(r.Context(), org(r))) })
	s.on("PATCH "+atOrg, With(func(r *http.Request, in cloud.OrgPatch) (any, error) {
		return one(s.cloud.PatchOrg(r.Context(), byAdmin, org(r), in))
	}))
	s.on("GET "+atOrg+"/tokens", func(r *http.Request) (any, error) { return list(s.cloud.Tokens(r.Context(), org(r))) })
	s.on("POST "+atOrg+"/tokens", With(func(r *http.Request, in newToken) (any, error) {
		t, secret, err := s.cloud.CreateToken(r.Context(), byAdmin, org(r), in.Label)
		return made(shownToken{t, secret}, err)
	}))
	s.on("DELETE "+atOrg+"/tokens/{id}", func(r *http.Request) (any, error) {
		return nothing(s.cloud.DeleteToken(r.Context(), byAdmin, org(r), id(r)))
	})
	s.on("POST "+atOrg+"/tokens/{id}/rotate", With(func(r *http.Request, in rotation) (any, error) {
		if in.OverlapHours < 0 || in.OverlapHours > cloud.MaxOverlap.Hours() {
			return nil, bad("overlap_hours: got %v, want 0 to %v", in.OverlapHours, cloud.MaxOverlap.Hours())
		}
		t, secret, err := s.cloud.RotateToken(r.Context(), byAdmin, org(r), id(r), time.Duration(in.OverlapHours*float64(time.Hour)))
		return made(shownToken{t, secret}, err)
	}))
	s.on("GET "+atOrg+"/sync", func(r *http.Request) (any, error) { return one(s.cloud.SyncStatus(r.Context(), org(r))) })
	s.on("GET "+atOrg+"/unmapped", func(r *http.Request) (any, error) { return list(s.cloud.Unmapped(r.Context(), org(r))) })
	s.on("GET "+atOrg+"/pools", func(r *http.Request) (any, error) { return list(s.cloud.Pools(r.Context(), org(r))) })
	s.on("PUT "+atOrg+"/pools/{id}", With(func(r *http.Request, in cloud.Pool) (any, error) {
		in.Technology = id(r)
		return one(s.cloud.PutPool(r.Context(), byAdmin, org(r), in))
	}))
	s.on("DELETE "+atOrg+"/pools/{id}", func(r *http.Request) (any, error) {
		return nothing(s.cloud.DeletePool(r.Context(), byAdmin, org(r), id(r)))
	})
	s.on("GET "+atOrg+"/badge-types", func(r *http.Request) (any, error) { return list(s.cloud.BadgeTypes(r.Context(), org(r))) })
	s.on("PUT "+atOrg+"/badge-types/{id}", With(func(r *http.Request, in cloud.BadgeType) (any, error) {
		in.ID = id(r)
		return one(s.cloud.PutBadgeType(r.Context(), byAdmin, org(r), in))
	}))
	s.on("DELETE "+atOrg+"/badge-types/{id}", func(r *http.Request) (any, error) {
		return nothing(s.cloud.DeleteBadgeType(r.Context(), byAdmin, org(r), id(r)))
	})
}

// A propertyBody is what an administrator says of a property.
type propertyBody struct {
	Name   string   `json:"name"`
	Key    string   `json:"key"` // absent keeps the one that is there
	Wallet bool     `json:"wallet"`
	Pilot  []string `json:"pilot_groups"`
	// Guard is how much access may go before a person is asked; absent keeps
	// what is there.
	Guard *cloud.Guard `json:"guard"`
}

func (s *server) propertyRoutes() {
	s.on("GET "+atOrg+"/properties", func(r *http.Request) (any, error) { return list(s.cloud.Properties(r.Context(), org(r))) })
	s.on("GET "+atSite, func(r *http.Request) (any, error) { return one(s.cloud.Property(r.Context(), org(r), site(r))) })
	s.on("PUT "+atSite, With(func(r *http.Request, in propertyBody) (any, error) {
		p := cloud.Property{ID: site(r), Name: in.Name, Key: in.Key, Wallet: in.Wallet, Pilot: in.Pilot, Guard: in.Guard}
		return one(s.cloud.PutProperty(r.Context(), byAdmin, org(r), p))
	}))
	s.on("DELETE "+atSite, func(r *http.Request) (any, error) {
		return nothing(s.cloud.DeleteProperty(r.Context(), byAdmin, org(r), site(r)))
	})

	s.on("GET "+atSite+"/doors", func(r *http.Request) (any, error) { return list(s.cloud.Doors(r.Context(), org(r), site(r))) })
	s.on("PUT "+atSite+"/doors/{id}", With(func(r *http.Request, in access.Door) (any, error) {
		in.ID = id(r)
		return one(s.cloud.PutDoor(r.Context(), byAdmin, org(r), site(r), in))
	}))
	s.on("DELETE "+atSite+"/doors/{id}", func(r *http.Request) (any, error) {
		return nothing(s.cloud.DeleteDoor(r.Context(), byAdmin, org(r), site(r), id(r)))
	})

	s.on("GET "+atSite+"/groups", func(r *http.Request) (any, error) { return list(s.cloud.AccessGroups(r.Context(), org(r), site(r))) })
	s.on("PUT "+atSite+"/groups/{id}", With(func(r *http.Request, in cloud.AccessGroup) (any, error) {
		in.ID = id(r)
		return one(s.cloud.PutAccessGroup(r.Context(), byAdmin, org(r), site(r), in))
	}))
	s.on("DELETE "+atSite+"/groups/{id}", func(r *http.Request) (any, error) {
		return nothing(s.cloud.DeleteAccessGroup(r.Context(), byAdmin, org(r), site(r), id(r)))
	})

	s.on("GET "+atSite+"/schedules", func(r *http.Request) (any, error) { return list(s.cloud.Schedules(r.Context(), org(r), site(r))) })
	s.on("PUT "+atSite+"/schedules/{id}", With(func(r *http.Request, in access.Schedule) (any, error) {
		in.ID = id(r)
		return one(s.cloud.PutSchedule(r.Context(), byAdmin, org(r), site(r), in))
	}))
	s.on("DELETE "+atSite+"/schedules/{id}", func(r *http.Request) (any, error) {
		return nothing(s.cloud.DeleteSchedule(r.Context(), byAdmin, org(r), site(r), id(r)))
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

func (b ruleBody) rule(id string) cloud.Rule {
	if b.Match == "" {
		b.Match = cloud.MatchAll
	}
	return cloud.Rule{
		ID: id, Name: b.Name, Enabled: b.Enabled == nil || *b.Enabled, Match: b.Match, Conditions: b.Conditions,
		Groups: b.Groups, Role: b.Role, Mobile: b.Mobile, OnlyNew: b.OnlyNew,
	}
}

type ruleOrder struct {
	IDs []string `json:"ids"`
}

func (s *server) ruleRoutes() {
	const at = atSite + "/rules"
	s.on("GET "+at, func(r *http.Request) (any, error) { return list(s.cloud.Rules(r.Context(), org(r), site(r))) })
	s.on("POST "+at, With(func(r *http.Request, in ruleBody) (any, error) {
		return made(s.cloud.CreateRule(r.Context(), byAdmin, org(r), site(r), in.rule("")))
	}))
	s.on("POST "+at+"/order", With(func(r *http.Request, in ruleOrder) (any, error) {
		return list(s.cloud.OrderRules(r.Context(), byAdmin, org(r), site(r), in.IDs))
	}))
	s.on("PUT "+at+"/{id}", With(func(r *http.Request, in ruleBody) (any, error) {
		return one(s.cloud.PutRule(r.Context(), byAdmin, org(r), site(r), in.rule(id(r))))
	}))
	s.on("DELETE "+at+"/{id}", func(r *http.Request) (any, error) {
		return nothing(s.cloud.DeleteRule(r.Context(), byAdmin, org(r), site(r), id(r)))
	})
}

func (s *server) peopleRoutes() {
	s.on("GET "+atPeople, s.people)
	s.on("POST "+atPeople, With(func(r *http.Request, in cloud.NewPerson) (any, error) {
		return made(s.cloud.CreatePerson(r.Context(), byAdmin, org(r), in))
	}))
	s.on("GET "+atPerson, func(r *http.Request) (any, error) { return one(s.cloud.Person(r.Context(), org(r), id(r))) })
	s.on("PATCH "+atPerson, With(func(r *http.Request, in cloud.PersonPatch) (any, error) {
		return one(s.cloud.PatchPerson(r.Context(), byAdmin, org(r), id(r), in))
	}))
	s.on("DELETE "+atPerson, func(r *http.Request) (any, error) {
		return nothing(s.cloud.DeletePerson(r.Context(), byAdmin, org(r), id(r)))
	})
	s.on("POST "+atPerson+"/cards", With(func(r *http.Request, in cloud.NewCard) (any, error) {
		return made(s.cloud.AddCard(r.Context(), byAdmin, org(r), id(r), in))
	}))
	s.on("PATCH "+atOrg+"/cards/{id}", With(func(r *http.Request, in cloud.CardPatch) (any, error) {
		return one(s.cloud.PatchCard(r.Context(), byAdmin, org(r), id(r), in))
	}))
	s.on("DELETE "+atOrg+"/cards/{id}", func(r *http.Request) (any, error) {
		return nothing(s.cloud.DeleteCard(r.Context(), byAdmin, org(r), id(r)))
	})
	s.on("GET "+atPerson+"/why/{site}", func(r *http.Request) (any, error) {
		q := queryOf(r)
		door := q.text("door")
		if err := q.check(); err != nil {
			return nil, err
		}
		return one(s.cloud.Why(r.Context(), org(r), id(r), site(r), door))
	})
	s.on("GET "+atOrg+"/roles/{email}", func(r *http.Request) (any, error) {
		return one(s.cloud.RoleOf(r.Context(), org(r), r.PathValue("email")))
	})
	s.on("PUT "+atPerson+"/groups/{site}/{group}", func(r *http.Request) (any, error) {
		return nothing(s.cloud.AddMembership(r.Context(), byAdmin, org(r), id(r), site(r), r.PathValue("group")))
	})
	s.on("DELETE "+atPerson+"/groups/{site}/{group}", func(r *http.Request) (any, error) {
		return nothing(s.cloud.RemoveMembership(r.Context(), byAdmin, org(r), id(r), site(r), r.PathValue("group")))
	})
	s.on("GET "+atOrg+"/directory-groups", func(r *http.Request) (any, error) {
		if _, err := s.cloud.Org(r.Context(), org(r)); err != nil {
			return nil, err
		}
		return list(s.cloud.DirectoryGroups(r.Context(), org(r)))
	})
}

func (s *server) people(r *http.Request) (any, error) {
	q := queryOf(r)
	want := cloud.PeopleQuery{Search: q.text("search"), After: q.text("after"), Limit: q.limit(mostPeople)}
	if err := q.check(); err != nil {
		return nil, err
	}
	people, err := s.cloud.People(r.Context(), org(r), want)
	return part(q, people, err, want.Limit, "after", func(p cloud.Person) any { return p.ID })
}

func (s *server) viewRoutes() {
	s.on("GET "+atSite+"/status", func(r *http.Request) (any, error) { return one(s.cloud.SiteStatus(r.Context(), org(r), site(r))) })
	s.on("GET "+atSite+"/log", s.siteLog)
	s.on("GET "+atSite+"/events", func(r *http.Request) (any, error) {
		q := queryOf(r)
		after, limit := q.number("after", 0, math.MaxInt64), q.limit(mostEntries)
		if err := q.check(); err != nil {
			return nil, err
		}
		events, err := s.cloud.SiteEvents(r.Context(), org(r), site(r), after, limit)
		return part(q, events, err, limit, "after", func(e cloud.SiteEvent) any { return e.Pos })
	})
	s.on("GET "+atOrg+"/audit", func(r *http.Request) (any, error) {
		q := queryOf(r)
		before, limit := q.text("before"), q.limit(mostEntries)
		if err := q.check(); err != nil {
			return nil, err
		}
		entries, err := s.cloud.Audit(r.Context(), org(r), before, limit)
		return part(q, entries, err, limit, "before", func(e cloud.AuditEntry) any { return e.ID })
	})
}

// part is a page of a list. A full one has a next: what the parameter name
// then is comes from its last entry.
func part[T any](q *query, l []T, err error, limit int, name string, of func(last T) any) (any, error) {
	if err != nil {
		return nil, err
	}
	p := page{v: l}
	if l == nil {
		p.v = []T{}
	}
	if len(l) >= limit {
		p.next = q.next(name, of(l[len(l)-1]))
	}
	return p, nil
}

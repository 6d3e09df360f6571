package admin

import (
	"net/http"

	"latchkey/cloud"
)

// A held is the answer to a call that waits for a person to confirm it: nothing
// was changed. It comes with 202.
type held struct {
	Held cloud.Hold `json:"held"`
}

// A confirmation says how many openings the person was shown that it takes.
type confirmation struct {
	Removes *int `json:"removes"`
}

// holdRoutes are about changes before they are done: what they would do, and
// those that wait for a person.
func (s *server) holdRoutes() {
	s.on("POST "+atSite+"/preview", func(r *http.Request) (any, error) {
		q := queryOf(r)
		people := q.number("people", 50, cloud.MostNamed)
		if err := q.check(); err != nil {
			return nil, err
		}
		return With(func(r *http.Request, in cloud.Proposal) (any, error) {
			in.Site = site(r)
			if in.Property != nil {
				in.Property.ID = in.Site
			}
			return one(s.cloud.Preview(r.Context(), org(r), in, int(people)))
		})(r)
	})
	s.on("GET "+atOrg+"/holds", func(r *http.Request) (any, error) {
		q := queryOf(r)
		all := q.text("all")
		if err := q.check(); err != nil {
			return nil, err
		}
		if all != "" && all != "true" && all != "false" {
			return nil, bad("all: got %.40q, want true or false", all)
		}
		return list(s.cloud.Holds(r.Context(), org(r), all != "true"))
	})
	s.on("GET "+atOrg+"/holds/{id}", func(r *http.Request) (any, error) { return one(s.cloud.Hold(r.Context(), org(r), id(r))) })
	s.on("POST "+atOrg+"/holds/{id}/confirm", With(func(r *http.Request, in confirmation) (any, error) {
		if in.Removes == nil || *in.Removes < 0 {
			return nil, bad("removes: want how many openings you were shown that this takes")
		}
		return one(s.cloud.Confirm(r.Context(), byAdmin, org(r), id(r), *in.Removes))
	}))
	s.on("POST "+atOrg+"/holds/{id}/discard", func(r *http.Request) (any, error) {
		return one(s.cloud.Discard(r.Context(), byAdmin, org(r), id(r)))
	})
}

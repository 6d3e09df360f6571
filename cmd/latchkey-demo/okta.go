package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"latchkey/access"
	"latchkey/cloud/okta"
	"latchkey/cloud/okta/oktatest"
	"latchkey/internal/pause"
)

const (
	contractors  = "Contractors"   // who come from Okta
	oktaPoll     = 2 * time.Second // how often the cloud reads the System Log here
	oktaOthers   = 25              // people besides the one at the door
	oktaPage     = 4               // objects of a page, so that there are many
	oktaBackoffs = 3 * time.Second // what two broken answers in a row may cost beyond that
)

// okta shows that a person who is suspended at Okta is refused at the doors
// within one poll interval, over SCIM's head: Okta makes no SCIM call of it.
func (k *check) okta() error {
	org := oktatest.New(oktatest.Options{PageSize: oktaPage})
	url, stop, err := serveOkta(org)
	if err != nil {
		return err
	}
	defer stop()
	who := k.people(1)[0]
	user := k.populate(org, who)
	if err := k.connectOkta(org, url, contractorsOf(who)); err != nil {
		return fmt.Errorf("okta: %w", err)
	}
	k.active = append(k.active, who)
	err = inOrder(
		func() error {
			return k.seenAt("Okta read and confirmed", who.card, true, "", time.Now(), settleTime)
		},
		func() error { return k.agreed("with people read of Okta") },
		func() error { return k.atOkta(who, org, user, okta.StatusSuspended, 0) },
		func() error { return k.atOkta(who, org, user, okta.StatusActive, 0) },
		func() error {
			org.Drop(2)
			return k.atOkta(who, org, user, okta.StatusSuspended, oktaBackoffs)
		},
		func() error {
			org.Busy(1)
			return k.atOkta(who, org, user, okta.StatusActive, oktaBackoffs)
		},
		func() error { return k.atOkta(who, org, user, okta.StatusDeprovisioned, 0) },
		func() error { return k.agreed("with them suspended and deprovisioned") },
	)
	return errors.Join(err, k.admin().do(k.ctx, http.MethodDelete, "/orgs/"+orgA+"/okta", nil, nil))
}

// serveOkta serves a simulated Okta on loopback.
func serveOkta(org *oktatest.Org) (url string, stop func() error, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	srv := &http.Server{Handler: org, ReadHeaderTimeout: time.Second}
	go srv.Serve(l) // ends with stop
	return "http://" + l.Addr().String(), srv.Close, nil
}

// populate makes who, and others, contractors at Okta.
func (k *check) populate(org *oktatest.Org, who *subject) (user string) {
	name := func(n int) map[string]any {
		login := fmt.Sprintf("%s-%d@okta.example.com", who.vars["rand"], n)
		return map[string]any{"login": login, "email": login, "firstName": "Contractor", "lastName": fmt.Sprint(n)}
	}
	profile := name(0)
	profile["cardNumber"] = who.card
	user = org.AddUser(profile)
	members := []string{user}
	for n := range oktaOthers {
		members = append(members, org.AddUser(name(n+1)))
	}
	org.AddGroup(contractorsOf(who), members...)
	return user
}

// contractorsOf is the group of who and the others, which no earlier run had.
func contractorsOf(who *subject) string { return contractors + " " + who.vars["rand"] }

func (k *check) admin() *client {
	return &client{base: k.info.AdminURL + "/api/v1", token: k.info.AdminToken}
}

// connectOkta does what an identity admin does: a rule, the connection, a look
// at what it would do, and the word for it. The line to Okta is bad meanwhile.
func (k *check) connectOkta(org *oktatest.Org, url, group string) error {
	api := k.admin()
	for _, s := range []demoSite{hq, depot} {
		err := api.post(k.ctx, "/orgs/"+orgA+"/properties/"+s.id+"/rules", map[string]any{
			"name": group + " get Staff", "match": "all", "conditions": []map[string]any{{"group": group}},
			"groups": []string{staff},
		}, nil)
		if err != nil {
			return err
		}
	}
	err := api.put(k.ctx, "/orgs/"+orgA+"/okta", okta.Body{Domain: url, Token: oktatest.Token, Poll: oktaPoll.String(), Delta: "1h"}, nil)
	if err != nil {
		return err
	}
	org.Drop(2)
	org.Busy(2)
	var st okta.Status
	begin := time.Now()
	for st.Held == nil {
		if err := api.get(k.ctx, "/orgs/"+orgA+"/okta", &st); err != nil {
			return err
		}
		if time.Since(begin) > settleTime {
			return fmt.Errorf("the first read is not shown: %+v", st)
		}
		pause.For(k.ctx, badgeEvery)
	}
	f := st.Held.Forecast
	if f.New != oktaOthers+1 || f.Lose.Count != 0 {
		return fmt.Errorf("the first read would do %+v; want %d new people, and nobody to lose anything", f, oktaOthers+1)
	}
	k.say("Okta connected by a token", "%d new people, %d would gain, %d lose; %d calls, held %s after it was set", f.New, f.Gain.Count, f.Lose.Count, st.Calls, since(begin))
	return api.post(k.ctx, "/orgs/"+orgA+"/okta/confirm", map[string]int{"lose": f.Lose.Count}, nil)
}

// atOkta gives who another status at Okta, and wants it seen at both doors
// within one poll interval, and whatever else a bad line costs.
func (k *check) atOkta(who *subject, org *oktatest.Org, user, status string, more time.Duration) error {
	in := status == okta.StatusActive
	if k.drop(who); in {
		k.active = append(k.active, who)
	}
	var reason access.Reason
	if !in {
		reason = access.PersonInactive
	}
	org.SetStatus(user, status)
	what := "Okta: " + status
	if more > 0 {
		what += ", bad line"
	}
	return k.seenAt(what, who.card, in, reason, time.Now(), oktaPoll+more+inTime)
}

package okta

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"latchkey/cloud"
)

func TestAttributes(t *testing.T) {
	for _, tt := range []struct{ name, profile, want string }{
		{"the usual", `{"login":"jane@example.com","email":"jane@example.com","firstName":"Jane","lastName":"Doe","cardNumber":"4711","department":"R&D","secondEmail":null,"mobilePhone":""}`,
			`{"emails":[{"primary":true,"type":"work","value":"jane@example.com"}],"name":{"familyName":"Doe","givenName":"Jane"},` +
				`"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"cardNumber":"4711","department":"R&D"},"userName":"jane@example.com"}`},
		{"a number as the card", `{"login":"j","cardNumber":8123450731}`,
			`{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"cardNumber":"8123450731"},"userName":"j"}`},
		{"a kind, and one that is none", `{"login":"j","userType":" smartbox "}`, `{"userName":"j","userType":"SMARTBOX"}`},
		{"userType of another meaning", `{"login":"j","userType":"Employee"}`,
			`{"urn:latchkey:params:scim:schemas:extension:okta:2.0:User":{"userType":"Employee"},"userName":"j"}`},
		{"of its own", `{"login":"j","building":"B7","floors":[1,2],"remote":true,"deep":{"x":1},"deeper":[[1]]}`,
			`{"urn:latchkey:params:scim:schemas:extension:okta:2.0:User":{"building":"B7","floors":[1,2],"remote":true},"userName":"j"}`},
		{"wrong types", `{"login":["j"],"title":7,"cardNumber":{"a":1}}`,
			`{"title":"7","urn:latchkey:params:scim:schemas:extension:okta:2.0:User":{"login":["j"]}}`},
	} {
		var u User
		if err := json.Unmarshal([]byte(tt.profile), &u.Profile); err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(attributes(u, DefaultCardAttr, DefaultKindAttr))
		if err != nil {
			t.Fatal(err)
		}
		want := strings.ReplaceAll(tt.want, "&", `\u0026`)
		if string(got) != want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, want)
		}
	}
	var u User
	u.Profile = map[string]any{"login": "j", "badge": "7"}
	if ext, _ := attributes(u, "badge", "kind")[cloud.EnterpriseURN].(map[string]any); ext["cardNumber"] != "7" {
		t.Errorf("another attribute as the card number: %v", ext)
	}
}

// What was read later is not overwritten by what was read earlier.
func TestOrder(t *testing.T) {
	var o order
	var taken []string
	take := func(id string, read uint64, what string) {
		if err := o.take(id, read, func() error { taken = append(taken, what); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	slow, quick := o.begin(), o.begin()
	take("jane", quick, "suspended")
	take("jane", slow, "active, read before")
	take("john", slow, "john")
	take("jane", quick, "suspended again")
	if got := strings.Join(taken, ", "); got != "suspended, john, suspended again" {
		t.Errorf("taken %s", got)
	}
	if late, later := o.begin(), o.begin(); !o.claim("joan", later) || o.claim("joan", late) {
		t.Error("an earlier read claims what a later one has claimed")
	}
	o.close()
	if err := o.take("jane", o.begin(), func() error { return nil }); err == nil {
		t.Error("taken after the end")
	}
}

func TestBelieved(t *testing.T) {
	for _, tt := range []struct {
		gone, known Absence
		approved    *Absence
		want        bool
	}{
		{Absence{0, 0}, Absence{0, 0}, nil, true},
		{Absence{20, 0}, Absence{20, 5}, nil, true}, // few
		{Absence{21, 0}, Absence{210, 5}, nil, true},
		{Absence{21, 0}, Absence{209, 5}, nil, false},
		{Absence{0, 21}, Absence{209, 30}, nil, false},
		{Absence{21, 0}, Absence{209, 5}, &Absence{21, 0}, true},
		{Absence{22, 0}, Absence{209, 5}, &Absence{21, 0}, false}, // more than was shown
	} {
		if got := believed(tt.gone, tt.known, tt.approved); got != tt.want {
			t.Errorf("%+v of %+v, approved %+v: %v, want %v", tt.gone, tt.known, tt.approved, got, tt.want)
		}
	}
}

func TestAdvice(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name string
		st   Status
		err  error
		want string // empty: nothing is said
	}{
		{"all is well", Status{Stats: Stats{LastUsed: now}}, nil, ""},
		{"a token that was never used", Status{TokenSet: now.AddDate(0, 0, -10)}, nil, "ends it after 30 days without use, on 2026-05-21"},
		{"a token that is not used any more", Status{TokenSet: now.AddDate(-1, 0, 0), Stats: Stats{LastUsed: now.AddDate(0, 0, -8)}}, nil, "used last on 2026-04-23"},
		{"refused", Status{}, &Error{Status: 401}, "has left or lost the role"},
		{"no right", Status{TokenSet: now}, &Error{Status: 403}, "Read-Only Administrator"},
		{"down", Status{TokenSet: now}, &Error{Status: 503}, "tried again"},
		{"rate limit", Status{TokenSet: now, Stats: Stats{Paused: now.Add(40 * time.Second)}}, nil, "until 12:00:40"},
		{"problems", Status{TokenSet: now, Problems: []string{"user 00u1: x", "user 00u2: y"}}, nil, "2 users or groups could not be taken; the first: user 00u1: x"},
	} {
		got := strings.Join(advice(&tt.st, tt.err, now), "\n")
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

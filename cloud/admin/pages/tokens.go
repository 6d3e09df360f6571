package pages

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

const (
	atTokens = atDirectory + "/tokens"
	oneToken = atTokens + "/{id}"
)

func (s *server) tokenRoutes() {
	s.post(atTokens, signin.Owner, s.createToken)
	s.get(oneToken, signin.Owner, showToken)
	s.post(oneToken+"/rotate", signin.Owner, s.rotateToken)
	s.post(oneToken+"/delete", signin.Owner, deleteToken)
}

// A tokenLine is a token as the pages show it.
type tokenLine struct {
	cloud.Token
	Ended  bool
	Ending bool // it has an end, and goes on until then
}

func tokenOf(t cloud.Token, now time.Time) tokenLine {
	ended := !t.Expires.IsZero() && !now.Before(t.Expires)
	return tokenLine{Token: t, Ended: ended, Ending: !t.Expires.IsZero() && !ended}
}

// tokenLines are all tokens, those that have ended last.
func tokenLines(tokens []cloud.Token) []tokenLine {
	now := time.Now()
	lines := make([]tokenLine, 0, len(tokens))
	for _, t := range tokens {
		lines = append(lines, tokenOf(t, now))
	}
	slices.SortStableFunc(lines, func(a, b tokenLine) int {
		switch {
		case a.Ended == b.Ended:
			return 0
		case b.Ended:
			return -1
		}
		return 1
	})
	return lines
}

// newest is the id of the token that was made last, empty where there is none.
func newest(tokens []cloud.Token) string {
	if len(tokens) == 0 {
		return ""
	}
	return slices.MaxFunc(tokens, func(a, b cloud.Token) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	}).ID
}

// A secretPage shows a token's secret, this once.
type secretPage struct {
	TenantURL string
	Token     cloud.Token
	Secret    string
	OldEnds   time.Time // when the token that it replaces ends; zero where it replaces none
}

// sentTwice says whether a token was made since the form was shown: a page that
// shows a secret is itself the answer to a form, and a browser that loads it
// again sends the form again.
func sentTwice(c *call) (bool, error) {
	tokens, err := c.cloud.Tokens(c.Context(), c.Org)
	return err == nil && newest(tokens) != c.text("newest"), err
}

func (s *server) createToken(c *call) (answer, error) {
	if twice, err := sentTwice(c); twice || err != nil {
		return redirect{to: atDirectory, did: "token-twice"}, err
	}
	label := c.text("label")
	t, secret, err := cloud.Token{}, "", error(&cloud.Invalid{Attr: "label", Detail: "is required"})
	if label != "" {
		t, secret, err = c.cloud.CreateToken(c.Context(), c.Actor, c.Org, label)
	}
	if err != nil {
		return s.again(c, err, func(p *connectionPage) { p.Label = label })
	}
	return page{template: "newtoken", title: "New token", data: secretPage{TenantURL: s.tenantURL, Token: t, Secret: secret}}, nil
}

// A tokenPage is one token with what can be done to it.
type tokenPage struct {
	Token  tokenLine
	Newest string
	Hours  string // of overlap, as entered
}

// token is the token of the address: cloud.ErrNotFound.
func (c *call) token() (tokenPage, error) {
	tokens, err := c.cloud.Tokens(c.Context(), c.Org)
	if err != nil {
		return tokenPage{}, err
	}
	at := slices.IndexFunc(tokens, func(t cloud.Token) bool { return t.ID == c.id() })
	if at < 0 {
		return tokenPage{}, cloud.ErrNotFound
	}
	return tokenPage{tokenOf(tokens[at], time.Now()), newest(tokens), "24"}, nil
}

func showToken(c *call) (answer, error) {
	p, err := c.token()
	if err != nil {
		return nil, err
	}
	return page{template: "token", title: "Token " + p.Token.Label, data: p}, nil
}

// maxOverlap is how many hours a token that was replaced may go on.
const maxOverlap = int(cloud.MaxOverlap / time.Hour)

func (s *server) rotateToken(c *call) (answer, error) {
	p, err := c.token()
	if err != nil {
		return nil, err
	}
	if p.Newest != c.text("newest") {
		return redirect{to: atDirectory, did: "token-twice"}, nil
	}
	p.Hours = c.text("hours")
	hours, err := strconv.Atoi(p.Hours)
	if err != nil || hours < 0 || hours > maxOverlap {
		return page{template: "token", title: "Token " + p.Token.Label, data: p, problem: "Hours: want a whole number from 0 to " + strconv.Itoa(maxOverlap) + "."}, nil
	}
	overlap := time.Duration(hours) * time.Hour
	t, secret, err := c.cloud.RotateToken(c.Context(), c.Actor, c.Org, p.Token.ID, overlap)
	if err != nil {
		return nil, err
	}
	ends := t.Created.Add(overlap)
	if p.Token.Ending && p.Token.Expires.Before(ends) {
		ends = p.Token.Expires
	}
	return page{template: "newtoken", title: "New token", data: secretPage{s.tenantURL, t, secret, ends}}, nil
}

func deleteToken(c *call) (answer, error) {
	if err := c.cloud.DeleteToken(c.Context(), c.Actor, c.Org, c.id()); err != nil {
		return nil, err
	}
	return redirect{to: atDirectory, did: "token-deleted"}, nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
)

// A visit is a browser at the administrators' pages, signed in.
type visit struct {
	http http.Client
	root string // of the pages, with a slash
}

// visitPages signs in by a code.
func visitPages(ctx context.Context, i Info) (*visit, error) {
	code, err := signInCode(ctx, i)
	if err != nil {
		return nil, err
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	v := &visit{http: http.Client{Jar: jar}, root: i.AdminURL + "/"}
	body := strings.NewReader(url.Values{"code": {code}}.Encode())
	_, err = v.send(ctx, http.MethodPost, "sign-in", body, "Sign out")
	return v, err
}

// send asks for a page, which must have a text on it.
func (v *visit) send(ctx context.Context, method, path string, body io.Reader, want string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, v.root+path, body)
	if err != nil {
		return "", err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	resp, err := v.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "", err
	}
	page := html.UnescapeString(string(b))
	if resp.StatusCode != http.StatusOK || !strings.Contains(page, want) {
		return "", fmt.Errorf("page %s: status %d, want %q on\n%s", path, resp.StatusCode, want, page)
	}
	return page, nil
}

// personLink is where the list of people leads.
var personLink = regexp.MustCompile(`/admin/(people/[0-9a-f-]{36})"`)

// why looks for the holder of a card as an administrator does, and wants the
// page that says why they may open hq's front door, or not, to begin with an
// answer.
func (v *visit) why(ctx context.Context, card, answer string) error {
	page, err := v.send(ctx, http.MethodGet, "people?search="+url.QueryEscape(card), nil, "People")
	if err != nil {
		return err
	}
	link := personLink.FindStringSubmatch(page)
	if link == nil {
		return errors.New("page people: nobody has the card")
	}
	_, err = v.send(ctx, http.MethodGet, link[1]+"/why/"+hq.id+"?door="+hq.doors[0].ID, nil, answer)
	return err
}

// pages shows that the administrators' pages say of somebody what the doors do.
func (k *check) pages(of *subject, state, answer string) error {
	v, err := visitPages(k.ctx, k.info)
	if err == nil {
		err = v.why(k.ctx, of.card, answer)
	}
	if err == nil {
		k.say("the administrators' pages", "%s: %q", state, answer)
	}
	return err
}

package cloudapp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"latchkey/cloud"
	"latchkey/cloud/admin"
	"latchkey/internal/keyfile"
	"latchkey/internal/program"
)

const (
	callTimeout = 30 * time.Second
	maxAnswer   = 64 << 20 // bytes
)

// errNotThere says that the cloud has no such thing.
var errNotThere = errors.New("not there")

// A remote is a running cloud's admin API.
type remote struct {
	URL       string `help:"The cloud's admin URL." default:"http://127.0.0.1:8480/admin" env:"LATCHKEY_ADMIN_URL" placeholder:"URL"`
	TokenFile string `help:"The admin token's file." default:"/var/lib/latchkey-cloud/admin.token" env:"LATCHKEY_ADMIN_TOKEN_FILE" placeholder:"FILE"`
}

// call calls the API: in is the body, where it is not nil. It returns the
// answer and the query of the next page, where there is one.
func (r remote) call(e *program.Env, method, path string, in any) (answer []byte, next string, err error) {
	tokens, err := keyfile.Secrets(r.TokenFile)
	if err != nil {
		return nil, "", fmt.Errorf("the admin token: %w", err)
	}
	var body io.Reader = http.NoBody
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, "", err
		}
		body = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(e.Context, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(r.URL, "/")+admin.Prefix+path, body)
	if err != nil {
		return nil, "", fmt.Errorf("--url: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+tokens[0])
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, "", fmt.Errorf("the cloud does not answer at %s: %w", r.URL, errors.Unwrap(err)) // *url.Error repeats the query
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, "", fmt.Errorf("the cloud's answer: %w", err)
	}
	if resp.StatusCode > 299 {
		return nil, "", refusal(resp, answer, r.TokenFile)
	}
	if resp.StatusCode == http.StatusAccepted {
		return nil, "", waiting(answer)
	}
	if link, ok := strings.CutSuffix(resp.Header.Get("Link"), `>; rel="next"`); ok {
		next = strings.TrimPrefix(link, "<?")
	}
	return answer, next, nil
}

// refusal is what the cloud said against a call.
func refusal(resp *http.Response, answer []byte, tokenFile string) error {
	var p struct{ Error string }
	if json.Unmarshal(answer, &p) != nil || p.Error == "" {
		p.Error = fmt.Sprintf("%s %s: got %s, want the cloud's admin API there", resp.Request.Method, resp.Request.URL.Path, resp.Status)
		return errors.New(p.Error)
	}
	switch resp.StatusCode {
	case http.StatusNotFound:
		return fmt.Errorf("%s: %w", strings.TrimSuffix(p.Error, ": not found"), errNotThere)
	case http.StatusUnauthorized:
		return fmt.Errorf("%s; the token is from %s", p.Error, tokenFile)
	}
	return errors.New(p.Error)
}

// waiting is what the cloud says of a change that a person must confirm.
func waiting(answer []byte) error {
	var a struct{ Held cloud.Hold }
	if err := json.Unmarshal(answer, &a); err != nil || a.Held.ID == "" {
		return fmt.Errorf("the cloud's answer: got 202 without a held change")
	}
	p := a.Held.Preview
	return fmt.Errorf("held, nothing was changed: %s would take %d of %d openings from %d people.\n"+
		"Look at it with \"hold show %[5]s\", then \"hold confirm %[5]s --removes %[2]d\" or \"hold discard %[5]s\"",
		a.Held.Text, p.Lose.Openings, p.Openings, p.Lose.People, a.Held.ID)
}

// do calls the API and prints the answer, indented.
func (r remote) do(e *program.Env, method, path string, in any) error {
	answer, _, err := r.call(e, method, path, in)
	if err != nil || len(answer) == 0 {
		return err
	}
	return printJSON(e, answer)
}

func printJSON(e *program.Env, answer []byte) error {
	var out bytes.Buffer
	if err := json.Indent(&out, bytes.TrimSpace(answer), "", "  "); err != nil {
		return fmt.Errorf("the cloud's answer is no JSON: %w", err)
	}
	out.WriteByte('\n')
	_, err := out.WriteTo(e.Stdout)
	return err
}

// get reads what is at path.
func get[T any](r remote, e *program.Env, path string) (v T, err error) {
	answer, _, err := r.call(e, http.MethodGet, path, nil)
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(answer, &v); err != nil {
		return v, fmt.Errorf("the cloud's answer: %w", err)
	}
	return v, nil
}

// find reads the one of a list that is wanted; the zero T where there is none.
func find[T any](r remote, e *program.Env, path string, wanted func(T) bool) (none T, found bool, err error) {
	all, err := get[[]T](r, e, path)
	for _, v := range all {
		if wanted(v) {
			return v, true, nil
		}
	}
	return none, false, err
}

// pages prints all pages of a list as one.
func (r remote) pages(e *program.Env, path string, query url.Values) error {
	all := []json.RawMessage{}
	for next := query.Encode(); next != ""; {
		answer, n, err := r.call(e, http.MethodGet, path+"?"+next, nil)
		if err != nil {
			return err
		}
		var some []json.RawMessage
		if err := json.Unmarshal(answer, &some); err != nil {
			return fmt.Errorf("the cloud's answer: %w", err)
		}
		all = append(all, some...)
		next = n
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return printJSON(e, text)
}

// A place is where things stand: in the cloud, in an organisation or in one of
// its properties.
type place interface {
	api() remote
	path(parts ...string) string
}

func (r remote) api() remote { return r }

func (r remote) path(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString("/" + url.PathEscape(p))
	}
	return b.String()
}

// inOrg names the organisation that a command is about.
type inOrg struct {
	remote
	Org string `help:"The organisation's id." required:"" env:"LATCHKEY_ORG"`
}

func (o inOrg) path(parts ...string) string {
	return o.remote.path(append([]string{"orgs", o.Org}, parts...)...)
}

// inSite names the property too.
type inSite struct {
	inOrg
	Site string `help:"The property's id." required:"" env:"LATCHKEY_SITE"`
}

func (s inSite) path(parts ...string) string {
	return s.inOrg.path(append([]string{"properties", s.Site}, parts...)...)
}

// A plain command, in a place P, is one call without a body.
type plain[P place] struct {
	At P `embed:""`
}

func (c *plain[P]) Run(e *program.Env, k *kong.Context) error {
	call := strings.Fields(k.Selected().Tag.Get("call"))
	return c.At.api().do(e, call[0], c.At.path(call[1:]...), nil)
}

// The commands that are the same for every noun, in a place P.
type (
	list[P place] struct {
		At P `embed:""`
	}
	show[P place] struct {
		At P      `embed:""`
		ID string `arg:""`
	}
	drop[P place] struct {
		At P      `embed:""`
		ID string `arg:""`
	}
)

func (c *list[P]) Run(e *program.Env, k *kong.Context) error {
	return c.At.api().do(e, http.MethodGet, c.At.path(things(k)), nil)
}

func (c *show[P]) Run(e *program.Env, k *kong.Context) error {
	return c.At.api().do(e, http.MethodGet, c.At.path(things(k), c.ID), nil)
}

func (c *drop[P]) Run(e *program.Env, k *kong.Context) error {
	return c.At.api().do(e, http.MethodDelete, c.At.path(things(k), c.ID), nil)
}

// A dryRun is for commands that may take access from many.
type dryRun struct {
	DryRun bool `help:"Only say who would gain and who would lose which doors."`
}

// propose asks what p would do, in a dry run; otherwise it calls the API.
func (d dryRun) propose(e *program.Env, at inSite, p cloud.Proposal, method, path string, body any) error {
	if d.DryRun {
		return at.do(e, http.MethodPost, at.path("preview"), p)
	}
	return at.do(e, method, path, body)
}

// A dropHere drops a thing of a property.
type dropHere struct {
	inSite
	dryRun
	ID string `arg:""`
}

func (c *dropHere) Run(e *program.Env, k *kong.Context) error {
	noun := k.Selected().Parent.Name
	p := cloud.Proposal{Op: "delete " + noun, ID: c.ID}
	if noun == "group" {
		p.Op = cloud.OpDeleteGroup
	}
	return c.propose(e, c.inSite, p, http.MethodDelete, c.path(things(k), c.ID), nil)
}

// things is the collection of the noun that the command line has.
func things(k *kong.Context) string { return collection(k.Selected().Parent.Name) }

package cloudapp

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"latchkey/cloud/okta"
	"latchkey/internal/keyfile"
	"latchkey/internal/program"
)

type oktaSetCmd struct {
	inOrg
	Domain    *string  `help:"Okta's address, such as acme.okta.com."`
	TokenFile string   `name:"api-token-file" help:"The file with Okta's API token; - is the standard input. Without it the token stays." placeholder:"FILE"`
	Poll      *string  `help:"How often the System Log is read: what somebody who is suspended waits at most, such as 60s."`
	Delta     *string  `help:"How often what has changed is read by its time, such as 5m."`
	Reconcile *string  `help:"How often everything is read, such as 24h."`
	Valid     []string `help:"The statuses that open doors."`
	CardAttr  *string  `name:"card-attribute" help:"The profile's attribute with the card number."`
	KindAttr  *string  `name:"kind-attribute" help:"The profile's attribute with FULL or SMARTBOX."`
}

// Run sends what is there with what the command line names changed.
func (c *oktaSetCmd) Run(e *program.Env) error {
	st, err := get[okta.Status](c.remote, e, c.path("okta"))
	if err != nil && !errors.Is(err, errNotThere) {
		return err
	}
	b := okta.Body{
		Domain: st.Domain, Poll: st.Poll, Delta: st.Delta, Reconcile: st.Reconcile, Valid: st.Valid, CardAttr: st.CardAttr, KindAttr: st.KindAttr,
	}
	change(&b.Domain, c.Domain)
	change(&b.Poll, c.Poll)
	change(&b.Delta, c.Delta)
	change(&b.Reconcile, c.Reconcile)
	change(&b.CardAttr, c.CardAttr)
	change(&b.KindAttr, c.KindAttr)
	if c.Valid != nil {
		b.Valid = c.Valid
	}
	if b.Token, err = secretOf("--api-token-file", c.TokenFile); err != nil {
		return err
	}
	return c.do(e, http.MethodPut, c.path("okta"), b)
}

// secretOf reads a secret from where nobody else sees it, which the command line
// is not: from the file that flag names.
func secretOf(flag, file string) (string, error) {
	switch file {
	case "":
		return "", nil
	case "-":
		text, err := io.ReadAll(io.LimitReader(os.Stdin, 4<<10))
		if err != nil {
			return "", fmt.Errorf("%s: standard input: %w", flag, err)
		}
		return strings.TrimSpace(string(text)), nil
	}
	tokens, err := keyfile.Secrets(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	return tokens[0], nil
}

type oktaConfirmCmd struct {
	inOrg
	Lose int `help:"How many people the status says would lose access." required:""`
}

func (c *oktaConfirmCmd) Run(e *program.Env) error {
	return c.do(e, http.MethodPost, c.path("okta", "confirm"), map[string]int{"lose": c.Lose})
}

type oktaOffCmd struct {
	inOrg
	GiveBack bool `help:"Let those in again whom the reading had locked out though SCIM says that they are active."`
}

func (c *oktaOffCmd) Run(e *program.Env) error {
	return c.do(e, http.MethodDelete, c.path("okta"), map[string]bool{"give_back": c.GiveBack})
}

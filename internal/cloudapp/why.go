package cloudapp

import (
	"fmt"
	"net/http"
	"net/url"

	"latchkey/cloud"
	"latchkey/internal/program"
)

// A whyCmd explains one person's access at a property.
type whyCmd struct {
	inSite
	Person string `arg:"" help:"The person's id, or a whole user name, email or name."`
	Door   string `arg:"" optional:"" help:"A door; all doors if absent."`
	JSON   bool   `name:"json" help:"As data."`
}

func (c *whyCmd) Run(e *program.Env) error {
	person, err := c.person(e)
	if err != nil {
		return err
	}
	path := c.inOrg.path("people", person, "why", c.Site) + "?" + url.Values{"door": {c.Door}}.Encode()
	if c.JSON {
		return c.do(e, http.MethodGet, path, nil)
	}
	y, err := get[cloud.Why](c.remote, e, path)
	if err != nil {
		return err
	}
	fmt.Fprintln(e.Stdout, y.Answer)
	for _, line := range y.Words {
		if _, err := fmt.Fprintln(e.Stdout, "  "+line); err != nil {
			return err
		}
	}
	return nil
}

// person finds the one whom the command line names.
func (c *whyCmd) person(e *program.Env) (id string, err error) {
	found, err := get[[]cloud.Person](c.remote, e, c.inOrg.path("people")+"?"+url.Values{"search": {c.Person}}.Encode())
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", fmt.Errorf("person %s: %w", c.Person, errNotThere)
	case len(found) > 1:
		return "", fmt.Errorf("person %s: got %d people, want one; see \"person list --search\" for their ids", c.Person, len(found))
	}
	return found[0].ID, nil
}

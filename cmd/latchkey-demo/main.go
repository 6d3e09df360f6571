// Command latchkey-demo runs all of Latchkey on one machine: the cloud, a
// broker, two sites' agents and a simulated building, as the processes that
// they are in real life, on loopback. `latchkey-demo check` shows that it
// works, from a directory's calls to the doors.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"latchkey/building"
	"latchkey/internal/cloudapp"
	"latchkey/internal/program"
	"latchkey/internal/siteapp"
)

func main() { program.Main(run) }

// run is main without the process. The first argument may name one of the real
// programs: that is how the demonstration starts its children.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		switch args[0] {
		case "agent":
			return siteapp.Main(ctx, args[1:], stdout, stderr)
		case "cloud":
			return cloudapp.Main(ctx, args[1:], stdout, stderr)
		case "sim":
			return building.Main(ctx, args[1:], stdout, stderr)
		}
	}
	var grammar struct {
		Run   runCmd   `cmd:"" default:"withargs" help:"Run the demonstration until Ctrl-C."`
		Check checkCmd `cmd:"" help:"Run the demonstration and show step by step that it does its work."`
	}
	env := &program.Env{Context: ctx, Stdout: stdout, Stderr: stderr}
	return program.Run(env, "latchkey-demo",
		"All of Latchkey on one machine, nothing to install.\n\nlatchkey-demo agent|cloud|sim … runs the real programs.", &grammar, args)
}

type runCmd struct {
	JSON bool   `help:"Print one line of JSON when all is ready."`
	Dir  string `help:"Where data and logs go, and stay; empty is a folder that goes with the demonstration." placeholder:"DIR"`
}

func (c *runCmd) Run(e *program.Env) (err error) {
	dir := c.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "latchkey-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	d, err := newDemo(dir)
	if err != nil {
		return err
	}
	return d.run(e.Context, func(i Info) error {
		if c.JSON {
			return json.NewEncoder(e.Stdout).Encode(i)
		}
		code, err := signInCode(e.Context, i)
		if err != nil {
			return err
		}
		return forPeople(e.Stdout, i, code, dir)
	})
}

// An Info is what tools need to use a running demonstration.
type Info struct {
	SCIMURL    string         `json:"scim_url"`
	SCIMToken  string         `json:"scim_token"`
	SCIMURLB   string         `json:"scim_url_b"`
	SCIMTokenB string         `json:"scim_token_b"`
	AdminURL   string         `json:"admin_url"`
	AdminToken string         `json:"admin_token"`
	BrokerURL  string         `json:"broker_url"`
	SimURL     string         `json:"sim_url"`
	Sites      []SiteInfo     `json:"sites"`
	PIDs       map[string]int `json:"pids"` // as of now; a child that is started again has a new one, in DIR/pids.json
}

// A SiteInfo is one site of an Info.
type SiteInfo struct {
	ID         string `json:"id"`
	StatusURL  string `json:"status_url"`
	MetricsURL string `json:"metrics_url"`
}

// signInCode is a code that opens the administrators' pages once.
func signInCode(ctx context.Context, i Info) (string, error) {
	var made struct {
		Code string `json:"code"`
	}
	api := &client{base: i.AdminURL + "/api/v1", token: i.AdminToken}
	if err := api.post(ctx, "/orgs/"+orgA+"/sign-in-codes", nil, &made); err != nil {
		return "", fmt.Errorf("a code for the administrators' pages: %w", err)
	}
	return made.Code, nil
}

func forPeople(w io.Writer, i Info, code, dir string) error {
	_, err := fmt.Fprintf(w, `Latchkey is running: a cloud, a broker, two sites and a simulated building.

  Administration     %[3]s/
  sign-in code       %[9]s (good once, for 15 minutes)
  Directory (SCIM)   %[1]s
  its token          %[2]s
  Admin API          %[3]s/api/v1
  its token          %[4]s
  Site hq            %[5]s
  Site depot         %[6]s
  Logs               %[7]s

Nobody is known yet. Make a person with a card, put her into the group
Employees, and hold her card to a door:

  curl -s -X POST %[1]s/Users -H 'Authorization: Bearer %[2]s' -H 'Content-Type: application/scim+json' \
    -d '{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],"userName":"jane@example.com","displayName":"Jane Roe","active":true,"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"cardNumber":"4711"}}'

  curl -s -X POST %[1]s/Groups -H 'Authorization: Bearer %[2]s' -H 'Content-Type: application/scim+json' \
    -d '{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Employees","members":[{"value":"THE id FROM THE ANSWER ABOVE"}]}'

  go run ./cmd/latchkey-sim badge --url %[8]s --reader front --number 4711

The administration shows why it opened, or why not. For another sign-in code:

  go run ./cmd/latchkey-cloud sign-in-code --org %[10]s --url %[3]s --token-file %[11]s

Ctrl-C ends it.
`, i.SCIMURL, i.SCIMToken, i.AdminURL, i.AdminToken, i.Sites[0].StatusURL, i.Sites[1].StatusURL, filepath.Join(dir, "log"), i.SimURL, code, orgA, filepath.Join(dir, "admin.token"))
	return err
}

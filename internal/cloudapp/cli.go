// Package cloudapp wires the cloud: its command line, its server, and the
// administrator's commands, which speak to a running cloud.
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
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/cloud/admin"
)

const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

type cli struct {
	Serve    serveCmd    `cmd:"" help:"Serve SCIM and the admin API, and publish to the sites."`
	Broker   brokerCmd   `cmd:"" help:"Run the broker of the default set-up by itself."`
	Key      keyCmd      `cmd:"" help:"Print the key that site agents pin."`
	Org      orgCmd      `cmd:"" help:"Organisations."`
	Token    tokenCmd    `cmd:"" help:"SCIM tokens: what Entra ID or Okta is given."`
	Badge    badgeCmd    `cmd:"" help:"Badge types: how card numbers become bits."`
	Property propertyCmd `cmd:"" help:"Properties: buildings with an agent."`
	Door     doorCmd     `cmd:"" help:"Doors of a property."`
	Group    groupCmd    `cmd:"" help:"Door access groups of a property."`
	Rule     ruleCmd     `cmd:"" help:"Provisioning rules of a property."`
	Person   personCmd   `cmd:"" help:"People."`
	Card     cardCmd     `cmd:"" help:"Cards made by hand."`
}

// An env is what a command may touch of the world.
type env struct {
	ctx            context.Context
	stdout, stderr io.Writer
}

// Main is the cloud's program without the process: arguments in, output and
// exit code out.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c cli
	left := -1
	k, err := kong.New(&c, kong.Name("latchkey-cloud"), kong.Description("Turns an organisation's directory into keycards and door access."),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { left = code }), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		fmt.Fprintln(stderr, "latchkey-cloud:", err)
		return exitFailed
	}
	kctx, err := k.Parse(args)
	if left >= 0 {
		return left
	}
	if err != nil {
		fmt.Fprintln(stderr, "latchkey-cloud:", err)
		return exitUsage
	}
	if err := kctx.Run(&env{ctx, stdout, stderr}); err != nil {
		fmt.Fprintln(stderr, "latchkey-cloud:", err)
		return exitFailed
	}
	return exitOK
}

// A remote is a running cloud's admin API.
type remote struct {
	URL       string `help:"The cloud's admin URL." default:"http://127.0.0.1:8480/admin" env:"LATCHKEY_ADMIN_URL" placeholder:"URL"`
	TokenFile string `help:"The admin token's file." default:"/var/lib/latchkey-cloud/admin.token" env:"LATCHKEY_ADMIN_TOKEN_FILE" placeholder:"FILE"`
}

// An orgFlag names the organisation that a command is about.
type orgFlag struct {
	remote
	Org string `help:"The organisation's id." required:"" env:"LATCHKEY_ORG"`
}

func (o orgFlag) path(parts ...string) string {
	return join(append([]string{"orgs", o.Org}, parts...)...)
}

// A siteFlag names the property too.
type siteFlag struct {
	orgFlag
	Site string `help:"The property's id." required:""`
}

func (s siteFlag) path(parts ...string) string {
	return s.orgFlag.path(append([]string{"properties", s.Site}, parts...)...)
}

func join(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString("/" + url.PathEscape(p))
	}
	return b.String()
}

// do calls the API and prints the answer, indented.
func (r remote) do(e *env, method, path string, in any) error {
	token, err := os.ReadFile(r.TokenFile)
	if err != nil {
		return fmt.Errorf("the admin token: %w", err)
	}
	var body io.Reader = http.NoBody
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(e.ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(r.URL, "/")+admin.Prefix+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		var p struct{ Error string }
		if json.Unmarshal(text, &p) == nil && p.Error != "" {
			return errors.New(p.Error)
		}
		return fmt.Errorf("%s %s: %s", method, req.URL, resp.Status)
	}
	if len(text) == 0 {
		return nil
	}
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		return fmt.Errorf("the answer is no JSON: %w", err)
	}
	_, err = out.WriteTo(e.stdout)
	return err
}

type keyCmd struct{ remote }

func (c *keyCmd) Run(e *env) error { return c.do(e, http.MethodGet, "/cloud-key", nil) }

type orgCmd struct {
	List   orgListCmd   `cmd:"" help:"List the organisations."`
	Create orgCreateCmd `cmd:"" help:"Make an organisation."`
	Set    orgSetCmd    `cmd:"" help:"Change an organisation's settings."`
}

type orgListCmd struct{ remote }

func (c *orgListCmd) Run(e *env) error { return c.do(e, http.MethodGet, "/orgs", nil) }

type orgCreateCmd struct {
	remote
	ID   string `arg:"" help:"1 to 32 of a-z, 0-9 and -."`
	Name string `help:"For people; the id if absent."`
}

func (c *orgCreateCmd) Run(e *env) error {
	return c.do(e, http.MethodPost, "/orgs", map[string]string{"id": c.ID, "name": c.Name})
}

type orgSetCmd struct {
	orgFlag
	SCIM        *bool    `help:"Let the directory in or not." negatable:""`
	CardRemoval *string  `help:"What happens to a card whose number the directory removes." enum:"keep,revoke"`
	Sentinel    []string `help:"Card numbers that mean none."`
	Profile     *string  `help:"The directory's dialect." enum:"entra,okta,strict"`
}

func (c *orgSetCmd) Run(e *env) error {
	p := cloud.OrgPatch{SCIMEnabled: c.SCIM, CardRemoval: c.CardRemoval, Profile: (*cloud.Profile)(c.Profile)}
	if c.Sentinel != nil {
		p.Sentinels = &c.Sentinel
	}
	return c.do(e, http.MethodPatch, c.path(), p)
}

type tokenCmd struct {
	List   tokenListCmd   `cmd:"" help:"List the tokens, without the secrets."`
	Create tokenCreateCmd `cmd:"" help:"Make a token. It is shown this once."`
	Delete tokenDeleteCmd `cmd:"" help:"Take a token out of use at once."`
}

type tokenListCmd struct{ orgFlag }

func (c *tokenListCmd) Run(e *env) error { return c.do(e, http.MethodGet, c.path("tokens"), nil) }

type tokenCreateCmd struct {
	orgFlag
	Label string `help:"What it is for." default:"directory"`
}

func (c *tokenCreateCmd) Run(e *env) error {
	return c.do(e, http.MethodPost, c.path("tokens"), map[string]string{"label": c.Label})
}

type tokenDeleteCmd struct {
	orgFlag
	ID string `arg:""`
}

func (c *tokenDeleteCmd) Run(e *env) error {
	return c.do(e, http.MethodDelete, c.path("tokens", c.ID), nil)
}

type badgeCmd struct {
	List badgeListCmd `cmd:"" help:"List the badge types."`
	Set  badgeSetCmd  `cmd:"" help:"Make or change a badge type."`
}

type badgeListCmd struct{ orgFlag }

func (c *badgeListCmd) Run(e *env) error { return c.do(e, http.MethodGet, c.path("badge-types"), nil) }

type badgeSetCmd struct {
	orgFlag
	ID       string  `arg:""`
	Format   string  `help:"A Wiegand format." required:""`
	Facility *uint64 `help:"The facility code of numbers that name none."`
	Default  bool    `help:"Numbers without a badge type are of this one."`
	Shared   bool    `help:"Several people may have the same number."`
}

func (c *badgeSetCmd) Run(e *env) error {
	return c.do(e, http.MethodPut, c.path("badge-types", c.ID),
		cloud.BadgeType{Format: c.Format, Facility: c.Facility, Default: c.Default, Shared: c.Shared})
}

type propertyCmd struct {
	List   propertyListCmd   `cmd:"" help:"List the properties, and which are not syncing."`
	Set    propertySetCmd    `cmd:"" help:"Make or change a property."`
	Status propertyStatusCmd `cmd:"" help:"Say how far a property's agent is."`
}

type propertyListCmd struct{ orgFlag }

func (c *propertyListCmd) Run(e *env) error {
	return c.do(e, http.MethodGet, c.path("properties"), nil)
}

type propertySetCmd struct {
	siteFlag
	Name   string   `help:"For people."`
	Key    string   `help:"The agent's public key, as latchkey-agent keygen prints it."`
	Wallet bool     `help:"Apple Wallet is installed here."`
	Pilot  []string `help:"Directory groups that the property is limited to."`
}

func (c *propertySetCmd) Run(e *env) error {
	return c.do(e, http.MethodPut, c.path(), map[string]any{"name": c.Name, "key": c.Key, "wallet": c.Wallet, "pilot_groups": c.Pilot})
}

type propertyStatusCmd struct{ siteFlag }

func (c *propertyStatusCmd) Run(e *env) error { return c.do(e, http.MethodGet, c.path("status"), nil) }

type doorCmd struct {
	List doorListCmd `cmd:"" help:"List the doors."`
	Set  doorSetCmd  `cmd:"" help:"Make or change a door."`
	Drop doorDropCmd `cmd:"" help:"Remove a door."`
}

type doorListCmd struct{ siteFlag }

func (c *doorListCmd) Run(e *env) error { return c.do(e, http.MethodGet, c.path("doors"), nil) }

type doorSetCmd struct {
	siteFlag
	ID     string        `arg:""`
	Name   string        `help:"For people." required:""`
	Kind   string        `help:"door or cabinet." enum:"door,cabinet" default:"door"`
	Unlock time.Duration `help:"How long a grant opens the strike." default:"5s"`
}

func (c *doorSetCmd) Run(e *env) error {
	return c.do(e, http.MethodPut, c.path("doors", c.ID), access.Door{ID: c.ID, Name: c.Name, Kind: c.Kind, UnlockMS: c.Unlock.Milliseconds()})
}

type doorDropCmd struct {
	siteFlag
	ID string `arg:""`
}

func (c *doorDropCmd) Run(e *env) error {
	return c.do(e, http.MethodDelete, c.path("doors", c.ID), nil)
}

type groupCmd struct {
	List  groupListCmd  `cmd:"" help:"List the door access groups."`
	Set   groupSetCmd   `cmd:"" help:"Make or change a door access group."`
	Drop  groupDropCmd  `cmd:"" help:"Remove a door access group."`
	Join  groupJoinCmd  `cmd:"" help:"Put a person into the group by hand."`
	Leave groupLeaveCmd `cmd:"" help:"Take a person out of the group again."`
}

type groupListCmd struct{ siteFlag }

func (c *groupListCmd) Run(e *env) error { return c.do(e, http.MethodGet, c.path("groups"), nil) }

type groupSetCmd struct {
	siteFlag
	ID   string   `arg:""`
	Name string   `help:"For people." required:""`
	Door []string `help:"A door that the group opens, as DOOR or DOOR@SCHEDULE; may stand several times."`
}

func (c *groupSetCmd) Run(e *env) error {
	g := cloud.AccessGroup{ID: c.ID, Name: c.Name, Grants: []cloud.DoorAccess{}}
	for _, d := range c.Door {
		door, schedule, _ := strings.Cut(d, "@")
		g.Grants = append(g.Grants, cloud.DoorAccess{Door: door, Schedule: schedule})
	}
	return c.do(e, http.MethodPut, c.path("groups", c.ID), g)
}

type groupDropCmd struct {
	siteFlag
	ID string `arg:""`
}

func (c *groupDropCmd) Run(e *env) error {
	return c.do(e, http.MethodDelete, c.path("groups", c.ID), nil)
}

type membership struct {
	siteFlag
	Group  string `arg:""`
	Person string `arg:""`
}

func (m membership) member(e *env, method string) error {
	return m.do(e, method, m.orgFlag.path("people", m.Person, "groups", m.Site, m.Group), nil)
}

type groupJoinCmd struct{ membership }

func (c *groupJoinCmd) Run(e *env) error { return c.member(e, http.MethodPut) }

type groupLeaveCmd struct{ membership }

func (c *groupLeaveCmd) Run(e *env) error { return c.member(e, http.MethodDelete) }

type ruleCmd struct {
	List  ruleListCmd  `cmd:"" help:"List the rules in the order in which they are asked."`
	Add   ruleAddCmd   `cmd:"" help:"Add a rule after the others."`
	Drop  ruleDropCmd  `cmd:"" help:"Remove a rule."`
	Order ruleOrderCmd `cmd:"" help:"Set the order in which rules are asked."`
}

type ruleListCmd struct{ siteFlag }

func (c *ruleListCmd) Run(e *env) error { return c.do(e, http.MethodGet, c.path("rules"), nil) }

type ruleAddCmd struct {
	siteFlag
	Name    string   `arg:""`
	When    []string `help:"A condition: group=NAME, or ATTRIBUTE:eq|ne|co|sw=VALUE, or ATTRIBUTE:pr; none matches everyone."`
	Match   string   `help:"all or any of the conditions." enum:"all,any" default:"all"`
	Give    []string `help:"A door access group that the rule gives."`
	Role    string   `help:"User or Admin." enum:",User,Admin" default:""`
	BLE     bool     `help:"Give a Bluetooth key."`
	Wallet  bool     `help:"Give an Apple Wallet pass."`
	OnlyNew bool     `help:"Only people who appear after the rule was made."`
}

func (c *ruleAddCmd) Run(e *env) error {
	conditions := []cloud.Condition{}
	for _, w := range c.When {
		cond, err := condition(w)
		if err != nil {
			return err
		}
		conditions = append(conditions, cond)
	}
	return c.do(e, http.MethodPost, c.path("rules"), map[string]any{
		"name": c.Name, "match": c.Match, "conditions": conditions, "groups": c.Give, "role": c.Role,
		"mobile": cloud.Mobile{BLE: c.BLE, Wallet: c.Wallet}, "only_new": c.OnlyNew,
	})
}

// condition reads "group=NAME", "department:eq=Lab" or "title:pr".
func condition(s string) (cloud.Condition, error) {
	if name, ok := strings.CutPrefix(s, "group="); ok && name != "" {
		return cloud.Condition{Group: name}, nil
	}
	test, value, _ := strings.Cut(s, "=")
	i := strings.LastIndexByte(test, ':') // an attribute's URN has colons of its own
	if i <= 0 {
		return cloud.Condition{}, fmt.Errorf("condition %q: want group=NAME, ATTRIBUTE:eq=VALUE or ATTRIBUTE:pr", s)
	}
	return cloud.Condition{Attr: test[:i], Op: test[i+1:], Value: value}, nil
}

type ruleDropCmd struct {
	siteFlag
	ID string `arg:""`
}

func (c *ruleDropCmd) Run(e *env) error {
	return c.do(e, http.MethodDelete, c.path("rules", c.ID), nil)
}

type ruleOrderCmd struct {
	siteFlag
	IDs []string `arg:"" name:"id"`
}

func (c *ruleOrderCmd) Run(e *env) error {
	return c.do(e, http.MethodPost, c.path("rules", "order"), map[string]any{"ids": c.IDs})
}

type personCmd struct {
	List personListCmd `cmd:"" help:"List people, or find one."`
	Show personShowCmd `cmd:"" help:"Show one person: cards, rules, groups."`
	Add  personAddCmd  `cmd:"" help:"Add somebody whom no directory knows."`
	Drop personDropCmd `cmd:"" help:"Delete somebody who was added by hand."`
}

type personListCmd struct {
	orgFlag
	Search string `help:"A whole user name, email or card number."`
}

func (c *personListCmd) Run(e *env) error {
	return c.do(e, http.MethodGet, c.path("people")+"?"+url.Values{"search": {c.Search}}.Encode(), nil)
}

type personShowCmd struct {
	orgFlag
	ID string `arg:""`
}

func (c *personShowCmd) Run(e *env) error {
	return c.do(e, http.MethodGet, c.path("people", c.ID), nil)
}

type personAddCmd struct {
	orgFlag
	Name  string `arg:""`
	Email string `help:"The email address."`
}

func (c *personAddCmd) Run(e *env) error {
	return c.do(e, http.MethodPost, c.path("people"), cloud.NewPerson{Name: c.Name, Email: c.Email})
}

type personDropCmd struct {
	orgFlag
	ID string `arg:""`
}

func (c *personDropCmd) Run(e *env) error {
	return c.do(e, http.MethodDelete, c.path("people", c.ID), nil)
}

type cardCmd struct {
	Add    cardAddCmd    `cmd:"" help:"Give a person a card by hand."`
	Status cardStatusCmd `cmd:"" help:"Suspend a card or make it active again."`
	Drop   cardDropCmd   `cmd:"" help:"Delete a card."`
}

type cardAddCmd struct {
	orgFlag
	Person string `arg:""`
	Number string `arg:"" help:"N, F-N, FORMAT:N, FORMAT:F-N or bits:LENGTH:HEX."`
	Badge  string `help:"The badge type; the default one if absent."`
}

func (c *cardAddCmd) Run(e *env) error {
	return c.do(e, http.MethodPost, c.path("people", c.Person, "cards"), cloud.NewCard{Number: c.Number, BadgeType: c.Badge})
}

type cardStatusCmd struct {
	orgFlag
	ID     string `arg:""`
	Status string `arg:"" enum:"active,suspended"`
}

func (c *cardStatusCmd) Run(e *env) error {
	return c.do(e, http.MethodPatch, c.path("cards", c.ID), cloud.CardPatch{Status: &c.Status})
}

type cardDropCmd struct {
	orgFlag
	ID string `arg:""`
}

func (c *cardDropCmd) Run(e *env) error {
	return c.do(e, http.MethodDelete, c.path("cards", c.ID), nil)
}

// Package siteapp wires the site agent: its command line, and what Run needs.
package siteapp

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"latchkey/agent"
	"latchkey/delta"
	"latchkey/internal/keyfile"
	"latchkey/internal/program"
	"latchkey/wiegand"
)

// degraded is `status`'s exit code for: the agent answers, and something needs a
// look, which has been said.
const degraded = program.Exit(3)

type cli struct {
	Run       runCmd       `cmd:"" help:"Work this building's doors until stopped."`
	Check     checkCmd     `cmd:"" help:"Look for problems in a site file, each with line and column."`
	Keygen    keygenCmd    `cmd:"" help:"Make this site's key, or print the public half of the one it has."`
	Install   installCmd   `cmd:"" help:"Install the agent as a system service."`
	Uninstall uninstallCmd `cmd:"" help:"Remove the system service; the site's data stays."`
	Start     startCmd     `cmd:"" help:"Start the installed service."`
	Stop      stopCmd      `cmd:"" help:"Stop the installed service."`
	Status    statusCmd    `cmd:"" help:"Say how the service and the site stand."`
	Card      cardCmd      `cmd:"" help:"Find out what a card is."`
	OSDP      osdpCmd      `cmd:"" name:"osdp" help:"Keys of OSDP readers, and what goes over their lines."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
}

// Main is the agent's program without the process: arguments in, output and
// exit code out.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	env := &program.Env{Context: ctx, Stdout: stdout, Stderr: stderr}
	return program.Run(env, "latchkey-agent", "Keeps a building's doors in step with the organisation's directory, with or without the cloud.", new(cli), args)
}

// A siteFile is the flag that most commands have.
type siteFile struct {
	Config string `help:"The site file." default:"/etc/latchkey/site.yaml" placeholder:"FILE" env:"LATCHKEY_CONFIG"`
}

func (f siteFile) load() (*agent.Config, *wiegand.Catalogue, error) {
	formats, err := wiegand.Load()
	if err != nil {
		return nil, nil, err
	}
	text, err := os.ReadFile(f.Config)
	if err != nil {
		return nil, nil, err
	}
	c, err := agent.ParseConfig(f.Config, text, formats)
	return c, formats, err
}

type runCmd struct{ siteFile }

func (c *runCmd) Run(e *program.Env) error {
	cfg, formats, err := c.load()
	if err != nil {
		return err
	}
	return supervised(e.Context, func(ctx context.Context) error { return Run(ctx, cfg, formats, e.Stderr) })
}

type checkCmd struct{ siteFile }

func (c *checkCmd) Run(e *program.Env) error {
	cfg, _, err := c.load()
	if err != nil {
		return err
	}
	readers, doors := 0, 0
	for _, l := range cfg.OSDP {
		readers += len(l.Readers)
	}
	for _, s := range cfg.Serial {
		doors += len(s.Doors)
	}
	fmt.Fprintf(e.Stdout, "%s: site %s: %s on %s, %s on %s\n", c.Config, cfg.Site,
		count(readers, "OSDP reader"), count(len(cfg.OSDP), "line"), count(doors, "door"), count(len(cfg.Serial), "serial controller"))
	for _, l := range cfg.OSDP {
		for _, r := range l.Readers {
			if r.Security == agent.SecurityAllowClear {
				fmt.Fprintf(e.Stdout, "- reader %s (%s, address %d) may work in clear text: who reaches its line reads its cards and opens its door\n", r.Name, l.Name, r.Address)
			}
		}
	}
	return nil
}

// count is n things in words.
func count(n int, thing string) string {
	switch {
	case n == 1:
		return "1 " + thing
	case strings.HasSuffix(thing, "s"):
		return fmt.Sprintf("%d %ses", n, thing)
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

type keygenCmd struct {
	Out  string `help:"The key file." default:"/var/lib/latchkey/site.key" placeholder:"FILE"`
	Site string `help:"The site's id; it becomes the key's." required:""`
}

func (c *keygenCmd) Run(e *program.Env) error {
	key, err := keyfile.Key(c.Out, c.Site)
	if err != nil {
		return err
	}
	public, err := delta.MarshalPublic(key.ID, key.Public())
	if err != nil {
		return err
	}
	fmt.Fprintln(e.Stdout, public)
	return nil
}

type versionCmd struct{}

func (versionCmd) Run(e *program.Env) error {
	fmt.Fprintln(e.Stdout, agent.Software)
	return nil
}

type statusCmd struct {
	siteFile
	JSON bool `help:"Print what the status page is made of."`
}

// Run asks the running agent by its own page, and the system for the service.
func (c *statusCmd) Run(e *program.Env) error {
	cfg, _, err := c.load()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(e.Context, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+cfg.Status.Listen+"/api/status", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("service: %s; the agent does not answer at %s: %w", serviceState(), cfg.Status.Listen, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return err
	}
	if c.JSON {
		_, err := e.Stdout.Write(body)
		return err
	}
	var st agent.Status
	if err := json.Unmarshal(body, &st); err != nil {
		return fmt.Errorf("what answers at %s is not the agent: %w", cfg.Status.Listen, err)
	}
	fmt.Fprintf(e.Stdout, "service: %s\n%s: %s\n", serviceState(), st.Name, st.Summary)
	for _, p := range st.Problems {
		fmt.Fprintln(e.Stdout, "-", p)
	}
	for _, n := range st.Notices {
		fmt.Fprintln(e.Stdout, "!", n)
	}
	if !st.Ready || len(st.Problems) > 0 {
		return degraded
	}
	for _, d := range st.Doors {
		if !d.UpToDate {
			return degraded
		}
	}
	return nil
}

// Package siteapp wires the site agent: its command line, and what Run needs.
package siteapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"latchkey/agent"
	"latchkey/delta"
	"latchkey/internal/keyfile"
	"latchkey/wiegand"
)

// The exit codes of the agent's program.
const (
	exitOK       = 0
	exitFailed   = 1
	exitUsage    = 2
	exitDegraded = 3 // `status`: the agent answers, and something needs a look
)

// errDegraded makes Main end with exitDegraded; what is wrong is printed already.
var errDegraded = errors.New("degraded")

type cli struct {
	Run       runCmd       `cmd:"" help:"Work this building's doors until stopped."`
	Check     checkCmd     `cmd:"" help:"Look for problems in a site file, each with line and column."`
	Keygen    keygenCmd    `cmd:"" help:"Make this site's key, or print the public half of the one it has."`
	Install   installCmd   `cmd:"" help:"Install the agent as a system service."`
	Uninstall uninstallCmd `cmd:"" help:"Remove the system service; the site's data stays."`
	Start     startCmd     `cmd:"" help:"Start the installed service."`
	Stop      stopCmd      `cmd:"" help:"Stop the installed service."`
	Status    statusCmd    `cmd:"" help:"Say how the service and the site stand."`
	Formats   formatsCmd   `cmd:"" help:"List the card formats that a site file may name."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
}

// An env is what a command may touch of the world.
type env struct {
	ctx            context.Context
	stdout, stderr io.Writer
}

// Main is the agent's program without the process: arguments in, output and
// exit code out.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c cli
	left := -1
	k, err := kong.New(&c,
		kong.Name("latchkey-agent"), kong.Description("Keeps a building's doors in step with the organisation's directory, with or without the cloud."),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { left = code }), kong.UsageOnError(),
	)
	if err != nil {
		fmt.Fprintln(stderr, "latchkey-agent:", err)
		return exitFailed
	}
	kctx, err := k.Parse(args)
	if left >= 0 { // --help printed itself
		return left
	}
	if err != nil {
		fmt.Fprintln(stderr, "latchkey-agent:", err)
		return exitUsage
	}
	switch err := kctx.Run(&env{ctx, stdout, stderr}); {
	case err == nil:
		return exitOK
	case errors.Is(err, errDegraded):
		return exitDegraded
	default:
		fmt.Fprintln(stderr, "latchkey-agent:", err)
		return exitFailed
	}
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

func (c *runCmd) Run(e *env) error {
	cfg, formats, err := c.load()
	if err != nil {
		return err
	}
	return supervised(e.ctx, func(ctx context.Context) error { return Run(ctx, cfg, formats, e.stderr) })
}

type checkCmd struct{ siteFile }

func (c *checkCmd) Run(e *env) error {
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
	fmt.Fprintf(e.stdout, "%s: site %s: %s on %s, %s on %s\n", c.Config, cfg.Site,
		count(readers, "OSDP reader"), count(len(cfg.OSDP), "line"), count(doors, "door"), count(len(cfg.Serial), "serial controller"))
	return nil
}

// count is n things in words.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

type keygenCmd struct {
	Out  string `help:"The key file." default:"/var/lib/latchkey/site.key" placeholder:"FILE"`
	Site string `help:"The site's id; it becomes the key's." required:""`
}

func (c *keygenCmd) Run(e *env) error {
	key, err := keyfile.Key(c.Out, c.Site)
	if err != nil {
		return err
	}
	public, err := delta.MarshalPublic(key.ID, key.Public())
	if err != nil {
		return err
	}
	fmt.Fprintln(e.stdout, public)
	return nil
}

type formatsCmd struct{}

func (formatsCmd) Run(e *env) error {
	catalogue, err := wiegand.Load()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	for _, f := range catalogue.Formats() {
		fmt.Fprintf(w, "%s\t%d bits\t%s\n", f.Name, f.Bits, f.Description)
	}
	return w.Flush()
}

type versionCmd struct{}

func (versionCmd) Run(e *env) error {
	fmt.Fprintln(e.stdout, agent.Software)
	return nil
}

type statusCmd struct {
	siteFile
	JSON bool `help:"Print what the status page is made of."`
}

// Run asks the running agent by its own page, and the system for the service.
func (c *statusCmd) Run(e *env) error {
	cfg, _, err := c.load()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(e.ctx, 5*time.Second)
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
		_, err := e.stdout.Write(body)
		return err
	}
	var st agent.Status
	if err := json.Unmarshal(body, &st); err != nil {
		return fmt.Errorf("what answers at %s is not the agent: %w", cfg.Status.Listen, err)
	}
	fmt.Fprintf(e.stdout, "service: %s\n%s: %s\n", serviceState(), st.Name, st.Summary)
	for _, p := range st.Problems {
		fmt.Fprintln(e.stdout, "-", p)
	}
	if !st.Ready || len(st.Problems) > 0 {
		return errDegraded
	}
	for _, d := range st.Doors {
		if !d.UpToDate {
			return errDegraded
		}
	}
	return nil
}

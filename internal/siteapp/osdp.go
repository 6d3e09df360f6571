package siteapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"latchkey/internal/program"
	"latchkey/osdp"
)

// osdpCmd is for whoever stands at an OSDP reader. All but decode and discover
// ask the agent that runs: it holds the line and the keys.
type osdpCmd struct {
	Keyset   keysetCmd   `cmd:"" help:"Give a reader its first key, or tell the agent which one it has."`
	Rotate   rotateCmd   `cmd:"" help:"Give readers new keys, under the ones that they have."`
	Forget   forgetCmd   `cmd:"" help:"Let another device take a reader's place."`
	Quality  qualityCmd  `cmd:"" help:"Say how the exchange with each reader goes."`
	Trace    traceCmd    `cmd:"" help:"Record what goes over a line."`
	Decode   decodeCmd   `cmd:"" help:"Say what a trace holds, and how the line did."`
	Discover discoverCmd `cmd:"" help:"Find the readers on a line that no agent works."`
}

// quickly is how long an answer that the agent has at hand may take.
const quickly = 5 * time.Second

// A keyResult is what became of one reader's key, in --json.
type keyResult struct {
	Reader string `json:"reader"`
	Done   bool   `json:"done"`
	Error  string `json:"error,omitzero"`
}

// report prints what became of an act on a reader, in words or as JSON, and
// returns err for the exit code, or program.Failed if all is said.
func report(e *program.Env, asJSON bool, reader, done string, err error) error {
	if !asJSON {
		if err == nil {
			fmt.Fprintf(e.Stdout, "reader %s: %s\n", reader, done)
		}
		return err
	}
	r := keyResult{Reader: reader, Done: err == nil}
	if err != nil {
		r.Error = err.Error()
	}
	if err := json.NewEncoder(e.Stdout).Encode(r); err != nil {
		return err
	}
	if !r.Done {
		return program.Exit(program.Failed)
	}
	return nil
}

type keysetCmd struct {
	siteFile
	Reader      string        `help:"The reader's name in the site file." required:""`
	InsecureBus bool          `help:"Send the key over the default key, which everybody knows: whoever listens to the line meanwhile has it."`
	For         time.Duration `help:"How long to wait for the reader, 10m at the most." default:"10m"`
	KeyFile     string        `help:"A file with the key that the reader has already, as 32 hexadecimal digits." placeholder:"FILE"`
	JSON        bool          `help:"Print what became of it as JSON."`
}

// Run opens a window, or imports.
func (c *keysetCmd) Run(e *program.Env) error {
	if c.KeyFile != "" && c.InsecureBus {
		return errors.New("osdp keyset: --key-file and --insecure-bus: want one of them; a reader that has its key needs no other over the line")
	}
	if c.For < time.Second || c.For > maxWindow {
		return fmt.Errorf("osdp keyset: --for %v: want 1s to %v", c.For, maxWindow)
	}
	cfg, _, err := c.load()
	if err != nil {
		return err
	}
	agent := newControlClient(cfg.StateDir)
	if c.KeyFile != "" {
		key, err := readKeyFile(c.KeyFile)
		if err != nil {
			return fmt.Errorf("osdp keyset: %w", err)
		}
		err = agent.act(e.Context, "import", keyRequest{Reader: c.Reader, Key: key.Hex()})
		return report(e, c.JSON, c.Reader, "has proven that it has this key; remove the file", err)
	}
	if !c.InsecureBus {
		return fmt.Errorf("osdp keyset: a reader's first key goes over the line under the default key, which everybody knows. Whoever listens to the line "+
			"of reader %s meanwhile, or answers in its place, has the key, and can open its door for ever after. Better: give the reader its key on a bench "+
			"and use --key-file. If nobody can get at this line now, say --insecure-bus", c.Reader)
	}
	if !c.JSON {
		fmt.Fprintf(e.Stdout, "Until %s reader %s may get a key, once. Put it into installation mode now. "+
			"Whoever listens to its line meanwhile has the key. Interrupt to stop.\n", time.Now().Add(c.For).Format(time.TimeOnly), c.Reader)
	}
	err = agent.act(e.Context, "keyset", keyRequest{Reader: c.Reader, Seconds: int(c.For.Seconds()), InsecureBus: true})
	return report(e, c.JSON, c.Reader, "has a key of its own now, and has proven it", err)
}

// readKeyFile reads a key that nobody else may read.
func readKeyFile(path string) (osdp.Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return osdp.Key{}, err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return osdp.Key{}, fmt.Errorf("%s: mode %#o, want 0600: others may have read the key", path, info.Mode().Perm())
	}
	if info.Size() > 1024 {
		return osdp.Key{}, fmt.Errorf("%s: %d bytes, want 32 hexadecimal digits", path, info.Size())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return osdp.Key{}, err
	}
	key, err := osdp.ParseKey(strings.TrimSpace(string(text))) // its errors do not have the text
	if err == nil {
		err = key.Check()
	}
	if err != nil {
		return osdp.Key{}, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

type rotateCmd struct {
	siteFile
	Reader string `help:"The reader's name in the site file." xor:"which" required:""`
	All    bool   `help:"All readers, one after the other." xor:"which" required:""`
	JSON   bool   `help:"Print what became of each reader as a line of JSON."`
}

// Run goes on after a reader that fails.
func (c *rotateCmd) Run(e *program.Env) error {
	cfg, _, err := c.load()
	if err != nil {
		return err
	}
	agent := newControlClient(cfg.StateDir)
	names := []string{c.Reader}
	if c.All {
		ctx, cancel := context.WithTimeout(e.Context, quickly)
		defer cancel()
		all, err := agent.quality(ctx)
		if err != nil {
			return err
		}
		names = nil
		for _, q := range all {
			if len(q.Readers) > 0 { // heads of one device share its key
				names = append(names, q.Readers[0])
			}
		}
	}
	var errs []error
	for _, name := range names {
		err := agent.act(e.Context, "rotate", keyRequest{Reader: name})
		errs = append(errs, report(e, c.JSON, name, "has a new key, and has proven it", err))
	}
	err = errors.Join(errs...)
	if _, ok := errors.AsType[program.Exit](err); ok {
		return program.Exit(program.Failed)
	}
	return err
}

type forgetCmd struct {
	siteFile
	Reader string `help:"The reader's name in the site file." required:""`
	JSON   bool   `help:"Print what became of it as JSON."`
}

// Run lets the next device at the reader's place be trusted, once it proves its
// key.
func (c *forgetCmd) Run(e *program.Env) error {
	cfg, _, err := c.load()
	if err != nil {
		return err
	}
	err = newControlClient(cfg.StateDir).act(e.Context, "forget", keyRequest{Reader: c.Reader})
	return report(e, c.JSON, c.Reader, "the next device that proves its key is the one", err)
}

package siteapp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/kardianos/service"

	"latchkey/internal/program"
	"latchkey/packaging"
)

const serviceName = "latchkey-agent"

// errNoSystemd refuses to fall back to SysV, which would ignore our unit and
// with it the watchdog, the restarts and the sandbox.
var errNoSystemd = errors.New("this Linux does not run systemd: `latchkey-agent install --print` shows the unit, and `latchkey-agent run` works under any supervisor")

type installCmd struct {
	siteFile
	Print bool `help:"Print the systemd unit and change nothing."`
}

func (c *installCmd) Run(e *program.Env) error {
	exec, err := executable()
	if err != nil {
		return err
	}
	config, err := filepath.Abs(c.Config)
	if err != nil {
		return err
	}
	if c.Print {
		unit, err := unitText(exec, config)
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(e.Stdout, unit)
		return err
	}
	if _, _, err := c.load(); err != nil {
		return fmt.Errorf("not installed: %w", err)
	}
	s, err := systemService(new(managedRun), exec, config)
	if err != nil {
		return err
	}
	if err := s.Install(); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	fmt.Fprintf(e.Stdout, "installed %s for %s; next: latchkey-agent start\n", serviceName, config)
	return nil
}

type (
	uninstallCmd struct{}
	startCmd     struct{}
	stopCmd      struct{}
)

func (uninstallCmd) Run(e *program.Env) error {
	return control(e, "uninstalled", service.Service.Uninstall)
}
func (startCmd) Run(e *program.Env) error { return control(e, "started", service.Service.Start) }
func (stopCmd) Run(e *program.Env) error  { return control(e, "stopped", service.Service.Stop) }

func control(e *program.Env, done string, act func(service.Service) error) error {
	s, err := systemService(new(managedRun), "", "")
	if err != nil {
		return err
	}
	if err := act(s); err != nil {
		return err
	}
	fmt.Fprintln(e.Stdout, done, serviceName)
	return nil
}

func serviceState() string {
	s, err := systemService(new(managedRun), "", "")
	if err != nil {
		return "not a system service here"
	}
	st, err := s.Status()
	switch {
	case errors.Is(err, service.ErrNotInstalled):
		return "not installed"
	case err != nil:
		return "unknown (" + err.Error() + ")"
	case st == service.StatusRunning:
		return "running"
	case st == service.StatusStopped:
		return "stopped"
	default:
		return "unknown"
	}
}

// A managedRun is what a service manager that sends no signals starts and stops:
// that of Windows.
type managedRun struct {
	ctx    context.Context
	run    func(context.Context) error
	cancel context.CancelFunc
	ended  chan error // capacity 1
}

// supervised runs run under the system's service manager where that is not done
// by signals, and by itself otherwise.
func supervised(ctx context.Context, run func(context.Context) error) error {
	if runtime.GOOS != "windows" || service.Interactive() {
		return run(ctx)
	}
	p := &managedRun{ctx: ctx, run: run, ended: make(chan error, 1)}
	s, err := systemService(p, "", "")
	if err != nil {
		return err
	}
	managed := make(chan error, 1)
	go func() { managed <- s.Run() }() // ends with the process where the agent ends first
	select {
	case err := <-managed:
		return err
	case err := <-p.ended: // by itself: the manager sees the process gone, and starts it again
		return err
	}
}

// Start is called by the service manager and must not block.
func (p *managedRun) Start(service.Service) error {
	ctx, cancel := context.WithCancel(p.ctx)
	p.cancel = cancel
	go func() { p.ended <- p.run(ctx) }()
	return nil
}

// Stop returns once the agent has stopped.
func (p *managedRun) Stop(service.Service) error {
	p.cancel()
	return <-p.ended
}

// systemService is the agent as the system's service manager knows it. On
// Linux that is systemd, by name: the library would quietly choose SysV where
// it does not find systemd at work.
func systemService(p *managedRun, exec, config string) (service.Service, error) {
	c := &service.Config{
		Name: serviceName, DisplayName: "Latchkey site agent",
		Description: "Keeps the doors of this building in step with the organisation's directory.",
		Executable:  exec,
		Arguments:   []string{"run", "--config", config},
	}
	if runtime.GOOS != "linux" {
		c.Option = service.KeyValue{"OnFailure": "restart", "OnFailureDelayDuration": "1s"} // Windows; launchd keeps it alive by itself
		return service.New(p, c)
	}
	unit, err := unitText(exec, config)
	if err != nil {
		return nil, err
	}
	c.Option = service.KeyValue{"SystemdScript": unit}
	for _, sys := range service.AvailableSystems() {
		if sys.String() == "linux-systemd" && sys.Detect() {
			return sys.New(p, c)
		}
	}
	return nil, errNoSystemd
}

// unitText fills in the unit file. Paths with blanks or quotes are refused,
// because systemd's own quoting rules differ from line to line.
func unitText(exec, config string) (string, error) {
	for _, p := range []string{exec, config} {
		if strings.ContainsAny(p, " \t\n\"'\\%${}") {
			return "", fmt.Errorf("install: path %q: want one without blanks, quotes, %% and $", p)
		}
	}
	text, err := packaging.Files.ReadFile("latchkey-agent.service")
	if err != nil {
		return "", err
	}
	return strings.NewReplacer("@EXEC@", exec, "@CONFIG@", config).Replace(string(text)), nil
}

func executable() (string, error) {
	p, err := os.Executable()
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(p)
}

package program_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"latchkey/internal/program"
)

type greetCmd struct {
	Name string `arg:""`
	Fail string `help:"How to fail." enum:",error,exit" default:""`
}

func (c *greetCmd) Run(e *program.Env) error {
	switch c.Fail {
	case "error":
		return errors.New("greet: nobody there")
	case "exit":
		return fmt.Errorf("greet: %w", program.Exit(3))
	}
	fmt.Fprintln(e.Stdout, "hello", c.Name)
	return nil
}

func TestRun(t *testing.T) {
	for _, tt := range []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string
	}{
		{"runs", []string{"greet", "Jane"}, program.OK, "hello Jane\n", ""},
		{"fails", []string{"greet", "Jane", "--fail=error"}, program.Failed, "", "greeter: greet: nobody there\n"},
		{"its own code", []string{"greet", "Jane", "--fail=exit"}, 3, "", ""},
		{"no argument", []string{"greet"}, program.Usage, "", "greeter: expected \"<name>\"\n"},
		{"no such flag", []string{"greet", "Jane", "--fial"}, program.Usage, "", "greeter: unknown flag --fial, did you mean \"--fail\"?\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var grammar struct {
				Greet greetCmd `cmd:""`
			}
			var out, errOut bytes.Buffer
			code := program.Run(&program.Env{Context: t.Context(), Stdout: &out, Stderr: &errOut}, "greeter", "Greets.", &grammar, tt.args)
			if code != tt.code || out.String() != tt.stdout || errOut.String() != tt.stderr {
				t.Errorf("exit %d, %q, %q; want %d, %q, %q", code, out.String(), errOut.String(), tt.code, tt.stdout, tt.stderr)
			}
		})
	}
}

func TestHelpIsNoError(t *testing.T) {
	var grammar struct {
		Greet greetCmd `cmd:"" help:"Greet somebody."`
	}
	var out bytes.Buffer
	code := program.Run(&program.Env{Context: t.Context(), Stdout: &out, Stderr: &out}, "greeter", "Greets.", &grammar, []string{"--help"})
	if code != program.OK || !strings.Contains(out.String(), "Greet somebody.") {
		t.Errorf("exit %d, %s; want 0 and the help", code, out.String())
	}
}

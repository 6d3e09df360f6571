// Package program is the way into every program: arguments in, exit code out.
// A program is a function of its arguments and its output, so that tests and
// the demonstration can run it without a process.
package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// The exit codes that all programs share. Others are a program's own.
const (
	OK     = 0
	Failed = 1
	Usage  = 2
)

// An Env is what a command may touch of the world. Commands get it by their
// Run(*program.Env) method.
type Env struct {
	Context        context.Context // ends when the program is to stop
	Stdout, Stderr io.Writer
}

// An Exit is an error that ends a program with that code. What there was to say
// has been said.
type Exit int

// Error names the code.
func (e Exit) Error() string { return fmt.Sprint("exit code ", int(e)) }

// Run reads args by grammar, a pointer to a struct with kong's tags, and runs
// the command that they name. An error is printed on Stderr after the
// program's name. It returns the exit code: OK, Usage for arguments that
// cannot be read, an Exit's own, or Failed.
func Run(env *Env, name, about string, grammar any, args []string) int {
	asked := -1 // --help ends the program itself
	k, err := kong.New(grammar, kong.Name(name), kong.Description(about), kong.Writers(env.Stdout, env.Stderr),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.Exit(func(code int) { asked = code }))
	if err != nil {
		return say(env, name, err, Failed)
	}
	command, err := k.Parse(args)
	switch {
	case asked >= 0:
		return asked
	case err != nil:
		return say(env, name, err, Usage)
	}
	err = command.Run(env)
	if code, ok := errors.AsType[Exit](err); ok {
		return int(code)
	}
	if err != nil {
		return say(env, name, err, Failed)
	}
	return OK
}

func say(env *Env, name string, err error, code int) int {
	fmt.Fprintf(env.Stderr, "%s: %v\n", name, err)
	return code
}

// Main runs a program as this process: with its arguments, until SIGINT or
// SIGTERM, and ends the process with the program's exit code. A second signal
// kills it.
func Main(run func(ctx context.Context, args []string, stdout, stderr io.Writer) int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

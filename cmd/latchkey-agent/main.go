// Command latchkey-agent runs one building's site agent, and installs it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"latchkey/internal/siteapp"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := siteapp.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

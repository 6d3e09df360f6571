// Command latchkey-sim runs a simulated building, and holds cards to its
// readers.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"latchkey/building"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := building.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

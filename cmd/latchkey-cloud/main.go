// Command latchkey-cloud serves the directory's side of Latchkey, and is its
// administrator's tool.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"latchkey/internal/cloudapp"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills at once
	code := cloudapp.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

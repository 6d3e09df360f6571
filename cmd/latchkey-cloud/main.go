// Command latchkey-cloud serves the directory's side of Latchkey, and is its
// administrator's tool.
package main

import (
	"latchkey/internal/cloudapp"
	"latchkey/internal/program"
)

func main() { program.Main(cloudapp.Main) }

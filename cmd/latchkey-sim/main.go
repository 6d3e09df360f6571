// Command latchkey-sim runs a simulated building, and holds cards to its
// readers.
package main

import (
	"latchkey/building"
	"latchkey/internal/program"
)

func main() { program.Main(building.Main) }

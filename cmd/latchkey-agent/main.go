// Command latchkey-agent runs one building's site agent, and installs it.
package main

import (
	"latchkey/internal/program"
	"latchkey/internal/siteapp"
)

func main() { program.Main(siteapp.Main) }

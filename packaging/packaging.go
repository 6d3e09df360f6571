// Package packaging has the files that go onto a machine beside the programs:
// the systemd unit and the sample configuration.
package packaging

import "embed"

// Files holds latchkey-agent.service and site.yaml.
//
//go:embed latchkey-agent.service site.yaml
var Files embed.FS

package osdptest

import (
	"errors"

	"latchkey/osdp"
)

// Feed gives the PD bytes as from a line that then stays silent, and returns
// what it sends, each by itself, however late.
func (p *PD) Feed(b []byte) (out [][]byte) {
	var scan osdp.Scanner
	scan.Feed(b)
	for more := true; more; more = scan.GiveUp() {
		for {
			f, err := scan.Next()
			if errors.Is(err, osdp.ErrShort) {
				break
			}
			for _, s := range p.hear(f, err != nil) {
				out = append(out, s.b)
				if s.then != nil {
					s.then()
				}
			}
		}
	}
	return out
}

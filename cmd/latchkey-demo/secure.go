package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"latchkey/controller"
)

// A lineState is what a site's status says of its OSDP lines.
type lineState struct {
	Controllers []controller.Status `json:"controllers"`
}

// secured names the readers of the OSDP lines, and counts the secure channels
// that came up on them. It is an error if one of them is without.
func (s lineState) secured() (readers []string, handshakes uint64, err error) {
	for _, c := range s.Controllers {
		if c.Kind != "osdp" {
			continue
		}
		if c.Line != nil {
			handshakes += c.Line.Handshakes
		}
		for _, r := range c.Readers {
			readers = append(readers, r.Name)
			if !r.Online || !r.Secure || r.Encryption != controller.Encrypted {
				err = errors.Join(err, fmt.Errorf("reader %s: online %v, %s %s", r.Name, r.Online, r.Encryption, r.Problem))
			}
		}
	}
	if len(readers) == 0 {
		err = errors.New("the site has no OSDP readers")
	}
	return readers, handshakes, err
}

// secure waits until all readers of hq work in secure channels, at least so many
// of which came up since the agent's start.
func (k *check) secure(when string, atLeast uint64) (readers int, handshakes uint64, err error) {
	ctx, cancel := context.WithTimeout(k.ctx, settleTime)
	defer cancel()
	var names []string
	err = until(ctx, func() (err error) {
		var st lineState
		if err := get(ctx, k.siteURL(hq.id)+"/api/status", &st); err != nil {
			return err
		}
		names, handshakes, err = st.secured()
		if err == nil && handshakes < atLeast {
			err = fmt.Errorf("%d secure channels came up, want %d", handshakes, atLeast)
		}
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("secure readers, %s: %w", when, err)
	}
	k.say("all readers of "+hq.id+" are encrypted", "%s, %s, each with a key of its own", when, strings.Join(names, ", "))
	return len(names), handshakes, nil
}

// secureAgain does what ends all secure channels of hq, and waits for new ones.
func (k *check) secureAgain(when string, do func() error) error {
	readers, before, err := k.secure("before "+when, 0)
	if err == nil {
		err = do()
	}
	if err == nil {
		_, _, err = k.secure("after "+when, before+uint64(readers))
	}
	return err
}

func (k *check) siteURL(id string) string {
	for _, s := range k.info.Sites {
		if s.ID == id {
			return s.StatusURL
		}
	}
	return ""
}

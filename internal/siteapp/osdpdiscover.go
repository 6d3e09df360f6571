package siteapp

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"latchkey/internal/program"
	"latchkey/osdp"
	"latchkey/serialline"
)

// discoverBauds are the speeds of OSDP lines, the likeliest first.
func discoverBauds() []int { return []int{9600, 115200, 19200, 38400, 57600, 230400} }

// silentAddress is about how long an address takes at which nobody is.
const silentAddress = 220 * time.Millisecond

type discoverCmd struct {
	Port      string `help:"The serial port, such as /dev/serial/by-id/…." required:"" placeholder:"PORT"`
	Baud      string `help:"The line's speed, or all." default:"9600" placeholder:"N"`
	Addresses string `help:"Where to look, such as 0-126 or 1,5,8-12." default:"0-126" placeholder:"LIST"`
	RS485     bool   `help:"Have the kernel switch the transmitter, as rs485 in the site file." name:"rs485"`
	Backend   string `help:"The port's driver, as backend in the site file." placeholder:"NAME"`
	JSON      bool   `help:"Print one device a line, as JSON."`
}

// A foundPD is one device, in --json.
type foundPD struct {
	Baud      int               `json:"baud"`
	Address   uint8             `json:"address"`
	Vendor    string            `json:"vendor,omitzero"` // IEEE OUI
	Model     uint8             `json:"model,omitzero"`
	Version   uint8             `json:"version,omitzero"`
	Serial    string            `json:"serial,omitzero"`
	Firmware  string            `json:"firmware,omitzero"`
	Secure    bool              `json:"secure_channel"`
	Default   bool              `json:"default_key"` // takes SCBK-D: in installation mode
	Abilities []foundCapability `json:"capabilities"`
	Problem   string            `json:"problem,omitzero"`
}

type foundCapability struct {
	Function   uint8 `json:"function"`
	Compliance uint8 `json:"compliance"`
	Number     uint8 `json:"number"`
}

// Run asks in the clear. It ends with an error when nobody answers.
func (c *discoverCmd) Run(e *program.Env) error {
	bauds, err := c.bauds()
	if err != nil {
		return err
	}
	addrs, err := parseAddresses(c.Addresses)
	if err != nil {
		return fmt.Errorf("osdp discover: --addresses %s: %w", c.Addresses, err)
	}
	found := 0
	for _, baud := range bauds {
		if err := c.look(e, baud, addrs, func(f osdp.Found) error {
			found++
			return c.print(e, baud, f)
		}); err != nil {
			return err
		}
	}
	if found == 0 {
		return fmt.Errorf("osdp discover: nobody answers at %s: look at the reader's power, at its two data wires, which may be crossed, and at its speed (--baud all)", c.Port)
	}
	return nil
}

func (c *discoverCmd) look(e *program.Env, baud int, addrs []uint8, found func(osdp.Found) error) error {
	port, err := serialline.Open(serialline.Config{Path: c.Port, Baud: baud, Backend: c.Backend, RS485: c.RS485})
	if errors.Is(err, serialline.ErrInUse) {
		return fmt.Errorf("osdp discover: %w; if it is the agent, `latchkey-agent osdp quality` asks it, and `latchkey-agent stop` frees the port", err)
	}
	if err != nil {
		return fmt.Errorf("osdp discover: %w", err)
	}
	if !c.JSON {
		fmt.Fprintf(e.Stdout, "Looking at %s with %d bit/s for %s, some %v.\n", c.Port, baud, count(len(addrs), "address"),
			(time.Duration(len(addrs)) * silentAddress).Round(time.Second))
	}
	var printing error
	err = osdp.Discover(e.Context, port, baud, addrs, func(f osdp.Found) { printing = cmp.Or(printing, found(f)) })
	return errors.Join(err, printing, port.Close())
}

func (c *discoverCmd) bauds() ([]int, error) {
	if c.Baud == "all" {
		return discoverBauds(), nil
	}
	n, err := strconv.Atoi(c.Baud)
	if err != nil {
		return nil, fmt.Errorf("osdp discover: --baud %s: want a speed such as 9600, or all", c.Baud)
	}
	return []int{n}, nil
}

// parseAddresses reads a list such as 1,5,8-12.
func parseAddresses(text string) (addrs []uint8, err error) {
	number := func(s string) (uint8, error) {
		n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 8)
		if err != nil || n >= osdp.Broadcast {
			return 0, fmt.Errorf("%q: want addresses of 0 to 126, such as 1,5,8-12", s)
		}
		return uint8(n), nil
	}
	for part := range strings.SplitSeq(text, ",") {
		low, high, isRange := strings.Cut(part, "-")
		first, err := number(low)
		if err != nil {
			return nil, err
		}
		last := first
		if isRange {
			if last, err = number(high); err != nil {
				return nil, err
			}
		}
		if last < first {
			return nil, fmt.Errorf("%q: want the lower address first", part)
		}
		for a := first; a <= last; a++ {
			addrs = append(addrs, a)
		}
	}
	return addrs, nil
}

func (c *discoverCmd) print(e *program.Env, baud int, f osdp.Found) error {
	pd := newFoundPD(baud, f)
	if c.JSON {
		return json.NewEncoder(e.Stdout).Encode(pd)
	}
	_, err := fmt.Fprintf(e.Stdout, "address %d: %s\n", f.Addr, strings.Join(pd.words(f), "; "))
	return err
}

func newFoundPD(baud int, f osdp.Found) foundPD {
	pd := foundPD{Baud: baud, Address: f.Addr, Abilities: []foundCapability{}}
	if f.ID != (osdp.PDID{}) {
		pd.Vendor, pd.Model, pd.Version = strings.ToUpper(hex.EncodeToString(f.ID.Vendor[:])), f.ID.Model, f.ID.Version
		pd.Serial = fmt.Sprintf("%08X", f.ID.Serial)
		pd.Firmware = fmt.Sprintf("%d.%d.%d", f.ID.Firmware[0], f.ID.Firmware[1], f.ID.Firmware[2])
	}
	for _, a := range f.Caps {
		pd.Abilities = append(pd.Abilities, foundCapability{a.Function, a.Compliance, a.Number})
	}
	if s, ok := f.Caps.Find(osdp.CapSecurity); ok {
		pd.Secure, pd.Default = s.Compliance&1 != 0, s.Number&1 != 0
	}
	switch {
	case f.Double:
		pd.Problem = "two devices have this address: give one of them another"
	case f.Damaged:
		pd.Problem = "what answers is damaged each time: two devices have this address, or the line is bad"
	}
	return pd
}

// words are what a person wants to know of f.
func (pd foundPD) words(f osdp.Found) (parts []string) {
	if pd.Problem != "" {
		parts = append(parts, "PROBLEM: "+pd.Problem)
	}
	if f.Damaged {
		return parts
	}
	if pd.Vendor == "" {
		parts = append(parts, "does not say who it is")
	} else {
		parts = append(parts, f.ID.String())
	}
	counted := func(function uint8, thing string) {
		if a, ok := f.Caps.Find(function); ok && a.Number > 0 {
			parts = append(parts, count(int(a.Number), thing))
		}
	}
	counted(osdp.CapInputs, "input")
	counted(osdp.CapOutputs, "output")
	switch {
	case pd.Secure && pd.Default:
		parts = append(parts, "secure channel, takes the default key: it has no key of its own yet")
	case pd.Secure:
		parts = append(parts, "secure channel")
	default:
		parts = append(parts, "says that it knows no secure channel")
	}
	return parts
}

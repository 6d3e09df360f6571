package siteapp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"
	"strings"

	"latchkey/internal/program"
	"latchkey/osdp"
	"latchkey/osdp/capture"
)

// decodeCmd is for whoever was sent a trace. It needs no agent and no site file.
type decodeCmd struct {
	File        string   `arg:"" help:"The trace: .osdpcap, .pcapng, or a .pcap of libosdp; - is standard input."`
	Key         []string `help:"A reader's key, 32 hexadecimal digits; without an address it is tried for all readers." placeholder:"[ADDRESS=]KEY" sep:"none"`
	KeyFile     []string `help:"The same, with the key in a file, which others on this machine do not see." placeholder:"[ADDRESS=]FILE" sep:"none"`
	Out         string   `help:"Write the trace again, each frame with what it means, to a file whose name ends in .osdpcap or .pcapng." placeholder:"FILE"`
	ShowSecrets bool     `help:"Show cards, PINs and keys; with --out, keep them."`
}

// Run prints a line for each frame and the sums, or writes the trace again.
func (c *decodeCmd) Run(e *program.Env) error {
	keys, err := c.keys()
	if err != nil {
		return fmt.Errorf("osdp decode: %w", err)
	}
	var in io.ReadCloser = os.Stdin
	if c.File != "-" {
		if in, err = os.Open(c.File); err != nil {
			return err
		}
		defer in.Close()
	}
	r, err := capture.NewReader(in)
	if err != nil {
		return fmt.Errorf("osdp decode: %s: %w", c.File, err)
	}
	good, bad := 0, 0
	records := func(yield func(capture.Record, error) bool) {
		for rec, err := range r.All() {
			if err == nil {
				good++
			} else {
				bad++
			}
			if !yield(rec, err) {
				return
			}
		}
	}
	o := capture.Options{ShowSecrets: c.ShowSecrets, Annotate: true, Keys: keys}
	if c.Out != "" {
		err = c.rewrite(e, records, o)
	} else {
		buf := bufio.NewWriter(e.Stdout)
		err = errors.Join(describe(buf, records, o), buf.Flush())
	}
	if err == nil && good == 0 {
		err = c.nothing(bad)
	}
	if err != nil {
		return fmt.Errorf("osdp decode: %s: %w", c.File, err)
	}
	return nil
}

// nothing is the end of a trace without a record that can be read. What was
// written of it goes.
func (c *decodeCmd) nothing(bad int) error {
	err := fmt.Errorf("holds no record that can be read; bad ones: %d", bad)
	if c.Out != "" {
		err = errors.Join(err, os.Remove(c.Out))
	}
	return err
}

// describe prints a line for each frame as it comes. It also sums up what was
// read of a trace that is cut off.
func describe(w io.Writer, records iter.Seq2[capture.Record, error], o capture.Options) error {
	stats, err := capture.Describe(w, records, o)
	fmt.Fprintln(w) // Print tells
	return errors.Join(err, stats.Print(w))
}

// rewrite passes over bad records, and tells of them.
func (c *decodeCmd) rewrite(e *program.Env, records iter.Seq2[capture.Record, error], o capture.Options) error {
	format, err := traceFormat(c.Out)
	if err != nil {
		return err
	}
	f, err := createTrace(c.Out)
	if err != nil {
		return err
	}
	buf := bufio.NewWriter(f)
	out := capture.NewWriter(buf, format, o)
	for rec, err := range records {
		if err == nil {
			err = out.Write(rec)
		}
		if errors.Is(err, capture.ErrRecord) {
			fmt.Fprintln(e.Stderr, err)
		} else if err != nil {
			return errors.Join(err, out.Close(), buf.Flush(), f.Close())
		}
	}
	return errors.Join(out.Close(), buf.Flush(), f.Close())
}

// keys reads the keys. Weak ones are taken: old systems have them.
func (c *decodeCmd) keys() (map[uint8][]osdp.Key, error) {
	keys := map[uint8][]osdp.Key{}
	add := func(flag, s string, read func(string) (osdp.Key, error)) error {
		addr, value, err := keyAddress(s)
		if err != nil {
			return fmt.Errorf("%s: %w", flag, err)
		}
		key, err := read(value)
		if err != nil {
			return fmt.Errorf("%s: %w", flag, err)
		}
		keys[addr] = append(keys[addr], key)
		return nil
	}
	for _, s := range c.Key {
		if err := add("--key", s, osdp.ParseKey); err != nil {
			return nil, err
		}
	}
	for _, s := range c.KeyFile {
		if err := add("--key-file", s, keyInFile); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// keyAddress takes [ADDRESS=]VALUE apart. Its error does not carry the value.
func keyAddress(s string) (addr uint8, value string, err error) {
	before, after, ok := strings.Cut(s, "=")
	if !ok {
		return osdp.Broadcast, s, nil
	}
	n, err := strconv.ParseUint(before, 10, 8)
	if err != nil || n >= osdp.Broadcast {
		return 0, "", fmt.Errorf("address of %d characters before =: want 0 to %d", len(before), osdp.Broadcast-1)
	}
	return uint8(n), after, nil
}

func keyInFile(path string) (osdp.Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return osdp.Key{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 1024))
	if err != nil {
		return osdp.Key{}, err
	}
	key, err := osdp.ParseKey(strings.TrimSpace(string(text)))
	if err != nil {
		return osdp.Key{}, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

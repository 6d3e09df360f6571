package siteapp

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"latchkey/internal/program"
)

// TestDiscoverChecksFirst: nothing is said to be looked at before the port is
// open as it was asked for.
func TestDiscoverChecksFirst(t *testing.T) {
	port := filepath.Join(t.TempDir(), "nope")
	for _, tt := range []struct {
		want string
		args []string
	}{
		{"no such file", nil},
		{"baud rate: got 9601", []string{"--baud", "9601"}},
		{"or all", []string{"--baud", "fast"}},
		{`backend: got "steam"`, []string{"--backend", "steam"}},
		{"want addresses of 0 to 126", []string{"--addresses", "127"}},
	} {
		var out, errs bytes.Buffer
		code := Main(t.Context(), append([]string{"osdp", "discover", "--port", port}, tt.args...), &out, &errs)
		if code != program.Failed || !strings.Contains(errs.String(), tt.want) || out.Len() > 0 {
			t.Errorf("%q: exit %d, %s, want %q and no word before; it said %q", tt.args, code, &errs, tt.want, &out)
		}
	}
}

// TestCount: numbers of things as people read them.
func TestCount(t *testing.T) {
	for _, tt := range []struct {
		n           int
		thing, want string
	}{
		{0, "line", "0 lines"}, {1, "line", "1 line"}, {2, "OSDP reader", "2 OSDP readers"},
		{0, "address", "0 addresses"}, {1, "address", "1 address"}, {127, "address", "127 addresses"},
	} {
		if got := count(tt.n, tt.thing); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

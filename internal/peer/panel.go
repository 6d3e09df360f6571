package peer

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// SampleRefresh is the pause between two refreshes of a control panel in
// libosdp's C++ sample. Its header asks for 50 ms at most, its C sample leaves
// the pause open, and its Python module takes 20 ms.
const SampleRefresh = 10 * time.Millisecond

// A PanelConfig says what a control panel in C is.
type PanelConfig struct {
	Line    string        // path of its serial device; empty: Master
	Master  *os.File      // the other end of a pseudo-terminal
	Refresh time.Duration // whole milliseconds; SampleRefresh when 0
	Addrs   []uint8       // PDs are numbered from 0 in this order
	Keys    [][]byte      // SCBK for each of Addrs, 16 bytes, nil for in the clear; or nil for all
	Patient bool          // waits 5 s for an answer, not its 200 ms: for tests on a busy machine
}

// StartPanel compiles and runs libosdp's control panel in C as long as the test.
// Its orders and reports are in programs/cp.c. It skips the test where there is
// no compiler.
func StartPanel(t testing.TB, c PanelConfig) *Process {
	t.Helper()
	name := "libosdp.a"
	if c.Patient {
		name = "libosdp-patient.a"
	}
	library := cache(t, filepath.Join("libosdp", name))
	line, files := c.Line, []*os.File(nil)
	if line == "" {
		line, files = "fd:3", []*os.File{c.Master}
	}
	refresh := SampleRefresh
	if c.Refresh > 0 {
		refresh = c.Refresh
	}
	argv := []string{compile(t, library), line, strconv.FormatInt(refresh.Milliseconds(), 10)}
	return start(t, "libosdp C panel", files, append(argv, c.pds()...)...)
}

// pds are the arguments that name the PDs.
func (c PanelConfig) pds() (args []string) {
	for i, a := range c.Addrs {
		var key []byte
		if c.Keys != nil {
			key = c.Keys[i]
		}
		args = append(args, pdArgument(a, key))
	}
	return args
}

// compile makes a program of cp.c.
func compile(t testing.TB, library string) (path string) {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skipf("libosdp: no C compiler: %v", err)
	}
	dir := unpack(t)
	path = filepath.Join(dir, "cp")
	// The library was built with this option, on which the size of its structs depends.
	cmd := exec.CommandContext(t.Context(), cc, "-O2", "-DOPT_OSDP_APP_OWNED_QUEUE_DATA=1",
		"-I"+filepath.Join(filepath.Dir(library), "vendor", "include"),
		"-o", path, filepath.Join(dir, "cp.c"), library, "-lpthread")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatal(fmt.Errorf("%v: %w\n%s", cmd.Args, err, out))
	}
	return path
}

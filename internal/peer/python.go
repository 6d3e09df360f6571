package peer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"latchkey/osdp"
)

// A PDConfig says what a libosdp PD is.
type PDConfig struct {
	Line    string // path of its serial device
	Addr    uint8
	Key     []byte // SCBK, 16 bytes; nil puts it into install mode
	Install bool   // takes SCBK-D once, key or not
	Enforce bool   // does nothing outside a secure channel
	Inputs  int
	Outputs int
}

// A PD is libosdp's peripheral device, from its Python module. It answers as
// soon as it is asked. It has no states to tell when it is asked for them (it
// refuses ISTAT and OSTAT), only those that it is ordered to send.
type PD struct{ *Process }

// StartPD runs a PD as long as the test.
func StartPD(t testing.TB, c PDConfig) *PD {
	t.Helper()
	args := []string{c.Line, "--address", strconv.Itoa(int(c.Addr)), "--inputs", strconv.Itoa(c.Inputs), "--outputs", strconv.Itoa(c.Outputs)}
	if c.Key != nil {
		args = append(args, "--key", hex.EncodeToString(c.Key))
	}
	if c.Install {
		args = append(args, "--install")
	}
	if c.Enforce {
		args = append(args, "--enforce-secure")
	}
	return &PD{startPython(t, "libosdp PD", "pd.py", args)}
}

// Tell makes the PD answer a POLL with r: RAW, KEYPAD, a status or MFGREP.
func (d *PD) Tell(t testing.TB, r osdp.Reply) {
	t.Helper()
	e, err := event(r)
	if err != nil {
		t.Fatal(err)
	}
	e["do"] = "reply"
	d.Order(t, e)
}

// AwaitCommand waits until the PD has carried c out.
func (d *PD) AwaitCommand(t testing.TB, c osdp.Command) {
	t.Helper()
	for _, r := range mustRecords(t, c) {
		r["is"] = "command"
		d.Await(t, r)
	}
	if _, ok := c.(osdp.COMSET); ok { // it is asked first, and told once it holds
		d.Await(t, Report{"is": "command", "name": "COMSET done"})
	}
}

// AwaitSecure waits for a secure channel to come up, or to end.
func (d *PD) AwaitSecure(t testing.TB, up bool) {
	t.Helper()
	d.Await(t, Report{"is": "secure", "up": up})
}

// AwaitFile waits until the PD has the whole of a file.
func (d *PD) AwaitFile(t testing.TB, kind uint8, content []byte) {
	t.Helper()
	sum := sha256.Sum256(content)
	d.Await(t, Report{"is": "file", "type": kind, "size": len(content), "sha256": hex.EncodeToString(sum[:])})
}

// A CPConfig says what a libosdp control panel is.
type CPConfig struct {
	Line    string           // path of its serial device
	PDs     map[uint8][]byte // address to SCBK, 16 bytes; nil for in the clear
	Enforce bool             // no SCBK-D
}

// A CP is libosdp's control panel, from its Python module. A command that a PD
// refuses, like most else that goes wrong, takes that PD offline for 5 minutes.
type CP struct {
	*Process
	addrs  []uint8
	lastID int
}

// StartCP runs a control panel as long as the test.
func StartCP(t testing.TB, c CPConfig) *CP {
	t.Helper()
	cp := &CP{addrs: slices.Sorted(maps.Keys(c.PDs))}
	args := []string{c.Line}
	if c.Enforce {
		args = append(args, "--enforce-secure")
	}
	for _, a := range cp.addrs {
		args = append(args, pdArgument(a, c.PDs[a]))
	}
	cp.Process = startPython(t, "libosdp CP", "cp.py", args)
	return cp
}

func pdArgument(addr uint8, key []byte) string {
	if key == nil {
		return strconv.Itoa(int(addr))
	}
	return fmt.Sprintf("%d=%x", addr, key)
}

// pd is the number of the PD at addr.
func (c *CP) pd(t testing.TB, addr uint8) int {
	t.Helper()
	i := slices.Index(c.addrs, addr)
	if i < 0 {
		t.Fatalf("%s: no PD has address %d", c.name, addr)
	}
	return i
}

// AwaitOnline waits until the PD at addr is online, or no longer.
func (c *CP) AwaitOnline(t testing.TB, addr uint8, online bool) {
	t.Helper()
	c.Await(t, Report{"is": "online", "pd": c.pd(t, addr), "up": online})
}

// AwaitSecure waits for the secure channel with the PD at addr to come up, or to
// end.
func (c *CP) AwaitSecure(t testing.TB, addr uint8, up bool) {
	t.Helper()
	c.Await(t, Report{"is": "secure", "pd": c.pd(t, addr), "up": up})
}

// Send has the PD at addr carry cmd out, and waits until it has.
func (c *CP) Send(t testing.TB, addr uint8, cmd osdp.Command) {
	t.Helper()
	pd := c.pd(t, addr)
	for _, r := range mustRecords(t, cmd) {
		c.lastID++
		r["do"], r["pd"], r["id"] = "command", pd, c.lastID
		c.Order(t, r)
		if done := c.Await(t, Report{"is": "done", "pd": pd, "id": c.lastID}); done["ok"] != true {
			t.Fatalf("%s: PD %d refused command 0x%02x", c.name, addr, cmd.Code())
		}
	}
	if com, ok := cmd.(osdp.COMSET); ok {
		c.addrs[pd] = com.Addr
	}
}

// Install does nothing: the panel gives its key to a PD that takes SCBK-D, unless
// it was told to enforce security.
func (c *CP) Install(testing.TB, uint8, osdp.Key) {}

// Rekey gives the PD at addr a new key, and waits until it is served under that.
func (c *CP) Rekey(t testing.TB, addr uint8, key osdp.Key) {
	t.Helper()
	c.Send(t, addr, osdp.KEYSET{Kind: osdp.KeyAES128, Key: key[:]})
	for _, up := range []bool{false, true} {
		c.AwaitSecure(t, addr, up)
		c.AwaitOnline(t, addr, up) // it is not while it handshakes again
	}
}

// AwaitReply waits until the PD at addr has told r in answer to a POLL, or has
// told it in answer to a command.
func (c *CP) AwaitReply(t testing.TB, addr uint8, r osdp.Reply) {
	t.Helper()
	e, err := event(r)
	if err != nil {
		t.Fatal(err)
	}
	e["is"], e["pd"] = "event", c.pd(t, addr)
	c.Await(t, e)
}

// SendFile sends content to the PD at addr, and waits until that has it.
func (c *CP) SendFile(t testing.TB, addr uint8, kind uint8, content []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	pd := c.pd(t, addr)
	c.Order(t, Report{"do": "file", "pd": pd, "type": kind, "path": path})
	if sent := c.Await(t, Report{"is": "sent", "pd": pd}); sent["ok"] != true {
		t.Fatalf("%s: the file for PD %d did not get through: %v", c.name, addr, sent)
	}
}

func mustRecords(t testing.TB, c osdp.Command) []Report {
	t.Helper()
	all, err := records(c)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// startPython runs one of the Python programs.
func startPython(t testing.TB, name, program string, args []string) *Process {
	t.Helper()
	cache(t, filepath.Join("libosdp", "built"))
	python := cache(t, filepath.Join("venv", "bin", "python"))
	argv := append([]string{python, filepath.Join(unpack(t), program)}, args...)
	return start(t, name, nil, argv...)
}

package siteapp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchkey/agent"
	"latchkey/building"
	"latchkey/internal/program"
	"latchkey/osdp"
	"latchkey/osdp/capture"
)

// A pairing is an agent and a building with two readers: "front" is fresh from
// its maker, "back" got bench as its key.
type pairing struct {
	t     *testing.T
	hw    string // the building's folder
	port  string
	bench osdp.Key
	gateway
}

func newPairing(t *testing.T) *pairing {
	p := &pairing{t: t, hw: t.TempDir(), bench: osdp.Key{0xbe, 0x9c, 0x84, 1}, gateway: newGateway(t)}
	p.port = filepath.Join(p.hw, "dev", "bus-1")
	if err := building.PairReader(p.hw, "back", p.bench); err != nil {
		t.Fatal(err)
	}
	p.build()
	text := strings.NewReplacer(
		filepath.Join(p.dir, "ttyA"), p.port, "security: allow-clear}", "security: require-scbk}, {name: back, address: 2, door: back}",
	).Replace(string(must(os.ReadFile(p.file))))
	if err := os.WriteFile(p.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// build opens the building until the test ends.
func (p *pairing) build() {
	p.t.Helper()
	b, err := building.Open(building.Config{Dir: p.hw,
		Lines: []building.Line{{Name: "bus-1", Site: "hq", Readers: []building.Reader{{Name: "front", Address: 1}, {Name: "back", Address: 2}}}}}, nil)
	if err != nil {
		p.t.Skipf("no building here: %v", err)
	}
	ctx, cancel := context.WithCancel(p.t.Context())
	working := make(chan error, 1)
	go func() { working <- b.Run(ctx) }()
	p.t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-working, b.Close()); err != nil {
			p.t.Error(err)
		}
	})
}

// osdp runs `latchkey-agent osdp` and gives its exit code and what it said.
func (p *pairing) osdp(args ...string) (code int, out, errs string) {
	p.t.Helper()
	var stdout, stderr bytes.Buffer
	if args[0] != "discover" && args[0] != "decode" {
		args = append(args, "--config", p.file)
	}
	code = Main(p.t.Context(), append([]string{"osdp"}, args...), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

// ok is osdp that must succeed and say want.
func (p *pairing) ok(want string, args ...string) string {
	p.t.Helper()
	code, out, errs := p.osdp(args...)
	if code != program.OK || !strings.Contains(out, want) {
		p.t.Fatalf("osdp %v: exit %d\n%s%s\nwant %q", args, code, out, errs, want)
	}
	return out
}

// refused is osdp that must fail and say want.
func (p *pairing) refused(want string, args ...string) {
	p.t.Helper()
	code, out, errs := p.osdp(args...)
	if code != program.Failed || !strings.Contains(out+errs, want) {
		p.t.Errorf("osdp %v: exit %d\n%s%s\nwant %q", args, code, out, errs, want)
	}
}

// key is what a reader of the building has in its flash.
func (p *pairing) key(reader string) string {
	return strings.TrimSpace(string(must(os.ReadFile(filepath.Join(p.hw, "readers", reader+".key")))))
}

// until waits for a reader of the page to be as ok wants.
func (p *pairing) until(reader string, ok func(online, secure bool) bool) {
	p.t.Helper()
	var last agent.Status
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		last = until(p.t, p.page)
		for _, c := range last.Controllers {
			for _, r := range c.Readers {
				if r.Name == reader && ok(r.Online, r.Secure) {
					return
				}
			}
		}
	}
	p.t.Fatalf("reader %s: %+v", reader, last.Controllers)
}

func served(online, secure bool) bool { return online && secure }

// TestReaderKeys follows two readers from the box through their life: one is
// given its key over the line, the other at a bench.
func TestReaderKeys(t *testing.T) {
	p := newPairing(t)
	p.refused("no agent answers", "quality")
	stop := p.run(t)
	until(t, p.page)
	p.refusesCarelessKeys()

	out := p.ok("has a key of its own now", "keyset", "--reader", "front", "--insecure-bus", "--for", "60s")
	if !strings.Contains(out, "Whoever listens") {
		t.Errorf("keyset does not say what it risks:\n%s", out)
	}
	first := p.key("front")
	p.until("front", served)
	p.ok("has a new key", "rotate", "--reader", "front")
	second := p.key("front")
	results := p.rotateAll(program.Failed)
	if !results[0].Done || results[1].Done || results[1].Error == "" {
		t.Errorf("rotate --all with a reader that has no key: %+v", results)
	}
	p.ok("remove the file", "keyset", "--reader", "back", "--key-file", p.write("bench.key", p.bench.Hex(), 0o600))
	p.until("back", served)
	if results = p.rotateAll(program.OK); !results[0].Done || !results[1].Done {
		t.Errorf("rotate --all: %+v", results)
	}
	p.ok("the next device", "forget", "--reader", "front")
	p.until("front", served)
	third, back := p.key("front"), p.key("back")
	if first == second || second == third || back == p.bench.Hex() {
		t.Error("rotate left a key as it was")
	}
	code, log := stop()
	if code != program.OK || !strings.Contains(log, `act="osdp keyset" reader=front by="uid `) {
		t.Errorf("run ended with %d, or its log does not tell who gave the reader its key\n%s", code, log)
	}
	for _, key := range []string{first, second, third, back, p.bench.Hex()} {
		if strings.Contains(strings.ToLower(log), strings.ToLower(key)) {
			t.Error("a key is in the log")
		}
	}

	stop = p.run(t) // the keys are on the disk
	p.until("front", served)
	p.until("back", served)
	if code, log := stop(); code != program.OK {
		t.Errorf("run ended with %d\n%s", code, log)
	}
}

// refusesCarelessKeys: nothing secret goes over a public key without a word that
// this is wanted, and no key from a file that others may read.
func (p *pairing) refusesCarelessKeys() {
	p.t.Helper()
	p.refused("say --insecure-bus", "keyset", "--reader", "front")
	p.refused("want 1s to 10m0s", "keyset", "--reader", "front", "--insecure-bus", "--for", "11m")
	p.refused("want one of them", "keyset", "--reader", "front", "--insecure-bus", "--key-file", "x")
	p.refused(`no OSDP reader \"nobody\"`, "keyset", "--reader", "nobody", "--insecure-bus", "--json")
	p.refused("no OSDP reader", "rotate", "--reader", "nobody")
	p.refused("no OSDP reader", "forget", "--reader", "nobody")
	p.refused("no OSDP reader", "trace", "--reader", "nobody", "--for", "1s")
	p.refused("no such file", "keyset", "--reader", "back", "--key-file", filepath.Join(p.dir, "none"))
	p.refused("others may have read the key", "keyset", "--reader", "back", "--key-file", p.write("open.key", p.bench.Hex(), 0o644))
	p.refused("weak key", "keyset", "--reader", "back", "--key-file", p.write("weak.key", osdp.DefaultKey().Hex(), 0o600))
	p.refused("32 hexadecimal digits", "keyset", "--reader", "back", "--key-file", p.write("bad.key", "secret-0", 0o600))
	p.refused("32 hexadecimal digits", "keyset", "--reader", "back", "--key-file", p.write("long.key", strings.Repeat("0", 2000), 0o600))
	if _, _, errs := p.osdp("keyset", "--reader", "back", "--key-file", filepath.Join(p.dir, "bad.key")); strings.Contains(errs, "secret-0") {
		p.t.Errorf("what is in a key file is told: %s", errs)
	}
	if _, err := os.Stat(filepath.Join(p.hw, "readers", "front.key")); !errors.Is(err, os.ErrNotExist) {
		p.t.Errorf("a reader got a key: %v", err)
	}
}

// write makes a file in the agent's folder.
func (p *pairing) write(name, text string, mode os.FileMode) string {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := errors.Join(os.WriteFile(path, []byte(text+"\n"), mode), os.Chmod(path, mode)); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// rotateAll gives both readers new keys.
func (p *pairing) rotateAll(want int) (results []keyResult) {
	p.t.Helper()
	code, out, errs := p.osdp("rotate", "--all", "--json")
	for dec := json.NewDecoder(strings.NewReader(out)); dec.More(); {
		var r keyResult
		if err := dec.Decode(&r); err != nil {
			p.t.Fatal(err)
		}
		results = append(results, r)
	}
	if code != want || len(results) != 2 {
		p.t.Fatalf("rotate --all: exit %d %+v %s", code, results, errs)
	}
	return results
}

// TestWatchReaders looks at the line while the agent works it.
func TestWatchReaders(t *testing.T) {
	p := newPairing(t)
	stop := p.run(t)
	until(t, p.page)
	p.ok("", "keyset", "--reader", "front", "--insecure-bus", "--for", "60s")
	p.until("front", served)

	file := filepath.Join(p.dir, "front.pcapng")
	p.ok("", "trace", "--reader", "front", "--for", "1s", "--out", file)
	f := must(os.Open(file))
	defer f.Close()
	seen := map[bool]int{}
	for r, err := range must(capture.NewReader(f)).All() {
		if err != nil || r.Line != "bus-1" || !concerns(r.Data, 1) {
			t.Fatalf("record %v of line %q: %v", r, r.Line, err)
		}
		seen[r.FromACU]++
	}
	if seen[true] < 5 || seen[false] < 5 || must(f.Stat()).Mode().Perm() != 0o600 {
		t.Errorf("a second of polls has %d commands and %d replies", seen[true], seen[false])
	}
	if out := p.ok(`"io":`, "trace", "--for", "1s", "--json"); strings.Count(out, "\n") < 10 {
		t.Errorf("a second of both readers:\n%s", out)
	}
	text := p.ok("worst gap", "trace", "--for", "1s")
	if !strings.Contains(text, "panel → PD 1") || !strings.Contains(text, "POLL") || !strings.Contains(text, "PD 1 → panel") {
		t.Errorf("a second of both readers, explained:\n%s", text)
	}
	if out := p.ok("panel → PD 1", "decode", file); strings.Contains(out, "PD 2") {
		t.Errorf("explained from a file:\n%s", out)
	}
	p.refused("want one of them", "trace", "--out", "x.pcapng", "--json")
	p.decodesHandshake()

	code, out, _ := p.osdp("quality")
	if code != int(degraded) || !strings.Contains(out, "front") || !strings.Contains(out, "secure") || !strings.Contains(out, "- back: no key for it yet") {
		t.Errorf("quality: exit %d\n%s", code, out)
	}
	code, out, _ = p.osdp("quality", "--json")
	var q readerQuality
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&q); err != nil || code != int(degraded) {
		t.Fatalf("exit %d %v\n%s", code, err, out)
	}
	if q.Readers[0] != "front" || q.Line != "bus-1" || q.Address != 1 || !q.Secure || q.Polls == 0 || q.Handshakes == 0 || q.ReplyMax < q.ReplyP50 || q.ReplyP50 <= 0 {
		t.Errorf("quality %+v", q)
	}
	p.refused("ends in .osdpcap or .pcapng", "trace", "--out", "x.txt")
	p.refused("want 1s to", "trace", "--for", "1ms")

	p.refused("asks it, and `latchkey-agent stop`", "discover", "--port", p.port)
	if code, log := stop(); code != program.OK {
		t.Errorf("run ended with %d\n%s", code, log)
	}
	p.discovers()
}

// decodesHandshake records a handshake, and reads with the key what follows it.
func (p *pairing) decodesHandshake() {
	p.t.Helper()
	file := filepath.Join(p.dir, "shake.osdpcap")
	recorded := make(chan int, 1)
	go func() {
		recorded <- Main(p.t.Context(), []string{"osdp", "trace", "--for", "2s", "--out", file, "--config", p.file}, new(bytes.Buffer), new(bytes.Buffer))
	}()
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		if info, err := os.Stat(file); err == nil && info.Size() > 0 {
			tick.Stop()
			break
		}
	}
	p.ok("", "forget", "--reader", "front") // it has to prove itself anew
	if code := <-recorded; code != program.OK {
		p.t.Fatalf("trace: exit %d", code)
	}
	sealed, open := p.ok("CCRYPT", "decode", file), p.ok("CCRYPT", "decode", file, "--key-file", filepath.Join(p.hw, "readers", "front.key"))
	if strings.Contains(sealed, "from then on red") || !strings.Contains(open, "from then on red") {
		p.t.Errorf("without the key:\n%s\nwith it:\n%s", sealed, open)
	}
}

// discovers finds the building's readers without an agent.
func (p *pairing) discovers() {
	p.t.Helper()
	out := p.ok("address 1: vendor 4C4B59", "discover", "--port", p.port, "--addresses", "1-3")
	if !strings.Contains(out, "address 2: vendor 4C4B59") || strings.Contains(out, "address 3") || !strings.Contains(out, "secure channel") || !strings.HasPrefix(out, "Looking at "+p.port+" with 9600 bit/s for 3 addresses, ") {
		p.t.Errorf("discover:\n%s", out)
	}
	out = p.ok("", "discover", "--port", p.port, "--addresses", "2", "--baud", "all", "--json")
	var pd foundPD
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&pd); err != nil || pd.Baud != 9600 || pd.Address != 2 || !pd.Secure || pd.Serial == "" {
		p.t.Errorf("discover --json: %v %+v\n%s", err, pd, out)
	}
	p.refused("nobody answers", "discover", "--port", p.port, "--addresses", "7")
	p.refused("want addresses of 0 to 126", "discover", "--port", p.port, "--addresses", "1-127")
	p.refused("the lower address first", "discover", "--port", p.port, "--addresses", "5-1")
	p.refused("or all", "discover", "--port", p.port, "--baud", "fast")
	p.refused("baud rate", "discover", "--port", p.port, "--baud", "9601")
	p.refused("no such file", "discover", "--port", p.port+"x")
}

package siteapp

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/access"
	"latchkey/agent"
	"latchkey/building"
	"latchkey/cache"
	"latchkey/delta"
	"latchkey/internal/program"
	"latchkey/osdp"
	"latchkey/serialline"
	"latchkey/wiegand"
)

// TestNoSecretLeaves runs an agent with a real building: a reader that it
// decides for and a controller with a table, cards that it knows and does not
// know. Then nothing that it wrote or served, its logs at debug, its page, its
// JSON, its metrics and every file of its state, may have a card's bits, a
// whole card number, a key or a password in any spelling.
func TestNoSecretLeaves(t *testing.T) {
	format, ok := must(wiegand.Load()).Lookup("H10302")
	if !ok {
		t.Fatal("no H10302")
	}
	const known, unknown, password = 9_876_543_210, 12_345_678_901, "Sesam-Oeffne-Dich"
	card := must(format.Encode(map[string]uint64{"card": known}))
	stranger := must(format.Encode(map[string]uint64{"card": unknown}))
	revoked := must(format.Encode(map[string]uint64{"card": known + 7}))

	hw := t.TempDir()
	b, err := building.Open(building.Config{
		Dir:         hw,
		Lines:       []building.Line{{Name: "bus-1", Site: "hq", Readers: []building.Reader{{Name: "front", Address: 1}}}},
		Controllers: []building.Controller{{Name: "dock", Site: "hq", Address: 1, Readers: []string{"dock reader"}}},
	}, nil)
	if err != nil {
		t.Skipf("no building here: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	working := make(chan error, 1)
	go func() { working <- b.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-working; err != nil {
			t.Error(err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()

	g := newGateway(t)
	passwordFile := filepath.Join(hw, "password")
	if err := os.WriteFile(passwordFile, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	text := string(must(os.ReadFile(g.file)))
	text = strings.NewReplacer(", security: allow-clear", "", filepath.Join(g.dir, "ttyA"), filepath.Join(hw, "dev", "bus-1"), filepath.Join(g.dir, "ttyB"), filepath.Join(hw, "dev", "dock"),
		"cloud: {", fmt.Sprintf("cloud: {password_file: %q, ", passwordFile)).Replace(text) + "formats: [H10302]\n"
	if err := os.WriteFile(g.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cacheKey := must(cache.OpenKey(filepath.Join(g.dir, "cache.key")))
	db := must(cache.Open(ctx, cache.Options{Dir: g.dir, Key: cacheKey}))
	swapIn(t, db, []access.Record{
		access.Door{ID: "front", Name: "Front", Kind: access.DoorKindDoor}, access.Door{ID: "dock", Name: "Dock", Kind: access.DoorKindDoor},
		access.Group{ID: "staff"}, access.Grant{Group: "staff", Door: "front"}, access.Grant{Group: "staff", Door: "dock"},
		access.Person{ID: "p", Name: "Ada", State: access.StateActive, Kind: access.KindFull}, access.Membership{Person: "p", Group: "staff"},
		access.Credential{ID: "c", Person: "p", Technology: access.TechCard, Format: "H10302", Bits: card, Number: known, Status: access.CredentialActive},
	})
	gone := serialline.MakeKey(revoked.Len(), revoked.Bytes())
	if err := db.AddTombstones(ctx, "dock", [][]byte{gone[:]}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	if out := new(bytes.Buffer); Main(ctx, []string{"check", "--config", g.file}, out, out) != program.OK {
		t.Fatal(out)
	}
	stop := g.run(t)
	until(t, g.page)
	paired := new(bytes.Buffer)
	if Main(ctx, []string{"osdp", "keyset", "--reader", "front", "--insecure-bus", "--config", g.file}, paired, paired) != program.OK {
		t.Fatal(paired)
	}
	readerKey := must(osdp.ParseKey(strings.TrimSpace(string(must(os.ReadFile(filepath.Join(hw, "readers", "front.key")))))))
	ready := func() bool {
		return !slices.ContainsFunc(until(t, g.page).Doors, func(d agent.DoorStatus) bool { return !d.UpToDate })
	}
	for deadline := time.Now().Add(20 * time.Second); !ready(); {
		if time.Now().After(deadline) {
			t.Fatalf("the doors are not up to date: %+v", until(t, g.page).Doors)
		}
	}
	for reader, cards := range map[string]map[string]wiegand.Bits{
		"front": {building.DecisionGranted: card, building.DecisionDenied: stranger}, "dock reader": {building.DecisionGranted: card, building.DecisionDenied: stranger},
	} {
		for want, bits := range cards {
			if got, err := b.Badge(ctx, reader, bits); err != nil || got.Decision != want {
				t.Errorf("%s: %+v %v, want %s", reader, got, err, want)
			}
		}
	}
	out := map[string][]byte{"keyset": paired.Bytes()}
	for _, path := range []string{"/", "/api/status", "/api/events?limit=1000", "/metrics", "/readyz"} {
		for { // until the controller's events are here too
			resp := must(http.Get("http://" + g.page + path))
			out[path] = must(io.ReadAll(resp.Body))
			resp.Body.Close()
			if !strings.HasPrefix(path, "/api/events") || bytes.Count(out[path], []byte(`"decided_by": "controller"`)) == 2 {
				break
			}
		}
	}
	if !bytes.Contains(out["/api/events?limit=1000"], []byte("H10302")) {
		t.Errorf("the events do not tell of the cards: this shows nothing\n%s", out["/api/events?limit=1000"])
	}
	var said bytes.Buffer
	Main(ctx, []string{"status", "--json", "--config", g.file}, &said, &said)
	out["status --json"] = said.Bytes()
	read := func(when string) {
		err := filepath.WalkDir(g.dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && path != g.file && path != g.key && filepath.Base(path) != "cache.key" {
				out[filepath.Base(path)+" "+when] = must(os.ReadFile(path))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	read("at work") // with its WAL
	code, log := stop()
	if code != program.OK {
		t.Errorf("run ended with %d\n%s", code, log)
	}
	out["log"] = []byte(log)
	read("at rest")
	for _, name := range []string{"cache.db at rest", "events.db at rest", "cache.db-wal at work", "reader-keys at work", "log"} {
		if len(out[name]) == 0 {
			t.Errorf("%s is empty or missing: this shows nothing", name)
		}
	}

	canaries := map[string][]byte{
		"password": []byte(password), "card number": fmt.Append(nil, known), "stranger's number": fmt.Append(nil, unknown), "revoked number": fmt.Append(nil, known+7),
	}
	secrets := map[string][]byte{"card": card.Bytes(), "stranger": stranger.Bytes(), "revoked": revoked.Bytes(), "revoked key": gone[:], "cache key": cacheKey, "reader's key": readerKey[:]}
	if key, err := delta.LoadPrivate(string(must(os.ReadFile(g.key)))); err != nil {
		t.Fatal(err)
	} else {
		secrets["site key"] = key.Private.Seed()
	}
	for name, raw := range secrets {
		for where, text := range out {
			if bytes.Contains(text, raw) {
				t.Errorf("%s is in %s", name, where)
			}
		}
		canaries[name+" in hex"] = []byte(hex.EncodeToString(raw))
		canaries[name+" in base64"] = []byte(base64.RawStdEncoding.EncodeToString(raw))
		canaries[name+" in base64url"] = []byte(base64.RawURLEncoding.EncodeToString(raw))
		canaries[name+" in decimal"] = []byte(strings.Trim(fmt.Sprint(raw), "[]"))
	}
	for _, b := range []wiegand.Bits{card, stranger, revoked} {
		canaries["text "+b.Text()] = []byte(b.Text())
		canaries["hex "+b.Hex()] = []byte(b.Hex())
	}
	for where, text := range out {
		for what, canary := range canaries {
			if bytes.Contains(bytes.ToLower(text), bytes.ToLower(canary)) {
				t.Errorf("%s is in %s", what, where)
			}
		}
	}
}

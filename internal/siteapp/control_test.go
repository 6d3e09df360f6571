package siteapp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/controller"
	"latchkey/internal/program"
	"latchkey/osdp"
	"latchkey/osdp/capture"
)

// A fakeKeeper does nothing, and tells what was asked of it.
type fakeKeeper struct {
	mu    sync.Mutex
	asked []string
	key   osdp.Key
	left  time.Duration // of the context of the last Install
	err   error

	// With these, Install closes began, waits until ctx ends, and closes ended.
	began, ended chan struct{}
}

func (k *fakeKeeper) note(format string, args ...any) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked = append(k.asked, fmt.Sprintf(format, args...))
	return k.err
}

func (k *fakeKeeper) Install(ctx context.Context, reader string) error {
	if k.began != nil {
		close(k.began)
		<-ctx.Done()
		close(k.ended)
		return ctx.Err()
	}
	if until, ok := ctx.Deadline(); ok {
		k.left = time.Until(until)
	}
	return k.note("install %s", reader)
}

func (k *fakeKeeper) Rotate(_ context.Context, reader string) error {
	return k.note("rotate %s", reader)
}

func (k *fakeKeeper) Import(_ context.Context, reader string, key osdp.Key) error {
	k.key = key
	return k.note("import %s", reader)
}

func (k *fakeKeeper) Forget(reader string) error { return k.note("forget %s", reader) }

func (k *fakeKeeper) Quality() []readerQuality {
	return []readerQuality{{Line: "bus-1", Address: 3, Readers: []string{"front"}, Online: true}}
}

func (k *fakeKeeper) Trace(ctx context.Context, reader string, ready func(), emit func(capture.Record) error) error {
	if err := k.note("trace %s", reader); err != nil {
		return err
	}
	ready()
	frame := osdp.Frame{Addr: 3, Reply: true, Code: osdp.CodeRAW, Data: []byte{0, 0, 26, 0, 0xca, 0xfe, 0xba, 0x80}}
	return emit(capture.Record{Time: time.Unix(1_800_000_000, 0), Data: must(frame.AppendBinary(nil)), Line: "bus-1"})
}

// serveFake serves k in a folder of its own until the test ends.
func serveFake(t *testing.T, k *fakeKeeper) (client *controlClient, log func() string) {
	t.Helper()
	dir := t.TempDir()
	l, err := listenControl(dir)
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serveControl(ctx, l, k, slog.New(slog.NewTextHandler(&said, nil))) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(filepath.Join(dir, controlName)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
	})
	t.Cleanup(stop)
	return newControlClient(dir), func() string { stop(); return said.String() }
}

func TestControlActs(t *testing.T) {
	k := &fakeKeeper{}
	c, log := serveFake(t, k)
	key := osdp.Key{0xc0, 0xff, 0xee, 1}
	for _, act := range []struct {
		name string
		r    keyRequest
	}{
		{"rotate", keyRequest{Reader: "front"}}, {"forget", keyRequest{Reader: "front"}},
		{"import", keyRequest{Reader: "front", Key: key.Hex()}}, {"keyset", keyRequest{Reader: "front", Seconds: 90, InsecureBus: true}},
	} {
		if err := c.act(t.Context(), act.name, act.r); err != nil {
			t.Errorf("%s: %v", act.name, err)
		}
	}
	if got, want := strings.Join(k.asked, ", "), "rotate front, forget front, import front, install front"; got != want {
		t.Errorf("asked: %s, want %s", got, want)
	}
	if !k.key.Equal(key) {
		t.Error("another key arrived")
	}
	if k.left > 90*time.Second || k.left < 80*time.Second {
		t.Errorf("the window is open for %v, want 90 s", k.left)
	}
	all, err := c.quality(t.Context())
	if err != nil || len(all) != 1 || all[0].Readers[0] != "front" || !all[0].Online {
		t.Errorf("quality %+v %v", all, err)
	}
	text := log()
	if strings.Contains(strings.ToLower(text), "c0ffee") {
		t.Error("the key is in the log")
	}
	for _, want := range []string{`act="osdp keyset" reader=front by="`, "operator acts", "operator's act is done"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks %q:\n%s", want, text)
		}
	}
}

// TestControlRefuses: what is wrong is said, nothing of it is done, and no key
// is in what is said.
func TestControlRefuses(t *testing.T) {
	k := &fakeKeeper{}
	c, _ := serveFake(t, k)
	for _, tt := range []struct{ path, body, want string }{
		{"/osdp/keyset", `{"reader":"front","seconds":60}`, "insecure_bus"},
		{"/osdp/keyset", `{"reader":"front","insecure_bus":true}`, "0 seconds"},
		{"/osdp/keyset", `{"reader":"front","insecure_bus":true,"seconds":601}`, "0 to 600"},
		{"/osdp/keyset", `{"reader":"front","insecure_bus":true,"seconds":-1}`, "0 to 600"},
		{"/osdp/import", `{"reader":"front","key":"c0ffee"}`, "key of 6 characters"},
		{"/osdp/import", `{"reader":"front","key":"c0ffee00c0ffee00c0ffee00c0ffeezz"}`, "key of 32 characters"},
		{"/osdp/rotate", `{"reader":"front"} {}`, "more than one value"},
		{"/osdp/rotate", `{"raeder":"front"}`, "unknown field"},
		{"/osdp/rotate", `[`, "request"},
		{"/osdp/rotate", `{"reader":"` + strings.Repeat("x", controlBody) + `"}`, "too large"},
		{"/osdp/trace?format=pcap2&seconds=1", "", "pcap2"},
		{"/osdp/trace?format=osdpcap&seconds=-1", "", "-1"},
	} {
		method := http.MethodPost
		if strings.HasPrefix(tt.path, "/osdp/trace") {
			method = http.MethodGet
		}
		req := must(http.NewRequestWithContext(t.Context(), method, "http://agent"+tt.path, strings.NewReader(tt.body)))
		resp := must(c.http.Do(req))
		text := string(must(io.ReadAll(resp.Body)))
		resp.Body.Close()
		if resp.StatusCode < 400 || !strings.Contains(text, tt.want) || strings.Contains(text, "c0ffee") {
			t.Errorf("%s %.60s: %s %s, want a refusal with %q", tt.path, tt.body, resp.Status, text, tt.want)
		}
	}
	if len(k.asked) > 0 {
		t.Errorf("asked: %v", k.asked)
	}
}

func TestControlTellsErrors(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
	}{
		{fmt.Errorf("%w: no reader x", controller.ErrUnknownDoor), http.StatusNotFound},
		{fmt.Errorf("reader x: %w", context.DeadlineExceeded), http.StatusGatewayTimeout},
		{controller.ErrKeyChange, http.StatusConflict},
	} {
		k := &fakeKeeper{err: tt.err}
		c, log := serveFake(t, k)
		if got := statusOf(tt.err); got != tt.status {
			t.Errorf("%v: status %d, want %d", tt.err, got, tt.status)
		}
		for _, act := range []string{"rotate", "forget"} {
			if err := c.act(t.Context(), act, keyRequest{Reader: "x"}); err == nil || err.Error() != tt.err.Error() {
				t.Errorf("%s: got %v, want %v", act, err, tt.err)
			}
		}
		if _, err := c.do(t.Context(), http.MethodGet, "/osdp/trace?format=pcapng&seconds=1&reader=x", nil); err == nil || err.Error() != tt.err.Error() {
			t.Errorf("trace: got %v, want %v", err, tt.err)
		}
		if text := log(); !strings.Contains(text, "operator's act failed") {
			t.Errorf("the log does not tell of the failure:\n%s", text)
		}
	}
}

// TestWindowClosesWithItsOperator: who interrupts `osdp keyset` closes the
// window, and so does the agent's end.
func TestWindowClosesWithItsOperator(t *testing.T) {
	for _, agentEnds := range []bool{false, true} {
		k := &fakeKeeper{began: make(chan struct{}), ended: make(chan struct{})}
		c, end := serveFake(t, k)
		ctx, interrupt := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() {
			result <- c.act(ctx, "keyset", keyRequest{Reader: "front", Seconds: 600, InsecureBus: true})
		}()
		<-k.began
		if agentEnds {
			end()
		} else {
			interrupt()
		}
		<-k.ended
		if err := <-result; err == nil {
			t.Error("no error")
		}
		interrupt()
	}
}

func TestControlTrace(t *testing.T) {
	k := &fakeKeeper{}
	c, _ := serveFake(t, k)
	card := []byte{0xca, 0xfe, 0xba, 0x80}
	for _, secrets := range []string{"", "&secrets=true"} {
		for _, format := range []string{"osdpcap", "pcapng"} {
			body, err := c.do(t.Context(), http.MethodGet, "/osdp/trace?seconds=5&reader=front&format="+format+secrets, nil)
			if err != nil {
				t.Fatal(err)
			}
			r := must(capture.NewReader(body))
			rec, err := r.Next()
			if err != nil || r.Format().String() != format {
				t.Fatalf("%s: %v", format, err)
			}
			if shown := bytes.Contains(rec.Data, card); shown != (secrets != "") || rec.FromACU {
				t.Errorf("%s%s: the card is shown: %v; record %v", format, secrets, shown, rec)
			}
			if _, err := r.Next(); !errors.Is(err, io.EOF) {
				t.Errorf("%s: after the only record: %v", format, err)
			}
			body.Close()
		}
	}
}

// TestTraceFiles: a recording is a new file of whoever asked for it. One that is
// there, or a link, stays as it is, and so does what the link points to.
func TestTraceFiles(t *testing.T) {
	c, _ := serveFake(t, &fakeKeeper{})
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	site := fmt.Sprintf("site: hq\nstate_dir: %q\ncloud: {broker: \"mqtt://127.0.0.1:1\", cloud_keys: [%q]}\n", filepath.Dir(c.path),
		"latchkey-ed25519:cloud-1:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
	for name, text := range map[string]string{"site.yaml": site, "there.osdpcap": "mine", "target": "mine"} {
		if err := os.WriteFile(file(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"link.osdpcap": "target", "dangling.osdpcap": "nowhere"} {
		if err := os.Symlink(to, file(link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range [][]string{
		{"osdp", "trace", "--config", file("site.yaml")},
		{"osdp", "decode", recordedTrace(t, "x.osdpcap")},
	} {
		fresh := file(command[1] + ".osdpcap")
		for path, want := range map[string]string{
			fresh: "", file("there.osdpcap"): "is there already", file("link.osdpcap"): "is there already",
			file("dangling.osdpcap"): "is there already", file("no/folder.osdpcap"): "no such file", file("x.txt"): "ends in .osdpcap or .pcapng",
		} {
			var errs bytes.Buffer
			code := Main(t.Context(), append(command, "--out", path), io.Discard, &errs)
			if want == "" && code != program.OK || want != "" && (code != program.Failed || !strings.Contains(errs.String(), want) || !strings.Contains(errs.String(), path)) {
				t.Errorf("%s --out %s: exit %d, %s, want %q", command[1], path, code, &errs, want)
			}
		}
		if info := must(os.Lstat(fresh)); info.Mode() != 0o600 || info.Size() == 0 {
			t.Errorf("%s: %v, %d bytes", command[1], info.Mode(), info.Size())
		}
	}
	for _, name := range []string{"there.osdpcap", "target"} {
		if text := must(os.ReadFile(file(name))); string(text) != "mine" {
			t.Errorf("%s was written over with %q", name, text)
		}
	}
	if _, err := os.Lstat(file("nowhere")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a link was followed: %v", err)
	}
}

func TestControlSocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, controlName)
	l := must(net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"}))
	l.SetUnlinkOnClose(false) // as an agent leaves it that was killed
	l.Close()
	if _, err := newControlClient(dir).quality(t.Context()); err == nil || !strings.Contains(err.Error(), "no agent answers at "+path) {
		t.Errorf("at a dead socket: %v", err)
	}
	second, err := listenControl(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info := must(os.Lstat(path)); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	second.Close()
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenControl(dir); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("over a file: %v", err)
	}
	if text := must(os.ReadFile(path)); string(text) != "mine" {
		t.Error("the file is gone")
	}
	deep := filepath.Join(dir, strings.Repeat("long", 30))
	if err := os.Mkdir(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := listenControl(deep); err == nil || !strings.Contains(err.Error(), "about 100 bytes") {
		t.Errorf("with a long path: %v", err)
	}
}

// TestPrivate lets nobody in but root and the agent's user.
func TestPrivate(t *testing.T) {
	inner := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, struct{}{}) })
	for uid, want := range map[int]int{0: http.StatusOK, os.Getuid(): http.StatusOK, os.Getuid() + 4711: http.StatusForbidden} {
		ctx := context.WithValue(t.Context(), peerKey{}, peer{uid: uid, pid: 1})
		w := httptest.NewRecorder()
		private(inner).ServeHTTP(w, must(http.NewRequestWithContext(ctx, http.MethodGet, "/", nil)))
		if w.Code != want {
			t.Errorf("uid %d: status %d, want %d", uid, w.Code, want)
		}
	}
}

package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/cloud/store/pgtest"
	"latchkey/delta"
	"latchkey/internal/keyfile"
	"latchkey/uplink"
	"latchkey/uplink/broker"
)

// A shared cloud is several processes with one database and one broker.
type sharedCloud struct {
	*testing.T
	broker   *broker.Broker
	secret   []byte
	key      delta.Key
	files    string // the folder that all processes' secrets are copies from
	database string // without the password, which is in a file
	sites    map[string]*station
}

func newSharedCloud(t *testing.T) *sharedCloud {
	t.Helper()
	u, err := url.Parse(pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	s := &sharedCloud{T: t, files: t.TempDir(), sites: map[string]*station{}}
	password, _ := u.User.Password()
	u.User = url.User(u.User.Username())
	s.database = u.String()
	s.write("database.password", password+"\n")
	s.write("admin.token", "an-administrator's-token\n")
	if s.secret, err = keyfile.Secret(filepath.Join(s.files, "broker.secret")); err != nil {
		t.Fatal(err)
	}
	if s.key, err = keyfile.Key(filepath.Join(s.files, "cloud.key"), "cloud-1"); err != nil {
		t.Fatal(err)
	}
	s.broker, err = broker.Start(broker.Config{Host: "127.0.0.1", Port: -1, StoreDir: t.TempDir(), Secret: s.secret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.broker.Stop)
	return s
}

func (s *sharedCloud) write(file, text string) {
	s.Helper()
	if err := os.WriteFile(filepath.Join(s.files, file), []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
}

// An instance is one process of a shared cloud.
type instance struct {
	s   *sharedCloud
	cmd *exec.Cmd
	url string
}

func (s *sharedCloud) start() *instance {
	s.Helper()
	dir := filepath.Join(s.TempDir(), "cloud")
	if err := os.CopyFS(dir, os.DirFS(s.files)); err != nil {
		s.Fatal(err)
	}
	for _, file := range []string{"cloud.key", "broker.secret", "admin.token", "database.password"} {
		if err := os.Chmod(filepath.Join(dir, file), 0o600); err != nil {
			s.Fatal(err)
		}
	}
	cmd := exec.Command("latchkey-cloud", "serve", "--dir", dir, "--listen", "127.0.0.1:0", "--broker", s.broker.URL(),
		"--database", s.database, "--database-password-file", filepath.Join(dir, "database.password"))
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	log, err := cmd.StderrPipe()
	if err != nil {
		s.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	i := &instance{s: s, cmd: cmd}
	s.Cleanup(i.kill)
	lines := bufio.NewScanner(log)
	for i.url == "" && lines.Scan() {
		fmt.Fprintln(s.Output(), lines.Text())
		if _, rest, ok := strings.Cut(lines.Text(), " listen="); ok {
			i.url = "http://" + strings.Fields(rest)[0]
		}
	}
	if i.url == "" {
		s.Fatal("the cloud did not start")
	}
	go io.Copy(s.Output(), log)
	return i
}

// kill ends the process as a power cut does.
func (i *instance) kill() {
	i.cmd.Process.Kill()
	i.cmd.Wait()
}

func (i *instance) call(method, path string, body any) {
	i.s.Helper()
	doc, err := json.Marshal(body)
	if err != nil {
		i.s.Fatal(err)
	}
	r, err := http.NewRequestWithContext(i.s.Context(), method, i.url+path, strings.NewReader(string(doc)))
	if err != nil {
		i.s.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer an-administrator's-token")
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		i.s.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode >= 300 {
		i.s.Fatalf("%s %s: %s %s", method, path, resp.Status, answer)
	}
}

// serves is how many sites the process serves now.
func (i *instance) serves() (n int) {
	i.s.Helper()
	resp, err := http.Get(i.url + "/metrics")
	if err != nil {
		i.s.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		fmt.Sscanf(lines.Text(), "latchkey_cloud_sites %d", &n)
	}
	return n
}

// A station is a site that says hello, follows its log and keeps what comes down.
type station struct {
	link   *uplink.Site
	public string
	head   delta.Head

	mu   sync.Mutex
	seen string // all payloads
}

func (s *sharedCloud) station(id string) *station {
	s.Helper()
	key, err := delta.NewKey(id)
	if err != nil {
		s.Fatal(err)
	}
	link, err := uplink.NewSite(uplink.SiteConfig{Broker: s.broker.UserURL(s.secret, id), Site: id, Key: key, CloudKeys: delta.Keys{s.key.ID: s.key.Public()}})
	if err != nil {
		s.Fatal(err)
	}
	st := &station{link: link}
	if st.public, err = delta.MarshalPublic(id, key.Public()); err != nil {
		s.Fatal(err)
	}
	s.sites[id] = st
	ctx, cancel := context.WithCancel(s.Context())
	var wg sync.WaitGroup
	wg.Go(func() { link.Run(ctx) })
	wg.Go(func() { st.live(ctx) })
	s.Cleanup(func() { cancel(); wg.Wait() })
	return st
}

func (st *station) live(ctx context.Context) {
	for {
		in, err := st.link.Next(ctx)
		if err != nil {
			return
		}
		switch m := in.Message.(type) {
		case *delta.Snapshot: // of so little there is one part
			st.head = m.Head
			st.link.Send(ctx, &delta.Applied{Head: st.head})
		case *delta.Delta:
			if m.Epoch == st.head.Epoch && m.Seq == st.head.Seq+1 && m.Prev == st.head.Hash {
				st.head = delta.Head{Epoch: m.Epoch, Seq: m.Seq, Hash: in.Hash, Digest: m.Digest}
			}
			st.link.Send(ctx, &delta.Applied{Head: st.head})
		}
		if in.Up {
			var random [16]byte
			rand.Read(random[:]) // never fails
			st.link.Send(ctx, &delta.Hello{Nonce: delta.NonceOf(random), Versions: []int{1}, Head: st.head})
		}
		st.mu.Lock()
		st.seen += string(in.Payload)
		st.mu.Unlock()
	}
}

func (st *station) has(text string) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !strings.Contains(st.seen, text) {
		return fmt.Errorf("no %s came", text)
	}
	return nil
}

// within waits for what and says how long it took.
func (s *sharedCloud) within(most time.Duration, what string, ok func() error) {
	s.Helper()
	began := time.Now()
	for end := began.Add(most); ; <-time.After(10 * time.Millisecond) {
		err := ok()
		if err == nil {
			s.Logf("%s: after %v", what, time.Since(began).Round(10*time.Millisecond))
			return
		}
		if time.Now().After(end) {
			s.Fatalf("%s: not within %v: %v", what, most, err)
		}
	}
}

// TestCloudsShareADatabase: two processes divide the sites, calls may go to
// either, and when one is killed the other serves all sites within ten seconds.
func TestCloudsShareADatabase(t *testing.T) {
	s := newSharedCloud(t)
	a, b := s.start(), s.start()
	const sites = 8
	a.call("POST", "/admin/api/v1/orgs", map[string]any{"id": "acme"})
	door := func(i *instance, site, id string) {
		i.call("PUT", "/admin/api/v1/orgs/acme/properties/"+site+"/doors/"+id, map[string]any{"name": id, "kind": "door"})
	}
	for n := range sites {
		site := fmt.Sprint("site-", n)
		st := s.station(site)
		b.call("PUT", "/admin/api/v1/orgs/acme/properties/"+site, map[string]any{"name": site, "key": st.public})
		door(a, site, "front")
	}
	all := func(ok func(st *station) error) func() error {
		return func() error {
			var errs []error
			for id, st := range s.sites {
				if err := ok(st); err != nil {
					errs = append(errs, fmt.Errorf("%s: %w", id, err))
				}
			}
			return errors.Join(errs...)
		}
	}
	s.within(20*time.Second, "all sites were told of their door", all(func(st *station) error { return st.has(`"front"`) }))
	s.within(20*time.Second, "the sites are divided", func() error {
		if na, nb := a.serves(), b.serves(); na+nb != sites || na == 0 || nb == 0 {
			return fmt.Errorf("one serves %d, the other %d of %d", na, nb, sites)
		}
		return nil
	})
	for id := range s.sites {
		door(a, id, "cabinet") // whoever serves the site
	}
	s.within(5*time.Second, "all heard at once of a change made at one process", all(func(st *station) error { return st.has(`"cabinet"`) }))

	b.kill()
	for id := range s.sites {
		door(a, id, "back")
	}
	s.within(10*time.Second, "after the other was killed one serves all sites", all(func(st *station) error { return st.has(`"back"`) }))
}

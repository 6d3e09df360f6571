package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"latchkey/access"
	"latchkey/building"
	"latchkey/cache"
	"latchkey/internal/keyfile"
	"latchkey/internal/pause"
	"latchkey/internal/readerkeys"
	"latchkey/osdp"
	"latchkey/uplink/broker"
)

// readyLimit is how long the demonstration may take to start.
const readyLimit = 30 * time.Second

// A site of the demonstration: its doors, and what hardware they have.
type demoSite struct {
	id, name string
	doors    []access.Door
}

// The first organisation's sites. Reader names are door names in short.
var (
	hq = demoSite{"hq", "Headquarters", []access.Door{
		{ID: "front-door", Name: "Front door", Kind: access.DoorKindDoor},
		{ID: "lab-door", Name: "Laboratory", Kind: access.DoorKindDoor},
		{ID: "key-cabinet", Name: "Key cabinet", Kind: access.DoorKindCabinet},
	}}
	depot = demoSite{"depot", "Depot", []access.Door{
		{ID: "dock-door", Name: "Loading dock", Kind: access.DoorKindDoor},
		{ID: "yard-gate", Name: "Yard gate", Kind: access.DoorKindDoor},
	}}
)

const (
	orgA, orgB  = "acme", "umbra"
	staff       = "staff"
	employees   = "Employees"
	baudOSDP    = 115200
	baudLink    = 115200
	defaultType = "standard"
)

type demo struct {
	dir                        string
	cloud, broker, sim         string // host:port
	status                     map[string]string
	adminToken                 string
	brokerSecret               []byte
	brokerSecretFile, adminURL string
	sup                        *supervisor
}

func newDemo(dir string) (*demo, error) {
	for _, d := range []string{"log", "cloud", "broker", "sim", "hq", "depot"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return nil, err
		}
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(5)
	if err != nil {
		return nil, err
	}
	d := &demo{
		dir: dir, cloud: ports[0], broker: ports[1], sim: ports[2],
		status:   map[string]string{"hq": ports[3], "depot": ports[4]},
		adminURL: "http://" + ports[0] + "/admin",
		sup:      &supervisor{exe: exe, dir: dir, pids: map[string]int{}},
	}
	token, err := keyfile.Secret(d.path("admin.token"))
	if err != nil {
		return nil, err
	}
	d.adminToken = string(token)
	d.brokerSecretFile = d.path("broker.secret")
	d.brokerSecret, err = keyfile.Secret(d.brokerSecretFile)
	return d, err
}

func (d *demo) path(parts ...string) string {
	return filepath.Join(append([]string{d.dir}, parts...)...)
}

// run starts everything, calls ready once all of it does its work, and goes on
// until ctx ends.
func (d *demo) run(ctx context.Context, ready func(Info) error) error {
	defer d.sup.wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	starting, done := context.WithTimeout(ctx, readyLimit)
	defer done()
	info, err := d.bringUp(ctx, starting)
	if err != nil {
		return fmt.Errorf("%w; see %s", err, d.path("log"))
	}
	if err := ready(info); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// bringUp starts the children, which live until ctx ends, and sets the cloud up
// as an administrator would, until starting ends.
func (d *demo) bringUp(ctx, starting context.Context) (Info, error) {
	if err := d.startShared(ctx); err != nil {
		return Info{}, err
	}
	api := &client{base: d.adminURL + "/api/v1", token: d.adminToken}
	if err := until(starting, func() error { return get(starting, "http://"+d.cloud+"/healthz", nil) }); err != nil {
		return Info{}, fmt.Errorf("the cloud does not answer: %w", err)
	}
	info, err := d.setUp(starting, api)
	if err != nil {
		return Info{}, err
	}
	for _, s := range []demoSite{hq, depot} {
		if err := d.sup.start(ctx, "agent-"+s.id, "agent", "run", "--config", d.path(s.id, "site.yaml")); err != nil {
			return Info{}, err
		}
		url := "http://" + d.status[s.id]
		info.Sites = append(info.Sites, SiteInfo{s.id, url, url + "/metrics"})
	}
	for _, s := range info.Sites {
		if err := until(starting, func() error { return siteReady(starting, s) }); err != nil {
			return Info{}, fmt.Errorf("site %s is not ready: %w", s.ID, err)
		}
	}
	info.PIDs = d.sup.snapshot()
	return info, nil
}

// pairReaders gives each reader of hq and its agent a key in common, once.
func (d *demo) pairReaders() error {
	seal, err := cache.OpenKey(d.path(hq.id, "cache.key"))
	if err != nil {
		return err
	}
	store, err := readerkeys.Open(readerkeys.Options{Dir: d.path(hq.id), Key: seal})
	if err != nil {
		return err
	}
	for _, l := range d.building().Lines {
		for _, r := range l.Readers {
			if current, pending, _ := store.Load(l.Name, r.Address); current != nil || pending != nil {
				continue
			}
			key, err := osdp.NewKey(rand.Reader)
			if err != nil {
				return err
			}
			err = errors.Join(store.Begin(l.Name, r.Address, key), building.PairReader(d.path("sim"), r.Name, key), store.Commit(l.Name, r.Address))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *demo) startShared(ctx context.Context) error {
	if err := d.pairReaders(); err != nil {
		return err
	}
	b, err := json.MarshalIndent(d.building(), "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.path("sim", "building.json"), b, 0o600); err != nil {
		return err
	}
	return errors.Join(
		d.sup.start(ctx, "sim", "sim", "serve", "--config", d.path("sim", "building.json"), "--listen", d.sim),
		d.sup.start(ctx, "broker", "cloud", "broker", "--listen", d.broker, "--dir", d.path("broker"), "--secret-file", d.brokerSecretFile),
		d.sup.start(ctx, "cloud", "cloud", "serve", "--dir", d.path("cloud"), "--listen", d.cloud,
			"--broker", "mqtt://"+d.broker, "--broker-secret-file", d.brokerSecretFile, "--admin-token-file", d.path("admin.token")),
	)
}

func (d *demo) building() building.Config {
	return building.Config{
		Dir: d.path("sim"),
		Lines: []building.Line{{Name: "hq-readers", Site: "hq", Readers: []building.Reader{
			{Name: "front", Address: 1}, {Name: "lab", Address: 2}, {Name: "cabinet", Address: 3},
		}}},
		Controllers: []building.Controller{{Name: "depot-controller", Site: "depot", Address: 1, Readers: []string{"dock", "yard"}}},
		EventLogs:   map[string]string{"hq": "http://" + d.status["hq"], "depot": "http://" + d.status["depot"]},
	}
}

// setUp does what an administrator does once: organisations, sites, doors, a
// rule, tokens. It may be done again on a folder that was used before.
func (d *demo) setUp(ctx context.Context, api *client) (Info, error) {
	info := Info{
		SCIMURL: "http://" + d.cloud + "/scim/v2", AdminURL: d.adminURL, AdminToken: d.adminToken,
		BrokerURL: "mqtt://" + d.broker, SimURL: "http://" + d.sim,
	}
	info.SCIMURLB = info.SCIMURL
	for _, o := range []struct {
		id, name string
		token    *string
	}{{orgA, "Acme", &info.SCIMToken}, {orgB, "Umbra", &info.SCIMTokenB}} {
		var made struct {
			Token string `json:"token"`
		}
		err := errors.Join(
			d.createOrg(ctx, api, o.id, o.name),
			api.put(ctx, "/orgs/"+o.id+"/badge-types/"+defaultType, map[string]any{"format": "H10302", "default": true}, nil),
			api.post(ctx, "/orgs/"+o.id+"/tokens", map[string]any{"label": "demonstration"}, &made),
		)
		if err != nil {
			return info, err
		}
		*o.token = made.Token
	}
	var cloudKey struct {
		Key string `json:"key"`
	}
	if err := api.get(ctx, "/cloud-key", &cloudKey); err != nil {
		return info, err
	}
	for _, s := range []demoSite{hq, depot} {
		if err := d.setUpSite(ctx, api, s, cloudKey.Key); err != nil {
			return info, fmt.Errorf("site %s: %w", s.id, err)
		}
	}
	return info, nil
}

// createOrg makes an organisation unless an earlier demonstration in this
// folder did.
func (d *demo) createOrg(ctx context.Context, api *client, id, name string) error {
	var orgs []struct {
		ID string `json:"id"`
	}
	if err := api.get(ctx, "/orgs", &orgs); err != nil {
		return err
	}
	for _, o := range orgs {
		if o.ID == id {
			return nil
		}
	}
	return api.post(ctx, "/orgs", map[string]any{"id": id, "name": name}, nil)
}

func (d *demo) setUpSite(ctx context.Context, api *client, s demoSite, cloudKey string) error {
	var public bytes.Buffer
	keyFile := d.path(s.id, "site.key")
	if code := run(ctx, []string{"agent", "keygen", "--site", s.id, "--out", keyFile}, &public, &public); code != 0 {
		return fmt.Errorf("keygen: %s", public.Bytes())
	}
	base := "/orgs/" + orgA + "/properties/" + s.id
	grants := []map[string]string{}
	err := api.put(ctx, base, map[string]any{"name": s.name, "key": string(bytes.TrimSpace(public.Bytes()))}, nil)
	for _, door := range s.doors {
		err = errors.Join(err, api.put(ctx, base+"/doors/"+door.ID, door, nil))
		grants = append(grants, map[string]string{"door": door.ID})
	}
	err = errors.Join(err, api.put(ctx, base+"/groups/"+staff, map[string]any{"name": "Staff", "grants": grants}, nil))
	var rules []json.RawMessage
	err = errors.Join(err, api.get(ctx, base+"/rules", &rules))
	if err == nil && len(rules) == 0 {
		err = api.post(ctx, base+"/rules", map[string]any{
			"name": "Employees get Staff", "enabled": true, "match": "all",
			"conditions": []map[string]any{{"group": employees}}, "groups": []string{staff},
		}, nil)
	}
	if err != nil {
		return err
	}
	password := broker.Password(d.brokerSecret, s.id)
	return errors.Join(
		os.WriteFile(d.path(s.id, "broker.password"), []byte(password+"\n"), 0o600),
		os.WriteFile(d.path(s.id, "site.yaml"), []byte(d.siteFile(s, cloudKey)), 0o600),
	)
}

func (d *demo) siteFile(s demoSite, cloudKey string) string {
	text := fmt.Sprintf(`# Made by latchkey-demo.
site: %s
name: %s
state_dir: %q
cloud:
  broker: mqtt://%s
  password_file: %q
  key_file: %q
  cloud_keys: [%q]
status:
  listen: %s
formats: [H10302, H10301]
`, s.id, s.name, d.path(s.id), d.broker, d.path(s.id, "broker.password"), d.path(s.id, "site.key"), cloudKey, d.status[s.id])
	if s.id == hq.id {
		return text + fmt.Sprintf(`osdp:
  - name: hq-readers
    port: %q
    baud: %d
    poll: 10ms
    readers:
      - {name: front, address: 1, door: front-door}
      - {name: lab, address: 2, door: lab-door}
      - {name: cabinet, address: 3, door: key-cabinet}
`, d.path("sim", "dev", "hq-readers"), baudOSDP)
	}
	return text + fmt.Sprintf(`serial:
  - name: depot-controller
    port: %q
    baud: %d
    address: 1
    doors:
      - {door: dock-door, index: 0, reader: dock}
      - {door: yard-gate, index: 1, reader: yard}
`, d.path("sim", "dev", "depot-controller"), baudLink)
}

// siteReady asks whether a site has its list, hears the cloud, and has all its
// doors up to date.
func siteReady(ctx context.Context, s SiteInfo) error {
	var st struct {
		Ready bool `json:"ready"`
		Cloud struct {
			Connected bool `json:"connected"`
		} `json:"cloud"`
		Doors []struct {
			Name     string `json:"name"`
			UpToDate bool   `json:"up_to_date"`
			Text     string `json:"text"`
		} `json:"doors"`
	}
	if err := get(ctx, s.StatusURL+"/api/status", &st); err != nil {
		return err
	}
	if !st.Ready || !st.Cloud.Connected || len(st.Doors) == 0 {
		return fmt.Errorf("ready %v, connected %v, %d doors", st.Ready, st.Cloud.Connected, len(st.Doors))
	}
	for _, d := range st.Doors {
		if !d.UpToDate {
			return fmt.Errorf("%s: %s", d.Name, d.Text)
		}
	}
	return nil
}

// until tries f each 20 ms until it works or ctx ends; then it returns f's
// last error.
func until(ctx context.Context, f func() error) error {
	for {
		err := f()
		if err == nil {
			return nil
		}
		if !pause.For(ctx, 20*time.Millisecond) {
			return err
		}
	}
}

// freePorts picks n free ports on loopback. All are held until all are picked,
// so that they differ.
func freePorts(n int) (addrs []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		addrs = append(addrs, net.JoinHostPort("127.0.0.1", strconv.Itoa(l.Addr().(*net.TCPAddr).Port)))
	}
	return addrs, nil
}

// A client speaks JSON with one bearer token.
type client struct{ base, token string }

func (c *client) get(ctx context.Context, path string, out any) error {
	return c.do(ctx, http.MethodGet, path, nil, out)
}

func (c *client) put(ctx context.Context, path string, in, out any) error {
	return c.do(ctx, http.MethodPut, path, in, out)
}

func (c *client) post(ctx context.Context, path string, in, out any) error {
	return c.do(ctx, http.MethodPost, path, in, out)
}

func get(ctx context.Context, url string, out any) error {
	return (&client{base: url}).do(ctx, http.MethodGet, "", nil, out)
}

// do sends in and reads the answer into out; both may be nil. An answer that
// is no 2xx is an error with the text that came.
func (c *client) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(text))
	}
	if out == nil || len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, out)
}

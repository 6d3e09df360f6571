package agent

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"latchkey/delta"
	"latchkey/wiegand"
)

// A Config is a site file: what is particular to one gateway. Who may open
// which door is not in it; the cloud says that.
type Config struct {
	Site     string         `yaml:"site"`      // [a-z0-9-]{1,32}, as in the cloud
	Name     string         `yaml:"name"`      // for people; empty is Site
	StateDir string         `yaml:"state_dir"` // cache.db, events.db and their key
	Cloud    CloudConfig    `yaml:"cloud"`
	Status   StatusConfig   `yaml:"status"`
	Formats  []FormatConfig `yaml:"formats"` // card formats in use, the likeliest first
	Log      LogConfig      `yaml:"log"`
	OSDP     []OSDPConfig   `yaml:"osdp"`
	Serial   []SerialConfig `yaml:"serial"`

	CustomFormats []CustomFormat `yaml:"custom_formats"`
}

// A CloudConfig says how to reach the cloud and whom to believe.
type CloudConfig struct {
	Broker       string    `yaml:"broker"`        // mqtt://host:port or mqtts://host:port
	Username     string    `yaml:"username"`      // empty is the site's id
	PasswordFile string    `yaml:"password_file"` // empty: no password
	KeyFile      string    `yaml:"key_file"`      // the site's private key; empty is site.key in state_dir
	CloudKeys    []string  `yaml:"cloud_keys"`    // "latchkey-ed25519:ID:BASE64": who may sign changes
	TLS          TLSConfig `yaml:"tls"`
}

// A TLSConfig names PEM files; all empty is the system's roots and no client
// certificate.
type TLSConfig struct {
	CAFile   string `yaml:"ca_file"`
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
}

// A StatusConfig says where the status page and the metrics are served.
type StatusConfig struct {
	Listen string `yaml:"listen"` // host:port; empty is 127.0.0.1:9440
	// Hosts are names under which the page may be asked for, besides localhost
	// and IP addresses.
	Hosts []string `yaml:"hosts"`
}

// A LogConfig says how much is logged.
type LogConfig struct {
	Level string `yaml:"level"` // debug, info, warn or error; empty is info
}

// An OSDPConfig is one RS-485 line with readers that the agent decides for.
type OSDPConfig struct {
	Name    string `yaml:"name"`
	Port    string `yaml:"port"`
	Baud    int    `yaml:"baud"` // 9600 (default), 19200, 38400, 57600, 115200, 230400
	Backend string `yaml:"backend"`
	RS485   bool   `yaml:"rs485"`
	// Poll is the time from one poll of a reader to the next, 10 to 100 ms; 0 is
	// 20 to 50 ms, by the number of readers. A card waits for half of it; a slow or
	// full line stretches it.
	Poll    time.Duration `yaml:"poll"`
	Readers []OSDPReader  `yaml:"readers"`
}

// An OSDPReader is one reader of one door.
type OSDPReader struct {
	Name    string `yaml:"name"`
	Address uint8  `yaml:"address"` // 0 to 126
	Door    string `yaml:"door"`    // a door's id in the cloud
	Reader  uint8  `yaml:"reader"`  // reader number inside the PD, usually 0
	Output  uint8  `yaml:"output"`  // output that holds the strike, from 0
	Contact *uint8 `yaml:"contact"` // input of the door contact, from 0; none if absent
	Exit    *uint8 `yaml:"exit"`    // input of the exit button, from 0; none if absent
	// ContactInverted is for a contact that is active while the door is shut.
	ContactInverted bool `yaml:"contact_inverted"`
	// ReversedBytes is for a reader that sends cards with their bytes in the
	// other order, as some do with serial numbers. Cards that are no whole number
	// of bytes stay as they are.
	ReversedBytes bool `yaml:"reversed_bytes"`
	// Security is SecurityRequireSCBK (empty is that) or SecurityAllowClear. The
	// heads of one PD share it, as they share its address.
	Security string `yaml:"security"`
}

// What an OSDP line asks of a reader.
const (
	// SecurityRequireSCBK: nothing is said to the reader, and nothing is believed
	// of it, but under the reader's own secure channel key.
	SecurityRequireSCBK = "require-scbk"
	// SecurityAllowClear: a reader without a key of its own is worked in clear
	// text. Whoever reaches the line reads its cards and opens its door.
	SecurityAllowClear = "allow-clear"
)

// A SerialConfig is one door controller on the open serial door link, which
// decides by the table that the agent gives it.
type SerialConfig struct {
	Name    string       `yaml:"name"`
	Port    string       `yaml:"port"`
	Baud    int          `yaml:"baud"` // 9600, 19200, 38400 (default), 57600, 115200
	Backend string       `yaml:"backend"`
	RS485   bool         `yaml:"rs485"`
	Address uint8        `yaml:"address"` // 1 to 126; 127 is whoever is there, alone on its line
	Doors   []SerialDoor `yaml:"doors"`
}

// A SerialDoor is one door of a serial controller.
type SerialDoor struct {
	Door   string `yaml:"door"`   // a door's id in the cloud
	Index  uint8  `yaml:"index"`  // 0 to 3: its place in the controller
	Reader string `yaml:"reader"` // its reader's name; empty is the door's id
}

var (
	osdpBaud = []int{0, 9600, 19200, 38400, 57600, 115200, 230400}
	linkBaud = []int{0, 9600, 19200, 38400, 57600, 115200}
)

// ParseConfig reads a site file, called name in errors. All problems come in
// one error, one a line, in the order of the file, each with line and column.
// Defaults are applied.
func ParseConfig(name string, text []byte, formats *wiegand.Catalogue) (*Config, error) {
	c := new(Config)
	d, err := decodeYAML(text, c)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", name, err)
	}
	type finding struct {
		place
		Problem
	}
	var found []finding
	// What could not be read is empty now: that it is missing is no news.
	news := slices.DeleteFunc(c.Check(formats), func(p Problem) bool {
		return slices.ContainsFunc(d.problems, func(q Problem) bool { return within(p.Path, q.Path) })
	})
	for _, p := range slices.Concat(d.problems, news) {
		found = append(found, finding{d.find(p.Path), p})
	}
	slices.SortStableFunc(found, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.col, b.col))
	})
	var errs []error
	for _, f := range found {
		text := f.Text
		if f.Path != "" {
			text = f.Path + ": " + text
		}
		errs = append(errs, fmt.Errorf("%s:%d:%d: %s", name, f.line, f.col, text))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	c.defaults()
	return c, nil
}

// within reports whether path is at or below top.
func within(path, top string) bool {
	rest, ok := strings.CutPrefix(path, top)
	return ok && (top == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}

func (c *Config) defaults() {
	c.Name = cmp.Or(c.Name, c.Site)
	c.Cloud.Username = cmp.Or(c.Cloud.Username, c.Site)
	c.Status.Listen = cmp.Or(c.Status.Listen, "127.0.0.1:9440")
	c.Log.Level = cmp.Or(c.Log.Level, "info")
	for i := range c.OSDP {
		c.OSDP[i].Baud = cmp.Or(c.OSDP[i].Baud, 9600)
		for j := range c.OSDP[i].Readers {
			r := &c.OSDP[i].Readers[j]
			r.Security = cmp.Or(r.Security, SecurityRequireSCBK)
		}
	}
	for i := range c.Serial {
		c.Serial[i].Baud = cmp.Or(c.Serial[i].Baud, 38400)
		for j := range c.Serial[i].Doors {
			d := &c.Serial[i].Doors[j]
			d.Reader = cmp.Or(d.Reader, d.Door)
		}
	}
}

// Check lists everything wrong with c, in no order. It looks at nothing
// outside c: files and ports are doctor's business.
func (c *Config) Check(formats *wiegand.Catalogue) []Problem {
	k := &checker{ports: map[string]string{}, names: map[string]string{}, readers: map[string]string{}, doors: map[string]string{}, formats: map[string]string{}}
	k.check(c.Site != "", "site", "is missing: want the site's id in the cloud")
	k.check(c.Site == "" || delta.CheckSite(c.Site) == nil, "site", "%q: want 1 to 32 of a-z, 0-9 and -, and not cloud", c.Site)
	k.check(c.StateDir != "", "state_dir", "is missing: want the folder that keeps this site's data")
	k.cloud(&c.Cloud)
	if c.Status.Listen != "" {
		_, _, err := net.SplitHostPort(c.Status.Listen)
		k.check(err == nil, "status.listen", "%q: want host:port", c.Status.Listen)
	}
	k.check(slices.Contains([]string{"", "debug", "info", "warn", "error"}, c.Log.Level), "log.level", "%q: want debug, info, warn or error", c.Log.Level)
	formats = k.custom(c.CustomFormats, formats)
	for i := range c.Formats {
		k.format(fmt.Sprintf("formats[%d]", i), &c.Formats[i], formats)
	}
	for i := range c.OSDP {
		k.osdp(fmt.Sprintf("osdp[%d]", i), &c.OSDP[i])
	}
	for i := range c.Serial {
		k.serial(fmt.Sprintf("serial[%d]", i), &c.Serial[i])
	}
	return k.problems
}

// A checker collects problems; its maps say what was met where.
type checker struct {
	problems []Problem

	ports, names, readers, doors, formats map[string]string

	faulty []string // names of custom formats that have problems, in lower case
}

// check tells of a problem unless ok, and returns ok.
func (k *checker) check(ok bool, path, format string, args ...any) bool {
	if !ok {
		k.problems = append(k.problems, Problem{path, fmt.Sprintf(format, args...)})
	}
	return ok
}

// once says that value may stand in one place only.
func (k *checker) once(met map[string]string, value, path, what string) {
	if first, ok := met[value]; ok {
		k.check(false, path, "%s %q is taken by %s already", what, value, first)
		return
	}
	met[value] = path
}

func (k *checker) cloud(c *CloudConfig) {
	switch u, err := url.Parse(c.Broker); { // a password in it must not be printed
	case c.Broker == "":
		k.check(false, "cloud.broker", "is missing: want mqtt://HOST:PORT or mqtts://HOST:PORT")
	case err != nil:
		k.check(false, "cloud.broker", "is no URL: want mqtt://HOST:PORT or mqtts://HOST:PORT")
	case u.User != nil:
		k.check(false, "cloud.broker", "holds a user: want it in username and password_file")
	case u.Scheme != "mqtt" && u.Scheme != "mqtts" || u.Hostname() == "":
		k.check(false, "cloud.broker", "%q: want mqtt://HOST:PORT or mqtts://HOST:PORT", c.Broker)
	}
	k.check(len(c.CloudKeys) > 0, "cloud.cloud_keys", "is missing: without the cloud's key nothing it says can be believed")
	for i, key := range c.CloudKeys {
		_, _, err := delta.ParsePublic(key)
		k.check(err == nil, fmt.Sprintf("cloud.cloud_keys[%d]", i), "is no public key: want latchkey-ed25519:ID:BASE64, as `latchkey-cloud key` prints it")
	}
	k.check((c.TLS.CertFile == "") == (c.TLS.KeyFile == ""), "cloud.tls", "cert_file and key_file: want both or none")
}

func (k *checker) port(path, name, port, backend string, baud int, bauds []int) {
	k.check(name != "", path+".name", "is missing: want a name for the status page")
	if name != "" {
		k.once(k.names, name, path+".name", "name")
	}
	k.check(port != "", path+".port", "is missing: want a serial port")
	if port != "" {
		k.once(k.ports, port, path+".port", "port")
	}
	k.check(slices.Contains(bauds, baud), path+".baud", "%d: want one of %s", baud, strings.Trim(fmt.Sprint(bauds[1:]), "[]"))
	k.check(slices.Contains([]string{"", "native", "tarm"}, backend), path+".backend", "%q: want native or tarm", backend)
}

func (k *checker) osdp(path string, c *OSDPConfig) {
	k.port(path, c.Name, c.Port, c.Backend, c.Baud, osdpBaud)
	k.check(len(c.Readers) > 0, path+".readers", "is empty: want one reader at least")
	k.check(c.Poll == 0 || c.Poll >= 10*time.Millisecond && c.Poll <= 100*time.Millisecond, path+".poll", "%v: want 10ms to 100ms", c.Poll)
	met := map[string]string{}
	security := map[uint8]string{}
	for i := range c.Readers {
		r, at := &c.Readers[i], fmt.Sprintf("%s.readers[%d]", path, i)
		k.security(security, r, at+".security")
		k.check(r.Address <= 126, at+".address", "%d: want 0 to 126", r.Address)
		k.once(met, fmt.Sprintf("%d/%d", r.Address, r.Reader), at+".address", "address and reader")
		for key, input := range map[string]*uint8{".contact": r.Contact, ".exit": r.Exit} {
			k.check(input == nil || *input < 255, at+key, "255: want 0 to 254")
		}
		k.reader(r.Name, at+".name")
		k.door(r.Door, at+".door", false)
	}
}

// security refuses a word that is none, and two for one PD; met says what each
// address has.
func (k *checker) security(met map[uint8]string, r *OSDPReader, path string) {
	want := cmp.Or(r.Security, SecurityRequireSCBK)
	if !slices.Contains([]string{SecurityRequireSCBK, SecurityAllowClear}, want) {
		k.check(false, path, "%q: want %s or %s", want, SecurityRequireSCBK, SecurityAllowClear)
		return
	}
	first, ok := met[r.Address]
	k.check(!ok || first == want, path, "is %s, and %s for another head of address %d: they share one wire", want, first, r.Address)
	met[r.Address] = cmp.Or(first, want)
}

func (k *checker) serial(path string, c *SerialConfig) {
	k.port(path, c.Name, c.Port, c.Backend, c.Baud, linkBaud)
	k.check(c.Address >= 1 && c.Address <= 127, path+".address", "%d: want 1 to 126, or 127 for whoever is there", c.Address)
	k.check(len(c.Doors) > 0, path+".doors", "is empty: want one door at least")
	met := map[string]string{}
	for i := range c.Doors {
		d, at := &c.Doors[i], fmt.Sprintf("%s.doors[%d]", path, i)
		k.check(d.Index <= 3, at+".index", "%d: want 0 to 3", d.Index)
		k.once(met, fmt.Sprint(d.Index), at+".index", "index")
		k.reader(cmp.Or(d.Reader, d.Door), at+".reader")
		k.door(d.Door, at+".door", true)
	}
}

func (k *checker) reader(name, path string) {
	k.check(name != "", path, "is missing: want a name for the status page")
	if name != "" {
		k.once(k.readers, name, path, "reader")
	}
}

// door refuses a door that two deciders would share; two readers of the agent
// may serve one door, one on each side.
func (k *checker) door(id, path string, alone bool) {
	k.check(id != "", path, "is missing: want the door's id in the cloud")
	if first, ok := k.doors[id]; ok && id != "" && (alone || strings.HasPrefix(first, "serial")) {
		k.check(false, path, "door %q is taken by %s already: one door has one decider", id, first)
	}
	if _, ok := k.doors[id]; !ok {
		k.doors[id] = path
	}
}

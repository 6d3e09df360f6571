package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "latchkey/"

// simulated is for the rooms of simulated devices: besides their parent they
// may use the words of access, the bits of wiegand, and pauses.
const simulated = " access wiegand internal/pause"

// may says which of our packages each package may import. A package that is
// not here fails the test: put it on the map (docs/design.md) first, and say
// why in docs/decisions/.
var may = map[string]string{
	"wiegand":                     "",
	"osdp":                        "",
	"osdp/osdptest":               "osdp" + simulated,
	"osdp/capture":                "osdp",
	"serialline":                  "",
	"serialline/linktest":         "serialline internal/durable" + simulated,
	"access":                      "wiegand",
	"delta":                       "access",
	"uplink":                      "delta",
	"uplink/broker":               "",
	"cache":                       "access delta internal/durable",
	"controller":                  "access wiegand osdp serialline internal/pause",
	"controller/controllertest":   "controller" + simulated,
	"agent":                       "access wiegand delta cache controller internal/pause",
	"agent/statuspage":            "agent access internal/ago",
	"cloud":                       "access wiegand delta internal/pause",
	"cloud/scim":                  "cloud cloud/throttle access wiegand delta",
	"cloud/store":                 "cloud access wiegand delta internal/lockfile",
	"cloud/store/pgtest":          "",
	"cloud/store/sqlitetest":      "",
	"cloud/admin":                 "cloud access wiegand delta",
	"cloud/admin/pages":           "cloud cloud/admin/signin cloud/okta access wiegand delta internal/ago",
	"cloud/seal":                  "",
	"cloud/throttle":              "",
	"cloud/egress":                "",
	"cloud/admin/signin":          "cloud cloud/admin cloud/seal cloud/throttle access wiegand delta",
	"cloud/admin/signin/oidctest": "",
	"cloud/okta":                  "cloud cloud/seal access wiegand delta internal/pause",
	"cloud/okta/oktatest":         "",
	"building":                    "internal/durable internal/program osdp/osdptest serialline/linktest controller/controllertest osdp serialline" + simulated,
	"internal/siteapp":            "*",
	"internal/cloudapp":           "*",
	"internal/arch":               "",
	"internal/ago":                "",
	"internal/pause":              "",
	"internal/durable":            "",
	"internal/keyfile":            "delta internal/durable",
	"internal/lockfile":           "",
	"internal/program":            "",
	"internal/readerkeys":         "osdp internal/durable",
	"internal/peer":               "osdp",
	"packaging":                   "",
	"cmd/latchkey-agent":          "*",
	"cmd/latchkey-cloud":          "*",
	"cmd/latchkey-sim":            "*",
	"cmd/latchkey-demo":           "*",
}

// apart names the standard packages that the pure rooms never import: they
// compute, and somebody else blocks, writes and logs.
var apart = []string{"net", "os", "log", "log/slog", "database/sql", "github.com/prometheus/client_golang/prometheus"}

// pure says for each pure room which of those it may import all the same, and
// for what alone.
var pure = map[string]string{
	"osdp":         "os", // os.ErrDeadlineExceeded, which is how a Port says that time is up
	"osdp/capture": "",
	"wiegand":      "log/slog",
	"access":       "",
	"delta":        "",
}

func TestImports(t *testing.T) {
	for _, f := range files(t) {
		pkg := path.Dir(f.name)
		allowed, ok := may[pkg]
		if !ok {
			t.Errorf("%s: package %s is not on the map", f.name, pkg)
			continue
		}
		excused, isPure := pure[pkg]
		for _, imp := range f.ast.Imports {
			dep, _ := strconv.Unquote(imp.Path.Value)
			if ours, ok := strings.CutPrefix(dep, module); ok && allowed != "*" && !slices.Contains(strings.Fields(allowed), ours) {
				t.Errorf("%s imports %s; package %s may import: %q", f.name, ours, pkg, allowed)
			}
			if isPure && slices.Contains(apart, dep) && !slices.Contains(strings.Fields(excused), dep) {
				t.Errorf("%s imports %s; package %s is pure", f.name, dep, pkg)
			}
		}
	}
}

// TestOSIsForDeadlines holds osdp to its one excuse for importing os.
func TestOSIsForDeadlines(t *testing.T) {
	for _, f := range files(t) {
		if path.Dir(f.name) != "osdp" {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "os" && x.Obj == nil && s.Sel.Name != "ErrDeadlineExceeded" {
				t.Errorf("%s uses os.%s; only os.ErrDeadlineExceeded is allowed", f.name, s.Sel.Name)
			}
			return true
		})
	}
}

// TestNoInit holds all rooms to: nothing happens before main.
func TestNoInit(t *testing.T) {
	for _, f := range files(t) {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s has an init function", f.name)
			}
		}
	}
}

// TestPackageComments holds each package to one package comment.
func TestPackageComments(t *testing.T) {
	comments := map[string][]string{}
	for _, f := range files(t) {
		pkg := path.Dir(f.name)
		comments[pkg] = append(comments[pkg], "")
		if f.ast.Doc != nil && strings.TrimSpace(f.ast.Doc.Text()) != "" {
			comments[pkg][len(comments[pkg])-1] = f.name
		}
	}
	for pkg, names := range comments {
		names = slices.DeleteFunc(names, func(s string) bool { return s == "" })
		if len(names) != 1 {
			t.Errorf("package %s has %d package comments %v, want one", pkg, len(names), names)
		}
	}
}

type file struct {
	name string // slash path from the module's root
	ast  *ast.File
}

// files parses all Go files of the module that are no tests.
func files(t *testing.T) []file {
	t.Helper()
	root := filepath.Join("..", "..")
	var all []file
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		name := filepath.ToSlash(rel)
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && name != "." || name == "internal/deps") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		all = append(all, file{name, f})
		return nil
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("looked at %d files: %v", len(all), err)
	}
	return all
}

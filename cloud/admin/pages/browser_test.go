package pages_test

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"latchkey/cloud/admin/pages"
)

// patience is how long a browser may take for one thing. It is long because
// machines that test are busy.
const patience = 60 * time.Second

// A browser is Chromium at the pages of a world.
type browser struct {
	*world
	tab  context.Context
	base string
}

// newBrowser opens Chromium on w. A test without it is skipped.
func newBrowser(t *testing.T, w *world) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium")
	}
	server := httptest.NewServer(w.app)
	t.Cleanup(server.Close)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.WSURLReadTimeout(patience))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	tab, shut := chromedp.NewContext(allocator)
	t.Cleanup(shut)
	if err := chromedp.Do(tab); err != nil { // starts Chromium, for as long as tab lives
		t.Fatal(err)
	}
	return &browser{world: w, tab: tab, base: server.URL + pages.Root}
}

// do runs actions, and fails if they take longer than patience.
func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.Fatalf("%v, at\n%s", err, b.text())
	}
}

// text is the page as a person reads it.
func (b *browser) text() string {
	ctx, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("body")))
	if err != nil {
		return err.Error()
	}
	return text
}

// eval is what an expression comes to in the page; a promise is waited for.
func eval[T any](b *browser, expression string) T {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.Fatalf("%v", err)
	}
	return v
}

// open goes to a page below pages.Root.
func (b *browser) open(path string) {
	b.Helper()
	b.do(chromedp.Navigate(b.base+path), chromedp.WaitReady(chromedp.CSS("main h1")))
}

// press clicks what selector names, and waits for the page that follows.
func (b *browser) press(selector string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(selector))); err != nil {
		b.Fatalf("press %s: %v, at\n%s", selector, err, b.text())
	}
	b.do(chromedp.WaitReady(chromedp.CSS("main h1")))
}

// fill types text into a field in place of what is there.
func (b *browser) fill(selector, text string) {
	b.Helper()
	b.do(chromedp.Clear(chromedp.CSS(selector)), chromedp.SendKeys(chromedp.CSS(selector), text))
}

// sees wants texts on the page.
func (b *browser) sees(texts ...string) {
	b.Helper()
	body := b.text()
	for _, text := range texts {
		if !strings.Contains(body, text) {
			b.Errorf("want %q on the page:\n%s", text, body)
		}
	}
}

// screens are those on which each page is looked at.
func screens() []screen {
	return []screen{{"wide", "light", 1200, 900}, {"phone", "light", 360, 780}, {"dark", "dark", 1200, 900}}
}

type screen struct {
	name, scheme  string
	width, height int64
}

// show makes the browser's window a screen.
func (b *browser) show(s screen) {
	b.Helper()
	b.do(chromedp.EmulateViewport(s.width, s.height), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: s.scheme}},
		})
		return err
	}))
}

// A fault is something that axe-core finds wrong with a page.
type fault struct {
	ID     string `json:"id"`
	Impact string `json:"impact"`
	Help   string `json:"help"`
	Nodes  []struct {
		HTML           string `json:"html"`
		FailureSummary string `json:"failureSummary"`
	} `json:"nodes"`
}

// accessible wants no serious fault of the page for people with disabilities,
// on a wide screen and on a phone, in light and in dark, and keeps pictures of
// it in the folder of LATCHKEY_SHOTS.
func (b *browser) accessible(name string) {
	b.Helper()
	script, err := os.ReadFile("../../../.cache/axe/axe.min.js")
	if err != nil {
		b.Skip("no axe-core: run scripts/deps")
	}
	eval[int](b, string(script)+";0")
	for _, s := range screens() {
		b.show(s)
		for _, f := range eval[[]fault](b, `axe.run().then(r => r.violations)`) {
			if f.Impact == "serious" || f.Impact == "critical" {
				b.Errorf("%s on %s: %s %s: %s: %v", name, s.name, f.Impact, f.ID, f.Help, f.Nodes)
			}
		}
		if over := eval[int](b, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); over > 0 {
			b.Errorf("%s on %s is %d pixels too wide", name, s.name, over)
		}
		b.shoot(name + "-" + s.name)
	}
	b.show(screens()[0])
}

// shoot keeps a picture of the whole page where somebody wants to look at it.
func (b *browser) shoot(name string) {
	b.Helper()
	dir := os.Getenv("LATCHKEY_SHOTS")
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	b.ok(err)
	b.ok(os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600))
}

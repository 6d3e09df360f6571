package signin_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"latchkey/cloud/admin/signin"
	"latchkey/cloud/admin/signin/oidctest"
)

// patience is how long a browser may take for one thing. It is long because
// machines that test are busy.
const patience = 60 * time.Second

// TestBrowserComesBackFromTheProvider: the policies that the pages hold a
// browser to let it go to another host to sign in, and come back with its
// cookies.
func TestBrowserComesBackFromTheProvider(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium")
	}
	app, idp := httptest.NewUnstartedServer(nil), httptest.NewUnstartedServer(nil)
	w := newWorldAt(t, "http://"+app.Listener.Addr().String(), "http://"+idp.Listener.Addr().String())
	mux := http.NewServeMux()
	mux.Handle(signin.Root+"sign-in", w.handler)
	mux.Handle(signin.Root+"sign-in/", w.handler)
	mux.Handle(signin.Root+"static/", http.StripPrefix(signin.Root, http.FileServer(http.Dir("../pages"))))
	mux.Handle(signin.Root, w.signin.Protect(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		v, err := w.signin.Visitor(r)
		rw.Header().Set("Content-Type", "text/html")
		rw.Write([]byte("<main>" + string(v.Actor) + "</main>"))
		if err != nil {
			t.Errorf("visitor: %v", err)
		}
	})))
	app.Config.Handler, idp.Config.Handler = mux, w.provider
	app.Start()
	idp.Start()
	defer app.Close()
	defer idp.Close()
	w.connect()

	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.WSURLReadTimeout(patience))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	defer stop()
	tab, shut := chromedp.NewContext(allocator)
	defer shut()
	if err := chromedp.Do(tab); err != nil { // starts Chromium, for as long as tab lives
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tab, patience)
	defer cancel()
	text := func(where string, steps ...chromedp.Action[chromedp.Void]) string {
		t.Helper()
		if err := chromedp.Do(ctx, steps...); err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		got, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("main")))
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		accessible(t, ctx, where)
		shoot(t, ctx, where)
		return got
	}
	text("sign-in", chromedp.Navigate(app.URL+"/admin/sign-in?to=/admin/people"), chromedp.WaitReady(chromedp.CSS("#org")))
	text("sign-in-phone", chromedp.EmulateViewport(390, 844))
	w.provider.Lie(oidctest.Lies{Claims: map[string]any{"email_verified": false}})
	signedIn := func(where, wait string) string {
		t.Helper()
		return text(where, chromedp.Clear(chromedp.CSS("#org")), chromedp.SendKeys(chromedp.CSS("#org"), "acme\r"), chromedp.WaitReady(chromedp.CSS(wait)))
	}
	signedIn("refused", ".problem")
	w.provider.Lie(oidctest.Lies{})
	if got := signedIn("signed-in", "main:not(:has(h1))"); got != "ann@acme.example (owner)" {
		t.Errorf("signed in as %q", got)
	}
}

// accessible wants no serious fault of the page for people with disabilities.
func accessible(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	script, err := os.ReadFile("../../../.cache/axe/axe.min.js")
	if err != nil {
		t.Log("no axe-core: run scripts/deps")
		return
	}
	faults, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](string(script)+
		`;axe.run("main").then(r => r.violations.filter(v => ["serious", "critical"].includes(v.impact)).map(v => v.id + ": " + v.nodes.map(n => n.html)))`, chromedp.EvalAwaitPromise))
	if err != nil || len(faults) > 0 {
		t.Errorf("%s: %v %q", name, err, faults)
	}
}

// shoot keeps a picture where somebody wants to look at it.
func shoot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("LATCHKEY_SHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

package keyfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"latchkey/internal/keyfile"
)

// makeFile tells this test's own binary to make a secret and print it.
const makeFile = "LATCHKEY_TEST_MAKE_SECRET"

func TestMain(m *testing.M) {
	if file := os.Getenv(makeFile); file != "" {
		os.Stdin.Read(make([]byte, 1)) // until the test says go
		secret, err := keyfile.Secret(file)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Printf("%s\n", secret)
		return
	}
	os.Exit(m.Run())
}

// maker starts a process that makes file once its standard input has a byte.
func maker(t *testing.T, file string) (cmd *exec.Cmd, start func(), out *bytes.Buffer) {
	t.Helper()
	cmd = exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), makeFile+"="+file, "GORACE=atexit_sleep_ms=0") // else it ends a second late
	out = &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, func() { in.Write([]byte{1}) }, out
}

// Two programs that share a secret file may start at once: both must end up
// with the secret that is in the file.
func TestProcessesThatRaceGetTheSameSecret(t *testing.T) {
	for round := range 3 {
		file := filepath.Join(t.TempDir(), "deep", "s")
		var starts []func()
		var cmds []*exec.Cmd
		var outs []*bytes.Buffer
		for range 3 {
			cmd, start, out := maker(t, file)
			starts, cmds, outs = append(starts, start), append(cmds, cmd), append(outs, out)
		}
		for _, start := range starts {
			start()
		}
		for i, cmd := range cmds {
			if err := cmd.Wait(); err != nil {
				t.Fatalf("round %d: process %d: %v: %s", round, i, err, outs[i])
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, out := range outs {
			if !bytes.Equal(out.Bytes(), want) {
				t.Errorf("round %d: process %d does not have what is in the file", round, i)
			}
		}
		only(t, filepath.Dir(file))
	}
}

func TestGoroutinesThatRaceGetTheSameKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "site.key")
	var wg sync.WaitGroup
	keys := make([]string, 8)
	for i := range keys {
		wg.Go(func() {
			k, err := keyfile.Key(file, "hq")
			if err != nil {
				t.Error(err)
			}
			keys[i] = string(k.Private)
		})
	}
	wg.Wait()
	for i, k := range keys {
		if k != keys[0] {
			t.Errorf("key %d is another one", i)
		}
	}
	only(t, filepath.Dir(file))
}

// A process killed at any moment leaves the whole file or none, and the next
// one gets on with what it finds.
func TestKilledWhileMaking(t *testing.T) {
	for i, killAt := range []string{"", ".new-*", "s", "", ".new-*", "s"} {
		dir := t.TempDir()
		file := filepath.Join(dir, "s")
		cmd, start, _ := maker(t, file)
		start()
		for killAt != "" && t.Context().Err() == nil { // until the folder shows how far it is
			if seen, _ := filepath.Glob(filepath.Join(dir, killAt)); len(seen) > 0 {
				break
			}
			if _, err := os.Stat(file); err == nil {
				break // missed it
			}
		}
		cmd.Process.Kill()
		cmd.Wait() // killed, or just done
		text, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if err == nil && len(text) != 44 {
			t.Errorf("run %d: the file has %d bytes, want 44 or no file", i, len(text))
		}
		secret, err := keyfile.Secret(file)
		if err != nil || len(secret) != 43 {
			t.Fatalf("run %d: after the kill: %d bytes, %v", i, len(secret), err)
		}
		if len(text) > 0 && !bytes.Equal(secret, bytes.TrimSpace(text)) {
			t.Errorf("run %d: what was there was replaced", i)
		}
	}
}

// What a killed process left half written is nobody's secret.
func TestLeftoversAreNotRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".new-123"), []byte("half a sec"), 0o600); err != nil {
		t.Fatal(err)
	}
	secret, err := keyfile.Secret(filepath.Join(dir, "s"))
	if err != nil || len(secret) != 43 {
		t.Errorf("Secret = %d bytes, %v; want 43", len(secret), err)
	}
}

// only wants dir to hold one file.
func only(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%d files left, %v; want the one", len(left), err)
	}
}

func TestSecrets(t *testing.T) {
	for _, tt := range []struct {
		name, text, want, err string
	}{
		{"one", "old\n", "old", ""},
		{"two while one replaces the other", "# since Monday\nnew\n\n old \r\n", "new old", ""},
		{"none", "# nothing\n\n", "", "empty, want a secret"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "tokens")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := keyfile.Secrets(file)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), file) {
					t.Errorf("error %v, want the file and %q", err, tt.err)
				}
				return
			}
			if err != nil || strings.Join(got, " ") != tt.want {
				t.Errorf("Secrets = %q, %v; want %s", got, err, tt.want)
			}
			if first, err := keyfile.Secret(file); err != nil || string(first) != got[0] {
				t.Errorf("Secret = %q, %v; want the first line that counts", first, err)
			}
		})
	}
	if _, err := keyfile.Secrets(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestFileThatIsNoSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(file, make([]byte, 65<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keyfile.Secret(file); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("error %v; want its size refused", err)
	}
}

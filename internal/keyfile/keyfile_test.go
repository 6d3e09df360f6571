package keyfile_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"latchkey/internal/keyfile"
)

func TestSecretIsMadeOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "s")
	first, err := keyfile.Secret(file)
	if err != nil || len(first) != 43 {
		t.Fatalf("Secret = %d bytes, %v; want 43", len(first), err)
	}
	again, err := keyfile.Secret(file)
	if err != nil || !bytes.Equal(first, again) {
		t.Errorf("the second read differs: %v", err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	left, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(left) != 1 {
		t.Errorf("%d files left, %v; want the one", len(left), err)
	}
}

func TestKeyIsMadeOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "site.key")
	first, err := keyfile.Key(file, "hq")
	if err != nil {
		t.Fatal(err)
	}
	again, err := keyfile.Key(file, "other")
	if err != nil || again.ID != "hq" || !again.Private.Equal(first.Private) {
		t.Errorf("the second read gives key %q, %v; want the first one", again.ID, err)
	}
}

func TestBadFiles(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "\n", "empty, want a secret"},
		{"no key", "latchkey-ed25519:hq:AAAA", "not a key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "k")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := keyfile.Key(file, "hq"); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("error %v; want the file's name and %q", err, tt.want)
			}
			if got, _ := os.ReadFile(file); string(got) != tt.text {
				t.Errorf("the file was changed to %q", got)
			}
		})
	}
}

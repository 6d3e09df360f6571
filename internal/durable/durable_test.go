package durable_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"runtime"
	"testing"

	"latchkey/internal/durable"
)

func TestNames(t *testing.T) {
	dir := t.TempDir()
	if err := durable.Names(dir); err != nil {
		t.Error(err)
	}
	if err := durable.Names(filepath.Join(dir, "nowhere")); runtime.GOOS != "windows" && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v, want %v", err, fs.ErrNotExist)
	}
}

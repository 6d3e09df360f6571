package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"latchkey/internal/pause"
)

const (
	startAgain = 200 * time.Millisecond // a child that died is started again after this
	stopLimit  = 8 * time.Second        // a child that does not stop by then is killed
)

// A supervisor keeps the demonstration's children running: each is this very
// program, with the arguments of one of the real ones.
type supervisor struct {
	exe, dir string

	wg   sync.WaitGroup
	mu   sync.Mutex
	pids map[string]int
}

// start keeps a child running until ctx ends; wait then waits for it. What it
// prints goes to dir/log/NAME.log.
func (s *supervisor) start(ctx context.Context, name string, args ...string) error {
	log, err := os.OpenFile(filepath.Join(s.dir, "log", name+".log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	first := make(chan error, 1)
	s.wg.Go(func() {
		defer log.Close()
		// The kernel ends the children when the thread that started them is
		// gone, so this goroutine keeps its thread.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for {
			cmd := exec.CommandContext(ctx, s.exe, args...)
			cmd.Stdout, cmd.Stderr = log, log
			cmd.SysProcAttr = childAttr()
			cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
			cmd.WaitDelay = stopLimit
			err := cmd.Start()
			if err == nil {
				err = s.note(name, cmd.Process.Pid)
			}
			select {
			case first <- err:
			default:
			}
			if cmd.Process == nil {
				return
			}
			err = cmd.Wait()
			if ctx.Err() != nil {
				return
			}
			fmt.Fprintf(log, "--- %s ended (%v); starting it again\n", name, err)
			if !pause.For(ctx, startAgain) {
				return
			}
		}
	})
	return <-first
}

// note keeps the children's pids in dir/pids.json, for tools that look for a
// child that was started again.
func (s *supervisor) note(name string, pid int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pids[name] = pid
	b, err := json.Marshal(s.pids)
	if err != nil {
		return err
	}
	file := filepath.Join(s.dir, "pids.json")
	return errors.Join(os.WriteFile(file+".new", b, 0o600), os.Rename(file+".new", file))
}

func (s *supervisor) snapshot() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.pids)
}

package main

import "syscall"

// childAttr lets a child end with us, however we end, and keeps the terminal's
// Ctrl-C from it: the supervisor stops children itself.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
}

//go:build !linux

package main

import "syscall"

// childAttr has nothing to set where the kernel cannot end orphans.
func childAttr() *syscall.SysProcAttr { return nil }

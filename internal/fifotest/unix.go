//go:build unix

// Package fifotest makes FIFOs for tests.
package fifotest

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

// Make replaces what is at a path, if anything, with a FIFO. It skips a test where the system has none.
func Make(t testing.TB, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Error(err)
	}
}

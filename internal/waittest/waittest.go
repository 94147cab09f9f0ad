// Package waittest waits in tests for what happens elsewhere, and fails when it does not.
package waittest

import (
	"testing"
	"time"
)

// Long is far longer than anything that a test waits for takes, even on a busy machine.
const Long = 2 * time.Minute

// Until returns once is does, which may fail the test itself. What names what is waited for.
func Until(tb testing.TB, what string, is func() bool) {
	tb.Helper()
	for end := time.Now().Add(Long); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("not within %v: %s", Long, what)
		}
	}
}

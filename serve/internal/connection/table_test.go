package connection

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The log says once a minute that connections are closed, however many there are.
func TestTheLogHearsOfAFullTableOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		table := New(nil, slog.New(slog.NewTextHandler(&log, nil)))
		for _, wait := range []time.Duration{0, time.Second, 58 * time.Second, time.Second, time.Second} {
			time.Sleep(wait)
			table.full(2)
		}
		if n := strings.Count(log.String(), "no room"); n != 2 {
			t.Errorf("%d lines in 61 seconds, want 2:\n%s", n, &log)
		}
		if n := table.Closed(); n != 10 {
			t.Errorf("counted %d closed connections, want 10", n)
		}
	})
}

package drain

// Draining, by a clock that moves only when all wait for it.

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestDrainingWaitsUntilItIsQuiet stops while requests are under way, while others follow, and while nobody is.
func TestDrainingWaitsUntilItIsQuiet(t *testing.T) {
	tick := Quiet / 100
	for name, c := range map[string]struct {
		busy  []time.Duration // when a request begins and ends, in turn
		drain time.Duration
		want  time.Duration
	}{
		"nothing under way":           {nil, time.Minute, Quiet},
		"one request":                 {[]time.Duration{0, 5 * time.Second}, time.Minute, 5*time.Second + Quiet},
		"another in the last moment":  {[]time.Duration{0, 5 * time.Second, 5*time.Second + Quiet/2, 7 * time.Second}, time.Minute, 7*time.Second + Quiet},
		"another after it was closed": {[]time.Duration{0, 5 * time.Second, 5*time.Second + 2*Quiet, time.Minute}, time.Hour, 5*time.Second + Quiet},
		"one that does not end":       {[]time.Duration{0, time.Hour}, time.Minute, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var of Traffic
				of.Stop()
				start := time.Now()
				for i := 0; i < len(c.busy); i += 2 {
					if c.busy[i] == 0 {
						of.begin()
					} else {
						time.AfterFunc(c.busy[i], of.begin)
					}
					time.AfterFunc(c.busy[i+1], of.end)
				}
				ctx, cancel := context.WithTimeout(t.Context(), c.drain)
				defer cancel()
				of.settle(ctx, func() bool { return true })
				if took := time.Since(start); took < c.want || took > c.want+2*tick {
					t.Errorf("it took %v, want %v", took, c.want)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		new(Traffic).settle(t.Context(), func() bool { return false })
		if time.Since(start) != 0 {
			t.Errorf("with nobody connected it took %v", time.Since(start))
		}
	})
}

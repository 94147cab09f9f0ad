package scavenge

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forgo-ml/forgo/predict"
)

// Memory goes back to the system once a flood has ended: not while it lasts, and not for little.
func TestMemoryGoesBackAfterAFlood(t *testing.T) {
	for name, c := range map[string]struct {
		flood int64
		back  bool
	}{
		"a flood":           {2 * worthReturning, true},
		"requests as usual": {worthReturning, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				memory := predict.NewBudget(1 << 30)
				go Watch(ctx, memory)
				if err := memory.Take(c.flood); err != nil {
					t.Fatal(err)
				}
				before := collections()
				time.Sleep(3500 * time.Millisecond)
				if n := collections() - before; n != 0 {
					t.Errorf("%d collections while requests take %d bytes, want none", n, c.flood)
				}
				memory.Give(c.flood)
				time.Sleep(3 * time.Second)
				if n := collections() - before; (n > 0) != c.back {
					t.Errorf("%d collections after requests took %d bytes, want some: %t", n, c.flood, c.back)
				}
			})
		})
	}
}

func TestWatchEnds(t *testing.T) {
	Watch(t.Context(), nil)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	Watch(ctx, predict.NewBudget(1))
}

// collections counts those that the program asked for.
func collections() uint32 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumForcedGC
}

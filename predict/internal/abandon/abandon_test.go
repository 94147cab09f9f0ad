package abandon_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forgo-ml/forgo/predict/internal/abandon"
)

var errOwn = errors.New("its own")

func TestDo(t *testing.T) {
	for name, c := range map[string]struct {
		takes     time.Duration // of the call
		cancelled time.Duration // after which its waiter leaves, if not 0
		want      time.Duration // until Do returns
		abandoned bool
	}{
		"in time":                       {takes: 3 * time.Second, want: 3 * time.Second},
		"late, within the grace":        {takes: 5500 * time.Millisecond, want: 5500 * time.Millisecond},
		"too late":                      {takes: time.Hour, want: 5*time.Second + abandon.Grace, abandoned: true},
		"its waiter leaves, it ends":    {takes: 3 * time.Second, cancelled: time.Second, want: 3 * time.Second},
		"its waiter leaves, it goes on": {takes: time.Hour, cancelled: time.Second, want: 5*time.Second + abandon.Grace, abandoned: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := abandon.New()
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				if c.cancelled > 0 {
					time.AfterFunc(c.cancelled, cancel)
				}
				if err := calls.Begin(); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				var ends atomic.Int32
				abandoned, err := calls.Do(ctx, func() error {
					time.Sleep(c.takes)
					return errOwn
				}, func() { ends.Add(1) })
				if took := time.Since(start); took != c.want || abandoned != c.abandoned {
					t.Errorf("after %v, abandoned %t; want %v, %t", took, abandoned, c.want, c.abandoned)
				}
				if want := map[bool]error{false: errOwn, true: ctx.Err()}[abandoned]; !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
				if want := map[bool]int{true: 1}[abandoned]; calls.Left() != want || ends.Load() != 0 {
					t.Errorf("%d left, %d ended", calls.Left(), ends.Load())
				}
				if !abandoned {
					calls.End()
				}
				time.Sleep(c.takes)
				synctest.Wait()
				if want := map[bool]int32{true: 1}[abandoned]; calls.Left() != 0 || ends.Load() != want {
					t.Errorf("at last %d left, %d ended", calls.Left(), ends.Load())
				}
				closed := false
				calls.Close(func() { closed = true })
				if err := calls.Begin(); !closed || err == nil {
					t.Errorf("closed %t, and then %v", closed, err)
				}
			})
		})
	}
}

// A call waits for one without a deadline, whoever leaves.
func TestWithoutADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := abandon.New()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := calls.Begin(); err != nil {
			t.Fatal(err)
		}
		if abandoned, err := calls.Do(ctx, func() error { time.Sleep(time.Hour); return nil }, func() {}); abandoned || err != nil {
			t.Errorf("abandoned %t, %v", abandoned, err)
		}
		calls.End()
		calls.Close(func() {})
	})
}

func TestFewAreLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := abandon.New()
		for i := range abandon.Most {
			if err := calls.Begin(); err != nil {
				t.Fatalf("with %d: %v", i, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, _ = calls.Do(ctx, func() error { time.Sleep(time.Hour); return nil }, func() {})
			cancel()
		}
		if err := calls.Begin(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with %d: %v", calls.Left(), err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if err := calls.Begin(); err != nil || calls.Left() != 0 {
			t.Fatalf("with %d: %v", calls.Left(), err)
		}
		calls.End()
		calls.Close(func() {})
	})
}

package batching

// Batching, admission and deadlines by a clock that moves only when all wait for it.

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forgo-ml/forgo/internal/admission"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// inBubble runs a test by that clock. Channels belong to their bubble, so that no call is left to other tests.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	fresh := func() {
		calls = sync.Pool{New: func() any { return &Call{done: make(chan struct{}, 1)} }}
	}
	fresh()
	defer fresh()
	synctest.Test(t, f)
}

// taking is an engine whose runs take so long for each row.
func taking(each time.Duration) *engine {
	return &engine{before: func(ctx context.Context, in tensor.Map) error {
		select {
		case <-time.After(time.Duration(in["x"].Rows()) * each):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
}

func TestALoneRequestWaitsForExactlyTheDelay(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const delay = 20 * time.Millisecond
		b := (&engine{}).batcher(Limits{Delay: delay})
		for range 3 { // the timer is used again
			start := time.Now()
			_, took, err := do(t, b, request(1, 1, 2), 1)
			if waited := time.Since(start); err != nil || waited != delay || took.Queue != delay {
				t.Errorf("it waited %v and says %v, %v; want %v", waited, took.Queue, err, delay)
			}
		}
	})
}

func TestTheDelayIsTheOldestRequests(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const delay = 20 * time.Millisecond
		e := &engine{}
		b := e.batcher(Limits{Delay: delay})
		start := time.Now()
		var group sync.WaitGroup
		for _, after := range []time.Duration{0, 5 * time.Millisecond, 19 * time.Millisecond, 21 * time.Millisecond} {
			group.Go(func() {
				time.Sleep(after)
				_, _, err := do(t, b, request(1, 1, 2), 1)
				want := delay
				if after > delay {
					want = after + delay
				}
				if ended := time.Since(start); err != nil || ended != want {
					t.Errorf("that of %v was answered after %v, %v; want %v", after, ended, err, want)
				}
			})
		}
		group.Wait()
		if len(e.runs) != 2 || e.runs[0]["x"].Rows() != 3 || e.runs[1]["x"].Rows() != 1 {
			t.Errorf("%d runs, %v", len(e.runs), e.runs)
		}
	})
}

func TestADeadlineEndsAWaitOnTime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const long, soon = time.Second, 30 * time.Millisecond
		e := taking(long)
		b := e.batcher(Limits{})
		start := time.Now()
		var group sync.WaitGroup
		group.Go(func() {
			if _, _, err := do(t, b, request(1, 1, 2), 1); err != nil || time.Since(start) != long {
				t.Errorf("the first: %v after %v", err, time.Since(start))
			}
		})
		synctest.Wait()
		for _, limit := range []time.Duration{soon, long + soon} { // in the queue, and in a batch that runs
			group.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				r := b.Empty()
				_, _, err := b.Do(ctx, &r, request(2, 1, 2), 1)
				if ended := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || ended != limit {
					t.Errorf("%v after %v, want the deadline after %v", err, ended, limit)
				}
			})
		}
		group.Go(func() {
			if _, _, err := do(t, b, request(3, 1, 2), 1); err != nil || time.Since(start) != 3*long {
				t.Errorf("one that runs together with one that leaves: %v after %v, want %v", err, time.Since(start), 3*long)
			}
		})
		group.Wait()
		b.Close()
	})
}

// A request that would wait for longer than it may is refused at once, and told for how long.
func TestAdmissionByWaitIsExact(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const each = 10 * time.Millisecond
		b := taking(each).batcher(Limits{BatchRows: 1, MaxWait: 5 * each})
		for range 4 { // from which it learns the rate
			if _, _, err := do(t, b, request(1, 1, 2), 1); err != nil {
				t.Fatal(err)
			}
		}
		var group sync.WaitGroup
		for range 5 {
			group.Go(func() {
				if _, _, err := do(t, b, request(1, 1, 2), 1); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait() // five wait or run, which take five times as long: no more than it may be
		group.Go(func() {
			if _, _, err := do(t, b, request(1, 1, 2), 1); err != nil {
				t.Errorf("one who would wait for as long as it may: %v", err)
			}
		})
		synctest.Wait()
		start := time.Now()
		_, _, err := do(t, b, request(1, 1, 2), 1)
		var busy *admission.BusyError
		if !errors.As(err, &busy) || busy.RetryAfter != 6*each || time.Since(start) != 0 {
			t.Errorf("%v, %+v after %v; want to be refused at once, for %v", err, busy, time.Since(start), 6*each)
		}
		group.Wait()
		if waited := time.Since(start); waited != 6*each {
			t.Errorf("those before were answered after %v, not %v", waited, 6*each)
		}
	})
}

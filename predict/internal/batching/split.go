package batching

// Requests of many rows run in parts. No budget counts the memory that an engine takes during a run, so no
// run has more rows than it needs to be fast. Other callers have their turn between two parts.

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/predict/tensor"
)

const (
	// partTime is the target duration of a part. Parts grow from a batch's rows to this duration, beyond
	// which memory bandwidth limits speed.
	partTime = 4 * time.Millisecond
	// partBytes is the size of inputs and outputs at which parts stop growing.
	partBytes = 2 << 20
)

// splitter decides how many rows of a request run at once. It is safe for concurrent use.
type splitter struct {
	enabled bool         // false where rows may depend on each other, or outputs on how many there are
	least   int          // rows of a part
	rows    atomic.Int64 // of the next part
	fixed   bool         // rows stay as they are
}

// Split makes requests run in parts of at least the given number of rows.
func (s *splitter) Split(least int) {
	s.enabled, s.least = true, least
	s.rows.Store(int64(least))
}

// Splits reports whether requests run in parts.
func (s *splitter) Splits() bool { return s.enabled }

// parts reports whether a request with so many rows runs in parts.
func (s *splitter) parts(rows int) bool { return s.enabled && int64(rows) > s.rows.Load() }

// PartsOf makes requests run in parts of the given number of rows until end is called. It is for the
// replay.
func (s *splitter) PartsOf(rows int) (end func()) {
	before := s.rows.Swap(int64(rows))
	s.fixed = true
	return func() {
		s.fixed = false
		s.rows.Store(before)
	}
}

// some returns how many of the remaining rows, of each bytes, run now.
func (s *splitter) some(left int, each int64) int {
	most := max(int64(s.least), partBytes/max(1, each))
	return int(min(s.rows.Load(), most, int64(left)))
}

// ran records the duration of a part.
func (s *splitter) ran(rows int, took time.Duration) {
	switch now, n := s.rows.Load(), int64(rows); {
	case s.fixed:
	case took < partTime/2 && n == now:
		s.rows.CompareAndSwap(now, 2*now)
	case took > 2*partTime && n > int64(s.least):
		s.rows.CompareAndSwap(now, max(n/2, int64(s.least)))
	}
}

// ErrRun is the cause of a run that exceeds its time limit.
type ErrRun struct{ Limit time.Duration }

func (e ErrRun) Error() string {
	return fmt.Sprintf("it took longer than %v and was given up", e.Limit)
}

// inParts answers a request part by part. Each part waits for its turn.
func (b *Batcher) inParts(ctx context.Context, inputs tensor.Map, count int) (tensor.Map, serving.Timing, error) {
	var took serving.Timing
	out := tensor.Map{}
	each := Size(inputs)/int64(count) + b.OutBytes
	for from := 0; from < count; {
		n := b.some(count-from, each)
		b.Lock()
		part, t, err := b.one(ctx, time.Now(), Rows(inputs, from, from+n), n)
		took.Queue, took.Infer, took.BatchRows = took.Queue+t.Queue, took.Infer+t.Infer, max(took.BatchRows, t.BatchRows)
		if took.Ended = t.Ended; from == 0 {
			took.Began = t.Began
		}
		if err != nil {
			return nil, took, err
		}
		b.splitter.ran(n, t.Infer)
		for name, x := range part {
			if out[name], err = tensor.AppendRows(out[name], x, count); err != nil {
				return nil, took, fmt.Errorf("output %q: rows %d to %d: %w", name, from, from+n-1, err)
			}
		}
		if from += n; from < count && b.RunTime > 0 && took.Infer > b.RunTime {
			return nil, took, fmt.Errorf("run model: %w: %w", ErrRun{b.RunTime}, context.DeadlineExceeded)
		}
	}
	return out, took, nil
}

package batching

// Requests of many rows, run in parts: what an engine takes for a run is not counted in any budget,
// so no run has more rows than it needs to be fast. Between two parts other callers have their turn.

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/predict/tensor"
)

const (
	// partTime is how long a part should take. Parts grow from a batch's rows until they take that
	// long: what a run touches in so little time is bounded by how fast memory is.
	partTime = 4 * time.Millisecond
	// partBytes is where they end growing, of a part's inputs and outputs.
	partBytes = 2 << 20
)

// splitter says how many rows of one request run at once. It is safe for concurrent use.
type splitter struct {
	enabled bool         // false where rows may depend on each other, or outputs on how many there are
	least   int          // rows of a part
	rows    atomic.Int64 // of the next part
	fixed   bool         // rows stay as they are
}

// Split lets requests run in parts of at least so many rows.
func (s *splitter) Split(least int) {
	s.enabled, s.least = true, least
	s.rows.Store(int64(least))
}

// Splits says whether requests run in parts.
func (s *splitter) Splits() bool { return s.enabled }

// parts says whether a request of so many rows runs in parts.
func (s *splitter) parts(rows int) bool { return s.enabled && int64(rows) > s.rows.Load() }

// PartsOf lets requests run in parts of so many rows, until the end of the replay that it is for.
func (s *splitter) PartsOf(rows int) (end func()) {
	before := s.rows.Swap(int64(rows))
	s.fixed = true
	return func() {
		s.fixed = false
		s.rows.Store(before)
	}
}

// some is how many of the rows that are left run now, of so many bytes each.
func (s *splitter) some(left int, each int64) int {
	most := max(int64(s.least), partBytes/max(1, each))
	return int(min(s.rows.Load(), most, int64(left)))
}

// ran learns how long a part took.
func (s *splitter) ran(rows int, took time.Duration) {
	switch now, n := s.rows.Load(), int64(rows); {
	case s.fixed:
	case took < partTime/2 && n == now:
		s.rows.CompareAndSwap(now, 2*now)
	case took > 2*partTime && n > int64(s.least):
		s.rows.CompareAndSwap(now, max(n/2, int64(s.least)))
	}
}

// ErrRun is the cause of a run that took too long.
type ErrRun struct{ Limit time.Duration }

func (e ErrRun) Error() string {
	return fmt.Sprintf("it took longer than %v and was given up", e.Limit)
}

// inParts answers a request part by part, each in a turn of its own.
func (b *Batcher) inParts(ctx context.Context, inputs tensor.Map, count int) (tensor.Map, serving.Timing, error) {
	var took serving.Timing
	out := tensor.Map{}
	each := Size(inputs)/int64(count) + b.OutBytes
	for from := 0; from < count; {
		n := b.some(count-from, each)
		b.Lock()
		part, t, err := b.one(ctx, time.Now(), Rows(inputs, from, from+n), n)
		took.Queue, took.Infer, took.BatchRows = took.Queue+t.Queue, took.Infer+t.Infer, max(took.BatchRows, t.BatchRows)
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

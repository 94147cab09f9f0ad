package admission

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

// Budget bounds the memory that the requests of several models take together: what is read,
// parsed, decoded and answered. It is safe for concurrent use; a nil one bounds nothing.
type Budget struct {
	max  int64
	used atomic.Int64
	peak atomic.Int64 // since Peak was asked last
}

// NewBudget returns a budget of so many bytes.
func NewBudget(bytes int64) *Budget { return &Budget{max: bytes} }

// Max is what it was made with.
func (b *Budget) Max() int64 { return b.max }

// Used is how many bytes are taken now.
func (b *Budget) Used() int64 { return b.used.Load() }

// Peak is the most that was taken at once since it was asked last.
func (b *Budget) Peak() int64 { return b.peak.Swap(b.used.Load()) }

// small is what requests may take that the last eighth of a budget is kept for: large ones cannot
// keep them out.
const small = 64 << 10

// Take takes bytes, which are given back by Give. The error is a [*BusyError] or, of more than the
// whole budget, wraps engines.ErrInput.
func (b *Budget) Take(bytes int64) error { return b.More(0, bytes) }

// More takes bytes like Take, for one who has taken some already: an eighth of the budget is there
// only for those who take no more than 64 KiB in all.
func (b *Budget) More(held, bytes int64) error {
	if b == nil || bytes == 0 {
		return nil
	}
	most := b.max
	if held+bytes > small {
		most -= b.max / 8
	}
	if held+bytes > most {
		return inputError{fmt.Errorf("it needs %d bytes of memory, and a request may take %d", held+bytes, most)}
	}
	used := b.used.Add(bytes)
	if bytes > 0 && used > most {
		b.used.Add(-bytes)
		return &BusyError{Reason: fmt.Sprintf("requests take %d bytes of memory, and %d more than the limit of %d are needed",
			used-bytes, used-most, most)}
	}
	for peak := b.peak.Load(); used > peak && !b.peak.CompareAndSwap(peak, used); peak = b.peak.Load() {
	}
	return nil
}

// Give gives bytes back.
func (b *Budget) Give(bytes int64) {
	if b != nil {
		b.used.Add(-bytes)
	}
}

// large is what is collected before it is given back.
const large = 16 << 20

// GiveBack gives back what a picture took and nothing refers to any more. Of a large one it is garbage first, which the
// collector would leave for a while: others would take as much again beside it.
func (b *Budget) GiveBack(bytes int64) {
	if b != nil && bytes >= large {
		runtime.GC()
	}
	b.Give(bytes)
}

// waitForMemory is how long a picture waits for others to give memory back.
const waitForMemory = 5 * time.Second

// Wait takes bytes once others have given back enough, within ctx.
func (b *Budget) Wait(ctx context.Context, bytes int64) error {
	for until := time.Now().Add(waitForMemory); ; {
		err := b.Take(bytes)
		if err == nil || !errors.Is(err, ErrBusy) || time.Now().After(until) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

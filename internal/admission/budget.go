package admission

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Budget bounds the memory of all requests of several models together, from reading to answering. It is
// safe for concurrent use. A nil Budget is no bound.
type Budget struct {
	max  int64
	used atomic.Int64
	peak atomic.Int64 // since the last call of Peak
	// garbage is what pictures have given back since memory was last collected for them, at most.
	garbage    atomic.Int64
	collecting sync.Mutex
}

// NewBudget returns a budget of the given number of bytes.
func NewBudget(bytes int64) *Budget { return &Budget{max: bytes} }

// Max returns the size of the budget in bytes.
func (b *Budget) Max() int64 { return b.max }

// Used returns the number of bytes in use.
func (b *Budget) Used() int64 { return b.used.Load() }

// Peak returns the most bytes that were in use at once since the previous call.
func (b *Budget) Peak() int64 { return b.peak.Swap(b.used.Load()) }

// small is the largest request that may use the last eighth of a budget, so that large requests cannot
// keep small ones out.
const small = 64 << 10

// Take reserves bytes, which the caller returns with Give. The error is a [*BusyError], or wraps
// engines.ErrInput if bytes exceeds the whole budget.
func (b *Budget) Take(bytes int64) error { return b.More(0, bytes) }

// More is like Take, for a caller that holds some bytes already. The last eighth of the budget is only for
// callers that hold no more than 64 KiB in all.
func (b *Budget) More(held, bytes int64) error {
	if b == nil || bytes == 0 {
		return nil
	}
	most := b.max
	if held+bytes > small {
		most -= b.max / 8
	}
	if held+bytes > most {
		return inputError{fmt.Errorf("it needs %d bytes of memory (limit for one request: %d)", held+bytes, most)}
	}
	used := b.used.Add(bytes)
	if bytes > 0 && used > most {
		b.used.Add(-bytes)
		return &BusyError{Reason: fmt.Sprintf("requests hold %d bytes of memory, this one needs %d more (limit %d)",
			used-bytes, bytes, most)}
	}
	for peak := b.peak.Load(); used > peak && !b.peak.CompareAndSwap(peak, used); peak = b.peak.Load() {
	}
	if bytes > 0 && b.crowded() {
		b.collect()
	}
	return nil
}

// crowded reports whether what is in use and what is garbage may be more than the budget together.
func (b *Budget) crowded() bool {
	garbage := b.garbage.Load()
	return garbage > 0 && b.used.Load()+garbage > b.max
}

// collect frees what was garbage when it was called. Callers wait for each other, so that nobody uses what
// is not free yet.
func (b *Budget) collect() {
	b.collecting.Lock()
	defer b.collecting.Unlock()
	if b.crowded() {
		garbage := b.garbage.Load()
		runtime.GC()
		b.garbage.Add(-garbage)
	}
}

// Give returns bytes to the budget.
func (b *Budget) Give(bytes int64) {
	if b != nil {
		b.used.Add(-bytes)
	}
}

// large is the size from which a picture's memory counts until it is collected.
const large = 16 << 20

// GiveBack returns the memory of a picture that nothing refers to any more. Large memory stays garbage for a
// while, beside that of the next requests: it is collected once both would exceed the budget.
func (b *Budget) GiveBack(bytes int64) {
	if b != nil && bytes >= large {
		b.garbage.Add(bytes)
	}
	b.Give(bytes)
}

// waitForMemory is how long a picture waits for other requests to return memory.
const waitForMemory = 5 * time.Second

// Wait is like Take, but waits until other requests have returned enough memory, or ctx ends.
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

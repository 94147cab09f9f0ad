// Package abandon calls what cannot be interrupted, and goes on without a call that outlasts its context.
package abandon

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

const (
	// Grace is how long after its deadline a call has to end by itself.
	Grace = time.Second
	// Most bounds the abandoned calls that have not ended, each of which takes a core and memory.
	Most = 4
)

// Calls are the calls into one session. They are safe for concurrent use.
type Calls struct {
	left atomic.Int32
	idle chan func() // to goroutines that have called before and wait
}

// New returns Calls without any. The caller must close them after the last call.
func New() *Calls { return &Calls{idle: make(chan func())} }

// Left returns the number of abandoned calls that have not ended.
func (c *Calls) Left() int { return int(c.left.Load()) }

// Check returns an error while so many abandoned calls have not ended that no other may start.
func (c *Calls) Check() error {
	if n := c.Left(); n >= Most {
		return fmt.Errorf("%d abandoned runs have not ended; load the model again: %w", n, context.DeadlineExceeded)
	}
	return nil
}

// Do calls f in another goroutine and waits for it, beyond the end of ctx if need be. If f has not ended Grace after
// ctx's deadline, Do abandons it: it returns true and ctx's error at once, and end is called when f has ended.
// Otherwise end is not called, and the error is f's.
func (c *Calls) Do(ctx context.Context, f func() error, end func()) (abandoned bool, err error) {
	ended := make(chan error, 1)
	c.aside(func() { ended <- f() })
	select {
	case err := <-ended:
		return false, err
	case <-ctx.Done():
	}
	// A call whose waiters have left keeps its turn until its time is over.
	var over <-chan time.Time // never, without a deadline
	if deadline, ok := ctx.Deadline(); ok {
		over = time.After(max(0, time.Until(deadline)) + Grace)
	}
	select {
	case err := <-ended:
		return false, err
	case <-over:
	}
	c.left.Add(1)
	go func() {
		<-ended
		c.left.Add(-1)
		end()
	}()
	return true, ctx.Err()
}

// aside calls f in a goroutine that later calls reuse.
func (c *Calls) aside(f func()) {
	select {
	case c.idle <- f:
	default:
		go func() {
			for ; f != nil; f = <-c.idle {
				f()
			}
		}()
	}
}

// Close ends the waiting goroutines. No call may be under way, abandoned ones included.
func (c *Calls) Close() { close(c.idle) }

// Package abandon makes calls that cannot be interrupted, and returns without a call that outlasts its context.
package abandon

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Grace is how long after its deadline a call has to end by itself.
	Grace = time.Second
	// Most bounds the abandoned calls that have not ended, each of which takes a core and memory.
	Most = 4
)

// Calls are the calls into one session, which they hold open. They are safe for concurrent use.
type Calls struct {
	// closing waits for calls. Each holds the lock for reading, an abandoned one until it ends.
	closing sync.RWMutex
	closed  bool
	left    atomic.Int32
	idle    chan func() // to goroutines that have called before and wait
}

// New returns Calls without any. The caller must close them.
func New() *Calls { return &Calls{idle: make(chan func())} }

// Left returns the number of abandoned calls that have not ended.
func (c *Calls) Left() int { return int(c.left.Load()) }

// Begin holds the session open until End. It returns an error if the session is closed, or if so many abandoned calls
// have not ended that no other may start.
func (c *Calls) Begin() error {
	if n := c.Left(); n >= Most {
		return fmt.Errorf("%d abandoned runs have not ended; load the model again: %w", n, context.DeadlineExceeded)
	}
	c.closing.RLock()
	if c.closed {
		c.closing.RUnlock()
		return errors.New("the session is closed")
	}
	return nil
}

// End lets the session close. An abandoned call has ended by itself.
func (c *Calls) End() { c.closing.RUnlock() }

// Do calls f in another goroutine and waits for it, beyond the end of ctx if need be. If f has not ended Grace after
// ctx's deadline, Do abandons it: it returns true and ctx's error at once. When f has ended, Do calls free and End.
// Otherwise both are left to the caller, and the error is f's. The caller must have begun.
func (c *Calls) Do(ctx context.Context, f func() error, free func()) (abandoned bool, err error) {
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
		free()
		c.End()
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

// Close calls free once, when no call is under way. It waits for calls, but not for abandoned ones.
func (c *Calls) Close(free func()) {
	if c.Left() > 0 {
		go c.close(free)
		return
	}
	c.close(free)
}

func (c *Calls) close(free func()) {
	c.closing.Lock()
	defer c.closing.Unlock()
	if c.closed {
		return
	}
	free()
	close(c.idle)
	c.closed = true
}

package predict

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forgo-ml/forgo/predict/internal/batching"
)

// limited is a context that ends with its parent, or when a run has taken its time. It has a timer only
// once somebody asks for its channel. An engine that only asks now and then whether the run has ended
// needs none, and a timer takes as long as a small network's whole run.
type limited struct {
	context.Context // the parent
	time            time.Duration
	asked           atomic.Bool // Err was called
	late            atomic.Bool // Err found the time over, and its parent not ended

	once     sync.Once
	deadline time.Time // see end
	arm      sync.Once
	timed    atomic.Pointer[timed] // nil until Done is called
}

// timed is a context with a timer.
type timed struct {
	context.Context
	cancel context.CancelFunc
}

func limit(parent context.Context, d time.Duration) *limited {
	return &limited{Context: parent, time: d}
}

// end returns when the time is over. It begins when somebody first wants to know, which a short run never
// does.
func (l *limited) end() time.Time {
	l.once.Do(func() { l.deadline = time.Now().Add(l.time) })
	return l.deadline
}

// stop releases the timer.
func (l *limited) stop() {
	if t := l.timed.Load(); t != nil {
		t.cancel()
	}
}

// Err implements [context.Context].
func (l *limited) Err() error {
	if l.late.Load() {
		return context.DeadlineExceeded
	}
	if t := l.timed.Load(); t != nil {
		return t.Err()
	}
	if err := l.Context.Err(); err != nil {
		return err
	}
	if !l.asked.Load() { // the run begins
		l.asked.Store(true)
		return nil
	}
	if end := l.end(); !time.Now().Before(end) {
		l.late.Store(true)
		return context.DeadlineExceeded
	}
	return nil
}

// Deadline implements [context.Context].
func (l *limited) Deadline() (time.Time, bool) {
	if earlier, ok := l.Context.Deadline(); ok && earlier.Before(l.end()) {
		return earlier, true
	}
	return l.end(), true
}

// Done implements [context.Context].
func (l *limited) Done() <-chan struct{} {
	l.arm.Do(func() {
		t := new(timed)
		t.Context, t.cancel = context.WithDeadlineCause(l.Context, l.end(), batching.ErrRun{Limit: l.time})
		l.timed.Store(t)
	})
	return l.timed.Load().Done()
}

// Value implements [context.Context]. A context below this one finds the timer's, with the same channel.
func (l *limited) Value(key any) any {
	if t := l.timed.Load(); t != nil {
		return t.Value(key)
	}
	return l.Context.Value(key)
}

// worded returns a run's error, which says so if the run took too long.
func (l *limited) worded(err error) error {
	if err == nil {
		return nil
	}
	late := l.late.Load()
	if t := l.timed.Load(); t != nil && !late {
		late = errors.As(context.Cause(t), new(batching.ErrRun))
	}
	if late {
		return fmt.Errorf("%w: %w", batching.ErrRun{Limit: l.time}, err)
	}
	return err
}

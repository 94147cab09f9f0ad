package predict

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
)

// ErrClosed is wrapped by the errors of calls that came after Close.
var ErrClosed = errors.New("the model is closed")

// batcher runs the requests of many callers. One that finds the engine free, and nobody else
// ready to run, runs at once, in its caller's goroutine and on its caller's memory. The others
// run together; whichever run ends next leaves a goroutine behind for those that came
// meanwhile, until none are waiting.
type batcher struct {
	limits
	names   []string // of the inputs
	compute func(ctx context.Context, inputs Tensors, rows int) (Tensors, error)
	memory  sync.Pool // of *joined
	history history
	splitter
	runTime time.Duration // of all parts of a request; 0 bounds nothing

	mu      sync.Mutex // never held while rows are copied or the engine runs
	queue   []*call    // oldest first
	queued  int        // their rows
	running int
	held    int         // above 0, nothing is started
	timer   *time.Timer // fires when the oldest call has waited for limits.delay
	door
	closed bool
	ended  sync.Cond // signalled when a run ends after closed is set
}

func newBatcher(l limits, names []string, compute func(context.Context, Tensors, int) (Tensors, error)) *batcher {
	b := &batcher{limits: l, names: names, compute: compute, history: history{sizes: map[int]*BatchStats{}}}
	b.memory.New = func() any { return &joined{inputs: make(Tensors, len(names))} }
	b.ended.L = &b.mu
	return b
}

// call is a request that waits. Its caller reads out, took and err after done.
type call struct {
	ctx    context.Context
	inputs Tensors
	rows   int
	since  time.Time
	batch  *batch // nil while it waits in the queue; guarded by batcher.mu
	out    Tensors
	took   Timing
	err    error
	done   chan struct{} // has room for one, so that nobody waits for a caller that left
}

// calls that were answered. One that was left behind is not put back: its batch may still
// write to it.
var calls = sync.Pool{New: func() any { return &call{done: make(chan struct{}, 1)} }}

func newCall(ctx context.Context, since time.Time, inputs Tensors, rows int) *call {
	c := calls.Get().(*call)
	*c = call{ctx: ctx, inputs: inputs, rows: rows, since: since, done: c.done}
	return c
}

func (c *call) finish(out Tensors, err error) {
	c.out, c.err = out, err
	c.done <- struct{}{}
}

// fits says whether the requests may run as one.
func (c *call) fits(o *call) bool {
	if c == o {
		return true
	}
	for name, t := range c.inputs {
		u := o.inputs[name]
		if t.Rows() == 0 || u.Rows() == 0 || t.DType() != u.DType() || !slices.Equal(t.Shape[1:], u.Shape[1:]) {
			return false
		}
	}
	return true
}

// weight is what the call counts for in the queue, where even no rows take a place.
func (c *call) weight() int { return max(1, c.rows) }

// do answers one request of so many rows, in the place that it has.
func (b *batcher) do(ctx context.Context, r *Reservation, inputs Tensors, rows int) (out Tensors, took Timing, err error) {
	bytes, since := max(r.bytes, size(inputs))+int64(rows)*b.outBytes, time.Now()
	b.mu.Lock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.release(r, err == nil)
	}()
	if err := b.begin(r, rows, bytes); err != nil {
		b.mu.Unlock()
		return nil, took, err
	}
	b.arrive(r)
	if b.parts(rows) {
		b.mu.Unlock()
		return b.inParts(ctx, inputs, rows)
	}
	return b.one(ctx, since, inputs, rows)
}

// one runs rows together, alone or with others. It needs the lock, and gives it up.
func (b *batcher) one(ctx context.Context, since time.Time, inputs Tensors, rows int) (out Tensors, took Timing, err error) {
	if !b.closed && b.held == 0 && b.running < b.instances && len(b.queue) == 0 && (b.delay <= 0 || rows >= b.batchRows) {
		b.running++
		if rows >= b.batchRows || !b.others() {
			b.mu.Unlock()
			defer b.pass()
			out, err = b.run(ctx, since, inputs, rows, &took)
			return out, took, err
		}
		c := newCall(ctx, since, inputs, rows)
		b.queue = slices.Insert(b.queue, 0, c)
		b.queued += c.weight()
		go b.work(b.take())
		b.mu.Unlock()
		return b.wait(c)
	}
	c, err := b.enqueue(ctx, inputs, rows)
	b.mu.Unlock()
	if err != nil {
		return nil, took, err
	}
	return b.wait(c)
}

// others lets callers that are ready to run come first, and says whether any wait for the run
// that is about to start. It needs the lock, and gives it up meanwhile.
func (b *batcher) others() bool {
	b.mu.Unlock()
	runtime.Gosched()
	b.mu.Lock()
	return len(b.queue) > 0 && b.held == 0
}

// enqueue needs the lock.
func (b *batcher) enqueue(ctx context.Context, inputs Tensors, rows int) (*call, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("run model: %w", err)
	}
	if b.closed {
		return nil, fmt.Errorf("run model: %w", ErrClosed)
	}
	c := newCall(ctx, time.Now(), inputs, rows)
	b.queue = append(b.queue, c)
	b.queued += c.weight()
	b.start()
	return c, nil
}

func (b *batcher) wait(c *call) (Tensors, Timing, error) {
	select {
	case <-c.done:
	case <-c.ctx.Done():
		if b.leave(c) {
			return nil, Timing{Queue: time.Since(c.since)}, fmt.Errorf("run model: %w", c.ctx.Err())
		}
		<-c.done
	}
	out, took, err := c.out, c.took, c.err
	*c = call{done: c.done}
	calls.Put(c)
	return out, took, err
}

// leave takes a call out of the queue or gives up its part of a batch, or returns false
// where it runs alone: the engine is reading its inputs, and its own context ends that run.
func (b *batcher) leave(c *call) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.batch == nil {
		i := slices.Index(b.queue, c)
		b.queue = slices.Delete(b.queue, i, i+1)
		b.queued -= c.weight()
		return true
	}
	t := c.batch
	if len(t.calls) == 1 {
		return false
	}
	b.mu.Unlock()
	t.copied.Lock()
	//lint:ignore SA2001 only the wait matters
	t.copied.Unlock()
	b.mu.Lock()
	if t.stay--; t.stay == 0 {
		t.cancel()
	}
	return true
}

// start runs what the queue holds, as far as there are instances free. It needs the lock.
func (b *batcher) start() {
	for b.running < b.instances && b.ready() {
		b.running++
		go b.work(b.take())
	}
}

// ready says whether the queue should run now; where it may fill up first, it sets the timer.
// It needs the lock.
func (b *batcher) ready() bool {
	if len(b.queue) == 0 || b.held > 0 {
		return false
	}
	if b.delay <= 0 || b.closed || b.queued >= b.batchRows {
		return true
	}
	left := b.delay - time.Since(b.queue[0].since)
	if left <= 0 {
		return true
	}
	if b.timer == nil {
		b.timer = time.AfterFunc(left, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.start()
		})
	} else {
		b.timer.Reset(left)
	}
	return false
}

// take makes a batch of the oldest call and of those behind it that fit. Calls of other
// shapes keep their places; one that is too large for the rest of the batch closes it, so
// that smaller ones do not overtake it for ever. It needs the lock.
func (b *batcher) take() *batch {
	t := &batch{calls: make([]*call, 0, min(len(b.queue), b.batchRows)), ctx: context.Background(), cancel: func() {}}
	oldest, rest, full, endless := b.queue[0], b.queue[:0], false, false
	for _, c := range b.queue {
		if full || !c.fits(oldest) {
			rest = append(rest, c)
			continue
		}
		if len(t.calls) > 0 && t.rows+c.rows > b.batchRows {
			full = true
			rest = append(rest, c)
			continue
		}
		t.calls = append(t.calls, c)
		t.rows += c.rows
		c.batch = t
		b.queued -= c.weight()
		endless = endless || c.ctx.Done() == nil
	}
	clear(b.queue[len(rest):])
	b.queue = rest
	if len(t.calls) > 1 {
		t.copied.Lock()
		t.stay = len(t.calls)
		if !endless { // a run is given up when all its callers have left, never for one
			t.ctx, t.cancel = context.WithCancel(context.Background())
		}
	}
	return t
}

// pass is called when a run ends in its caller's goroutine.
func (b *batcher) pass() {
	if t := b.next(); t != nil {
		go b.work(t)
	}
}

func (b *batcher) work(t *batch) {
	for ; t != nil; t = b.next() {
		b.answer(t)
		if b.batchRows > 1 {
			runtime.Gosched() // the answered callers' next requests may join the next batch
		}
	}
}

// next is what an ended run makes way for.
func (b *batcher) next() *batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ready() {
		return b.take()
	}
	b.running--
	if b.closed {
		b.ended.Broadcast()
	}
	return nil
}

// close refuses new calls and returns when those that came before are answered.
func (b *batcher) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.start() // what waits for a delay need wait no longer
	for b.running > 0 || len(b.queue) > 0 {
		b.ended.Wait()
	}
}

// hold lets requests wait, as they do while the engine is busy, until release.
func (b *batcher) hold() (release func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held++
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.held--
		b.start()
	}
}

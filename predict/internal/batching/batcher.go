// Package batching runs the requests of many callers together.
package batching

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/forgo-ml/forgo/internal/admission"
	"github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// Limits bound batches and their queue. A zero field means its default.
type Limits struct {
	// BatchRows is the number of rows from waiting requests that run together.
	BatchRows int
	// QueueRows and QueueBytes bound what waits.
	QueueRows  int
	QueueBytes int64
	// Instances is the number of concurrent runs. Optional: 1.
	Instances int
	// Delay is how long a request waits for others while the engine is free. MaxWait bounds the time in
	// the queue, unless it is 0.
	Delay, MaxWait time.Duration
	// Budget bounds several models together. Optional.
	Budget *admission.Budget
}

// Default limits.
const (
	DefaultBatchRows  = 32
	DefaultQueueRows  = 512
	DefaultQueueBytes = 1 << 30
)

// Defaults returns the limits with defaults filled in.
func (l Limits) Defaults() Limits {
	if l.BatchRows <= 0 {
		l.BatchRows = DefaultBatchRows
	}
	if l.QueueRows <= 0 {
		l.QueueRows = DefaultQueueRows
	}
	if l.QueueBytes <= 0 {
		l.QueueBytes = DefaultQueueBytes
	}
	if l.Instances <= 0 {
		l.Instances = 1
	}
	return l
}

// Compute runs the graph on the given number of rows.
type Compute func(ctx context.Context, inputs tensor.Map, rows int) (tensor.Map, error)

// Batcher runs the requests of many callers. A request that finds the engine free and nobody else ready
// runs at once, in its caller's goroutine and memory. Others run together: each run that ends leaves a
// goroutine to serve the requests that arrived meanwhile, until none wait. If a run takes less time than to
// form a batch, requests do not wait for others while the engine is free.
type Batcher struct {
	admission.Queue // its lock is never held while rows are copied or the engine runs
	limits          Limits
	names           []string // of the inputs
	compute         Compute
	memory          sync.Pool // of *joined
	history         history
	splitter
	// RunTime bounds all parts of a request together. 0 is no bound. Set it before use.
	RunTime time.Duration

	queue   []*Call // oldest first
	running int
	held    int         // above 0, nothing is started
	quick   bool        // a run takes less time than to form a batch
	timer   *time.Timer // fires when the oldest call has waited for limits.Delay
	ended   sync.Cond   // signalled when a run ends after the queue is closed
}

// New returns a batcher for a graph with the named inputs.
func New(l Limits, names []string, compute Compute) *Batcher {
	l = l.Defaults()
	b := &Batcher{limits: l, names: names, compute: compute, history: history{sizes: map[int]*serving.BatchStats{}}}
	b.MaxRows, b.MaxBytes, b.MaxWait, b.Budget, b.RateRows = l.QueueRows, l.QueueBytes, l.MaxWait, l.Budget, 4*l.BatchRows
	b.Idle = b.idle
	b.memory.New = func() any { return &joined{inputs: make(tensor.Map, len(names))} }
	b.ended.L = &b.Mutex
	return b
}

// idle returns how many more runs may start. The caller holds the lock.
func (b *Batcher) idle() int {
	if b.held > 0 {
		return 0
	}
	return b.limits.Instances - b.running
}

// Call is a waiting request. Its caller reads out, took and err after done.
type Call struct {
	ctx    context.Context
	inputs tensor.Map
	rows   int
	since  time.Time
	batch  *batch // nil while it waits in the queue; guarded by Batcher.Mutex
	out    tensor.Map
	took   serving.Timing
	err    error
	done   chan struct{} // has room for one, so that nobody waits for a caller that left
}

// calls holds answered calls for reuse. A call that its caller abandoned is not reused, because its batch
// may still write to it.
var calls = sync.Pool{New: func() any { return &Call{done: make(chan struct{}, 1)} }}

func newCall(ctx context.Context, since time.Time, inputs tensor.Map, rows int) *Call {
	c := calls.Get().(*Call)
	*c = Call{ctx: ctx, inputs: inputs, rows: rows, since: since, done: c.done}
	return c
}

func (c *Call) finish(out tensor.Map, err error) {
	c.out, c.err = out, err
	c.done <- struct{}{}
}

// fits reports whether two requests may run together.
func (c *Call) fits(o *Call) bool {
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

// weight returns the rows that the call counts for in the queue, at least one.
func (c *Call) weight() int { return max(1, c.rows) }

// Do answers one request in its reservation, which it first moves to this batcher's queue if necessary.
func (b *Batcher) Do(ctx context.Context, r *admission.Reservation, inputs tensor.Map, rows int) (out tensor.Map, took serving.Timing, err error) {
	if err := r.Move(&b.Queue); err != nil {
		return nil, took, err
	}
	bytes, since := max(r.Bytes(), Size(inputs))+int64(rows)*b.OutBytes, time.Now()
	turn := waits
	b.Lock()
	defer func() {
		var next *batch
		now := took.Ended
		if turn != alone {
			now = time.Now()
		}
		b.Lock()
		b.Leave(r, err == nil, now)
		if turn == alone {
			next = b.next()
		}
		b.Unlock()
		if next != nil {
			go b.work(next)
		}
	}()
	if err := b.Begin(r, rows, bytes, since); err != nil {
		b.Unlock()
		return nil, took, err
	}
	b.Arrive(r)
	if b.parts(rows) {
		b.Unlock()
		return b.inParts(ctx, inputs, rows)
	}
	if turn = b.turn(rows); turn == alone {
		b.Unlock()
		out, err = b.run(ctx, since, time.Now(), inputs, rows, &took)
		return out, took, err
	}
	return b.together(ctx, turn, since, inputs, rows)
}

// one runs a part of a request. The caller holds the lock, which one releases.
func (b *Batcher) one(ctx context.Context, since time.Time, inputs tensor.Map, rows int) (out tensor.Map, took serving.Timing, err error) {
	if turn := b.turn(rows); turn != alone {
		return b.together(ctx, turn, since, inputs, rows)
	}
	b.Unlock()
	defer b.pass()
	out, err = b.run(ctx, since, time.Now(), inputs, rows, &took)
	return out, took, err
}

// turn is how a request runs.
type turn int

const (
	waits turn = iota // in the queue
	leads             // now, in a batch with the requests that wait
	alone             // now, in its caller's goroutine
)

// turn decides how the next request runs. Unless it waits, turn counts it among those that run. The caller
// holds the lock, which turn may release meanwhile.
func (b *Batcher) turn(rows int) turn {
	full := rows >= b.limits.BatchRows
	if b.Closed || b.held > 0 || b.running >= b.limits.Instances || len(b.queue) > 0 || b.limits.Delay > 0 && !full {
		return waits
	}
	b.running++
	if full || b.quick || !b.others() {
		return alone
	}
	return leads
}

// together runs rows with those of others. The caller holds the lock, which together releases.
func (b *Batcher) together(ctx context.Context, how turn, since time.Time, inputs tensor.Map, rows int) (tensor.Map, serving.Timing, error) {
	if how == waits {
		c, err := b.enqueue(ctx, inputs, rows)
		b.Unlock()
		if err != nil {
			return nil, serving.Timing{}, err
		}
		return b.Wait(c)
	}
	c := newCall(ctx, since, inputs, rows)
	b.queue = slices.Insert(b.queue, 0, c)
	b.Queued += c.weight()
	go b.work(b.take())
	b.Unlock()
	return b.Wait(c)
}

// others yields to callers that are ready, and reports whether any wait for the run that is about to
// start. The caller holds the lock, which others releases meanwhile.
func (b *Batcher) others() bool {
	b.Unlock()
	runtime.Gosched()
	b.Lock()
	return len(b.queue) > 0 && b.held == 0
}

// Enqueue adds a request to the end of the queue, for Wait.
func (b *Batcher) Enqueue(ctx context.Context, inputs tensor.Map, rows int) (*Call, error) {
	b.Lock()
	defer b.Unlock()
	return b.enqueue(ctx, inputs, rows)
}

// enqueue is Enqueue with the lock held.
func (b *Batcher) enqueue(ctx context.Context, inputs tensor.Map, rows int) (*Call, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("run model: %w", err)
	}
	if b.Closed {
		return nil, fmt.Errorf("run model: %w", admission.ErrClosed)
	}
	c := newCall(ctx, time.Now(), inputs, rows)
	b.queue = append(b.queue, c)
	b.Queued += c.weight()
	b.start()
	return c, nil
}

// Wait returns the answer of a call.
func (b *Batcher) Wait(c *Call) (tensor.Map, serving.Timing, error) {
	select {
	case <-c.done:
	case <-c.ctx.Done():
		if b.leave(c) {
			return nil, serving.Timing{Queue: time.Since(c.since)}, fmt.Errorf("run model: %w", c.ctx.Err())
		}
		<-c.done
	}
	out, took, err := c.out, c.took, c.err
	*c = Call{done: c.done}
	calls.Put(c)
	return out, took, err
}

// leave removes a call from the queue or from its batch. It returns false if the call runs alone: the
// engine is reading the caller's inputs, and the call's own context ends that run.
func (b *Batcher) leave(c *Call) bool {
	b.Lock()
	defer b.Unlock()
	if c.batch == nil {
		i := slices.Index(b.queue, c)
		b.queue = slices.Delete(b.queue, i, i+1)
		b.Queued -= c.weight()
		return true
	}
	t := c.batch
	if len(t.calls) == 1 {
		return false
	}
	b.Unlock()
	t.copied.Lock()
	//lint:ignore SA2001 only the wait matters
	t.copied.Unlock()
	b.Lock()
	if t.stay--; t.stay == 0 {
		t.cancel()
	}
	return true
}

// start runs what the queue holds, up to the number of free instances. The caller holds the lock.
func (b *Batcher) start() {
	for b.running < b.limits.Instances && b.ready() {
		b.running++
		go b.work(b.take())
	}
}

// ready reports whether the queue should run now. If the batch may fill up first, it sets the timer. The
// caller holds the lock.
func (b *Batcher) ready() bool {
	if len(b.queue) == 0 || b.held > 0 {
		return false
	}
	if b.limits.Delay <= 0 || b.Closed || b.Queued >= b.limits.BatchRows {
		return true
	}
	left := b.limits.Delay - time.Since(b.queue[0].since)
	if left <= 0 {
		return true
	}
	if b.timer == nil {
		b.timer = time.AfterFunc(left, func() {
			b.Lock()
			defer b.Unlock()
			b.start()
		})
	} else {
		b.timer.Reset(left)
	}
	return false
}

// take forms a batch of the oldest call and those behind it that fit. Calls of other shapes keep their
// places. A call that is too large for the rest of the batch closes it, so that smaller ones cannot
// overtake it for ever. The caller holds the lock.
func (b *Batcher) take() *batch {
	t := &batch{calls: make([]*Call, 0, min(len(b.queue), b.limits.BatchRows)), ctx: context.Background(), cancel: func() {}}
	oldest, rest, full, endless := b.queue[0], b.queue[:0], false, false
	for _, c := range b.queue {
		if full || !c.fits(oldest) {
			rest = append(rest, c)
			continue
		}
		if len(t.calls) > 0 && t.rows+c.rows > b.limits.BatchRows {
			full = true
			rest = append(rest, c)
			continue
		}
		t.calls = append(t.calls, c)
		t.rows += c.rows
		c.batch = t
		b.Queued -= c.weight()
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

// pass is called when a run in its caller's goroutine ends.
func (b *Batcher) pass() {
	b.Lock()
	t := b.next()
	b.Unlock()
	if t != nil {
		go b.work(t)
	}
}

func (b *Batcher) work(t *batch) {
	for t != nil {
		b.answer(t)
		if b.limits.BatchRows > 1 {
			runtime.Gosched() // the answered callers' next requests may join the next batch
		}
		b.Lock()
		t = b.next()
		b.Unlock()
	}
}

// next returns the batch to run after one that has ended. The caller holds the lock.
func (b *Batcher) next() *batch {
	if b.ready() {
		return b.take()
	}
	b.running--
	if b.Closed {
		b.ended.Broadcast()
	}
	return nil
}

// Close refuses new calls and waits until earlier ones are answered.
func (b *Batcher) Close() {
	b.Lock()
	defer b.Unlock()
	b.Closed = true
	// Requests that wait for a delay need wait no longer.
	b.start()
	for b.running > 0 || len(b.queue) > 0 {
		b.ended.Wait()
	}
}

// Hold makes requests wait, as if the engine were busy, until release is called.
func (b *Batcher) Hold() (release func()) {
	b.Lock()
	defer b.Unlock()
	b.held++
	return func() {
		b.Lock()
		defer b.Unlock()
		b.held--
		b.start()
	}
}

// Size returns the memory of tensors in bytes.
func Size(tensors tensor.Map) int64 {
	var n int64
	for _, t := range tensors {
		n += t.Size()
	}
	return n
}

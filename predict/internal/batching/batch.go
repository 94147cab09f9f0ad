package batching

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// batch is what runs next.
type batch struct {
	calls []*Call
	rows  int
	// copied is locked until the callers' inputs are copied. A caller may leave only after that, since the
	// memory is the caller's.
	copied sync.Mutex
	ctx    context.Context
	cancel context.CancelFunc
	stay   int // callers that have not left; guarded by Batcher.Mutex
}

// answer runs a batch and gives every caller its rows. If the run fails, it runs the requests one by one,
// so that only the caller at fault gets the error.
func (b *Batcher) answer(t *batch) {
	if len(t.calls) == 1 {
		c := t.calls[0]
		c.finish(b.run(c.ctx, c.since, time.Now(), c.inputs, c.rows, &c.took))
		return
	}
	j := b.memory.Get().(*joined)
	defer b.memory.Put(j)
	err := j.join(b.names, t)
	t.copied.Unlock()
	var out tensor.Map
	var took serving.Timing
	started, gathered := time.Now(), err == nil
	if gathered {
		out, err = b.run(t.ctx, started, started, j.inputs, t.rows, &took)
	}
	t.cancel()
	from := 0
	for _, c := range t.calls {
		to := from + c.rows
		c.took = took
		c.took.Began, c.took.Queue = c.since, started.Sub(c.since)
		switch {
		case err == nil:
			c.finish(Rows(out, from, to), nil)
		case !gathered:
			c.finish(nil, err)
		case c.ctx.Err() != nil:
			c.finish(nil, fmt.Errorf("run model: %w", c.ctx.Err()))
		default:
			c.finish(b.run(c.ctx, c.since, time.Now(), Rows(j.inputs, from, to), c.rows, &c.took))
		}
		from = to
	}
}

// run records how long the run, which starts now, waited and took. It turns an engine's panic into an
// error, which would otherwise end the process.
func (b *Batcher) run(ctx context.Context, since, start time.Time, inputs tensor.Map, rows int, took *serving.Timing) (out tensor.Map, err error) {
	defer func() {
		end := time.Now()
		*took = serving.Timing{Began: since, Ended: end, Queue: start.Sub(since), Infer: end.Sub(start), BatchRows: rows}
		b.history.add(rows, took.Infer)
		if p := recover(); p != nil {
			out, err = nil, fmt.Errorf("run model: panic: %v", p)
		}
	}()
	return b.compute(ctx, inputs, rows)
}

// joined is the memory of a batch's inputs, which later batches reuse.
type joined struct {
	parts  []tensor.Tensor
	inputs tensor.Map
}

func (j *joined) join(names []string, t *batch) error {
	for _, name := range names {
		for _, c := range t.calls {
			j.parts = append(j.parts, c.inputs[name])
		}
		x, err := tensor.ConcatInto(j.inputs[name], j.parts...)
		clear(j.parts)
		j.parts = j.parts[:0]
		if err == nil && x.Rows() != t.rows {
			err = fmt.Errorf("%d rows for %d", x.Rows(), t.rows)
		}
		if err != nil {
			return fmt.Errorf("join input %q: %w", name, err)
		}
		j.inputs[name] = x
	}
	return nil
}

// Rows returns rows of each tensor, sharing its memory.
func Rows(tensors tensor.Map, from, to int) tensor.Map {
	part := tensor.NewMap()
	for name, t := range tensors {
		part[name] = t.Slice(from, to)
	}
	return part
}

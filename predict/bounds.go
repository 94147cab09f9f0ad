package predict

// Bounds on one run: its time, and the memory of its outputs.

import (
	"context"
	"slices"
	"time"

	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/internal/batching"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// bounds limit each run of a session. Zero is no limit.
type bounds struct {
	time  time.Duration
	bytes int64 // of its outputs together
}

// run runs a session within the bounds.
func (b bounds) run(ctx context.Context, s engines.Session, inputs Tensors, outputs []string) (Tensors, error) {
	if err := b.before(s, inputs, outputs); err != nil {
		return nil, err
	}
	return b.admitted(ctx, s, inputs, outputs)
}

// admitted is run for outputs whose size is known not to be too large.
func (b bounds) admitted(ctx context.Context, s engines.Session, inputs Tensors, outputs []string) (Tensors, error) {
	out, err := b.timed(ctx, s, inputs, outputs)
	if err == nil && b.bytes > 0 {
		if got := batching.Size(out); got > b.bytes {
			return nil, b.tooLarge(got)
		}
	}
	return out, err
}

// timed runs a session within the time limit.
func (b bounds) timed(ctx context.Context, s engines.Session, inputs Tensors, outputs []string) (Tensors, error) {
	if b.time <= 0 {
		return s.Run(ctx, inputs, outputs)
	}
	l := limit(ctx, b.time)
	defer l.stop()
	out, err := s.Run(l, inputs, outputs)
	return out, l.worded(err)
}

// within limits the time that run takes.
func (b bounds) within(ctx context.Context, run func(context.Context) error) error {
	if b.time <= 0 {
		return run(ctx)
	}
	l := limit(ctx, b.time)
	defer l.stop()
	return l.worded(run(l))
}

// before refuses a run whose outputs would be too large, if their shapes are known in advance.
func (b bounds) before(s engines.Session, inputs Tensors, outputs []string) error {
	return engines.CheckOutputs(s, inputs, outputs, b.bytes)
}

func (b bounds) tooLarge(bytes int64) error {
	return engines.TooLarge(bytes, b.bytes)
}

// batchRows returns how many rows of independent callers may run together without exceeding the limit on
// outputs.
func (b bounds) batchRows(rows int, outputs []tensor.Spec) int {
	if b.bytes <= 0 {
		return rows
	}
	each := int64(0)
	for _, spec := range outputs {
		if len(spec.Shape) == 0 || slices.Contains(spec.Shape[1:], -1) {
			return rows // unknown
		}
		if n, err := tensor.Count(spec.Shape[1:]); err == nil {
			each += n * int64(spec.DType.ElementSize())
		}
	}
	if each == 0 {
		return rows
	}
	return int(max(1, min(int64(rows), b.bytes/each)))
}

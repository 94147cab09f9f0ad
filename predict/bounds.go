package predict

// What one run may take: time, and memory for its outputs.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/internal/batching"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// bounds are of each run of a session; those that are 0 bound nothing.
type bounds struct {
	time  time.Duration
	bytes int64 // of its outputs together
}

// run runs a session within the bounds.
func (b bounds) run(ctx context.Context, s engines.Session, inputs Tensors, outputs []string) (Tensors, error) {
	if err := b.before(s, inputs, outputs); err != nil {
		return nil, err
	}
	out, err := b.timed(ctx, s, inputs, outputs)
	if err == nil && b.bytes > 0 {
		if got := batching.Size(out); got > b.bytes {
			return nil, b.tooLarge(got)
		}
	}
	return out, err
}

// timed runs a session within the time.
func (b bounds) timed(ctx context.Context, s engines.Session, inputs Tensors, outputs []string) (Tensors, error) {
	if b.time <= 0 {
		return s.Run(ctx, inputs, outputs)
	}
	var out Tensors
	err := b.within(ctx, func(ctx context.Context) (err error) {
		out, err = s.Run(ctx, inputs, outputs)
		return err
	})
	return out, err
}

// within bounds the time that run takes.
func (b bounds) within(ctx context.Context, run func(context.Context) error) error {
	if b.time > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, b.time, batching.ErrRun{Limit: b.time})
		defer cancel()
	}
	err := run(ctx)
	if late := (batching.ErrRun{}); err != nil && errors.As(context.Cause(ctx), &late) {
		return fmt.Errorf("%w: %w", late, err)
	}
	return err
}

// before refuses a run whose outputs would be too large, as far as their shapes are known.
func (b bounds) before(s engines.Session, inputs Tensors, outputs []string) error {
	return engines.CheckOutputs(s, inputs, outputs, b.bytes)
}

func (b bounds) tooLarge(bytes int64) error {
	return engines.TooLarge(bytes, b.bytes)
}

// batchRows is how many rows may run together, so that the rows of callers who know nothing of each
// other never make an answer that is too large.
func (b bounds) batchRows(rows int, outputs []tensor.Spec) int {
	if b.bytes <= 0 {
		return rows
	}
	each := int64(0)
	for _, spec := range outputs {
		if len(spec.Shape) == 0 || slices.Contains(spec.Shape[1:], -1) {
			return rows // nobody knows
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

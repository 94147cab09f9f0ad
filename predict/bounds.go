package predict

// What one run may take: time, and memory for its outputs.

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// errRun is the cause of a run that took too long.
type errRun struct{ limit time.Duration }

func (e errRun) Error() string {
	return fmt.Sprintf("it took longer than %v and was given up", e.limit)
}

// bounds are of each run of a session; those that are 0 bound nothing.
type bounds struct {
	time  time.Duration
	bytes int64 // of its outputs together
}

// run runs a session within the bounds.
func (b bounds) run(ctx context.Context, s Session, inputs Tensors, outputs []string) (Tensors, error) {
	if err := b.before(s, inputs, outputs); err != nil {
		return nil, err
	}
	var out Tensors
	err := b.within(ctx, func(ctx context.Context) (err error) {
		out, err = s.Run(ctx, inputs, outputs)
		return err
	})
	if err == nil && b.bytes > 0 {
		if got := size(out); got > b.bytes {
			return nil, b.tooLarge(got)
		}
	}
	return out, err
}

// within bounds the time that run takes.
func (b bounds) within(ctx context.Context, run func(context.Context) error) error {
	if b.time > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, b.time, errRun{b.time})
		defer cancel()
	}
	err := run(ctx)
	if late := (errRun{}); err != nil && errors.As(context.Cause(ctx), &late) {
		return fmt.Errorf("%w: %w", late, err)
	}
	return err
}

// before refuses a run whose outputs would be too large, as far as their shapes are known.
func (b bounds) before(s Session, inputs Tensors, outputs []string) error {
	return CheckOutputs(s, inputs, outputs, b.bytes)
}

// CheckOutputs refuses, with [ErrInput], a run whose outputs would take more than most bytes together,
// as far as the session is a [Sizer] and knows. Most of 0 bounds nothing.
func CheckOutputs(s Session, inputs Tensors, outputs []string, most int64) error {
	sizer, ok := s.(Sizer)
	if !ok || most <= 0 {
		return nil
	}
	total := int64(0)
	for _, spec := range s.Outputs() {
		if !slices.Contains(outputs, spec.Name) {
			continue
		}
		bytes := int64(spec.DType.ElementSize())
		for _, d := range sizer.OutputShape(spec.Name, inputs) {
			switch {
			case d < 0: // it may be anything, or nothing
				bytes = 0
			case d > 0 && bytes > math.MaxInt64/2/d:
				bytes = math.MaxInt64 / 2
			default:
				bytes *= d
			}
		}
		if total += bytes; total > most {
			return bounds{bytes: most}.tooLarge(total)
		}
	}
	return nil
}

func (b bounds) tooLarge(bytes int64) error {
	return inputError{fmt.Errorf("the answer to these rows takes %d bytes, and %d are allowed: send fewer rows", bytes, b.bytes)}
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

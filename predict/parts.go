package predict

import (
	"context"
	"fmt"
	"slices"

	"github.com/forgo-ml/forgo/predict/internal/batching"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// parts runs rows through a graph with a fixed batch size. It fills the last part with copies of its last
// row and drops their answers. If batch is 0, the graph takes one row, without a batch dimension.
func parts(ctx context.Context, batch int, inputs Tensors, count int, run func(context.Context, Tensors) (Tensors, error)) (Tensors, error) {
	size := max(batch, 1)
	if count == 0 {
		return nil, inputError{fmt.Errorf("no rows: the graph takes %d at a time", size)}
	}
	if count == size && batch > 0 {
		return run(ctx, inputs)
	}
	answers := map[string][]tensor.Tensor{}
	for start := 0; start < count; start += size {
		have := min(size, count-start)
		part, err := filled(batching.Rows(inputs, start, start+have), size-have)
		if err != nil {
			return nil, err
		}
		if batch == 0 {
			part = reshaped(part, func(shape []int64) []int64 { return shape[1:] })
		}
		out, err := run(ctx, part)
		if err != nil {
			return nil, err
		}
		if batch == 0 {
			out = reshaped(out, func(shape []int64) []int64 { return slices.Concat([]int64{1}, shape) })
		}
		for name, t := range out {
			if t.Rows() != size {
				return nil, fmt.Errorf("output %q has %d rows for %d", name, t.Rows(), size)
			}
			answers[name] = append(answers[name], t.Slice(0, have))
		}
	}
	joined := make(Tensors, len(answers))
	for name, all := range answers {
		t, err := tensor.Concat(all...)
		if err != nil {
			return nil, fmt.Errorf("output %q: %w", name, err)
		}
		joined[name] = t
	}
	return joined, nil
}

// filled appends copies of the last row.
func filled(inputs Tensors, copies int) (Tensors, error) {
	if copies == 0 {
		return inputs, nil
	}
	out := make(Tensors, len(inputs))
	for name, t := range inputs {
		all := []tensor.Tensor{t}
		for range copies {
			all = append(all, t.Slice(t.Rows()-1, t.Rows()))
		}
		var err error
		if out[name], err = tensor.Concat(all...); err != nil {
			return nil, fmt.Errorf("input %q: %w", name, err)
		}
	}
	return out, nil
}

func reshaped(in Tensors, shape func([]int64) []int64) Tensors {
	out := make(Tensors, len(in))
	for name, t := range in {
		out[name] = tensor.Tensor{Shape: shape(t.Shape), Data: t.Data}
	}
	return out
}

package predict

import (
	"context"
	"fmt"
	"math"

	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/internal/batching"
)

// callers replays cases as the concurrent requests of several callers, some with more than one row.
func (r *replayer) callers(ctx context.Context, cases []golden) error {
	b := r.m.batcher
	requests := split(cases)
	waiting := make([]*batching.Call, len(requests))
	err := func() error {
		defer b.Hold()()
		for i, request := range requests {
			inputs, err := bundle.Stack(request)
			if err != nil {
				return r.fail(request[0], StageModel, math.Inf(1), 0, err)
			}
			waiting[i], err = b.Enqueue(ctx, inputs, len(request))
			if err != nil {
				return r.fail(request[0], StageModel, math.Inf(1), 0, err)
			}
		}
		return nil
	}()
	if err != nil {
		return err
	}
	for i, request := range requests {
		out, _, err := b.Wait(waiting[i])
		if err != nil {
			return r.fail(request[0], StageModel, math.Inf(1), 0, fmt.Errorf("among %d callers: %w", len(requests), err))
		}
		if err := r.rows(request, out, fmt.Sprintf("in the answer of caller %d of %d", i+1, len(requests))); err != nil {
			return err
		}
	}
	return nil
}

// split groups cases into requests of one row, two rows, one, three and so on. If the rows' shapes differ,
// each is a request of its own.
func split(cases []golden) [][]golden {
	var requests [][]golden
	sizes := []int{1, 2, 1, 3}
	for len(cases) > 0 {
		n := min(sizes[len(requests)%len(sizes)], len(cases))
		if _, err := bundle.Stack(cases[:n]); err != nil {
			n = 1
		}
		requests = append(requests, cases[:n])
		cases = cases[n:]
	}
	return requests
}

// rows compares each row of an answer with its case.
func (r *replayer) rows(cases []golden, out Tensors, how string) error {
	for i, g := range cases {
		if err := r.compare(g, StageModel, batching.Rows(out, i, i+1), g.Outputs, fmt.Sprintf("row %d %s", i, how)); err != nil {
			return err
		}
	}
	return nil
}

package pure

// If and Loop: nodes with graphs as attributes. A body sees the values of the graphs around it.

import (
	"errors"
	"fmt"
)

// maxDepth bounds the nesting of graphs.
const maxDepth = 4

// body is a graph inside a node, ready to run.
type body struct {
	*plan
	captured []string // values of the graphs around it, which are its last inputs
}

// run computes the body's outputs. inputs are its own, followed by those that it captures. scratch keeps
// its memory for the next time.
func (b *body) run(scratch *value, inputs ...*value) ([]*value, error) {
	r, ok := scratch.data.(*run)
	if !ok {
		r = newRun(b.plan, scratch.memory)
		scratch.data = r
	}
	if len(inputs) != len(b.inputs) {
		return nil, fmt.Errorf("its graph takes %d values, got %d", len(b.inputs), len(inputs))
	}
	for i, at := range b.inputs {
		v := &r.values[at]
		v.shape, v.data = append(v.shape[:0], inputs[i].shape...), inputs[i].data
	}
	if err := b.execute(r); err != nil {
		return nil, err
	}
	return r.refer(b.plan, b.outputs), nil
}

var ifOp = operator{since: 1, inputs: [2]int{1, 1}, outputs: -1, scratch: 2, bodies: []string{"then_branch", "else_branch"}, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	s.ignore("then_branch", "else_branch")
	then, other := n.bodies[0], n.bodies[1]
	outputs := len(n.out)
	if len(then.outputs) != outputs || len(other.outputs) != outputs {
		return nil, fmt.Errorf("its branches have %d and %d outputs, it has %d", len(then.outputs), len(other.outputs), outputs)
	}
	return func(in, out []*value) error {
		condition, err := single[bool](in[0], "condition")
		if err != nil {
			return err
		}
		branch, scratch, captured := then, out[outputs], in[1:1+len(then.captured)]
		if !condition {
			branch, scratch, captured = other, out[outputs+1], in[1+len(then.captured):]
		}
		made, err := branch.run(scratch, captured...)
		if err != nil {
			return err
		}
		return handOver(out[:outputs], made)
	}, s.end()
}}

// handOver copies what a body made.
func handOver(out, made []*value) error {
	for i, v := range made {
		if out[i] != nil {
			if err := out[i].copy(v, v.shape); err != nil {
				return err
			}
		}
	}
	return nil
}

// single returns the only element of a value.
func single[T bool | int64 | float32 | float64](v *value, what string) (one T, err error) {
	if v == nil {
		return one, fmt.Errorf("its %s is missing", what)
	}
	x, ok := of[T](v)
	if !ok || len(x) != 1 {
		return one, fmt.Errorf("its %s is %s%v, want one %T", what, v.dtype(), v.shape, one)
	}
	return x[0], nil
}

// loopOp runs its body a number of times. Each turn's state is the input of the next; the other outputs
// are stacked.
var loopOp = operator{since: 1, inputs: [2]int{2, -1}, optional: true, outputs: -1, scratch: 3, bodies: []string{"body"}, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	s.ignore("body")
	b := n.bodies[0]
	states, outputs := len(n.in)-2, len(n.out)
	if declared := len(b.inputs) - len(b.captured); declared != states+2 || len(b.outputs) != outputs+1 || outputs < states {
		return nil, fmt.Errorf("its body takes %d values and gives %d, which do not fit %d states and %d outputs", declared, len(b.outputs), states, outputs)
	}
	return func(in, out []*value) error {
		turns, err := single[int64](in[0], "count")
		if err != nil {
			return err
		}
		going := true
		if in[1] != nil {
			if going, err = single[bool](in[1], "condition"); err != nil {
				return err
			}
		}
		scratch := out[outputs]
		turn, err := allocate[int64](out[outputs+1])
		if err != nil {
			return err
		}
		on, err := allocate[bool](out[outputs+2])
		if err != nil {
			return err
		}
		inputs := make([]*value, 0, len(b.inputs))
		inputs = append(append(inputs, out[outputs+1], out[outputs+2]), in[2:]...)
		// Two sets of values alternate as the state: the body reads one and writes the other.
		made := int64(0)
		var kept [2][]value
		for i := range kept {
			kept[i] = make([]value, states)
			for k := range kept[i] {
				kept[i][k].memory = scratch.memory
			}
		}
		for ; going && made < turns; made++ {
			if err := scratch.memory.ended(); err != nil {
				return err
			}
			turn[0], on[0] = made, true
			results, err := b.run(scratch, inputs...)
			if err != nil {
				return err
			}
			if going, err = single[bool](results[0], "condition"); err != nil {
				return err
			}
			for k := range states {
				v := &kept[made%2][k]
				if err := v.copy(results[1+k], results[1+k].shape); err != nil {
					return err
				}
				inputs[2+k] = v
			}
			for k := states; k < outputs; k++ {
				if out[k] != nil {
					if err := stack(out[k], results[1+k], made, turns); err != nil {
						return err
					}
				}
			}
		}
		for k := states; k < outputs; k++ {
			if made == 0 && out[k] != nil {
				return errors.New("it runs no iteration, so the shape of its scan outputs is unknown")
			}
			if out[k] != nil && made < turns {
				if err := shorten(out[k], made); err != nil {
					return err
				}
			}
		}
		err = handOver(out[:states], inputs[2:2+states])
		for _, set := range kept {
			for k := range set {
				set[k].release()
			}
		}
		return err
	}, s.end()
}}

// stack appends a turn's value to those of earlier turns.
func stack(out, v *value, turn, turns int64) error {
	if turn == 0 {
		if err := makeLike(out, v, append([]int64{turns}, v.shape...)); err != nil {
			return err
		}
	}
	if fmt.Sprint(out.shape[1:]) != fmt.Sprint(v.shape) {
		return fmt.Errorf("iteration %d gives a scan output of shape %v, earlier ones %v", turn, v.shape, out.shape[1:])
	}
	n := int64(v.count())
	l := layout{rank: 1, start: turn * n}
	l.size[0], l.step[0] = n, 1
	return put(out, v, &l)
}

// shorten keeps the first entries.
func shorten(v *value, n int64) error {
	return makeLike(v, v, append([]int64{n}, v.shape[1:]...))
}

package pure

// Transpose, Expand, Tile, Slice, Concat, Split, Pad.

import (
	"fmt"
	"math"
)

var transpose = operator{since: 1, inputs: [2]int{1, 1}, outputs: 1, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	order := s.integers("perm")
	return func(in, out []*value) error {
		x := in[0].shape
		if order != nil && len(order) != len(x) {
			return fmt.Errorf("perm %v does not fit %d dimensions", order, len(x))
		}
		var step [maxRank]int64
		if err := steps(x, &step); err != nil {
			return err
		}
		var l layout
		var seen [maxRank]bool
		shape := out[0].shape[:0]
		for i := range x {
			from := len(x) - 1 - i
			if order != nil {
				var err error
				if from, err = axis(order[i], len(x)); err != nil || order[i] < 0 || seen[from] {
					return fmt.Errorf("perm %v does not order %d dimensions", order, len(x))
				}
			}
			seen[from] = true
			if err := l.add(x[from], step[from]); err != nil {
				return err
			}
			shape = append(shape, x[from])
		}
		return take(out[0], in[0], &l, shape)
	}, s.end()
}}

var expand = operator{since: 8, inputs: [2]int{2, 2}, outputs: 1, prepare: func(n *node) (kernel, error) {
	return func(in, out []*value) error {
		want, err := in[1].integers()
		if err != nil {
			return err
		}
		shape, err := broadcastShape(out[0].shape[:0], in[0].shape, want)
		if err != nil {
			return err
		}
		var step [maxRank]int64
		if err := steps(in[0].shape, &step); err != nil {
			return err
		}
		var l layout
		for i, d := range shape {
			s := int64(0)
			if at := i - (len(shape) - len(in[0].shape)); at >= 0 && in[0].shape[at] != 1 {
				s = step[at]
			}
			if err := l.add(d, s); err != nil {
				return err
			}
		}
		return take(out[0], in[0], &l, shape)
	}, n.settings().end()
}}

var tile = operator{since: 6, inputs: [2]int{2, 2}, outputs: 1, prepare: func(n *node) (kernel, error) {
	return func(in, out []*value) error {
		times, err := in[1].integers()
		if err != nil {
			return err
		}
		x := in[0].shape
		if len(times) != len(x) {
			return fmt.Errorf("%d repeats do not fit %d dimensions", len(times), len(x))
		}
		var step [maxRank]int64
		if err := steps(x, &step); err != nil {
			return err
		}
		var l layout
		shape := out[0].shape[:0]
		for i, d := range x {
			if times[i] < 0 || d > 0 && times[i] > math.MaxInt64/d {
				return fmt.Errorf("repeats %v are invalid", times)
			}
			shape = append(shape, d*times[i])
			if times[i] != 1 {
				if err := l.add(times[i], 0); err != nil {
					return err
				}
			}
			if err := l.add(d, step[i]); err != nil {
				return err
			}
		}
		return take(out[0], in[0], &l, shape)
	}, n.settings().end()
}}

// cut computes what a slice of one dimension is: where it starts, its step, its size.
func cut(from, to, by, size int64) (start, n int64, err error) {
	if by == 0 || by == math.MinInt64 {
		return 0, 0, fmt.Errorf("a step of %d is invalid", by)
	}
	wrap := func(i int64) int64 {
		if i < 0 {
			i += size
		}
		return i
	}
	if by > 0 {
		start, end := max(0, min(size, wrap(from))), max(0, min(size, wrap(to)))
		if end <= start {
			return 0, 0, nil
		}
		return start, (end-start-1)/by + 1, nil
	}
	start, end := max(-1, min(size-1, wrap(from))), max(-1, min(size-1, wrap(to)))
	if start <= end {
		return 0, 0, nil
	}
	return start, (start-end-1)/-by + 1, nil
}

func sliced(out, in *value, from, to, axes, by []int64) error {
	if len(from) != len(to) || axes != nil && len(axes) != len(from) || by != nil && len(by) != len(from) {
		return fmt.Errorf("starts, ends, axes and steps differ in number")
	}
	var l layout
	if err := steps(in.shape, &l.step); err != nil {
		return err
	}
	l.rank = len(in.shape)
	copy(l.size[:], in.shape)
	var seen [maxRank]bool
	for i := range from {
		at := i
		if axes != nil {
			var err error
			if at, err = axis(axes[i], len(in.shape)); err != nil {
				return err
			}
		}
		if at >= len(in.shape) || seen[at] {
			return fmt.Errorf("axes %v do not fit %d dimensions", axes, len(in.shape))
		}
		seen[at] = true
		step := int64(1)
		if by != nil {
			step = by[i]
		}
		start, n, err := cut(from[i], to[i], step, in.shape[at])
		if err != nil {
			return err
		}
		if n == 1 {
			step = 1
		}
		l.start += start * l.step[at]
		l.size[at], l.step[at] = n, l.step[at]*step
	}
	return take(out, in, &l, append(out.shape[:0], l.size[:l.rank]...))
}

var slice1 = operator{since: 1, until: 9, inputs: [2]int{1, 1}, outputs: 1, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	from, to, axes := s.integers("starts"), s.integers("ends"), s.integers("axes")
	return func(in, out []*value) error { return sliced(out[0], in[0], from, to, axes, nil) }, s.end()
}}

var slice10 = operator{since: 10, inputs: [2]int{3, 5}, outputs: 1, prepare: func(n *node) (kernel, error) {
	return func(in, out []*value) error {
		var bounds [4][]int64
		for i, v := range in[1:] {
			if v == nil {
				continue
			}
			var err error
			if bounds[i], err = v.integers(); err != nil {
				return err
			}
			if bounds[i] == nil {
				bounds[i] = []int64{}
			}
		}
		return sliced(out[0], in[0], bounds[0], bounds[1], bounds[2], bounds[3])
	}, n.settings().end()
}}

var concat = operator{since: 4, inputs: [2]int{1, -1}, outputs: 1, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	along := s.integer("axis", 0)
	return func(in, out []*value) error {
		rank := len(in[0].shape)
		at, err := axis(along, rank)
		if err != nil {
			return err
		}
		shape := append(out[0].shape[:0], in[0].shape...)
		for _, v := range in[1:] {
			if len(v.shape) != rank {
				return fmt.Errorf("shapes %v and %v do not fit together", in[0].shape, v.shape)
			}
			for d := range shape {
				if d != at && v.shape[d] != shape[d] {
					return fmt.Errorf("shapes %v and %v do not fit together", in[0].shape, v.shape)
				}
			}
			shape[at] += v.shape[at]
		}
		if err := makeLike(out[0], in[0], shape); err != nil {
			return err
		}
		start := int64(0)
		for _, v := range in {
			var l layout
			if err := steps(out[0].shape, &l.step); err != nil {
				return err
			}
			// Everything behind the axis lies together in both.
			l.start = start * l.step[at]
			l.rank = at + 1
			copy(l.size[:], v.shape[:at])
			l.size[at], l.step[at] = v.shape[at]*l.step[at], 1
			if err := put(out[0], v, &l); err != nil {
				return err
			}
			start += v.shape[at]
		}
		return nil
	}, s.end()
}}

func splitInto(out []*value, in *value, along int64, sizes []int64) error {
	at, err := axis(along, len(in.shape))
	if err != nil {
		return err
	}
	total := in.shape[at]
	if sizes != nil && len(sizes) != len(out) {
		return fmt.Errorf("%d sizes for %d outputs", len(sizes), len(out))
	}
	each := (total + int64(len(out)) - 1) / int64(len(out))
	start := int64(0)
	for i, v := range out {
		n := max(0, min(each, total-start))
		if sizes != nil {
			n = sizes[i]
		}
		if n < 0 || n > total-start {
			return fmt.Errorf("sizes %v do not add up to %d", sizes, total)
		}
		if v != nil {
			var l layout
			if err := steps(in.shape, &l.step); err != nil {
				return err
			}
			l.rank = len(in.shape)
			copy(l.size[:], in.shape)
			l.size[at], l.start = n, start*l.step[at]
			if err := take(v, in, &l, append(v.shape[:0], l.size[:l.rank]...)); err != nil {
				return err
			}
		}
		start += n
	}
	if start != total {
		return fmt.Errorf("sizes %v do not add up to %d", sizes, total)
	}
	return nil
}

var split2 = operator{since: 2, until: 12, inputs: [2]int{1, 1}, outputs: -1, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	along, sizes := s.integer("axis", 0), s.integers("split")
	return func(in, out []*value) error { return splitInto(out, in[0], along, sizes) }, s.end()
}}

var split13 = operator{since: 13, inputs: [2]int{1, 2}, outputs: -1, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	along := s.integer("axis", 0)
	s.ignore("num_outputs")
	return func(in, out []*value) error {
		var sizes []int64
		if in[1] != nil {
			var err error
			if sizes, err = in[1].integers(); err != nil {
				return err
			}
		}
		return splitInto(out, in[0], along, sizes)
	}, s.end()
}}

var pad2 = operator{since: 2, until: 10, inputs: [2]int{1, 1}, outputs: 1, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	pads, mode, fill := s.integers("pads"), s.text("mode", "constant"), &value{}
	share(fill, []float32{s.float("value", 0)})
	return func(in, out []*value) error { return padded(out[0], in[0], fill, mode, pads, nil) }, s.end()
}}

var pad11 = operator{since: 11, inputs: [2]int{2, 4}, outputs: 1, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	mode := s.text("mode", "constant")
	return func(in, out []*value) error {
		pads, err := in[1].integers()
		if err != nil {
			return err
		}
		var axes []int64
		if in[3] != nil {
			if axes, err = in[3].integers(); err != nil {
				return err
			}
		}
		return padded(out[0], in[0], in[2], mode, pads, axes)
	}, s.end()
}}

// padded adds elements around those of in. A negative pad takes some away.
func padded(out, in, fill *value, mode string, pads, axes []int64) error {
	rank := len(in.shape)
	var before, after [maxRank]int64
	if axes == nil {
		if len(pads) != 2*rank || rank > maxRank {
			return fmt.Errorf("%d pads do not fit %d dimensions", len(pads), rank)
		}
		copy(before[:], pads[:rank])
		copy(after[:], pads[rank:])
	} else {
		if len(pads) != 2*len(axes) || rank > maxRank {
			return fmt.Errorf("%d pads do not fit %d axes", len(pads), len(axes))
		}
		for i, a := range axes {
			at, err := axis(a, rank)
			if err != nil {
				return err
			}
			before[at], after[at] = pads[i], pads[len(axes)+i]
		}
	}
	shape := out.shape[:0]
	for i, d := range in.shape {
		if before[i] > math.MaxInt32 || after[i] > math.MaxInt32 || before[i] < -d || after[i] < -d || d+before[i]+after[i] < 0 {
			return fmt.Errorf("pads %v do not fit %v", pads, in.shape)
		}
		shape = append(shape, d+before[i]+after[i])
	}
	if mode != "constant" {
		return padWithin(out, in, mode, shape, &before)
	}
	none := &value{}
	if fill == nil || fill.count() == 0 {
		if err := zeroLike(none, in); err != nil {
			return err
		}
		fill = none
	}
	if fill.dtype() != in.dtype() {
		return errTypes
	}
	var all, from, to layout
	for _, d := range shape {
		if err := all.add(d, 0); err != nil {
			return err
		}
	}
	if err := take(out, fill, &all, shape); err != nil {
		return err
	}
	if err := steps(in.shape, &from.step); err != nil {
		return err
	}
	if err := steps(out.shape, &to.step); err != nil {
		return err
	}
	from.rank, to.rank = rank, rank
	for i, d := range in.shape {
		kept := d + min(0, before[i]) + min(0, after[i])
		from.size[i], to.size[i] = max(0, kept), max(0, kept)
		from.start += max(0, -before[i]) * from.step[i]
		to.start += max(0, before[i]) * to.step[i]
	}
	inner := &value{memory: out.memory}
	if err := take(inner, in, &from, append([]int64{}, from.size[:rank]...)); err != nil {
		return err
	}
	return put(out, inner, &to)
}

func zeroLike(v, like *value) error {
	v.memory = &memory{left: 64}
	if err := makeLike(v, like, nil); err != nil {
		return err
	}
	return nil
}

// padWithin takes the added elements from in itself.
func padWithin(out, in *value, mode string, shape []int64, before *[maxRank]int64) error {
	index := func(i, n int64) (int64, bool) {
		switch {
		case n <= 0:
			return 0, false
		case mode == "edge":
			return max(0, min(n-1, i)), true
		case mode == "wrap":
			return ((i % n) + n) % n, true
		case mode == "reflect":
			if n == 1 {
				return 0, true
			}
			period := 2 * (n - 1)
			if i = ((i % period) + period) % period; i >= n {
				i = period - i
			}
			return i, true
		}
		return 0, false
	}
	if mode != "edge" && mode != "wrap" && mode != "reflect" {
		return fmt.Errorf("its mode %q is not supported", mode)
	}
	// One dimension at a time, by gathering.
	from := in
	for d := range shape {
		if shape[d] == in.shape[d] && before[d] == 0 {
			continue
		}
		if err := out.memory.fits(shape[d], 8); err != nil {
			return err
		}
		at := make([]int64, shape[d])
		for i := range at {
			var ok bool
			if at[i], ok = index(int64(i)-before[d], in.shape[d]); !ok {
				return fmt.Errorf("an empty dimension cannot be padded")
			}
		}
		next := &value{memory: out.memory}
		if err := gathered(next, from, d, at, []int64{shape[d]}); err != nil {
			return err
		}
		from = next
	}
	return out.copy(from, from.shape)
}

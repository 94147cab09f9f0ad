package pure

// Resize: nearest, linear and cubic, one axis after another.

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// resizing says how a Resize finds elements.
type resizing struct {
	mode, coordinates, nearest string
	axes                       []int64 // nil for all
	a                          float64 // of cubic
	excludeOutside             bool
}

var (
	resize11 = operator{since: 11, until: 17, inputs: [2]int{1, 4}, outputs: 1, scratch: 2, prepare: resizeOf}
	resize18 = operator{since: 18, inputs: [2]int{1, 4}, outputs: 1, scratch: 2, prepare: resizeOf}
)

func resizeOf(n *node) (kernel, error) {
	s := n.settings()
	r := resizing{
		mode: s.text("mode", "nearest"), coordinates: s.text("coordinate_transformation_mode", "half_pixel"),
		nearest: s.text("nearest_mode", "round_prefer_floor"), axes: s.integers("axes"),
		a: float64(s.float("cubic_coeff_a", -0.75)), excludeOutside: s.integer("exclude_outside", 0) != 0,
	}
	s.ignore("extrapolation_value") // for tf_crop_and_resize only
	if s.integer("antialias", 0) != 0 {
		return nil, errors.New("its antialias is not supported")
	}
	if policy := s.text("keep_aspect_ratio_policy", "stretch"); policy != "stretch" {
		return nil, fmt.Errorf("its keep_aspect_ratio_policy %q is not supported", policy)
	}
	for _, known := range []struct {
		what, value string
		of          []string
	}{
		{"mode", r.mode, []string{"nearest", "linear", "cubic"}},
		{"coordinate_transformation_mode", r.coordinates, []string{"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"}},
		{"nearest_mode", r.nearest, []string{"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}},
	} {
		if !slices.Contains(known.of, known.value) {
			return nil, fmt.Errorf("its %s %q is not supported", known.what, known.value)
		}
	}
	return r.apply, s.end()
}

// taps say which input elements make up each element of an axis.
type taps struct {
	each    int // taps of an element
	index   []int64
	weights []float32
}

func (r *resizing) apply(in, out []*value) error {
	x := in[0]
	rank := len(x.shape)
	if rank > maxRank {
		return fmt.Errorf("too many dimensions: %d (limit %d)", rank, maxRank)
	}
	axes := r.axes
	if axes == nil {
		for i := range rank {
			axes = append(axes, int64(i))
		}
	}
	shape, scales := slices.Clone(x.shape), make([]float32, rank)
	sizes, requested, err := r.target(in, len(axes))
	if err != nil {
		return err
	}
	for k, a := range axes {
		at, err := axis(a, rank)
		if err != nil {
			return err
		}
		if sizes != nil {
			shape[at], scales[at] = sizes[k], float32(sizes[k])/float32(x.shape[at])
		} else {
			shape[at], scales[at] = int64(math.Floor(float64(x.shape[at])*float64(requested[k]))), requested[k]
		}
		if shape[at] < 0 || x.shape[at] < 1 || shape[at] > maxMemory {
			return fmt.Errorf("shape %v cannot become %v", x.shape, shape)
		}
	}
	var changed []int
	for at := range rank {
		if shape[at] != x.shape[at] || scales[at] != 0 && scales[at] != 1 {
			changed = append(changed, at)
		}
	}
	if len(changed) == 0 {
		return out[0].copy(x, x.shape)
	}
	from := x
	for i, at := range changed {
		to := out[1+i%2]
		if i == len(changed)-1 {
			to = out[0]
		}
		t, err := r.taps(to.memory, x.shape[at], shape[at], scales[at])
		if err != nil {
			return err
		}
		if r.mode == "nearest" {
			err = gathered(to, from, at, t.index, []int64{int64(len(t.index))})
		} else {
			err = t.along(to, from, at)
		}
		if err != nil {
			return err
		}
		from = to
	}
	return nil
}

// target returns the sizes of the axes after resizing, or their scales.
func (r *resizing) target(in []*value, axes int) (sizes []int64, scales []float32, err error) {
	if in[3] != nil && in[3].count() > 0 {
		if sizes, err = in[3].integers(); err == nil && len(sizes) != axes {
			err = fmt.Errorf("it has %d sizes for %d axes", len(sizes), axes)
		}
		return sizes, nil, err
	}
	if in[2] == nil {
		return nil, nil, errors.New("it has neither sizes nor scales")
	}
	scales, ok := of[float32](in[2])
	if !ok || len(scales) != axes {
		return nil, nil, fmt.Errorf("its scales %s%v do not fit %d axes", in[2].dtype(), in[2].shape, axes)
	}
	for _, s := range scales {
		if !(s > 0 && s < 1<<20) {
			return nil, nil, fmt.Errorf("its scales %v are invalid", scales)
		}
	}
	return nil, scales, nil
}

// place returns where an element of the resized axis lies on the original one.
func (r *resizing) place(i, have, want int64, scale float32) float32 {
	x := float32(i)
	switch r.coordinates {
	case "asymmetric":
		return x / scale
	case "align_corners":
		if want == 1 {
			return 0
		}
		return x * float32(have-1) / float32(want-1)
	case "pytorch_half_pixel":
		if want == 1 {
			return 0
		}
	case "half_pixel_symmetric":
		adjusted := float32(want) / (scale * float32(have))
		return float32(have)/2*(1-adjusted) + (x+0.5)/scale - 0.5
	}
	return (x+0.5)/scale - 0.5
}

func (r *resizing) taps(m *memory, have, want int64, scale float32) (taps, error) {
	t := taps{each: map[string]int{"nearest": 1, "linear": 2, "cubic": 4}[r.mode]}
	if err := m.fits(want, 12*t.each); err != nil {
		return t, err
	}
	t.index = make([]int64, 0, want*int64(t.each))
	if r.mode != "nearest" {
		t.weights = make([]float32, 0, want*int64(t.each))
	}
	inside := func(i int64) int64 { return max(0, min(have-1, i)) }
	for i := range want {
		at := float64(r.place(i, have, want, scale))
		switch r.mode {
		case "nearest":
			t.index = append(t.index, inside(int64(r.round(at))))
		case "linear":
			at = max(0, min(float64(have-1), at))
			first := int64(at)
			share := float32(at - float64(first))
			t.index = append(t.index, first, inside(first+1))
			t.weights = append(t.weights, 1-share, share)
		default:
			first := math.Floor(at)
			weights := r.cubic(at - first)
			total := 0.0
			for k := range weights {
				if n := int64(first) - 1 + int64(k); r.excludeOutside && (n < 0 || n >= have) {
					weights[k] = 0
				}
				total += weights[k]
			}
			for k, w := range weights {
				if r.excludeOutside {
					w /= total
				}
				t.index = append(t.index, inside(int64(first)-1+int64(k)))
				t.weights = append(t.weights, float32(w))
			}
		}
	}
	return t, nil
}

func (r *resizing) round(at float64) float64 {
	switch r.nearest {
	case "floor":
		return math.Floor(at)
	case "ceil":
		return math.Ceil(at)
	case "round_prefer_ceil":
		return math.Floor(at + 0.5)
	}
	return math.Ceil(at - 0.5)
}

func (r *resizing) cubic(s float64) [4]float64 {
	a := r.a
	far := func(x float64) float64 { return ((a*x-5*a)*x+8*a)*x - 4*a }
	near := func(x float64) float64 { return ((a+2)*x-(a+3))*x*x + 1 }
	return [4]float64{far(s + 1), near(s), near(1 - s), far(2 - s)}
}

// along computes each element of an axis from its taps.
func (t *taps) along(out, in *value, axis int) error {
	switch x := in.data.(type) {
	case *[]float32:
		return weigh(out, in, *x, axis, t)
	case *[]float64:
		return weigh(out, in, *x, axis, t)
	}
	return unsupported(in)
}

func weigh[T float](out, in *value, x []T, axis int, t *taps) error {
	wanted := len(t.index) / t.each
	shape := slices.Clone(in.shape)
	shape[axis] = int64(wanted)
	y, err := allocate[T](out, shape...)
	if err != nil || len(y) == 0 {
		return err
	}
	outer, have, inner := int(size(in.shape[:axis])), int(in.shape[axis]), int(size(in.shape[axis+1:]))
	for o := range outer {
		for i := range wanted {
			to := y[(o*wanted+i)*inner:][:inner]
			for k := range t.each {
				from := x[(o*have+int(t.index[i*t.each+k]))*inner:][:inner]
				w := T(t.weights[i*t.each+k])
				if k == 0 {
					for j, v := range from {
						to[j] = w * v
					}
					continue
				}
				for j, v := range from {
					to[j] += w * v
				}
			}
		}
	}
	return nil
}

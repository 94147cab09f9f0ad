package tensor

import (
	"fmt"
	"math"
	"reflect"
	"slices"
)

// Difference returns the largest difference between the elements of got and want. For one element it is
// |got-want| / max(1, |want|), which is absolute for probabilities and relative for large logits. Equal
// infinities and two NaNs do not differ. A NaN or an infinity differs from anything else by +Inf, and so
// do unequal strings or booleans. Difference fails if types or shapes differ.
func Difference(got, want Tensor) (float64, error) {
	if got.DType() != want.DType() || !slices.Equal(got.Shape, want.Shape) {
		return 0, fmt.Errorf("got %s%v, want %s%v", got.DType(), got.Shape, want.DType(), want.Shape)
	}
	if g, ok := got.Data.([]float32); ok { // the common case, without reflection
		w := want.Data.([]float32)
		worst := 0.0
		for i := range g {
			if g[i] != w[i] {
				worst = max(worst, scaled(float64(g[i]), float64(w[i])))
			}
		}
		return worst, nil
	}
	g, w := reflect.ValueOf(got.Data), reflect.ValueOf(want.Data)
	worst := 0.0
	for i := range g.Len() {
		a, okA := number(g.Index(i))
		b, okB := number(w.Index(i))
		switch {
		case okA && okB:
			worst = max(worst, scaled(a, b))
		case g.Index(i).Interface() != w.Index(i).Interface():
			worst = math.Inf(1)
		}
	}
	return worst, nil
}

func scaled(got, want float64) float64 {
	if got == want || (math.IsNaN(got) && math.IsNaN(want)) {
		return 0
	}
	d := math.Abs(got-want) / max(1, math.Abs(want))
	if math.IsNaN(d) {
		return math.Inf(1)
	}
	return d
}

func number(v reflect.Value) (float64, bool) {
	switch x := v.Interface().(type) {
	case Float16Bits:
		return x.Float64(), true
	case BFloat16Bits:
		return x.Float64(), true
	}
	switch {
	case v.CanInt():
		return float64(v.Int()), true
	case v.CanUint():
		return float64(v.Uint()), true
	case v.CanFloat():
		return v.Float(), true
	}
	return 0, false
}

// Float64 converts the number exactly.
func (h Float16Bits) Float64() float64 {
	sign := 1.0
	if h&0x8000 != 0 {
		sign = -1
	}
	exp, frac := int(h>>10&0x1f), float64(h&0x3ff)
	switch exp {
	case 0:
		return sign * math.Ldexp(frac, -24)
	case 31:
		if frac != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	}
	return sign * math.Ldexp(1024+frac, exp-25)
}

// Float64 converts the number exactly.
func (b BFloat16Bits) Float64() float64 { return float64(math.Float32frombits(uint32(b) << 16)) }

// Floats returns a copy of the tensor's numbers as float64, in order. It fails for strings and booleans.
func (t Tensor) Floats() ([]float64, error) {
	out := make([]float64, t.Len())
	switch data := t.Data.(type) { // the types of most models, without reflection
	case []float32:
		for i, x := range data {
			out[i] = float64(x)
		}
		return out, nil
	case []float64:
		copy(out, data)
		return out, nil
	}
	v := reflect.ValueOf(t.Data)
	for i := range out {
		x, ok := number(v.Index(i))
		if !ok {
			return nil, fmt.Errorf("tensor is %s, not numbers", t.DType())
		}
		out[i] = x
	}
	return out, nil
}

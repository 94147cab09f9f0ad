package tensor_test

import (
	"math"
	"testing"

	"github.com/forgo-ml/forgo/predict/tensor"
)

func TestEveryHalfSurvives(t *testing.T) {
	for bits := range 1 << 16 {
		h, b := tensor.Float16Bits(bits), tensor.BFloat16Bits(bits)
		if x := h.Float64(); x == x && tensor.ToFloat16(x) != h {
			t.Errorf("float16 %#x is %v and comes back as %#x", bits, x, tensor.ToFloat16(x))
		}
		if wide, want := h.Float32(), float32(h.Float64()); wide != want && want == want || math.Signbit(float64(wide)) != (bits>>15 == 1) {
			t.Errorf("float16 %#x is %v as float32, want %v", bits, wide, want)
		}
		if x := b.Float64(); x == x && tensor.ToBFloat16(x) != b {
			t.Errorf("bfloat16 %#x is %v and comes back as %#x", bits, x, tensor.ToBFloat16(x))
		}
	}
}

func TestHalfRoundsOnceAndToEven(t *testing.T) {
	for _, c := range []struct {
		x    float64
		want tensor.Float16Bits // as numpy.float16 has it
	}{
		{0.1, 0x2e66},
		{1 + 1.0/2048, 0x3c00},
		{1 + 3.0/2048, 0x3c02},
		{1 + 1.0/2048 + 1e-12, 0x3c01},
		{65519.999, 0x7bff},
		{65520, 0x7c00},
		{-1e300, 0xfc00},
		{math.Inf(-1), 0xfc00},
		{math.Ldexp(1, -25), 0},
		{math.Ldexp(1.0000001, -25), 1},
		{-math.Ldexp(1, -24), 0x8001},
		{6.0975e-05, 0x03ff},
		{6.1034e-05, 0x0400},
		{math.Copysign(0, -1), 0x8000},
		{5e-324, 0},
	} {
		if got := tensor.ToFloat16(c.x); got != c.want {
			t.Errorf("%v: %#x, want %#x", c.x, got, c.want)
		}
	}
	if got := tensor.ToBFloat16(3.4e38); got != 0x7f80 { // above the largest by more than half a step
		t.Errorf("3.4e38: %#x", got)
	}
	if got := tensor.ToFloat16(math.NaN()).Float64(); got == got {
		t.Errorf("NaN became %v", got)
	}
}

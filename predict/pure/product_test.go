package pure

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Vectors give what plain Go gives, whatever is left behind the last whole one, and write nowhere else.
func TestProduct(t *testing.T) {
	if !hasVectors {
		t.Skip("this processor has no vectors that are used")
	}
	rng := rand.New(rand.NewPCG(3, 4))
	fill := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		return x
	}
	for _, m := range []int{1, 2, 3, 4, 5, 8, 11} {
		for _, k := range []int{1, 2, 3, 7, 16, 65} {
			for n := 1; n <= 70; n++ {
				const guard = 8
				a, b, start := fill(m*k), fill(k*n), fill(m*n+2*guard)
				got, want := append([]float32{}, start...), append([]float32{}, start...)
				product(got[guard:guard+m*n], a, b, m, k, n)
				multiplied(want[guard:guard+m*n], a, b, m, k, n)
				for i := range got {
					if far := math.Abs(float64(got[i] - want[i])); far > 1e-6*math.Sqrt(float64(k))*8 {
						t.Fatalf("%d x %d x %d: element %d is %v, want %v", m, k, n, i-guard, got[i], want[i])
					}
					if (i < guard || i >= guard+m*n) && got[i] != start[i] {
						t.Fatalf("%d x %d x %d: wrote at %d", m, k, n, i-guard)
					}
				}
			}
		}
	}
}

func TestRectify(t *testing.T) {
	const guard = 8
	some := []float32{-1, 0, 2, float32(math.Copysign(0, -1)), float32(math.NaN()), -float32(math.NaN()), float32(math.Inf(-1)), float32(math.Inf(1)), -1e-45, 1e-45, -3}
	for n := range 70 {
		for first := range some { // each at every place, at an address of any alignment
			x := make([]float32, n+2*guard)
			for i := range x {
				x[i] = some[(first+i)%len(some)]
			}
			got, want := slices.Clone(x), slices.Clone(x)
			relu32(got[guard:guard+n], got[guard:guard+n])
			relu(want[guard:guard+n], want[guard:guard+n])
			for i := range got {
				if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
					t.Fatalf("%d elements, %d of %v: got %v, want %v", n, i-guard, x[i], got[i], want[i])
				}
			}
		}
	}
}

func BenchmarkRelu(b *testing.B) {
	rng := rand.New(rand.NewPCG(3, 4))
	x, y := make([]float32, 4096), make([]float32, 4096)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	b.Run("vectors", func(b *testing.B) {
		for b.Loop() {
			relu32(y, x)
		}
	})
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			relu(y, x)
		}
	})
}

func BenchmarkProduct(b *testing.B) {
	m, k, n := 32, 288, 256
	x, y, z := make([]float32, m*k), make([]float32, k*n), make([]float32, m*n)
	b.Run("vectors", func(b *testing.B) {
		for b.Loop() {
			product(z, x, y, m, k, n)
		}
	})
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			multiplied(z, x, y, m, k, n)
		}
	})
}

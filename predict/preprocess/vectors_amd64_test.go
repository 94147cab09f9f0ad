package preprocess

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/forgo-ml/forgo/internal/racetest"
)

// plainly runs f without vectors.
func plainly(f func()) {
	hasVectors = false
	defer func() { hasVectors = true }()
	f()
}

func needVectors(t *testing.T) {
	t.Helper()
	if !hasVectors {
		t.Skip("this processor has no vectors that are used")
	}
}

func noise(random *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// Vectors give what plain Go gives for pictures of any width, whatever is left behind the last whole vector.
func TestVectorsPrepareAlike(t *testing.T) {
	needVectors(t)
	random := rand.New(rand.NewPCG(5, 6))
	for resize := range filters {
		for try := range racetest.Some(150, 20) {
			size := func(most int) int { return 1 + random.IntN(most) }
			r := Rules{Height: size(40), Width: size(40), Channels: 1 + 2*random.IntN(2), Resize: resize, Fit: []string{"stretch", "crop", "pad"}[random.IntN(3)]}
			width, height := size(70), size(70)
			if try%10 == 0 {
				height *= 9 // rows first
			}
			pix := noise(random, 3*width*height)
			k, err := New(r)
			if err != nil {
				t.Fatal(err)
			}
			got, err := k.Run(t.Context(), pix, width, height)
			if err != nil {
				t.Fatal(err)
			}
			var want []float32
			plainly(func() { want, err = k.Run(t.Context(), pix, width, height) })
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%+v of %d x %d pixels: %v with vectors, %v without", r, width, height, got, want)
			}
		}
	}
}

// Sums of any weights wrap as they do in plain Go, and nothing is written beside what is asked for.
func TestVectorSums(t *testing.T) {
	needVectors(t)
	random := rand.New(rand.NewPCG(7, 8))
	const guard = 16
	weights := func(n int) []int32 {
		w := make([]int32, n)
		for i := range w {
			w[i] = int32(random.Uint32()) >> random.IntN(12)
		}
		return w
	}
	for n := 8; n <= 80; n++ {
		for count := 1; count <= 9; count++ {
			stride := n + random.IntN(9)
			pix, w := noise(random, stride*count), weights(count)
			start := noise(random, n+2*guard)
			got, want := bytes.Clone(start), bytes.Clone(start)
			vectorDown(got[guard:guard+n], pix, stride, w)
			plainDown(want[guard:guard+n], pix, stride, w)
			if !bytes.Equal(got, want) {
				t.Fatalf("%d sums of %d rows: %v, want %v", n, count, got, want)
			}
			floats := make([]float32, n+guard)
			vectorFloats(floats[:n], pix[:n])
			for i, v := range floats {
				if i < n && v != float32(pix[i]) || i >= n && v != 0 {
					t.Fatalf("float %d of %d is %v", i, n, v)
				}
			}
		}
	}
	for n := range 80 { // any number of samples, and nothing beside them
		row := noise(random, n+guard)
		got, weight := make([]float32, n+guard), random.Float32()-0.5
		for i := range got {
			got[i] = random.Float32() * 1000
		}
		want := slices.Clone(got)
		addRow(got[:n], row[:n], weight)
		plainly(func() { addRow(want[:n], row[:n], weight) })
		if !slices.Equal(got, want) {
			t.Fatalf("%d samples added: %v, want %v", n, got, want)
		}
	}
	for _, channels := range []int{1, 3} {
		for range 300 {
			pixels, wanted := 8+random.IntN(60), 8+random.IntN(30)
			along := taps[int32]{}
			for range wanted {
				n := random.IntN(min(pixels, 7) + 1)
				from := random.IntN(pixels - n + 1)
				for i, w := range weights(n) {
					along.add(from+i, w)
				}
				along.end()
			}
			a := newAcross(&along, channels)
			if min(a.taken, a.width) < together {
				continue
			}
			stride := pixels * channels
			pix := noise(random, together*stride)
			a.begin(together, newScratch(a.memory()))
			a.both = make([]uint64, a.taken)
			start := noise(random, together*a.width+2*guard)
			got, want := bytes.Clone(start), bytes.Clone(start)
			a.eight(got[guard:guard+together*a.width], pix, stride)
			for y := 0; y < together; y += 2 {
				row := func(y int) []byte { return want[guard+y*a.width:][:a.width] }
				a.pair(row(y), row(y+1), pix[y*stride:][:stride], pix[(y+1)*stride:][:stride])
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("%d pixels of %d with %d channels: %v, want %v", wanted, pixels, channels, got, want)
			}
		}
	}
}

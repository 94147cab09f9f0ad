package jpeg

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
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
		if random.IntN(4) == 0 {
			b[i] = byte(-random.IntN(2)) // the ends of the range
		}
	}
	return b
}

// guard is how many bytes lie on either side of those that may be written.
const guard = 32

// alike runs both on equal memory of n bytes between guards, which neither may touch.
func alike(t *testing.T, random *rand.Rand, n int, vectors, plain func(out []byte)) {
	t.Helper()
	start := noise(random, n+2*guard)
	got, want := bytes.Clone(start), bytes.Clone(start)
	vectors(got[guard : guard+n])
	plainly(func() { plain(want[guard : guard+n]) })
	if !bytes.Equal(got, want) {
		t.Fatalf("%d bytes: vectors give %v, plain Go %v", n, got, want)
	}
}

// coefficients fills a block, with as many as zigzag order has up to last, so that their sum is at most as large.
func coefficients(random *rand.Rand, b *block, last int, most int32) {
	*b = block{last: last}
	for k := 0; k <= last; k++ {
		if random.IntN(3) == 0 && k < last {
			continue
		}
		place := natural[k] & 63
		size := most - b.sum
		if random.IntN(8) > 0 {
			size = min(size, 1<<random.IntN(13))
		}
		b.c[place] = int16(random.IntN(int(2*size+1)) - int(size))
		b.sum += abs(b.c[place])
		b.rows = b.rows || place >= 8
	}
}

// The transform with vectors is the one in plain Go up to the largest sums that are safe, and blocks with larger ones
// don't come to it.
func TestVectorInverse(t *testing.T) {
	needVectors(t)
	random := rand.New(rand.NewPCG(1, 1))
	var b block
	for try := range 100_000 {
		coefficients(random, &b, random.IntN(64), safeSum)
		stride := 8 + random.IntN(9)
		alike(t, random, 7*stride+8, func(out []byte) { b.vectorInverse(out, stride) }, func(out []byte) { b.inverseFull(out, stride) })
		if try%4 == 0 {
			coefficients(random, &b, random.IntN(64), 1<<15-1)
			alike(t, random, 7*stride+8, func(out []byte) { b.inverse(out, stride) }, func(out []byte) { b.inverse(out, stride) })
		}
	}
	for place := range 64 { // one coefficient, as large as is safe
		for _, v := range []int16{safeSum, -safeSum} {
			b = block{last: 63, sum: safeSum, rows: true}
			b.c[place] = v
			alike(t, random, 64, func(out []byte) { b.inverse(out, 8) }, func(out []byte) { b.inverseFull(out, 8) })
			alike(t, random, 64, func(out []byte) { b.inverse(out, 8) }, func(out []byte) { b.inverseWrapping(out, 8) })
		}
	}
}

// Rows of any length, whatever is left behind the last whole vector, become what plain Go makes of them.
func TestVectorRows(t *testing.T) {
	needVectors(t)
	random := rand.New(rand.NewPCG(2, 2))
	for n := 1; n <= 150; n++ {
		for range 20 {
			near, far, third := noise(random, n), noise(random, n), noise(random, n)
			alike(t, random, 2*n, func(out []byte) { doubleBoth(near, far, out) }, func(out []byte) { doubleBoth(near, far, out) })
			alike(t, random, 2*n, func(out []byte) { doubleWidth(near, out) }, func(out []byte) { doubleWidth(near, out) })
			alike(t, random, 3*n, func(out []byte) { yCbCrRow(near, far, third, out) }, func(out []byte) { yCbCrRow(near, far, third, out) })
		}
	}
}

// Every colour is what plain Go makes of it.
func TestVectorColours(t *testing.T) {
	needVectors(t)
	if testing.Short() {
		t.Skip("16 million colours")
	}
	random := rand.New(rand.NewPCG(3, 3))
	luma, cb, cr := make([]byte, 1<<16), make([]byte, 1<<16), make([]byte, 1<<16)
	for y := range 256 {
		for i := range luma {
			luma[i], cb[i], cr[i] = byte(y), byte(i), byte(i>>8)
		}
		alike(t, random, 3*len(luma), func(out []byte) { yCbCrRow(luma, cb, cr, out) }, func(out []byte) { yCbCrRow(luma, cb, cr, out) })
	}
}

// The corpus, damaged files among it, decodes to the same pixels.
func TestVectorsDecodeAlike(t *testing.T) {
	needVectors(t)
	files, _ := filepath.Glob("../../../conformance/pictures/*.jpg")
	decoded := 0
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Parse(data, 1<<22)
		if err != nil {
			continue
		}
		got, err := f.Decode(t.Context())
		plainly(func() {
			want, plain := f.Decode(t.Context())
			if !bytes.Equal(got, want) || (err == nil) != (plain == nil) {
				t.Errorf("%s: other pixels with vectors (%v, %v)", name, err, plain)
			}
		})
		decoded++
	}
	if decoded < 50 {
		t.Errorf("%d pictures are no corpus", decoded)
	}
}

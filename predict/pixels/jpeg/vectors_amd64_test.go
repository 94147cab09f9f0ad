package jpeg

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
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
		if random.IntN(4) == 0 {
			b[i] = byte(-random.IntN(2)) // the ends of the range
		}
	}
	return b
}

// guard is the number of guard bytes on each side of the bytes that may be written.
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

// coefficients fills a block with raw ones, as many as zigzag order has up to last. Multiplied, their sum is near most,
// or above.
func coefficients(random *rand.Rand, c, quant *[64]int16, last int, most int32) {
	*c = [64]int16{}
	sum := int32(0)
	for k := 0; k <= last; k++ {
		if random.IntN(3) == 0 && k < last {
			continue
		}
		place := natural[k] & 63
		size := max(most-sum, 0) / max(abs(quant[place]), 1)
		if random.IntN(8) > 0 {
			size = min(size, 1<<random.IntN(13))
		}
		c[place] = int16(random.IntN(int(2*size+1)) - int(size))
		if random.IntN(64) == 0 {
			c[place] = int16(random.Uint32())
		}
		sum += abs(c[place] * quant[place])
	}
}

// Blocks of any coefficients become what plain Go makes of them, up to the largest sums that are safe and above.
func TestVectorInverse(t *testing.T) {
	needVectors(t)
	random := rand.New(rand.NewPCG(1, 1))
	p, b, safe := plane{}, block{}, 0
	count := racetest.Some(200_000, 20_000)
	for try := range count {
		for k := range p.quant {
			p.quant[k] = int16(1 + random.IntN(1<<random.IntN(8)))
			if try%32 == 0 {
				p.quant[k] = int16(random.Uint32())
			}
		}
		var c [64]int16
		last := random.IntN(64)
		coefficients(random, &c, &p.quant, last, []int32{500, safeSum, safeSum + 10, 1<<15 - 1}[try%4])
		p.stride = 8 + random.IntN(9)
		b.load(&c, &p.quant, last)
		done := false
		alike(t, random, 7*p.stride+8, func(out []byte) {
			p.inverse(&b, &c, last, out)
			done = vectorInverse(make([]byte, 64), 8, &c, &p.quant)
		}, func(out []byte) { p.inverse(&b, &c, last, out) })
		if done != (b.sum <= safeSum) {
			t.Fatalf("a sum of %d: with vectors %v", b.sum, done)
		}
		if done {
			safe++
		}
	}
	if safe < count/4 || safe > count*3/4 {
		t.Errorf("%d blocks of %d are safe", safe, count)
	}
	for k := range 64 { // one coefficient, as large as is safe, is transformed alike in all ways
		for _, v := range []int16{safeSum, -safeSum} {
			c := [64]int16{}
			p.quant, p.stride = [64]int16{}, 8
			c[natural[k]], p.quant[natural[k]] = v, 1
			b.load(&c, &p.quant, 63)
			alike(t, random, 64, func(out []byte) { p.inverse(&b, &c, 63, out) }, func(out []byte) { b.inverseFull(out, 8) })
			alike(t, random, 64, func(out []byte) { p.inverse(&b, &c, 63, out) }, func(out []byte) { b.inverseWrapping(out, 8) })
		}
	}
}

// Rows of any length, whatever is left behind the last whole vector, become what plain Go makes of them.
func TestVectorRows(t *testing.T) {
	needVectors(t)
	random := rand.New(rand.NewPCG(2, 2))
	for n := 1; n <= 600; n += 1 + n/100 {
		for range 20 {
			near, far, third := noise(random, n), noise(random, n), noise(random, n)
			alike(t, random, 2*n, func(out []byte) { doubleBoth(near, far, out) }, func(out []byte) { doubleBoth(near, far, out) })
			alike(t, random, 2*n, func(out []byte) { doubleWidth(near, out) }, func(out []byte) { doubleWidth(near, out) })
			alike(t, random, 3*n, func(out []byte) { greyRow(near, out) }, func(out []byte) { greyRow(near, out) })
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
	for y := range racetest.Some(256, 4) {
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

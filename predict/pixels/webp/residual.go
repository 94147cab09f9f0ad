package webp

var (
	bands  = [17]uint8{0, 1, 2, 3, 6, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7, 0}
	zigzag = [16]uint8{0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15}
	// categories hold the probabilities of the additional bits of large values.
	categories = [4][]uint8{
		{173, 148, 140},
		{176, 155, 140, 135},
		{180, 157, 141, 134, 130},
		{254, 254, 243, 230, 196, 177, 153, 140, 133, 130, 129},
	}
)

// Types of blocks, which select the probabilities.
const (
	lumaWithoutDC = iota
	lumaDC
	chroma
	lumaWhole
)

// readBlock reads a block's coefficients from the n-th on, and returns one more than the place of the last
// that isn't 0, or n.
func (d *lossy) readBlock(r *boolReader, kind, context int, q *[2]int32, n int, out []int16) int {
	probabilities := &d.probabilities[kind]
	p := &probabilities[bands[n]][context]
	for ; n < 16; n++ {
		if !r.bit(p[0]) {
			return n
		}
		for !r.bit(p[1]) {
			n++
			if n == 16 {
				return 16
			}
			p = &probabilities[bands[n]][0]
		}
		next := &probabilities[bands[n+1]]
		v := 1
		if r.bit(p[2]) {
			v = readLarge(r, p)
			p = &next[2]
		} else {
			p = &next[1]
		}
		if r.flag() {
			v = -v
		}
		out[zigzag[n]] = int16(int32(v) * q[min(n, 1)])
	}
	return 16
}

func readLarge(r *boolReader, p *[11]uint8) int {
	if !r.bit(p[3]) {
		if !r.bit(p[4]) {
			return 2
		}
		return 3 + r.one(p[5])
	}
	if !r.bit(p[6]) {
		if !r.bit(p[7]) {
			return 5 + r.one(159)
		}
		v := 7 + 2*r.one(165)
		return v + r.one(145)
	}
	category := 2 * r.one(p[8])
	category += r.one(p[9+category/2])
	v := 0
	for _, p := range categories[category] {
		v = v<<1 | r.one(p)
	}
	return v + 3 + 8<<category
}

// need returns what inverting a block takes: 0 nothing, 1 its DC, 2 its first three coefficients, 3 all of
// them.
func need(last int, dc int16) uint32 {
	switch {
	case last > 3:
		return 3
	case last > 1:
		return 2
	case dc != 0:
		return 1
	}
	return 0
}

// readCoefficients reads a macroblock's coefficients and reports whether it has any.
func (d *lossy) readCoefficients(r *boolReader, b *block, above *column) bool {
	clear(d.coefficients[:])
	q := &d.dequantizers[b.segment]
	kind, first := lumaWhole, 0
	out := d.coefficients[:]
	if !b.fine {
		kind, first = lumaWithoutDC, 1
		var dc [16]int16
		n := d.readBlock(r, lumaDC, int(above.nonzeroDC+d.left.nonzeroDC), &q.y2, 0, dc[:])
		above.nonzeroDC = uint8(min(n, 1))
		d.left.nonzeroDC = above.nonzeroDC
		if n > 1 {
			spreadDC(&dc, &d.coefficients)
		} else {
			for i := 0; i < 256; i += 16 {
				out[i] = int16((int32(dc[0]) + 3) >> 3)
			}
		}
	}
	top, left := above.nonzero, d.left.nonzero
	var nextTop, nextLeft uint8
	d.nonzeroY, d.nonzeroC = 0, 0
	read := func(kind, n, first int, shift uint8, q *[2]int32) (needs uint32) {
		t, l := top>>shift, left>>shift
		for y := range n {
			for x := range n {
				last := d.readBlock(r, kind, int(t>>x&1+l>>y&1), q, first, out)
				some := uint8(0)
				if last > first {
					some = 1
				}
				t = t&^(1<<x) | some<<x
				l = l&^(1<<y) | some<<y
				needs = needs<<2 | need(last, out[0])
				out = out[16:]
			}
		}
		mask := uint8(1<<n - 1)
		nextTop |= t & mask << shift
		nextLeft |= l & mask << shift
		return needs
	}
	d.nonzeroY = read(kind, 4, first, 0, &q.y1)
	d.nonzeroC = read(chroma, 2, 0, 4, &q.uv)
	d.nonzeroC |= read(chroma, 2, 0, 6, &q.uv) << 8
	above.nonzero, d.left.nonzero = nextTop, nextLeft
	return d.nonzeroY|d.nonzeroC != 0
}

// spreadDC inverts the transform of the luma blocks' DCs into those blocks.
func spreadDC(dc *[16]int16, out *[384]int16) {
	var t [16]int32
	for i := range 4 {
		a0, a1 := int32(dc[i])+int32(dc[12+i]), int32(dc[4+i])+int32(dc[8+i])
		a2, a3 := int32(dc[4+i])-int32(dc[8+i]), int32(dc[i])-int32(dc[12+i])
		t[i], t[8+i], t[4+i], t[12+i] = a0+a1, a0-a1, a3+a2, a3-a2
	}
	for i := range 4 {
		first := t[4*i] + 3
		a0, a1 := first+t[4*i+3], t[4*i+1]+t[4*i+2]
		a2, a3 := t[4*i+1]-t[4*i+2], first-t[4*i+3]
		o := out[64*i:]
		o[0], o[16], o[32], o[48] = int16((a0+a1)>>3), int16((a3+a2)>>3), int16((a0-a1)>>3), int16((a3-a2)>>3)
	}
}

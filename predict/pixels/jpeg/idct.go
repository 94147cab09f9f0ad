package jpeg

// Constants of the accurate integer transform (jidctint), times 2^13.
const (
	f0298 = 2446
	f0390 = 3196
	f0541 = 4433
	f0765 = 6270
	f0899 = 7373
	f1175 = 9633
	f1501 = 12299
	f1847 = 15137
	f1961 = 16069
	f2053 = 16819
	f2562 = 20995
	f3072 = 25172
)

// safeSum is a sum of absolute coefficients up to which no step of the transform leaves 16 bits: a
// column's first pass gives at most 4 × 1.39 times its sum, and the second adds two of them.
const safeSum = 5800

// block is one block of dequantized coefficients in natural order.
type block struct {
	c   [64]int16
	sum int32 // of absolute values, or more
	// last is the highest place in zigzag order that may hold a coefficient.
	last int
	// rows tells whether the file holds a coefficient below the first row, be it 0 when dequantized.
	rows bool
}

// load takes raw coefficients, none of them behind last, and multiplies them.
func (b *block) load(c, quant *[64]int16, last int) {
	*b = block{}
	places := uint8(0)
	for k := range last + 1 {
		place := natural[k&63] & 63
		if v := c[place]; v != 0 {
			v *= quant[place]
			b.c[place] = v
			b.sum += abs(v)
			places |= place
			b.last = k
		}
	}
	b.rows = places >= 8
}

// inverse transforms b into 8 × 8 samples at dst.
func (b *block) inverse(dst []byte, stride int) {
	switch {
	case b.sum > safeSum:
		b.inverseWrapping(dst, stride)
	case b.last == 0:
		v := clampByte((int32(b.c[0])+4)>>3 + 128)
		for y := range 8 {
			row := (*[8]byte)(dst[y*stride:])
			*row = [8]byte{v, v, v, v, v, v, v, v}
		}
	case b.last <= 9:
		b.inverseCorner(dst, stride)
	default:
		b.inverseFull(dst, stride)
	}
}

func clampByte(v int32) byte {
	if uint32(v) > 255 {
		return byte(^(v >> 31))
	}
	return byte(v)
}

func (b *block) inverseFull(dst []byte, stride int) {
	var ws [64]int32
	c := &b.c
	for i := range 8 {
		c1, c2, c3, c4, c5, c6, c7 := int32(c[8+i]), int32(c[16+i]), int32(c[24+i]), int32(c[32+i]), int32(c[40+i]), int32(c[48+i]), int32(c[56+i])
		c0 := int32(c[i])
		if c1|c2|c3|c4|c5|c6|c7 == 0 {
			v := c0 << 2
			ws[i], ws[8+i], ws[16+i], ws[24+i], ws[32+i], ws[40+i], ws[48+i], ws[56+i] = v, v, v, v, v, v, v, v
			continue
		}
		z1 := (c2 + c6) * f0541
		t2, t3 := z1-c6*f1847, z1+c2*f0765
		t0, t1 := (c0+c4)<<13+1<<10, (c0-c4)<<13+1<<10
		e0, e3, e1, e2 := t0+t3, t0-t3, t1+t2, t1-t2

		z1, z2, z3, z4 := c7+c1, c5+c3, c7+c3, c5+c1
		z5 := (z3 + z4) * f1175
		z1, z2, z3, z4 = -z1*f0899, -z2*f2562, z5-z3*f1961, z5-z4*f0390
		o0, o1, o2, o3 := c7*f0298+z1+z3, c5*f2053+z2+z4, c3*f3072+z2+z3, c1*f1501+z1+z4

		ws[i], ws[56+i] = (e0+o3)>>11, (e0-o3)>>11
		ws[8+i], ws[48+i] = (e1+o2)>>11, (e1-o2)>>11
		ws[16+i], ws[40+i] = (e2+o1)>>11, (e2-o1)>>11
		ws[24+i], ws[32+i] = (e3+o0)>>11, (e3-o0)>>11
	}
	for y := range 8 {
		w := (*[8]int32)(ws[8*y:])
		row := (*[8]byte)(dst[y*stride:])
		c0, c1, c2, c3, c4, c5, c6, c7 := w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]
		z1 := (c2 + c6) * f0541
		t2, t3 := z1-c6*f1847, z1+c2*f0765
		t0, t1 := (c0+c4)<<13+center, (c0-c4)<<13+center
		e0, e3, e1, e2 := t0+t3, t0-t3, t1+t2, t1-t2

		z1, z2, z3, z4 := c7+c1, c5+c3, c7+c3, c5+c1
		z5 := (z3 + z4) * f1175
		z1, z2, z3, z4 = -z1*f0899, -z2*f2562, z5-z3*f1961, z5-z4*f0390
		o0, o1, o2, o3 := c7*f0298+z1+z3, c5*f2053+z2+z4, c3*f3072+z2+z3, c1*f1501+z1+z4

		row[0], row[7] = clampByte((e0+o3)>>18), clampByte((e0-o3)>>18)
		row[1], row[6] = clampByte((e1+o2)>>18), clampByte((e1-o2)>>18)
		row[2], row[5] = clampByte((e2+o1)>>18), clampByte((e2-o1)>>18)
		row[3], row[4] = clampByte((e3+o0)>>18), clampByte((e3-o0)>>18)
	}
}

// center brings rounding and the level shift of 128 into the second pass.
const center = 1<<17 + 128<<18

// inverseCorner is inverseFull for blocks whose coefficients are in the first four rows and columns.
func (b *block) inverseCorner(dst []byte, stride int) {
	var ws [32]int32 // eight rows of four
	c := &b.c
	for i := range 4 {
		c0, c1, c2, c3 := int32(c[i]), int32(c[8+i]), int32(c[16+i]), int32(c[24+i])
		if c1|c2|c3 == 0 {
			v := c0 << 2
			ws[i], ws[4+i], ws[8+i], ws[12+i], ws[16+i], ws[20+i], ws[24+i], ws[28+i] = v, v, v, v, v, v, v, v
			continue
		}
		t2, t3 := c2*f0541, c2*(f0541+f0765)
		t0 := c0<<13 + 1<<10
		e0, e3, e1, e2 := t0+t3, t0-t3, t0+t2, t0-t2

		z5 := (c3 + c1) * f1175
		z3, z4 := z5-c3*f1961, z5-c1*f0390
		o0, o1, o2, o3 := z3-c1*f0899, z4-c3*f2562, c3*(f3072-f2562)+z3, c1*(f1501-f0899)+z4

		ws[i], ws[28+i] = (e0+o3)>>11, (e0-o3)>>11
		ws[4+i], ws[24+i] = (e1+o2)>>11, (e1-o2)>>11
		ws[8+i], ws[20+i] = (e2+o1)>>11, (e2-o1)>>11
		ws[12+i], ws[16+i] = (e3+o0)>>11, (e3-o0)>>11
	}
	for y := range 8 {
		w := (*[4]int32)(ws[4*y:])
		row := (*[8]byte)(dst[y*stride:])
		c0, c1, c2, c3 := w[0], w[1], w[2], w[3]
		t2, t3 := c2*f0541, c2*(f0541+f0765)
		t0 := c0<<13 + center
		e0, e3, e1, e2 := t0+t3, t0-t3, t0+t2, t0-t2

		z5 := (c3 + c1) * f1175
		z3, z4 := z5-c3*f1961, z5-c1*f0390
		o0, o1, o2, o3 := z3-c1*f0899, z4-c3*f2562, c3*(f3072-f2562)+z3, c1*(f1501-f0899)+z4

		row[0], row[7] = clampByte((e0+o3)>>18), clampByte((e0-o3)>>18)
		row[1], row[6] = clampByte((e1+o2)>>18), clampByte((e1-o2)>>18)
		row[2], row[5] = clampByte((e2+o1)>>18), clampByte((e2-o1)>>18)
		row[3], row[4] = clampByte((e3+o0)>>18), clampByte((e3-o0)>>18)
	}
}

// inverseWrapping is the transform with the 16-bit sums, the 32-bit products and the saturation of
// libjpeg-turbo's vector code on x86-64. Only coefficients that no encoder writes tell it from
// inverseFull.
func (b *block) inverseWrapping(dst []byte, stride int) {
	var ws [64]int16
	if b.rows {
		for i := range 8 {
			var in, out [8]int16
			for k := range in {
				in[k] = b.c[8*k+i]
			}
			wrappingPass(&in, &out, 11)
			for k := range out {
				ws[8*k+i] = out[k]
			}
		}
	} else {
		for i := range 8 {
			for k := range 8 {
				ws[8*k+i] = b.c[i] << 2
			}
		}
	}
	for y := range 8 {
		var out [8]int16
		wrappingPass((*[8]int16)(ws[8*y:]), &out, 18)
		for x, v := range out {
			dst[y*stride+x] = byte(max(-128, min(127, v)) + 128)
		}
	}
}

func wrappingPass(c, out *[8]int16, shift uint) {
	t3 := int32(c[2])*(f0541+f0765) + int32(c[6])*f0541
	t2 := int32(c[2])*f0541 + int32(c[6])*(f0541-f1847)
	t0, t1 := int32(c[0]+c[4])<<13, int32(c[0]-c[4])<<13
	e0, e3, e1, e2 := t0+t3, t0-t3, t1+t2, t1-t2

	z3, z4 := int32(c[7]+c[3]), int32(c[5]+c[1])
	z3, z4 = z3*(f1175-f1961)+z4*f1175, z3*f1175+z4*(f1175-f0390)
	o0 := int32(c[7])*(f0298-f0899) - int32(c[1])*f0899 + z3
	o1 := int32(c[5])*(f2053-f2562) - int32(c[3])*f2562 + z4
	o2 := int32(c[3])*(f3072-f2562) - int32(c[5])*f2562 + z3
	o3 := int32(c[1])*(f1501-f0899) - int32(c[7])*f0899 + z4

	round := int32(1) << (shift - 1)
	for i, v := range [8]int32{e0 + o3, e1 + o2, e2 + o1, e3 + o0, e3 - o0, e2 - o1, e1 - o2, e0 - o3} {
		out[i] = int16(max(-1<<15, min(1<<15-1, (v+round)>>shift)))
	}
}

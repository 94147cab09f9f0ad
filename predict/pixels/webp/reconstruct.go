package webp

// A macroblock is predicted in a workspace that includes the surrounding samples: luma from the sample at
// origin and, below it, the two chroma planes side by side.
const (
	stride  = 32
	originY = stride + 8
	originU = originY + 17*stride
	originV = originU + 16
)

type workspace [originU + 8*stride]byte

// startRow sets what lies to the left of a row's first macroblock, and above the first row.
func (w *workspace) startRow(y int) {
	for j := range 16 {
		w[originY+j*stride-1] = 129
	}
	for j := range 8 {
		w[originU+j*stride-1], w[originV+j*stride-1] = 129, 129
	}
	if y > 0 {
		w[originY-stride-1], w[originU-stride-1], w[originV-stride-1] = 129, 129, 129
		return
	}
	for i := -1; i < 20; i++ {
		w[originY-stride+i] = 127
	}
	for i := -1; i < 8; i++ {
		w[originU-stride+i], w[originV-stride+i] = 127, 127
	}
}

// moveLeft makes the macroblock that was decoded the one to the left.
func (w *workspace) moveLeft() {
	for j := -1; j < 16; j++ {
		w[originY+j*stride-1] = w[originY+j*stride+15]
	}
	for j := -1; j < 8; j++ {
		w[originU+j*stride-1] = w[originU+j*stride+7]
		w[originV+j*stride-1] = w[originV+j*stride+7]
	}
}

func (d *lossy) reconstruct(x, y int, b *block) {
	w := &d.work
	if x > 0 {
		w.moveLeft()
	}
	if y > 0 {
		copy(w[originY-stride:][:16], d.above[x].y[:])
		copy(w[originU-stride:][:8], d.above[x].u[:])
		copy(w[originV-stride:][:8], d.above[x].v[:])
	}
	bits := d.nonzeroY
	if b.fine {
		right := w[originY-stride+16:][:4]
		if y > 0 {
			if x < d.columns-1 {
				copy(right, d.above[x+1].y[:4])
			} else {
				last := d.above[x].y[15]
				right[0], right[1], right[2], right[3] = last, last, last, last
			}
		}
		for row := 4; row < 16; row += 4 {
			copy(w[originY+(row-1)*stride+16:][:4], right)
		}
		for n := range 16 {
			at := originY + n/4*4*stride + n%4*4
			predict4(w, at, b.luma[n])
			transform(w, at, bits>>30, d.coefficients[16*n:][:16])
			bits <<= 2
		}
	} else {
		predict(w, originY, 16, b.luma[0], x > 0, y > 0)
		for n := 0; bits != 0; n++ {
			transform(w, originY+n/4*4*stride+n%4*4, bits>>30, d.coefficients[16*n:][:16])
			bits <<= 2
		}
	}
	for plane, at := range [2]int{originU, originV} {
		predict(w, at, 8, b.chroma, x > 0, y > 0)
		bits, in := d.nonzeroC>>(8*plane)&0xff, d.coefficients[256+64*plane:]
		if bits == 0 {
			continue
		}
		for n := range 4 {
			how := uint32(3)
			if bits&0xaa == 0 { // DCs alone
				how = 1
			}
			transform(w, at+n/2*4*stride+n%2*4, how, in[16*n:][:16])
		}
	}
	copy(d.above[x].y[:], w[originY+15*stride:])
	copy(d.above[x].u[:], w[originU+7*stride:])
	copy(d.above[x].v[:], w[originV+7*stride:])
	for j := range 16 {
		copy(d.y[(16*y+j)*d.yStride+16*x:][:16], w[originY+j*stride:])
	}
	for j := range 8 {
		copy(d.u[(8*y+j)*d.uvStride+8*x:][:8], w[originU+j*stride:])
		copy(d.v[(8*y+j)*d.uvStride+8*x:][:8], w[originV+j*stride:])
	}
}

// predict fills a block of size by size from the samples to its left and above it.
func predict(w *workspace, at, size int, mode uint8, left, above bool) {
	top := w[at-stride:][:size]
	switch mode {
	case modeV:
		for j := range size {
			copy(w[at+j*stride:][:size], top)
		}
	case modeH:
		for j := range size {
			fill(w[at+j*stride:][:size], w[at+j*stride-1])
		}
	case modeTM:
		trueMotion(w, at, size)
	default:
		sum, n := 0, 0
		if above {
			for _, v := range top {
				sum += int(v)
			}
			n += size
		}
		if left {
			for j := range size {
				sum += int(w[at+j*stride-1])
			}
			n += size
		}
		v := byte(128)
		if n > 0 {
			v = byte((sum + n/2) / n)
		}
		for j := range size {
			fill(w[at+j*stride:][:size], v)
		}
	}
}

func fill(b []byte, v byte) {
	for i := range b {
		b[i] = v
	}
}

func trueMotion(w *workspace, at, size int) {
	corner := int(w[at-stride-1])
	for j := range size {
		base := int(w[at+j*stride-1]) - corner
		for i := range size {
			w[at+j*stride+i] = clip(base + int(w[at-stride+i]))
		}
	}
}

func clip(v int) byte {
	return byte(max(0, min(v, 255)))
}

// predict4 predicts a block of 4×4 luma samples.
func predict4(w *workspace, at int, mode uint8) {
	avg2 := func(a, b int) byte { return byte((a + b + 1) >> 1) }
	avg3 := func(a, b, c int) byte { return byte((a + 2*b + c + 2) >> 2) }
	// The samples around it, from the lower left to the upper right: l, k, j, i, x, a to h.
	var e [13]int
	for n := range 4 {
		e[n] = int(w[at+(3-n)*stride-1])
	}
	for n := range 9 {
		e[4+n] = int(w[at-stride-1+n])
	}
	l, k, j, i, x, a, b, c, dd := e[0], e[1], e[2], e[3], e[4], e[5], e[6], e[7], e[8]
	// along writes one value on each of the diagonals or half-diagonals of the block.
	set := func(v byte, positions ...int) {
		for _, p := range positions {
			w[at+p/10*stride+p%10] = v // row and column as two digits
		}
	}
	switch mode {
	case modeDC:
		v := byte((a + b + c + dd + i + j + k + l + 4) >> 3)
		for n := range 4 {
			fill(w[at+n*stride:][:4], v)
		}
	case modeTM:
		trueMotion(w, at, 4)
	case modeV:
		for n := range 4 {
			v := avg3(e[4+n], e[5+n], e[6+n])
			set(v, n, 10+n, 20+n, 30+n)
		}
	case modeH:
		fill(w[at:][:4], avg3(x, i, j))
		fill(w[at+stride:][:4], avg3(i, j, k))
		fill(w[at+2*stride:][:4], avg3(j, k, l))
		fill(w[at+3*stride:][:4], avg3(k, l, l))
	case modeRD:
		for row := range 4 {
			for col := range 4 {
				n := 4 + col - row
				w[at+row*stride+col] = avg3(e[n-1], e[n], e[n+1])
			}
		}
	case modeLD:
		for row := range 4 {
			for col := range 4 {
				n := 5 + row + col
				w[at+row*stride+col] = avg3(e[n], e[n+1], e[min(n+2, 12)])
			}
		}
	case modeVR:
		set(avg2(x, a), 0, 21)
		set(avg2(a, b), 1, 22)
		set(avg2(b, c), 2, 23)
		set(avg2(c, dd), 3)
		set(avg3(k, j, i), 30)
		set(avg3(j, i, x), 20)
		set(avg3(i, x, a), 10, 31)
		set(avg3(x, a, b), 11, 32)
		set(avg3(a, b, c), 12, 33)
		set(avg3(b, c, dd), 13)
	case modeVL:
		set(avg2(a, b), 0)
		set(avg2(b, c), 1, 20)
		set(avg2(c, dd), 2, 21)
		set(avg2(dd, e[9]), 3, 22)
		set(avg3(a, b, c), 10)
		set(avg3(b, c, dd), 11, 30)
		set(avg3(c, dd, e[9]), 12, 31)
		set(avg3(dd, e[9], e[10]), 13, 32)
		set(avg3(e[9], e[10], e[11]), 23)
		set(avg3(e[10], e[11], e[12]), 33)
	case modeHU:
		set(avg2(i, j), 0)
		set(avg2(j, k), 2, 10)
		set(avg2(k, l), 12, 20)
		set(avg3(i, j, k), 1)
		set(avg3(j, k, l), 3, 11)
		set(avg3(k, l, l), 13, 21)
		set(byte(l), 22, 23, 30, 31, 32, 33)
	case modeHD:
		set(avg2(i, x), 0, 12)
		set(avg2(j, i), 10, 22)
		set(avg2(k, j), 20, 32)
		set(avg2(l, k), 30)
		set(avg3(a, b, c), 3)
		set(avg3(x, a, b), 2)
		set(avg3(i, x, a), 1, 13)
		set(avg3(j, i, x), 11, 23)
		set(avg3(k, j, i), 21, 33)
		set(avg3(l, k, j), 31)
	}
}

// transform adds the inverse transform of a block's coefficients to its prediction. Sums wrap or saturate
// as in libwebp's vector code, since damaged files exceed 16 bits.
func transform(w *workspace, at int, how uint32, in []int16) {
	switch how {
	case 1:
		v := (int(in[0]) + 4) >> 3
		for j := range 4 {
			p := w[at+j*stride:][:4]
			for i := range p {
				p[i] = clip(int(p[i]) + v)
			}
		}
	case 2:
		transform3(w, at, in)
	case 3:
		transformAll(w, at, in)
	}
}

// high multiplies by one of the two constants of the transform, less one if the constant exceeds 16 bits.
func high(v int16, k int32) int16 { return int16(int32(v) * k >> 16) }

func butterfly(v0, v1, v2, v3 int16) (o0, o1, o2, o3 int16) {
	const k1, k2 = 20091, -30068
	a, b := v0+v2, v0-v2
	c := v1 - v3 + (high(v1, k2) - high(v3, k1))
	d := v1 + v3 + (high(v1, k1) + high(v3, k2))
	return a + d, b + c, b - c, a - d
}

func transformAll(w *workspace, at int, in []int16) {
	var t [16]int16
	_ = in[15]
	for i := range 4 {
		t[4*i], t[4*i+1], t[4*i+2], t[4*i+3] = butterfly(in[i], in[4+i], in[8+i], in[12+i])
	}
	for j := range 4 {
		o0, o1, o2, o3 := butterfly(t[j]+4, t[4+j], t[8+j], t[12+j])
		p := w[at+j*stride:][:4]
		p[0] = clip(int(int16(p[0]) + o0>>3))
		p[1] = clip(int(int16(p[1]) + o1>>3))
		p[2] = clip(int(int16(p[2]) + o2>>3))
		p[3] = clip(int(int16(p[3]) + o3>>3))
	}
}

// transform3 is transformAll for blocks in which only the first three coefficients may differ from 0.
func transform3(w *workspace, at int, in []int16) {
	add := func(a, b int16) int16 { return int16(max(-32768, min(int(a)+int(b), 32767))) }
	minus := func(a, b int16) int16 { return int16(max(-32768, min(int(a)-int(b), 32767))) }
	mul1 := func(v int16) int16 { return int16(int32(v)*20091>>16 + int32(v)) }
	mul2 := func(v int16) int16 { return int16(int32(v) * 35468 >> 16) }
	first := in[0] + 4
	c1, d1, c4, d4 := mul2(in[1]), mul1(in[1]), mul2(in[4]), mul1(in[4])
	row := [4]int16{add(first, d1), add(first, c1), add(first, -c1), add(first, -d1)}
	for i, b := range row {
		for j, v := range [4]int16{add(b, d4), add(b, c4), minus(b, c4), minus(b, d4)} {
			p := &w[at+j*stride+i]
			*p = clip(int(add(int16(*p), v>>3)))
		}
	}
}

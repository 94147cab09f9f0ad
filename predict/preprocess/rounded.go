package preprocess

import (
	"context"
	"encoding/binary"
)

// Pillow's arithmetic: whole numbers, rounded to bytes after each axis. Two sums of 32 bits are kept in one word: a product of
// two of them with one weight is one multiplication, exact modulo 2^64 for negative weights too.

const (
	lanes    = 0x000000ff_000000ff
	rounding = 1 << (weightBits - 1)
	bothHalf = rounding<<32 | rounding
)

// split takes two sums apart, and rounds each down to a byte.
func split(sums uint64) (low, high byte) {
	l := int32(uint32(sums))
	h := int32(uint32((sums - uint64(int64(l))) >> 32))
	return byteOf(l), byteOf(h)
}

func byteOf(sum int32) byte { return byte(min(max(sum>>weightBits, 0), 255)) }

// rounded resizes as Pillow does, columns first unless rows first leaves less to do.
func rounded(support float64, kernel func(float64) float64) filter {
	return filter{support: support, rounds: true, run: func(ctx context.Context, p picture, o output, rows, columns axis) error {
		down, along := pillowTaps(rows, support, kernel), pillowTaps(columns, support, kernel)
		width := columns.wanted() * p.channels
		a := newAcross(&along, p.channels)
		// Pillow 13 begins with the rows where that leaves it less to do. Earlier ones never do.
		if lost := rows.have - rows.total; lost > 0 && lost > 2*(columns.have-columns.total) {
			lines := [2][]byte{make([]byte, p.stride+8), make([]byte, p.stride+8)}
			made := [2][]byte{make([]byte, width), make([]byte, width)}
			for i := 0; i < rows.wanted(); i += 2 {
				if err := ended(ctx, i); err != nil {
					return err
				}
				second := min(i+1, rows.wanted()-1)
				sumRows(lines[0][:p.stride], p.pix, p.stride, 0, &down, i)
				sumRows(lines[1][:p.stride], p.pix, p.stride, 0, &down, second)
				a.pair(made[0], made[1], lines[0], lines[1])
				toFloats(o.row(i), made[0])
				toFloats(o.row(second), made[1])
			}
			return nil
		}
		first, last := down.span()
		narrow := make([]byte, (last-first)*width)
		for y := first; y < last; y += 2 {
			if err := ended(ctx, y-first); err != nil {
				return err
			}
			second := min(y+1, last-1)
			a.pair(narrow[(y-first)*width:][:width], narrow[(second-first)*width:][:width], p.row(y), p.row(second))
		}
		line := make([]byte, width)
		for i := range rows.wanted() {
			sumRows(line, narrow, width, first, &down, i)
			toFloats(o.row(i), line)
		}
		return nil
	}}
}

func toFloats(to []float32, from []byte) {
	to = to[:len(from)]
	for i, v := range from {
		to[i] = float32(v)
	}
}

// sumRows makes one wanted row of a picture's, whose first one is numbered base.
func sumRows(to, pix []byte, stride, base int, down *taps[int32], i int) {
	places, weights := down.of(i)
	if len(places) == 0 {
		clear(to)
		return
	}
	rows := pix[(int(places[0])-base)*stride:]
	x := 0
	for ; x+8 <= len(to); x += 8 {
		s0, s1, s2, s3 := uint64(bothHalf), uint64(bothHalf), uint64(bothHalf), uint64(bothHalf)
		at := x
		for _, weight := range weights {
			v, w := binary.LittleEndian.Uint64(rows[at:]), uint64(int64(weight))
			s0 += v & lanes * w
			s1 += v >> 8 & lanes * w
			s2 += v >> 16 & lanes * w
			s3 += v >> 24 & lanes * w
			at += stride
		}
		t := to[x : x+8 : x+8]
		t[0], t[4] = split(s0)
		t[1], t[5] = split(s1)
		t[2], t[6] = split(s2)
		t[3], t[7] = split(s3)
	}
	for ; x < len(to); x++ {
		sum, at := int32(rounding), x
		for _, weight := range weights {
			sum += int32(rows[at]) * weight
			at += stride
		}
		to[x] = byteOf(sum)
	}
}

// across sums along rows, two rows at a time.
type across struct {
	taps     *taps[int32]
	channels int
	from, to int
	both     []uint64 // the two rows' samples, side by side: pixel after pixel
}

func newAcross(t *taps[int32], channels int) *across {
	from, to := t.span()
	return &across{taps: t, channels: channels, from: from, to: to, both: make([]uint64, max(0, to-from)*channels)}
}

func (a *across) pair(to0, to1, row0, row1 []byte) {
	n := a.channels
	row0 = row0[a.from*n : a.to*n]
	row1 = row1[a.from*n:][:len(row0)]
	both := a.both[:len(row0)]
	for x, v := range row0 {
		both[x] = uint64(v) | uint64(row1[x])<<32
	}
	from := int32(0)
	for j, end := range a.taps.ends {
		weights := a.taps.weights[from:end:end]
		at := 0
		if from < end {
			at = (int(a.taps.places[from]) - a.from) * n
		}
		from = end
		if n == 1 {
			sums := uint64(bothHalf)
			for i, v := range both[at:][:len(weights)] {
				sums += v * uint64(int64(weights[i]))
			}
			to0[j], to1[j] = split(sums)
			continue
		}
		r, g, b := uint64(bothHalf), uint64(bothHalf), uint64(bothHalf)
		pixels := both[at:][:3*len(weights)]
		for _, weight := range weights {
			w := uint64(int64(weight))
			r += pixels[0] * w
			g += pixels[1] * w
			b += pixels[2] * w
			pixels = pixels[3:]
		}
		t0, t1 := to0[3*j:3*j+3:3*j+3], to1[3*j:3*j+3:3*j+3]
		t0[0], t1[0] = split(r)
		t0[1], t1[1] = split(g)
		t0[2], t1[2] = split(b)
	}
}

package preprocess

import (
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"
)

// Pillow's arithmetic: integers, rounded to bytes after each axis. One word holds two sums of 32 bits, so
// that one multiplication multiplies two bytes by the same weight, exactly modulo 2^64 even for negative
// weights.

const (
	lanes    = 0x000000ff_000000ff
	rounding = 1 << (weightBits - 1)
	bothHalf = rounding<<32 | rounding
)

// split separates two sums, and rounds each down to a byte.
func split(sums uint64) (low, high byte) {
	l := int32(uint32(sums))
	h := int32(uint32((sums - uint64(int64(l))) >> 32))
	return byteOf(l), byteOf(h)
}

func byteOf(sum int32) byte { return byte(min(max(sum>>weightBits, 0), 255)) }

// rounded returns a filter that resizes as Pillow does: columns first, unless rows first is less work.
func rounded(support float64, kernel func(float64) float64) filter {
	var last atomic.Pointer[bothTaps]
	return filter{support: support, rounds: true, run: func(ctx context.Context, p picture, o output, rows, columns axis) error {
		both := last.Load()
		if both == nil || both.rows != rows || both.columns != columns {
			both = &bothTaps{rows, columns, pillowTaps(rows, support, kernel), pillowTaps(columns, support, kernel)}
			if cap(both.down.weights)+cap(both.along.weights) <= keptTaps {
				last.Store(both)
			}
		}
		down, along := both.down, both.along
		width := columns.wanted() * p.channels
		a := newAcross(&along, p.channels)
		// Pillow 13 starts with the rows if that is less work. Earlier versions never do.
		if lost := rows.have - rows.total; lost > 0 && lost > 2*(columns.have-columns.total) {
			n := min(together, rows.wanted())
			s := newScratch(n*(p.stride+width) + a.memory())
			defer s.end()
			lines, made := s.take(n*p.stride), s.take(n*width)
			a.begin(n, s)
			for i := 0; i < rows.wanted(); i += n {
				if err := ended(ctx, i); err != nil {
					return err
				}
				at := min(i, rows.wanted()-n)
				for k := range n {
					sumRows(lines[k*p.stride:][:p.stride], p.pix, p.stride, 0, &down, at+k)
				}
				if err := a.rows(ctx, made, lines, p.stride, n); err != nil {
					return err
				}
				for k := range n {
					toFloats(o.row(at+k), made[k*width:][:width])
				}
			}
			return nil
		}
		first, last := down.span()
		s := newScratch((last-first+1)*width + a.memory())
		defer s.end()
		narrow, line := s.take((last-first)*width), s.take(width)
		a.begin(last-first, s)
		if err := a.rows(ctx, narrow, p.pix[first*p.stride:], p.stride, last-first); err != nil {
			return err
		}
		for i := range rows.wanted() {
			sumRows(line, narrow, width, first, &down, i)
			toFloats(o.row(i), line)
		}
		return nil
	}}
}

// bothTaps are the taps of both axes. They are kept for the next picture, which often has the same size.
type bothTaps struct {
	rows, columns axis
	down, along   taps[int32]
}

// keptTaps bounds the taps that a filter keeps.
const keptTaps = 1 << 15

// scratch is memory between the picture and the output. It is reused, since a server would otherwise leave
// it to the collector with each picture.
type scratch struct{ all, left []byte }

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// keptScratch bounds the memory that is kept for the next picture.
const keptScratch = 2 << 20

// newScratch returns n bytes, which may hold old values.
func newScratch(n int) *scratch {
	s := scratches.Get().(*scratch)
	if len(s.all) < n {
		s.all = make([]byte, n)
	}
	s.left = s.all
	return s
}

func (s *scratch) take(n int) []byte {
	taken := s.left[:n:n]
	s.left = s.left[n:]
	return taken
}

// end returns all memory.
func (s *scratch) end() {
	if len(s.all) > keptScratch {
		s.all = nil
	}
	s.left = nil
	scratches.Put(s)
}

func toFloats(to []float32, from []byte) {
	if hasVectors && len(from) >= 8 {
		vectorFloats(to, from)
		return
	}
	to = to[:len(from)]
	for i, v := range from {
		to[i] = float32(v)
	}
}

// sumRows computes one wanted row. base is the number of the first row in pix.
func sumRows(to, pix []byte, stride, base int, down *taps[int32], i int) {
	positions, weights := down.of(i)
	if len(positions) == 0 {
		clear(to)
		return
	}
	rows := pix[(int(positions[0])-base)*stride:]
	if hasVectors && len(to) >= 8 {
		vectorDown(to, rows, stride, weights)
		return
	}
	plainDown(to, rows, stride, weights)
}

// plainDown sums rows, from the first one that counts.
func plainDown(to, rows []byte, stride int, weights []int32) {
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

// together is the number of rows that vectors sum at once.
const together = 8

// across sums along rows, several rows at a time.
type across struct {
	taps     *taps[int32]
	channels int
	from, to int      // the pixels of a row that count
	taken    int      // samples of them
	width    int      // samples that are made of a row
	both     []uint64 // of pair: two rows' samples side by side, pixel after pixel
	columns  []byte   // of eight: eight rows' samples side by side
	made     []byte   // of eight: the sums side by side
}

func newAcross(t *taps[int32], channels int) *across {
	a := &across{taps: t, channels: channels, width: len(t.ends) * channels}
	a.from, a.to = t.span()
	a.taken = max(0, a.to-a.from) * channels
	return a
}

// memory returns the most memory that begin takes.
func (a *across) memory() int { return together * (a.taken + a.width) }

// begin takes the memory for the given number of rows.
func (a *across) begin(rows int, s *scratch) {
	if hasVectors && min(rows, a.taken, a.width) >= together {
		a.columns, a.made = s.take(together*a.taken), s.take(together*a.width)
	} else {
		a.both = make([]uint64, a.taken)
	}
}

// rows computes n rows, as many as begin was called for, from rows that are stride bytes apart. If fewer
// are left than are summed at once, it computes the last ones again.
func (a *across) rows(ctx context.Context, to, from []byte, stride, n int) error {
	step := 2
	if a.columns != nil {
		step = together
	}
	for y := 0; y < n; y += step {
		if err := ended(ctx, y); err != nil {
			return err
		}
		if step == together {
			at := min(y, n-together)
			a.eight(to[at*a.width:], from[at*stride:], stride)
			continue
		}
		second := min(y+1, n-1)
		a.pair(to[y*a.width:][:a.width], to[second*a.width:][:a.width], from[y*stride:][:stride], from[second*stride:][:stride])
	}
	return nil
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
			at = (int(a.taps.positions[from]) - a.from) * n
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

package webp

import "context"

// Kinds of transforms.
const (
	predictor = iota
	crossColour
	subtractGreen
	colourIndexing
)

// transformer inverts one of a lossless picture's transforms.
type transformer struct {
	kind          int
	bits          int // data has a pixel for each square of 2^bits; of indices 2^bits are in a pixel
	width, height int // of what comes out
	data          []uint32
}

// palette adds up a palette's differences, and ends it with transparent black.
func palette(differences []uint32) []uint32 {
	out := make([]uint32, 256)
	previous := uint32(0)
	for i, v := range differences {
		previous = addPixels(v, previous)
		out[i] = previous
	}
	return out
}

// addPixels adds each of the four channels.
func addPixels(a, b uint32) uint32 {
	return (a&0xff00ff00+b&0xff00ff00)&0xff00ff00 | (a&0x00ff00ff+b&0x00ff00ff)&0x00ff00ff
}

// invert changes pixels in place, or returns new ones if their number grows.
func (t *transformer) invert(ctx context.Context, argb []uint32) ([]uint32, error) {
	out := argb
	if t.kind == colourIndexing && t.bits > 0 {
		out = make([]uint32, t.width*t.height)
	}
	for y := range t.height {
		if y%64 == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		row := out[y*t.width:][:t.width]
		switch t.kind {
		case predictor:
			t.predict(out, y)
		case crossColour:
			for x, v := range row {
				m := t.data[y>>t.bits*parts(t.width, t.bits)+x>>t.bits]
				green := int8(v >> 8)
				red := byte(v>>16) + byte(scaled(int8(m), green))
				blue := byte(v) + byte(scaled(int8(m>>8), green)) + byte(scaled(int8(m>>16), int8(red)))
				row[x] = v&0xff00ff00 | uint32(red)<<16 | uint32(blue)
			}
		case subtractGreen:
			for x, v := range row {
				green := v >> 8 & 0xff
				row[x] = v&0xff00ff00 | (v&0x00ff00ff+(green<<16|green))&0x00ff00ff
			}
		case colourIndexing:
			in := argb[y*parts(t.width, t.bits):]
			per, mask := 1<<t.bits-1, uint32(1)<<(8>>t.bits)-1
			for x := range row {
				row[x] = t.data[in[x>>t.bits]>>8>>(x&per*(8>>t.bits))&mask]
			}
		}
	}
	return out, nil
}

func scaled(factor, colour int8) int { return int(factor) * int(colour) >> 5 }

// predict adds a row's predictions.
func (t *transformer) predict(out []uint32, y int) {
	row := out[y*t.width:][:t.width]
	if y == 0 {
		left := uint32(0xff000000)
		for x := range row {
			row[x] = addPixels(row[x], left)
			left = row[x]
		}
		return
	}
	above := out[(y-1)*t.width:][:t.width+1] // and the first pixel of the row itself, beyond the last
	modes := t.data[y>>t.bits*parts(t.width, t.bits):]
	row[0] = addPixels(row[0], above[0])
	for x := 1; x < t.width; x++ {
		row[x] = addPixels(row[x], prediction(modes[x>>t.bits]>>8&15, row[x-1], above[x], above[x-1], above[x+1]))
	}
}

func prediction(mode, left, top, topLeft, topRight uint32) uint32 {
	switch mode {
	case 1:
		return left
	case 2:
		return top
	case 3:
		return topRight
	case 4:
		return topLeft
	case 5:
		return average(average(left, topRight), top)
	case 6:
		return average(left, topLeft)
	case 7:
		return average(left, top)
	case 8:
		return average(topLeft, top)
	case 9:
		return average(top, topRight)
	case 10:
		return average(average(left, topLeft), average(top, topRight))
	case 11:
		difference := 0
		for shift := 0; shift < 32; shift += 8 {
			l, t, c := int(left>>shift&0xff), int(top>>shift&0xff), int(topLeft>>shift&0xff)
			difference += abs(l-c) - abs(t-c)
		}
		if difference <= 0 {
			return top
		}
		return left
	case 12:
		v := uint32(0)
		for shift := 0; shift < 32; shift += 8 {
			v |= uint32(clip(int(left>>shift&0xff)+int(top>>shift&0xff)-int(topLeft>>shift&0xff))) << shift
		}
		return v
	case 13:
		v, middle := uint32(0), average(left, top)
		for shift := 0; shift < 32; shift += 8 {
			m := int(middle >> shift & 0xff)
			v |= uint32(clip(m+(m-int(topLeft>>shift&0xff))/2)) << shift
		}
		return v
	}
	return 0xff000000
}

// average returns the average of each channel, rounded down.
func average(a, b uint32) uint32 { return (a^b)&0xfefefefe>>1 + a&b }

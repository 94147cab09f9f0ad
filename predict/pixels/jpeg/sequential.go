package jpeg

import "encoding/binary"

// natural gives the place of each coefficient in its block by its place in zigzag order. Damaged
// data runs past 63, and such coefficients land in the last place, as in libjpeg.
var natural = func() (t [128]uint8) {
	for k := range t {
		t[k] = 63
	}
	x, y, up := 0, 0, true
	for k := range 64 {
		t[k] = uint8(8*y + x)
		switch {
		case up && x == 7:
			y, up = y+1, false
		case up && y == 0:
			x, up = x+1, false
		case up:
			x, y = x+1, y-1
		case y == 7:
			x, up = x+1, true
		case x == 0:
			y, up = y+1, true
		default:
			x, y = x-1, y+1
		}
	}
	return t
}()

// sequential decodes one block into c, which must be 0, in natural order, and returns the highest place in zigzag order
// that may hold a coefficient.
func (r *bitReader) sequential(c *[64]int16, dc, ac *huffman, previous *int32) int {
	acc, n, at := filled(r.segment, r.acc, r.n, r.at)
	if e := dc.fast[acc>>(64-lookBits)]; e&whole != 0 {
		acc <<= e & 63
		n -= int(e & 63)
		*previous += int32(int16(e >> 16))
	} else {
		symbol, length := dc.next(acc)
		acc <<= length & 63
		n -= int(length)
		if symbol > 0 {
			*previous += extend(int32(acc>>((64-symbol)&63)), int32(symbol))
			acc <<= symbol & 63
			n -= int(symbol)
		}
	}
	c[0] = int16(*previous)
	last := 0
	for k := 1; k < 64; k++ {
		acc, n, at = filled(r.segment, acc, n, at)
		e := ac.fast[acc>>(64-lookBits)]
		if e&whole != 0 {
			acc <<= e & 63
			n -= int(e & 63)
			if e&0xf00 == 0 {
				if e&0xf000 != 0xf000 {
					break
				}
				k += 15
				continue
			}
			k += int(e >> 12 & 15)
			c[natural[k&127]&63] = int16(e >> 16)
		} else {
			symbol, length := ac.next(acc)
			acc <<= length & 63
			n -= int(length)
			size := symbol & 15
			if size == 0 {
				if symbol != 0xf0 {
					break
				}
				k += 15
				continue
			}
			k += int(symbol >> 4)
			c[natural[k&127]&63] = int16(extend(int32(acc>>((64-size)&63)), int32(size)))
			acc <<= size & 63
			n -= int(size)
		}
		last = k
	}
	r.acc, r.n, r.at = acc, n, at
	return min(last, 63)
}

// filled makes sure of 56 bits at least. Those behind the last whole byte may be there already, and come again.
func filled(segment []byte, acc uint64, n, at int) (uint64, int, int) {
	if at+8 <= len(segment) {
		acc |= binary.BigEndian.Uint64(segment[at:]) >> (n & 63)
	}
	return acc, n | 56, at + (63-n)>>3
}

func abs(v int16) int32 {
	x := int32(v)
	return (x ^ x>>31) - x>>31
}

// next gives the symbol at the top of acc and the length of its code, where fast doesn't have both
// symbol and value.
func (h *huffman) next(acc uint64) (symbol, length uint32) {
	if e := h.fast[acc>>(64-lookBits)]; e != 0 {
		return e >> 8 & 255, e & 0x7f
	}
	for length = lookBits + 1; ; length++ {
		code := int32(acc >> (64 - length))
		switch {
		case code > h.maxCode[length]:
		case length > 16:
			return 0, length // in no table: libjpeg takes it for 0
		default:
			return uint32(h.values[(code+h.offset[length])&255]), length
		}
	}
}

package jpeg

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

// blockPlace gives the place of a coefficient in a coefs by its place in zigzag order. Damaged data runs past 63,
// and such coefficients land in the last place, as in libjpeg. Those that do not exist land behind the block.
var blockPlace = func() (t [256]uint8) {
	for k := range t {
		t[k] = 64
		if k < nowhere {
			t[k] = natural[k]
		}
	}
	return t
}()

// coefs is room for a block of raw coefficients in natural order, and for what its decoding writes behind it.
type coefs [256]int16

// coder is what one component's sequential blocks are read with.
type coder struct {
	dc, ac *huffman
	both   *pairs // of ac
}

// sequential decodes one block into the first 64 elements of c, in natural order, and may write the one behind them.
// It returns the highest place in zigzag order that may hold a coefficient.
func (r *bitReader) sequential(c *coefs, with *coder, previous *int32) int {
	clear(c[:64])
	acc, n, at := filled(r.segment, r.acc, r.n, r.at)
	difference := with.dc.next(acc)
	*previous += difference.value(acc)
	acc <<= difference.bits()
	n -= int(difference.bits())
	c[0] = int16(*previous)
	k := uint64(0) // the last place so far
	for k < 63 {
		acc, n, at = filled(r.segment, acc, n, at)
		e := with.both[acc>>(64-lookBits)]
		switch {
		case e == 0:
			next := with.ac.next(acc)
			switch {
			case next.size() > 0:
				k += uint64(next.run()) + 1
				c[blockPlace[uint8(k)]] = int16(next.value(acc))
			case next.run() == 15:
				k += farthest
			default:
				k += blockEnd
			}
			acc <<= next.bits()
			n -= int(next.bits())
		case k < 63-reach:
			v := firstValue(acc, e)
			acc <<= e & 63
			n -= int(e & 63)
			c[blockPlace[uint8(k+e>>24)]] = int16(int8(e >> 48))
			c[blockPlace[uint8(k+e>>16)]] = v
			k += e >> 8 & 255
		default: // what the second code was taken for may belong to the next block
			v := firstValue(acc, e)
			acc <<= e >> 56
			n -= int(e >> 56)
			c[blockPlace[uint8(k+e>>16)]] = v
			first := e >> 16 & 255
			if first == nowhere {
				first = e >> 8 & 255
			}
			k += first
		}
	}
	r.acc, r.n, r.at = acc, n, at
	return int(min(k&(blockEnd-1), 63))
}

// firstValue gives the first coefficient of an entry of pairs: 0 if it has none.
func firstValue(acc, e uint64) int16 {
	return int16(valueOf(acc<<(e>>32&63), uint32(e>>40)-1))
}

func abs(v int16) int32 {
	x := int32(v)
	return (x ^ x>>31) - x>>31
}

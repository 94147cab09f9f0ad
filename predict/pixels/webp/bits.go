package webp

// bitReader reads bits, lowest first.
type bitReader struct {
	data  []byte
	acc   uint64
	n     int  // bits in acc
	ended bool // more was asked for than there is; what is missing is zeros
}

// fill makes at least 56 bits ready, if that many are left.
func (r *bitReader) fill() {
	for r.n <= 56 && len(r.data) > 0 {
		r.acc |= uint64(r.data[0]) << r.n
		r.data = r.data[1:]
		r.n += 8
	}
}

func (r *bitReader) drop(n int) {
	r.acc >>= n
	if r.n -= n; r.n < 0 {
		r.ended, r.n = true, 0
	}
}

func (r *bitReader) read(n int) int {
	r.fill()
	v := r.acc & (1<<n - 1)
	r.drop(n)
	return int(v)
}

// symbol reads a symbol of a code. At least 15 bits must be ready.
func (r *bitReader) symbol(c code) int {
	e := c.table[r.acc&c.mask]
	if e.bits > rootBits {
		r.drop(rootBits)
		e = c.table[uint64(e.value)+r.acc&(1<<(e.bits-rootBits)-1)]
	}
	r.drop(int(e.bits))
	return int(e.value)
}

const (
	rootBits  = 8
	maxLength = 15
)

// code is a prefix code as a table, indexed by the next bits.
type code struct {
	table []entry
	mask  uint64
}

// entry is a symbol and its length. If the length exceeds rootBits, it is the index of a second table and
// the number of bits up to that table's end.
type entry struct {
	value uint16
	bits  uint8
}

// scratch is memory for building codes.
type scratch struct {
	table  [2704]entry // as many as a code of the most symbols can take
	sorted [literals + lengths + 1<<11]uint16
}

// newCode builds a code from the lengths of its symbols, and reports whether the code is complete. A
// single symbol has no bits. The code is valid until the next call.
func (b *scratch) newCode(lengths []uint8) (code, bool) {
	var count [maxLength + 1]int
	only, longest, sum := 0, 0, 0
	for s, l := range lengths {
		count[l]++
		if l > 0 {
			only, longest = s, max(longest, int(l))
			sum += 1 << (maxLength - l)
		}
	}
	symbols := len(lengths) - count[0]
	if symbols == 1 {
		return code{table: append(b.table[:0], entry{value: uint16(only)})}, true
	}
	if sum != 1<<maxLength {
		return code{}, false
	}
	root := min(longest, rootBits)
	c := code{table: b.table[:1<<root], mask: 1<<root - 1}
	var next [maxLength + 1]int // places in sorted
	for l := 1; l < maxLength; l++ {
		next[l+1] = next[l] + count[l]
	}
	sorted := b.sorted[:symbols]
	for s, l := range lengths {
		if l > 0 {
			sorted[next[l]] = uint16(s)
			next[l]++
		}
	}
	key, i := 0, 0 // the code, its bits reversed
	second, secondBits, low := 0, 0, -1
	for l := 1; l <= longest; l++ {
		for ; count[l] > 0; count[l]-- {
			value := sorted[i]
			i++
			if l <= rootBits {
				for at := key; at < 1<<root; at += 1 << l {
					c.table[at] = entry{value, uint8(l)}
				}
			} else {
				if key&int(c.mask) != low {
					low = key & int(c.mask)
					secondBits = secondSize(&count, l)
					second = len(c.table)
					c.table = b.table[:second+1<<secondBits]
					c.table[low] = entry{uint16(second), uint8(rootBits + secondBits)}
				}
				for at := key >> rootBits; at < 1<<secondBits; at += 1 << (l - rootBits) {
					c.table[second+at] = entry{value, uint8(l - rootBits)}
				}
			}
			step := 1 << (l - 1) // the next code of this length
			for key&step != 0 {
				step >>= 1
			}
			if step != 0 {
				key = key&(step-1) + step
			} else {
				key = 0
			}
		}
	}
	return c, true
}

// secondSize returns the number of bits of the second table that starts with a code of length l.
func secondSize(count *[maxLength + 1]int, l int) int {
	left := 1 << (l - rootBits)
	for ; l < maxLength; l++ {
		if left -= count[l]; left <= 0 {
			break
		}
		left <<= 1
	}
	return l - rootBits
}

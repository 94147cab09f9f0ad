package jpeg

// pairs is a table of AC codes made ready for sequential blocks. Its entries hold, for the next lookBits
// bits, a first coefficient, and a second one or the block's end where their bits were looked up as well.
// An entry is 0 where the first code is longer, or takes more than most with its value. Its bytes are, from
// the lowest:
//
//	0    how many bits all takes
//	1    how many places the last of both is behind the coefficient before, in zigzag order, and blockEnd
//	     more if the block ends behind it
//	2    the same of the first coefficient, or nowhere
//	3    the same of the second; as 2 if there is no second
//	4    the length of the first code
//	5    64 less the size of the first coefficient, or 0
//	6    the second coefficient
//	7    how many bits the first takes, code and value
type pairs [1 << lookBits]uint64

const (
	// farthest is the most places that a coefficient is behind the one before.
	farthest = 16
	// reach is the most places that the first of two coefficients is behind the one before.
	reach = 6
	// nowhere is the place, from any other, of coefficients that do not exist.
	nowhere = 80
	// blockEnd is behind all places.
	blockEnd = 128
	// most is how many bits an entry takes at most: after a refill there are enough for two and lookBits more.
	most = 22
)

// build makes the table of codes.
func (p *pairs) build(codes *[1 << lookBits]code) {
	for i := range p {
		p[i] = 0
		c := codes[i]
		if c == 0 || c.bits() > most {
			continue
		}
		taken, first, second, last, another := c.bits(), uint32(nowhere), uint32(nowhere), uint32(farthest), int32(0)
		if c.size() == 0 && c.run() < 15 {
			last = blockEnd
		} else if c.size() > 0 {
			first = c.run() + 1
			second, last = first, first
			rest := i << taken & (1<<lookBits - 1) // of what was looked up, if anything
			next := codes[rest]
			switch {
			case next == 0 || taken+next.bits() > lookBits || first > reach:
			case next.size() == 0 && next.run() < 15:
				last |= blockEnd
				taken += next.bits()
			case next.size() > 0 && next.size() < 8:
				second += next.run() + 1
				last = second
				another = next.value(uint64(rest) << (64 - lookBits))
				taken += next.bits()
			}
		}
		p[i] = uint64(taken) | uint64(last)<<8 | uint64(first)<<16 | uint64(second)<<24 |
			uint64(c.length())<<32 | uint64(-c.size()&63)<<40 | uint64(uint8(another))<<48 | uint64(c.bits())<<56
	}
}

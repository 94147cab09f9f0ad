package jpeg

// Files with a single scan are transformed row by row while they are read.

// unitCoefs holds the raw coefficients of a unit's blocks, and what the last one's decoding writes behind it.
type unitCoefs [64*maxBlocksInMCU + len(coefs{}) - 64]int16

func (c *unitCoefs) block(i int) *[64]int16 { return (*[64]int16)(c[64*i:]) }

// slot is one block of each unit in a row of them.
type slot struct {
	*plane
	with    *coder
	first   []byte // the samples of the first unit's
	step    int    // from unit to unit
	units   int    // whose block holds samples
	last    int    // the highest place in zigzag order that may hold a coefficient
	waiting int    // the same of the block that waits to be transformed, or 0
	at      int    // its samples' place in first
}

// slots gives the blocks of a row's units.
func (d *decoder) slots(u *units, row int) []slot {
	slots := d.blocks[:0]
	for i, ci := range u.components {
		p := &d.planes[ci]
		for v := range int(p.v) {
			by := row*int(p.v) + v
			for h := range int(p.h) {
				s := slot{plane: p, with: &u.coders[i], step: 8 * int(p.h)}
				if by < p.blocksY {
					s.first = p.samples[8*by%p.rowsOfRing*p.stride+8*h:]
					s.units = ceilDiv(p.blocksX-h, int(p.h))
				}
				slots = append(slots, s)
			}
		}
	}
	return slots
}

// decodeRow decodes one row of units of a file with a single scan into the rings. The blocks of a unit wait until the
// next one is read: vectors would wait for coefficients that were just written one by one.
func (d *decoder) decodeRow(u *units, row int) {
	slots := d.slots(u, row)
	for x := 0; x < u.perRow; x++ {
		read := 0
		if whole := u.whole(x); hasVectors && whole > 0 && !d.src.empty {
			units, blocks := fastUnits(&d.src.bitReader, &d.raw, slots, x, whole, 0)
			u.left -= units
			if x, read = x+units, blocks; x == u.perRow {
				break
			}
		}
		now, before := &d.raw[x&1], &d.raw[1-x&1]
		_, ok := d.next(u)
		if ok {
			d.readUnit(x, slots, read)
		}
		d.transform(before, slots)
		for i := range slots {
			s := &slots[i]
			if !ok {
				*now.block(i), s.last = [64]int16{}, 0
			}
			if x >= s.units {
				continue
			}
			s.at, s.waiting = x*s.step, s.last
			if _ = s.first[s.at+7*s.stride+7]; s.last == 0 {
				s.inverse(&d.block, now.block(i), 0, s.first[s.at:])
			}
		}
		if d.src.spent() {
			d.src.empty = true
		}
	}
	d.transform(&d.raw[(u.perRow-1)&1], slots)
}

// transform brings the blocks of c that wait into the rings.
func (d *decoder) transform(c *unitCoefs, slots []slot) {
	for i := range slots {
		if s := &slots[i]; s.waiting > 0 {
			s.inverse(&d.block, c.block(i), s.waiting, s.first[s.at:])
			s.waiting = 0
		}
	}
}

// readUnit reads the blocks of one unit from the one numbered from on, and may transform those of the unit before.
func (d *decoder) readUnit(x int, slots []slot, from int) {
	for i := from; i < len(slots); i++ {
		if hasVectors {
			if _, i = fastUnits(&d.src.bitReader, &d.raw, slots, x, 0, i); i == len(slots) {
				return
			}
		}
		s := &slots[i]
		s.last = d.src.sequential((*coefs)(d.raw[x&1][64*i:]), s.with, &s.previous)
	}
}

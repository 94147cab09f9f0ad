package jpeg

import "math/bits"

// band is what the AC scans of a progressive file share: coefficients ss to se, from bit al up.
type band struct {
	ss, se int
	al     uint
	run    int // blocks ahead that have nothing (more) in this band
}

// history says which coefficients of a block, in zigzag order, are not 0.
type history uint64

// between gives those from place k to before place end.
func (h history) between(k, end int) history { return h >> k << k & (1<<end - 1) }

// set writes a coefficient of a progressive block. Damaged data runs past the last place.
func (h *history) set(c *[64]int16, k int, v int16) {
	k = min(k, 63)
	c[natural[k]&63] = v
	*h &^= 1 << k
	if v != 0 {
		*h |= 1 << k
	}
}

// firstDC decodes the high bits of a DC coefficient.
func firstDC(c *[64]int16, r *bitReader, h *huffman, previous *int32, al uint) bool {
	r.fill()
	next := h.next(r.acc)
	sum := int64(*previous) + int64(next.value(r.acc))
	r.drop(next.bits())
	if sum != int64(int32(sum)) {
		return false
	}
	*previous = int32(sum)
	c[0] = int16(*previous << al)
	return true
}

// first decodes a band's high bits in one block that is not in a run.
func (b *band) first(c *[64]int16, known *history, r *bitReader, h *huffman) {
	acc, n, at := r.acc, r.n, r.at
	for k := b.ss; k <= b.se; k++ {
		acc, n, at = filled(r.segment, acc, n, at)
		next := h.fast[acc>>(64-lookBits)]
		if next == 0 {
			next = h.next(acc)
		}
		run := next.run()
		k += int(run)
		if next.size() > 0 {
			known.set(c, k, int16(next.value(acc)<<b.al))
		}
		acc <<= next.bits()
		n -= int(next.bits())
		if next.size() == 0 && run < 15 {
			b.run = 1<<run + int(acc>>1>>((63-run)&63)) - 1
			acc <<= run
			n -= int(run)
			break
		}
	}
	r.acc, r.n, r.at = acc, n, at
}

// refine decodes one more bit of a band's coefficients in one block.
func (b *band) refine(c *[64]int16, known *history, r *bitReader, h *huffman) {
	acc, n, at := r.acc, r.n, r.at
	one, end := int16(1)<<b.al, b.se+1
	for k := b.ss; ; {
		place, value := end, int16(0) // of the next coefficient that is 0 so far and no longer
		if b.run == 0 {
			if k >= end {
				break
			}
			acc, n, at = filled(r.segment, acc, n, at)
			next := h.fast[acc>>(64-lookBits)]
			if next == 0 {
				next = h.next(acc)
			}
			acc <<= next.length()
			n -= int(next.length())
			run := next.run()
			if next.size() == 0 && run < 15 {
				b.run = 1<<run + int(acc>>1>>((63-run)&63))
				acc <<= run
				n -= int(run)
			} else {
				if next.size() != 0 { // the size should be 1; libjpeg takes any for 1
					value = int16(2*(acc>>63))<<b.al - one
					acc <<= 1
					n--
				}
				free := (^*known).between(k, end)
				for ; run > 0; run-- {
					free &= free - 1
				}
				place = min(bits.TrailingZeros64(uint64(free)), end)
			}
		}
		// Those that are not 0 are corrected on the way, by a bit each.
		for places := known.between(k, place); places != 0; places &= places - 1 {
			if n < 1 {
				acc, n, at = filled(r.segment, acc, n, at)
			}
			v := &c[natural[bits.TrailingZeros64(uint64(places))&63]&63]
			sign, more := *v>>15, -int16(acc>>63)
			if *v&one == 0 {
				*v += ((one ^ sign) - sign) & more
			}
			acc <<= 1
			n--
		}
		if value != 0 {
			known.set(c, place, value)
		}
		if k = place + 1; b.run > 0 {
			b.run--
			break
		}
	}
	r.acc, r.n, r.at = acc, n, at
}

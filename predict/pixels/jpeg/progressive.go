package jpeg

// band is what the AC scans of a progressive file share: coefficients ss to se, from bit al up.
type band struct {
	ss, se int
	al     uint
	run    int // blocks ahead that have nothing (more) in this band
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

// first decodes a band's high bits in one block.
func (b *band) first(c *[64]int16, r *bitReader, h *huffman) {
	if b.run > 0 {
		b.run--
		return
	}
	acc, n, at := r.acc, r.n, r.at
	k := b.ss
	for k <= b.se {
		acc, n, at = filled(r.segment, acc, n, at)
		next := h.fast[acc>>(64-lookBits)]
		if next == 0 {
			next = h.next(acc)
		}
		v := next.value(acc)
		acc <<= next.bits()
		n -= int(next.bits())
		run := next.run()
		if next.size() == 0 {
			if run == 15 {
				k += 16
				continue
			}
			b.run = 1<<run + int(acc>>1>>((63-run)&63)) - 1
			acc <<= run
			n -= int(run)
			break
		}
		k += int(run)
		c[natural[k&127]&63] = int16(v << b.al)
		k++
	}
	r.acc, r.n, r.at = acc, n, at
}

// refine decodes one more bit of a band's coefficients in one block.
func (b *band) refine(c *[64]int16, r *bitReader, h *huffman) {
	plus, minus := int16(1)<<b.al, int16(-1)<<b.al
	correct := func(v *int16) {
		if r.bits(1) != 0 && *v&plus == 0 {
			if *v >= 0 {
				*v += plus
			} else {
				*v += minus
			}
		}
	}
	k := b.ss
	if b.run == 0 {
		for ; k <= b.se; k++ {
			r.fill()
			next := h.next(r.acc)
			zeros, value := int(next.run()), int16(0)
			r.drop(next.length())
			if next.size() != 0 { // the size should be 1; libjpeg takes any for 1
				value = minus
				if r.bits(1) != 0 {
					value = plus
				}
			} else if zeros != 15 {
				b.run = 1<<zeros + int(r.bits(uint32(zeros)))
				break
			}
			for {
				v := &c[natural[k&127]&63]
				if *v != 0 {
					correct(v)
				} else if zeros--; zeros < 0 {
					break
				}
				if k++; k > b.se {
					break
				}
			}
			if value != 0 {
				c[natural[k&127]&63] = value
			}
		}
	}
	if b.run > 0 {
		for ; k <= b.se; k++ {
			if v := &c[natural[k&127]&63]; *v != 0 {
				correct(v)
			}
		}
		b.run--
	}
}

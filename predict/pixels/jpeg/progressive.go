package jpeg

// band is what the AC scans of a progressive file share: coefficients ss to se, from bit al up.
type band struct {
	ss, se int
	al     uint
	run    int // blocks ahead that have nothing (more) in this band
}

// firstDC decodes the high bits of a DC coefficient.
func firstDC(c *[64]int16, r *bitReader, h *huffman, previous *int32, al uint) bool {
	size := int(r.symbol(h))
	if size > 0 {
		diff := extend(r.bits(size), int32(size))
		sum := int64(*previous) + int64(diff)
		if sum != int64(int32(sum)) {
			return false
		}
		*previous = int32(sum)
	}
	c[0] = int16(*previous << al)
	return true
}

// first decodes a band's high bits in one block.
func (b *band) first(c *[64]int16, r *bitReader, h *huffman) {
	if b.run > 0 {
		b.run--
		return
	}
	for k := b.ss; k <= b.se; k++ {
		symbol := r.symbol(h)
		zeros, size := int(symbol>>4), int(symbol&15)
		switch {
		case size > 0:
			k += zeros
			v := extend(r.bits(size), int32(size))
			c[natural[k&127]&63] = int16(v << b.al)
		case zeros == 15:
			k += 15
		default:
			b.run = 1<<zeros + int(r.bits(zeros)) - 1
			return
		}
	}
}

// refine decodes one more bit of a band's coefficients in one block.
func (b *band) refine(c *[64]int16, r *bitReader, h *huffman) {
	plus, minus := int16(1)<<b.al, int16(-1)<<b.al
	correct := func(v *int16) {
		if r.bit() != 0 && *v&plus == 0 {
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
			symbol := r.symbol(h)
			zeros, value := int(symbol>>4), int16(0)
			if symbol&15 != 0 { // the size should be 1; libjpeg takes any for 1
				value = minus
				if r.bit() != 0 {
					value = plus
				}
			} else if zeros != 15 {
				b.run = 1<<zeros + int(r.bits(zeros))
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

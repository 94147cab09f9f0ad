package jpeg

// lookBits is how many bits of a code are looked up at once.
const lookBits = 11

// huffman is a table made ready for decoding. Entries of fast hold, for the next lookBits bits:
//
//	bits 0–7    how many bits to take; 0 where the code is longer than lookBits
//	bits 8–15   the symbol
//	bits 16–31  the value that follows, where whole is set
//
// whole says that the value's own bits were among those looked up.
type huffman struct {
	fast    [1 << lookBits]uint32
	maxCode [18]int32 // by length; -1 for none
	offset  [18]int32
	values  [256]byte
}

const whole = 0x80

func (h *huffman) build(spec *huffmanSpec) {
	clear(h.fast[:])
	h.values = [256]byte{}
	copy(h.values[:], spec.values)
	code, at := int32(0), int32(0)
	for length := int32(1); length <= 16; length++ {
		n := int32(spec.counts[length])
		h.maxCode[length], h.offset[length] = -1, at-code
		if n > 0 {
			h.maxCode[length] = code + n - 1
		}
		if length <= lookBits {
			for i := range n {
				h.fill(code+i, length, spec.values[at+i])
			}
		}
		at += n
		code = (code + n) << 1
	}
	h.maxCode[17] = 1 << 30 // ends the search
}

func (h *huffman) fill(code, length int32, symbol byte) {
	size := int32(symbol & 15)
	room := lookBits - length
	first := code << room
	for i := range int32(1) << room {
		e := uint32(symbol)<<8 | uint32(length)
		if size <= room {
			v := int32(0)
			if size > 0 {
				v = extend(i>>(room-size), size)
			}
			e = uint32(uint16(v))<<16 | uint32(symbol)<<8 | whole | uint32(length+size)
		}
		h.fast[first+i] = e
	}
}

// extend turns the size bits that follow a symbol into a signed value (T.81, figure F.12).
func extend(v, size int32) int32 {
	if v < 1<<(size-1) {
		return v - 1<<size + 1
	}
	return v
}

// bitReader reads a segment of coded data. Past its end come zeros, as libjpeg stuffs them.
type bitReader struct {
	segment []byte // without stuffed zeros, padded by pad
	length  int    // of it, without the padding
	at      int
	acc     uint64 // the next n bits, at the top
	n       int
}

const pad = 16

// refill makes sure of 32 bits at least.
func (b *bitReader) refill() {
	if b.at+4 <= len(b.segment) {
		s := b.segment[b.at : b.at+4 : b.at+4]
		b.acc |= uint64(uint32(s[0])<<24|uint32(s[1])<<16|uint32(s[2])<<8|uint32(s[3])) << (32 - b.n)
	}
	b.at += 4
	b.n += 32
}

// spent reports whether more bits were taken than there are.
func (b *bitReader) spent() bool { return 8*b.at-b.n > 8*b.length }

func (b *bitReader) take(n int) int32 {
	v := int32(b.acc >> (64 - n))
	b.acc <<= n
	b.n -= n
	return v
}

// bit and the methods below refill as they need.
func (b *bitReader) bit() int32 {
	if b.n < 1 {
		b.refill()
	}
	return b.take(1)
}

func (b *bitReader) bits(n int) int32 {
	if n == 0 {
		return 0
	}
	if b.n < n {
		b.refill()
	}
	return b.take(n)
}

// symbol decodes the next code. One that isn't in the table counts as 0 and takes 17 bits.
func (b *bitReader) symbol(h *huffman) byte {
	if b.n < 32 {
		b.refill()
	}
	symbol, length := h.next(b.acc)
	if h.fast[b.acc>>(64-lookBits)]&whole != 0 {
		length -= symbol & 15 // the value's bits are not taken here
	}
	b.acc <<= length
	b.n -= int(length)
	return byte(symbol)
}

package jpeg

import "encoding/binary"

// lookBits is how many bits of a code are looked up at once. With vectors dcBits are enough for a DC code: its table
// leaves more of the processor's nearest cache to the others.
const lookBits, dcBits = 11, 9

// code is an entry of a table: a code among the next lookBits bits and the value that follows it. It is 0
// where the code is longer. Its bytes are, from the lowest:
//
//	0  how many bits both take
//	1  the symbol; the lower half is the size of the value
//	2  how many bits the code takes
//	3  63 less the size of the value
type code uint32

func codeOf(symbol byte, length uint32) code {
	size := uint32(symbol & 15)
	return code(length + size | uint32(symbol)<<8 | length<<16 | (63-size)<<24)
}

func (c code) bits() uint32   { return uint32(c) & 63 }
func (c code) length() uint32 { return uint32(c) >> 16 & 63 }
func (c code) size() uint32   { return uint32(c) >> 8 & 15 }
func (c code) run() uint32    { return uint32(c) >> 12 & 15 }

// value gives the value that follows the code, which is at the top of acc: negative where its first bit is
// 0 (T.81, figure F.12).
func (c code) value(acc uint64) int32 { return valueOf(acc<<c.length(), uint32(c)>>24) }

// valueOf gives the value at the top of acc; less is 63 less its size.
func valueOf(acc uint64, less uint32) int32 {
	negative := uint64(^int64(acc) >> 63)
	return int32(((acc^negative)>>1>>(less&63) ^ negative) - negative)
}

// huffman is a table made ready for decoding.
type huffman struct {
	counts  [17]byte // of the table that it was made of
	ready   bool
	fast    [1 << lookBits]code
	short   [1 << dcBits]code // of fewer bits; 0 also where code and value take more than most
	maxCode [18]int32         // by length; -1 for none
	offset  [18]int32
	values  [256]byte
}

// build makes the table, and reports whether it has: not where it was made of an equal one before, as it
// often was of the picture before.
func (h *huffman) build(spec *huffmanSpec) bool {
	values := [256]byte{}
	copy(values[:], spec.values)
	if h.ready && h.counts == spec.counts && h.values == values {
		return false
	}
	h.counts, h.values, h.ready = spec.counts, values, true
	clear(h.fast[:])
	first, at := int32(0), int32(0)
	for length := int32(1); length <= 16; length++ {
		n := int32(spec.counts[length])
		h.maxCode[length], h.offset[length] = -1, at-first
		if n > 0 {
			h.maxCode[length] = first + n - 1
		}
		if length <= lookBits {
			room := lookBits - length
			for i := range n {
				same := h.fast[(first+i)<<room:][:1<<room]
				for k := range same {
					same[k] = codeOf(spec.values[at+i], uint32(length))
				}
			}
		}
		at += n
		first = (first + n) << 1
	}
	for i := range h.short {
		h.short[i] = 0
		if c := h.fast[i<<(lookBits-dcBits)]; c.length() <= dcBits && c.bits() <= most {
			h.short[i] = c
		}
	}
	h.maxCode[17] = 1 << 30 // ends the search
	return true
}

// next gives the code at the top of acc.
func (h *huffman) next(acc uint64) code {
	if c := h.fast[acc>>(64-lookBits)]; c != 0 {
		return c
	}
	for length := uint32(lookBits + 1); ; length++ {
		number := int32(acc >> (64 - length))
		switch {
		case number > h.maxCode[length]:
		case length > 16:
			return codeOf(0, length) // in no table: libjpeg takes it for 0
		default:
			return codeOf(h.values[(number+h.offset[length])&255], length)
		}
	}
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

// spent reports whether more bits were taken than there are.
func (b *bitReader) spent() bool { return 8*b.at-b.n > 8*b.length }

// fill makes sure of 56 bits at least. It is for methods that keep acc, n and at to themselves.
func (b *bitReader) fill() { b.acc, b.n, b.at = filled(b.segment, b.acc, b.n, b.at) }

// filled makes sure of 56 bits at least. Those behind the last whole byte may be there already, and come again.
func filled(segment []byte, acc uint64, n, at int) (uint64, int, int) {
	if at+8 <= len(segment) {
		acc |= binary.BigEndian.Uint64(segment[at:]) >> (n & 63)
	}
	return acc, n | 56, at + (63-n)>>3
}

// drop goes on by n bits, which are there.
func (b *bitReader) drop(n uint32) {
	b.acc <<= n & 63
	b.n -= int(n)
}

// bits takes the next n bits, 15 at most.
func (b *bitReader) bits(n uint32) uint32 {
	b.fill()
	v := uint32(b.acc >> 1 >> ((63 - n) & 63))
	b.drop(n)
	return v
}

package webp

import (
	"encoding/binary"
	"math/bits"
)

// boolReader is the boolean entropy decoder of RFC 6386, section 7.
type boolReader struct {
	data  []byte
	value uint64 // bits that were read; the last bits+8 count
	span  uint32 // the range, less one
	bits  int    // read beyond the eight that the next decision needs
	ended bool   // more was asked for than there is; what is missing is zeros
}

func newBoolReader(data []byte) *boolReader { return &boolReader{data: data, span: 254, bits: -8} }

func (r *boolReader) load() {
	switch {
	case len(r.data) >= 8:
		r.value = r.value<<56 | binary.BigEndian.Uint64(r.data)>>8
		r.data = r.data[7:]
		r.bits += 56
	case len(r.data) > 0:
		r.value = r.value<<8 | uint64(r.data[0])
		r.data = r.data[1:]
		r.bits += 8
	default:
		r.value <<= 8
		r.bits += 8
		r.ended = true
	}
}

// bit decodes a decision that is false with probability p/256.
func (r *boolReader) bit(p uint8) bool {
	if r.bits < 0 {
		r.load()
	}
	split := r.span * uint32(p) >> 8
	span, yes := split+1, uint32(r.value>>(r.bits&63)) > split
	if yes {
		span = r.span - split
		r.value -= uint64(split+1) << (r.bits & 63)
	}
	shift := bits.LeadingZeros8(uint8(span))
	r.span = span<<shift - 1
	r.bits -= shift
	return yes
}

func (r *boolReader) flag() bool { return r.bit(128) }

// one returns bit as a number.
func (r *boolReader) one(p uint8) int {
	if r.bit(p) {
		return 1
	}
	return 0
}

func (r *boolReader) number(n int) int {
	v := 0
	for range n {
		v = v<<1 | r.one(128)
	}
	return v
}

// signed reads a number and its sign.
func (r *boolReader) signed(n int) int {
	v := r.number(n)
	if r.flag() {
		return -v
	}
	return v
}

// optional reads a flag and, if it is set, a signed number. Otherwise it returns 0.
func (r *boolReader) optional(n int) int {
	if !r.flag() {
		return 0
	}
	return r.signed(n)
}

// Package pixelstest makes pictures for tests that no encoder makes.
package pixelstest

import "encoding/binary"

// Scans is a grey progressive JPEG of so many scans. The first gives every block a bit, and the others take twelve
// bytes each. With order they are as the standard wants them, of which there are 883 at most; otherwise they
// repeat one.
func Scans(width, height, scans int, order bool) []byte {
	segment := func(marker byte, content ...byte) []byte {
		head := binary.BigEndian.AppendUint16([]byte{0xff, marker}, uint16(2+len(content)))
		return append(head, content...)
	}
	side := func(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }
	ones := make([]byte, 65)
	for i := range ones[1:] {
		ones[1+i] = 1
	}
	out := []byte{0xff, 0xd8}
	out = append(out, segment(0xdb, ones...)...)
	frame := append([]byte{8}, append(side(height), side(width)...)...)
	out = append(out, segment(0xc2, append(frame, 1, 1, 0x11, 0)...)...)
	counts := make([]byte, 16) // one code, 0, of one bit
	counts[0] = 1
	out = append(out, segment(0xc4, append(append([]byte{0x00}, counts...), 0)...)...)    // a difference of 0
	out = append(out, segment(0xc4, append(append([]byte{0x10}, counts...), 0xe0)...)...) // the end of the band in 2^14 blocks and more

	blocks := ((width + 7) / 8) * ((height + 7) / 8)
	scan := func(from, to, high, low, bytes int) {
		out = append(out, segment(0xda, 1, 1, 0, byte(from), byte(to), byte(high<<4|low))...)
		out = append(out, make([]byte, bytes)...)
	}
	scan(0, 0, 0, 0, (blocks+7)/8)
	if !order {
		for range scans - 1 {
			scan(1, 63, 0, 0, 2)
		}
		return append(out, 0xff, 0xd9)
	}
	// Coefficients one by one, each in fourteen steps from its highest bit down, as many as there are scans for;
	// then the rest at once, where it takes two.
	left, from := scans-1, 1
	for ; left > 14; from++ {
		scan(from, from, 0, 13, 2)
		for low := 12; low >= 0; low-- {
			scan(from, from, low+1, low, 2)
		}
		left -= 14
	}
	for low := left - 1; low >= 0; low-- {
		high := low + 1
		if low == left-1 {
			high = 0
		}
		scan(from, 63, high, low, 2)
	}
	return append(out, 0xff, 0xd9)
}

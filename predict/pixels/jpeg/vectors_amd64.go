package jpeg

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// hasVectors says that blocks are transformed, and rows doubled and coloured, with vectors. They give what plain Go
// gives.
var hasVectors = cpu.X86.HasAVX2 && cpu.X86.HasBMI2

//go:noescape
func inverse8x8(dst *byte, stride int, c, quant *[64]int16, with *transformVectors) bool

//go:noescape
func double16(near, far, out *byte, blocks, even, odd int)

//go:noescape
func colour16(luma, cb, cr, out *byte, blocks int, with *colourVectors)

//go:noescape
func readUnits(r *bitReader, limit int, c *int16, before int, slots *slot, count, x, whole, from int, with *fastVectors) (units, blocks int)

// blockAhead is more bytes than one block takes.
const blockAhead = 320

// fastVectors are what blocks are read and transformed with.
type fastVectors struct {
	transformVectors // the first, as the transform finds it
	places           [256]uint8
}

var fastWith = fastVectors{transformWith, blockPlace}

// fastUnits reads units from the one numbered x on, whole of them, as decodeRow does; of the first one from the block
// numbered from on. If whole is 0, it reads the rest of that one, but does not end it. It returns how many it has
// ended, and how many blocks it has read of the next one. It stops before a block whose first code is longer than
// dcBits or near the end of the segment, and behind a unit if plain Go must transform a block of the one before.
func fastUnits(r *bitReader, raw *[2]unitCoefs, slots []slot, x, whole, from int) (units, blocks int) {
	c, before := &raw[x&1], &raw[1-x&1]
	distance := int(uintptr(unsafe.Pointer(before)) - uintptr(unsafe.Pointer(c)))
	_, _ = c[64*len(slots)], slots[from]
	return readUnits(r, len(r.segment)-blockAhead, &c[0], distance, &slots[0], len(slots), x, whole, from, &fastWith)
}

// transformVectors are what the transform multiplies pairs of coefficients by, and what it adds before it shifts.
type transformVectors struct {
	t3, t2, t0, t1, z3, z4, o0, o3, o1, o2 [16]int16
	first, second                          [8]int32
	ones, largest                          [8]int16
	safe                                   int32
}

var transformWith = func() (v transformVectors) {
	for i := range 8 {
		for _, p := range []struct {
			to   *[16]int16
			a, b int16
		}{
			{&v.t3, f0541 + f0765, f0541},  // coefficients 2 and 6
			{&v.t2, f0541, f0541 - f1847},  // 2 and 6
			{&v.t0, 1 << 13, 1 << 13},      // 0 and 4
			{&v.t1, 1 << 13, -1 << 13},     // 0 and 4
			{&v.z3, f1175 - f1961, f1175},  // 7 + 3 and 5 + 1
			{&v.z4, f1175, f1175 - f0390},  // 7 + 3 and 5 + 1
			{&v.o0, f0298 - f0899, -f0899}, // 7 and 1
			{&v.o3, -f0899, f1501 - f0899}, // 7 and 1
			{&v.o1, f2053 - f2562, -f2562}, // 5 and 3
			{&v.o2, -f2562, f3072 - f2562}, // 5 and 3
		} {
			p.to[2*i], p.to[2*i+1] = p.a, p.b
		}
		v.first[i], v.second[i] = 1<<10, center
		v.ones[i], v.largest[i] = 1, 1<<15-1
	}
	v.safe = safeSum
	return v
}()

// vectorInverse multiplies coefficients and transforms them as inverseFull does. It reports whether it has: not where
// their sum isn't safe.
func vectorInverse(dst []byte, stride int, c, quant *[64]int16) bool {
	_ = dst[7*stride+7]
	return inverse8x8(&dst[0], stride, c, quant, &transformWith)
}

// vectorDouble doubles the width of samples that have neighbours on both sides: of each it makes (3 t + left + even) / 16
// and (3 t + right + odd) / 16, where t is 3 near + far. The last vector overlaps the one before it.
func vectorDouble(near, far, out []byte, even, odd int) {
	n := len(near) - 2
	_, _ = far[n+1], out[2*n+3]
	double16(&near[1], &far[1], &out[2], n/16, even, odd)
	if last := n - 15; n%16 > 0 {
		double16(&near[last], &far[last], &out[2*last], 1, even, odd)
	}
}

// colourVectors are the factors of the colours, and where samples go that were packed.
type colourVectors struct {
	red, blue, green [16]int16
	half             [8]int32
	centre           [16]int16
	place            [4][32]byte
}

var colourWith = func() (v colourVectors) {
	for i := range 16 {
		// Sums are taken apart into whole numbers, which are added, and the rest, which fits 16 bits.
		v.red[i], v.blue[i] = (91881-1<<16)/2, (116130-2<<16)/2
		v.green[i] = [2]int16{-22554, 1<<16 - 46802}[i%2]
		v.half[i%8], v.centre[i] = 1<<15, 128
	}
	for i := range v.place {
		for k := range v.place[i] {
			v.place[i][k] = 0x80
		}
	}
	for lane := range 2 {
		for k := range 24 {
			// Red and green are packed side by side, eight of each, and blue alone.
			pixel, colour := k/3, k%3
			from, second := byte(pixel), k/16
			switch colour {
			case 1:
				from += 8
				fallthrough
			case 0:
				v.place[2*second][16*lane+k%16] = from
			case 2:
				v.place[2*second+1][16*lane+k%16] = from
			}
		}
	}
	return v
}()

// vectorColours is yCbCrRow for rows of 16 pixels or more. The last vector overlaps the one before it.
func vectorColours(luma, cb, cr, out []byte) {
	n := len(luma)
	_, _, _ = cb[n-1], cr[n-1], out[3*n-1]
	colour16(&luma[0], &cb[0], &cr[0], &out[0], n/16, &colourWith)
	if last := n - 16; n%16 > 0 {
		colour16(&luma[last], &cb[last], &cr[last], &out[3*last], 1, &colourWith)
	}
}

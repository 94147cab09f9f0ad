package tensor

// Conversion to 16-bit floats.

import "math"

// ToFloat16 rounds x to the nearest float16, ties to even. Too large a number becomes infinite.
func ToFloat16(x float64) Float16Bits { return Float16Bits(narrow(x, 10, 15)) }

// ToBFloat16 rounds x to the nearest bfloat16, ties to even. Too large a number becomes infinite.
func ToBFloat16(x float64) BFloat16Bits { return BFloat16Bits(narrow(x, 7, 127)) }

// narrow rounds to a 16-bit float with the given number of fraction bits and exponent bias. Scaling by a
// power of two is exact, so a number is rounded once.
func narrow(x float64, fraction, bias int) uint16 {
	sign := uint16(0)
	if math.Signbit(x) {
		sign = 1 << 15
	}
	infinite := uint16(2*bias+1) << fraction
	x = math.Abs(x)
	switch {
	case math.IsNaN(x):
		return sign | infinite | 1<<(fraction-1)
	case math.IsInf(x, 0):
		return sign | infinite
	case x == 0:
		return sign
	}
	exponent := max(math.Ilogb(x), 1-bias) // below, numbers are subnormal
	if exponent > bias {
		return sign | infinite
	}
	// Rounding up may carry into the exponent, and from the largest number to infinity.
	rounded := int(math.RoundToEven(math.Ldexp(x, fraction-exponent)))
	return sign | uint16((exponent+bias-1)<<fraction+rounded)
}

// Float32 converts the number exactly.
func (h Float16Bits) Float32() float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exponent {
	case 0:
		x := float32(fraction) / (1 << 24)
		return math.Float32frombits(sign | math.Float32bits(x))
	case 31:
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}

// Float32 converts the number exactly.
func (b BFloat16Bits) Float32() float32 { return math.Float32frombits(uint32(b) << 16) }

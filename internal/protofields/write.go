package protofields

// Encoding of fields. As in proto3, zero values are omitted.

import (
	"encoding/binary"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

func float32At(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }
func float64At(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }

// Size returns the size of a field with a number below 16 and the given bytes.
func Size(bytes int) int { return 1 + protowire.SizeBytes(bytes) }

// SizeText returns the size of a text field. It sets ok to false if the text is not UTF-8.
func SizeText(text string, ok *bool) int {
	if text == "" {
		return 0
	}
	if !utf8.ValidString(text) {
		*ok = false
	}
	return Size(len(text))
}

// AppendText appends a field of text.
func AppendText(dst []byte, number uint64, text string) []byte {
	if text == "" {
		return dst
	}
	return AppendBytes(dst, number, text)
}

// AppendBytes appends a field of bytes or text, also if it is empty.
func AppendBytes[T []byte | string](dst []byte, number uint64, value T) []byte {
	return append(AppendLength(dst, number, len(value)), value...)
}

// AppendLength appends the tag and the length of a field.
func AppendLength(dst []byte, number uint64, bytes int) []byte {
	return protowire.AppendVarint(protowire.AppendVarint(dst, number<<3|Bytes), uint64(bytes))
}

// SizeNumbers returns the packed size of numbers.
func SizeNumbers[T int32 | int64 | uint32 | uint64](numbers []T) int {
	n := 0
	for _, x := range numbers {
		n += protowire.SizeVarint(uint64(x))
	}
	return n
}

// AppendNumbers appends a field of packed numbers.
func AppendNumbers[T int32 | int64 | uint32 | uint64](dst []byte, number uint64, numbers []T) []byte {
	if len(numbers) == 0 {
		return dst
	}
	dst = AppendLength(dst, number, SizeNumbers(numbers))
	for _, x := range numbers {
		dst = protowire.AppendVarint(dst, uint64(x))
	}
	return dst
}

// AppendBools appends a field of packed booleans.
func AppendBools(dst []byte, number uint64, bools []bool) []byte {
	if len(bools) == 0 {
		return dst
	}
	dst = AppendLength(dst, number, len(bools))
	for _, x := range bools {
		dst = protowire.AppendVarint(dst, protowire.EncodeBool(x))
	}
	return dst
}

// AppendFloats appends a field of packed numbers of four bytes.
func AppendFloats(dst []byte, number uint64, floats []float32) []byte {
	if len(floats) == 0 {
		return dst
	}
	dst = AppendLength(dst, number, 4*len(floats))
	for _, x := range floats {
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(x))
	}
	return dst
}

// AppendDoubles appends a field of packed numbers of eight bytes.
func AppendDoubles(dst []byte, number uint64, doubles []float64) []byte {
	if len(doubles) == 0 {
		return dst
	}
	dst = AppendLength(dst, number, 8*len(doubles))
	for _, x := range doubles {
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(x))
	}
	return dst
}

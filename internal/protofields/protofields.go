// Package protofields encodes and decodes protobuf fields by hand. It is for the few messages in every
// call, for which reflection takes longer than the fields. It does not decode unusual messages: the caller
// leaves these to the generated code, whose result and error count.
package protofields

import (
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Tags of a field, by its number and wire type.
const (
	Varint  = uint64(protowire.VarintType)
	Fixed64 = uint64(protowire.Fixed64Type)
	Bytes   = uint64(protowire.BytesType)
	Fixed32 = uint64(protowire.Fixed32Type)
)

// Reader reads a message field by field. Only the result of Raw shares the message's memory.
type Reader struct {
	// Tag is the current field's number, shifted left by three, and its wire type.
	Tag  uint64
	rest []byte
	bad  bool
}

// Read returns a reader of a message.
func Read(message []byte) Reader { return Reader{rest: message} }

// Next advances to the next field, and reports whether there is one. Read a field's value before the next
// call.
func (r *Reader) Next() bool {
	if r.bad || len(r.rest) == 0 {
		return false
	}
	r.Tag = r.Varint()
	return !r.bad
}

// OK reports whether everything could be read.
func (r *Reader) OK() bool { return !r.bad }

// Fail marks the message as one for the generated code.
func (r *Reader) Fail() { r.bad = true }

// Varint reads a number.
func (r *Reader) Varint() uint64 {
	if len(r.rest) > 0 && r.rest[0] < 0x80 {
		x := r.rest[0]
		r.rest = r.rest[1:]
		return uint64(x)
	}
	x, n := protowire.ConsumeVarint(r.rest)
	return took(r, x, n)
}

// Fixed32 reads a number of four bytes.
func (r *Reader) Fixed32() uint32 {
	x, n := protowire.ConsumeFixed32(r.rest)
	return took(r, x, n)
}

// Fixed64 reads a number of eight bytes.
func (r *Reader) Fixed64() uint64 {
	x, n := protowire.ConsumeFixed64(r.rest)
	return took(r, x, n)
}

func took[T any](r *Reader, x T, n int) T {
	if n < 0 {
		r.bad = true
		r.rest = nil
		return x
	}
	r.rest = r.rest[n:]
	return x
}

// Raw reads bytes, a string or a message. The result shares the message's memory.
func (r *Reader) Raw() []byte {
	n := r.Varint()
	if r.bad || n > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	value := r.rest[:n:n]
	r.rest = r.rest[n:]
	return value
}

// Clone reads bytes into memory of their own.
func (r *Reader) Clone() []byte {
	value := r.Raw()
	return append(make([]byte, 0, len(value)), value...)
}

// Text reads a string.
func (r *Reader) Text() string {
	value := r.Raw()
	if !utf8.Valid(value) {
		r.bad = true
		return ""
	}
	return string(value)
}

// Known reads a string without allocating if it is one of a few known ones.
func (r *Reader) Known(name func([]byte) string) string {
	rest := r.rest
	if known := name(r.Raw()); known != "" {
		return known
	}
	r.rest = rest
	return r.Text()
}

// Numbers appends the packed numbers of a field.
func Numbers[T int32 | int64 | uint32 | uint64](r *Reader, to []T) []T {
	packed := r.Raw()
	to = grown(to, count(packed))
	for numbers := Read(packed); len(numbers.rest) > 0; {
		if to = append(to, T(numbers.Varint())); numbers.bad {
			r.bad = true
			break
		}
	}
	return to
}

// Bools appends the packed booleans of a field.
func Bools(r *Reader, to []bool) []bool {
	packed := r.Raw()
	to = grown(to, count(packed))
	for numbers := Read(packed); len(numbers.rest) > 0; {
		if to = append(to, numbers.Varint() != 0); numbers.bad {
			r.bad = true
			break
		}
	}
	return to
}

// Floats appends the packed four-byte numbers of a field.
func Floats(r *Reader, to []float32) []float32 {
	packed := r.Raw()
	if len(packed)%4 != 0 {
		r.bad = true
		return to
	}
	to = grown(to, len(packed)/4)
	for ; len(packed) > 0; packed = packed[4:] {
		to = append(to, float32At(packed))
	}
	return to
}

// Doubles appends the packed eight-byte numbers of a field.
func Doubles(r *Reader, to []float64) []float64 {
	packed := r.Raw()
	if len(packed)%8 != 0 {
		r.bad = true
		return to
	}
	to = grown(to, len(packed)/8)
	for ; len(packed) > 0; packed = packed[8:] {
		to = append(to, float64At(packed))
	}
	return to
}

// grown returns to with room for n more.
func grown[T any](to []T, n int) []T {
	if to == nil && n > 0 {
		return make([]T, 0, n)
	}
	return slices.Grow(to, n)
}

// count returns the number of packed varints.
func count(packed []byte) int {
	n := 0
	for _, b := range packed {
		if b < 0x80 {
			n++
		}
	}
	return n
}

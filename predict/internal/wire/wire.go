// Package wire reads protobuf messages field by field, without generated code. It skips what a reader does
// not ask for, such as weights.
package wire

import "google.golang.org/protobuf/encoding/protowire"

// Field is one field of a message.
type Field struct {
	Number protowire.Number
	Varint uint64 // or the bits of a number of four or eight bytes
	Bytes  []byte // shared with the message
}

// Fields calls visit for each field of a message, until one call fails.
func Fields(message []byte, visit func(Field) error) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		f := Field{Number: number}
		switch kind {
		case protowire.VarintType:
			f.Varint, n = protowire.ConsumeVarint(message)
		case protowire.Fixed32Type:
			var bits uint32
			bits, n = protowire.ConsumeFixed32(message)
			f.Varint = uint64(bits)
		case protowire.Fixed64Type:
			f.Varint, n = protowire.ConsumeFixed64(message)
		case protowire.BytesType:
			f.Bytes, n = protowire.ConsumeBytes(message)
		default:
			n = protowire.ConsumeFieldValue(number, kind, message)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		if err := visit(f); err != nil {
			return err
		}
	}
	return nil
}

// Entry reads an entry of a map with string keys.
func Entry(message []byte) (key string, value []byte, err error) {
	err = Fields(message, func(f Field) error {
		switch f.Number {
		case 1:
			key = string(f.Bytes)
		case 2:
			value = f.Bytes
		}
		return nil
	})
	return key, value, err
}

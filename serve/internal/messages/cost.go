package messages

// The memory that a message takes once it is read, told from its bytes.

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// What the parts of a message take beside their bytes, generously.
const (
	messageSize = 192
	entrySize   = 256
	pointerSize = 24
	maxNested   = 64
)

// cost is the memory that a message will take.
func cost(raw []byte, d protoreflect.MessageDescriptor, depth int) (int64, error) {
	if depth > maxNested {
		return 0, fmt.Errorf("messages are nested deeper than %d", maxNested)
	}
	total := int64(messageSize)
	for len(raw) > 0 {
		number, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return 0, protowire.ParseError(n)
		}
		raw = raw[n:]
		field := d.Fields().ByNumber(number)
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, raw); n < 0 {
				return 0, protowire.ParseError(n)
			}
			raw = raw[n:]
			total += pointerSize
			continue
		}
		value, n := protowire.ConsumeBytes(raw)
		if n < 0 {
			return 0, protowire.ParseError(n)
		}
		raw = raw[n:]
		switch {
		case field == nil:
			total += int64(len(value)) + pointerSize
		case field.Message() != nil:
			inner, err := cost(value, field.Message(), depth+1)
			if err != nil {
				return 0, err
			}
			total += inner + pointerSize
			if field.IsMap() {
				total += entrySize
			}
		case field.Kind() == protoreflect.StringKind || field.Kind() == protoreflect.BytesKind:
			total += int64(len(value)) + 2*pointerSize
		default:
			total += packedSize(field.Kind(), value) + pointerSize
		}
	}
	return total, nil
}

// packedSize is what packed numbers take.
func packedSize(kind protoreflect.Kind, value []byte) int64 {
	wide := int64(0)
	switch kind {
	case protoreflect.FloatKind, protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind,
		protoreflect.DoubleKind, protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return int64(len(value))
	case protoreflect.BoolKind:
		wide = 1
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Uint32Kind, protoreflect.EnumKind:
		wide = 4
	default:
		wide = 8
	}
	n := int64(0)
	for _, b := range value {
		if b < 0x80 {
			n++
		}
	}
	return n * wide
}

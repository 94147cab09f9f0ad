package messages

// The memory of a decoded message, computed from its bytes.

import (
	"fmt"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Generous estimates of the memory of a message's parts, apart from their bytes.
const (
	messageSize = 192
	entrySize   = 256
	pointerSize = 24
	maxNested   = 64
)

// layout is what cost needs to know of a message's type. Reflection finds it once.
type layout struct{ fields []field } // by number

type field struct {
	kind   protoreflect.Kind // 0 for a number that the type does not have
	nested *layout           // of messages
	entry  bool              // of a map
}

var layouts sync.Map // by protoreflect.MessageDescriptor

func layoutOf(d protoreflect.MessageDescriptor) *layout {
	if l, ok := layouts.Load(d); ok {
		return l.(*layout)
	}
	l, _ := layouts.LoadOrStore(d, newLayout(d, map[protoreflect.FullName]*layout{}))
	return l.(*layout)
}

// newLayout finds a type's layout. known holds those found before, since a type may contain itself.
func newLayout(d protoreflect.MessageDescriptor, known map[protoreflect.FullName]*layout) *layout {
	if l, ok := known[d.FullName()]; ok {
		return l
	}
	l := new(layout)
	known[d.FullName()] = l
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		if missing := int(f.Number()) + 1 - len(l.fields); missing > 0 {
			l.fields = append(l.fields, make([]field, missing)...)
		}
		found := field{kind: f.Kind(), entry: f.IsMap()}
		if f.Message() != nil {
			found.nested = newLayout(f.Message(), known)
		}
		l.fields[f.Number()] = found
	}
	return l
}

// field returns the field with a number.
func (l *layout) field(number protowire.Number) field {
	if int(number) < len(l.fields) {
		return l.fields[number]
	}
	return field{}
}

// cost returns the memory that a message will take once it is decoded, in bytes.
func (l *layout) cost(raw []byte, depth int) (int64, error) {
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
		f := l.field(number)
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
		case f.kind == 0:
			total += int64(len(value)) + pointerSize
		case f.nested != nil:
			inner, err := f.nested.cost(value, depth+1)
			if err != nil {
				return 0, err
			}
			total += inner + pointerSize
			if f.entry {
				total += entrySize
			}
		case f.kind == protoreflect.StringKind || f.kind == protoreflect.BytesKind:
			total += int64(len(value)) + 2*pointerSize
		default:
			total += packedSize(f.kind, value) + pointerSize
		}
	}
	return total, nil
}

// packedSize returns the memory of packed numbers.
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

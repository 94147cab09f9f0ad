// Package fieldstest tests hand-written encoding and decoding of messages against the generated code.
package fieldstest

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Reader is a message that is read by hand.
type Reader interface {
	proto.Message
	ReadWire(message []byte) bool
}

// Writer is a message that is written by hand.
type Writer interface {
	proto.Message
	SizeWire() (size int, ok bool)
	AppendWire(dst []byte) []byte
}

// Read holds byHand, an empty message, to the generated code's, and reports whether it was read by hand: it may
// be left to the generated code, and must be where that refuses it.
func Read[M Reader](t testing.TB, raw []byte, byHand, generated M) bool {
	t.Helper()
	before := bytes.Clone(raw)
	if !byHand.ReadWire(raw) {
		return false
	}
	if !bytes.Equal(raw, before) {
		t.Fatalf("%x became %x", before, raw)
	}
	if err := proto.Unmarshal(raw, generated); err != nil {
		t.Fatalf("%x is read by hand, and refused: %v", raw, err)
	}
	if !proto.Equal(byHand, generated) {
		t.Fatalf("%x is read as\n%v, and by the generated code as\n%v", raw, byHand, generated)
	}
	clear(raw) // the result must not share memory with it
	if !proto.Equal(byHand, generated) {
		t.Fatalf("%x shares its memory", before)
	}
	copy(raw, before)
	return true
}

// Write holds what m writes to the generated code, and reports whether it was written by hand.
func Write[M Writer](t testing.TB, m, again M) bool {
	t.Helper()
	size, ok := m.SizeWire()
	if !ok {
		return false
	}
	raw := m.AppendWire(nil)
	want, err := proto.Marshal(m)
	if err != nil {
		t.Fatalf("%v is written by hand, and refused: %v", m, err)
	}
	if len(raw) != size || len(raw) != len(want) {
		t.Fatalf("%v takes %d bytes by hand, which said %d, and %d by the generated code", m, len(raw), size, len(want))
	}
	if err := proto.Unmarshal(raw, again); err != nil || !proto.Equal(m, again) {
		t.Fatalf("%v is written as %x, which is %v, %v", m, raw, again, err)
	}
	return true
}

// Message is a random message of a type. With odd it has at times what clients do not send: unknown
// fields, other wire types, text that is no UTF-8, bytes that are missing or changed.
func Message(r *rand.Rand, d protoreflect.MessageDescriptor, odd bool) []byte {
	raw := message(r, d, odd, 0)
	for odd && len(raw) > 0 && r.IntN(3) == 0 {
		switch at := r.IntN(len(raw)); r.IntN(3) {
		case 0:
			raw = raw[:at]
		case 1:
			raw[at] ^= 1 << r.IntN(8)
		case 2:
			raw = append(raw, raw[at:]...)
		}
	}
	return raw
}

func message(r *rand.Rand, d protoreflect.MessageDescriptor, odd bool, depth int) []byte {
	var raw []byte
	fields := d.Fields()
	for range r.IntN(6) {
		f := fields.Get(r.IntN(fields.Len()))
		number := f.Number()
		if odd && r.IntN(40) == 0 {
			number = protowire.Number(1 + r.IntN(40))
		}
		if f.IsList() && packable(f.Kind()) && r.IntN(2) == 0 {
			var packed []byte
			for range r.IntN(5) {
				packed, _ = scalar(r, packed, f.Kind())
			}
			raw = protowire.AppendBytes(protowire.AppendTag(raw, number, protowire.BytesType), packed)
			continue
		}
		value, kind := scalar(r, nil, f.Kind())
		switch {
		case f.Kind() == protoreflect.MessageKind && depth < 6:
			kind, value = protowire.BytesType, protowire.AppendBytes(nil, message(r, f.Message(), odd, depth+1))
		case f.Kind() == protoreflect.MessageKind:
			kind, value = protowire.BytesType, protowire.AppendBytes(nil, nil)
		case f.Kind() == protoreflect.StringKind || f.Kind() == protoreflect.BytesKind:
			text := []byte([]string{"", "a", "FP32", "input", "é", "\x00"}[r.IntN(6)])
			if odd && r.IntN(30) == 0 {
				text = append(text, 0xff)
			}
			kind, value = protowire.BytesType, protowire.AppendBytes(nil, text)
		}
		if odd && r.IntN(60) == 0 {
			kind = protowire.Type(r.IntN(6))
		}
		raw = append(protowire.AppendTag(raw, number, kind), value...)
	}
	return raw
}

func packable(k protoreflect.Kind) bool {
	return k != protoreflect.MessageKind && k != protoreflect.StringKind && k != protoreflect.BytesKind
}

func scalar(r *rand.Rand, to []byte, k protoreflect.Kind) ([]byte, protowire.Type) {
	x := []uint64{0, 1, 127, 128, 300, math.MaxInt32, math.MaxUint32, math.MaxUint64, 1 << 63, r.Uint64()}[r.IntN(10)]
	switch k {
	case protoreflect.FloatKind:
		return protowire.AppendFixed32(to, uint32(x)), protowire.Fixed32Type
	case protoreflect.DoubleKind:
		return protowire.AppendFixed64(to, x), protowire.Fixed64Type
	}
	return protowire.AppendVarint(to, x), protowire.VarintType
}

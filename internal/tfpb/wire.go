package tfpb

// The two messages of a prediction, encoded and decoded by hand. The generated code decodes a message with fields that this
// code does not know, and reports errors.

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/forgo-ml/forgo/internal/protofields"
)

const (
	varint  = protofields.Varint
	fixed32 = protofields.Fixed32
	fixed64 = protofields.Fixed64
	bytes   = protofields.Bytes
)

// ReadWire reads an empty message. If it returns false, read the message with proto.Unmarshal.
//
//forgo:reader TensorFlow gRPC message
func (x *PredictRequest) ReadWire(message []byte) bool {
	r := protofields.Read(message)
	for r.Next() {
		switch r.Tag {
		case 1<<3 | bytes:
			if x.ModelSpec == nil {
				x.ModelSpec = new(ModelSpec)
			}
			readSpec(&r, x.ModelSpec)
		case 2<<3 | bytes:
			name, value := "", new(TensorProto)
			entry := protofields.Read(r.Raw())
			for entry.Next() {
				switch entry.Tag {
				case 1<<3 | bytes:
					name = entry.Text()
				case 2<<3 | bytes:
					readTensor(&entry, value)
				default:
					entry.Fail()
				}
			}
			if !entry.OK() {
				return false
			}
			if x.Inputs == nil {
				x.Inputs = map[string]*TensorProto{}
			}
			x.Inputs[name] = value
		case 3<<3 | bytes:
			x.OutputFilter = append(x.OutputFilter, r.Text())
		default:
			r.Fail()
		}
	}
	return r.OK()
}

func readSpec(of *protofields.Reader, x *ModelSpec) {
	r := protofields.Read(of.Raw())
	for r.Next() {
		switch r.Tag {
		case 1<<3 | bytes:
			x.Name = r.Text()
		case 2<<3 | bytes:
			version, ok := x.VersionChoice.(*ModelSpec_Version)
			if !ok {
				version = &ModelSpec_Version{new(wrapperspb.Int64Value)}
				x.VersionChoice = version
			}
			v := protofields.Read(r.Raw())
			for v.Next() {
				if v.Tag != 1<<3|varint {
					v.Fail()
				}
				version.Version.Value = int64(v.Varint())
			}
			if !v.OK() {
				r.Fail()
			}
		case 3<<3 | bytes:
			x.SignatureName = r.Text()
		case 4<<3 | bytes:
			x.VersionChoice = &ModelSpec_VersionLabel{r.Text()}
		default:
			r.Fail()
		}
	}
	if !r.OK() {
		of.Fail()
	}
}

func readTensor(of *protofields.Reader, x *TensorProto) {
	r := protofields.Read(of.Raw())
	for r.Next() {
		switch r.Tag {
		case 1<<3 | varint:
			x.Dtype = DataType(int32(r.Varint()))
		case 2<<3 | bytes:
			if x.TensorShape == nil {
				x.TensorShape = new(TensorShapeProto)
			}
			readShape(&r, x.TensorShape)
		case 3<<3 | varint:
			x.VersionNumber = int32(r.Varint())
		case 4<<3 | bytes:
			x.TensorContent = r.Clone()
		case 5<<3 | bytes:
			x.FloatVal = protofields.Floats(&r, x.FloatVal)
		case 5<<3 | fixed32:
			x.FloatVal = append(x.FloatVal, math.Float32frombits(r.Fixed32()))
		case 6<<3 | bytes:
			x.DoubleVal = protofields.Doubles(&r, x.DoubleVal)
		case 6<<3 | fixed64:
			x.DoubleVal = append(x.DoubleVal, math.Float64frombits(r.Fixed64()))
		case 7<<3 | bytes:
			x.IntVal = protofields.Numbers(&r, x.IntVal)
		case 7<<3 | varint:
			x.IntVal = append(x.IntVal, int32(r.Varint()))
		case 8<<3 | bytes:
			x.StringVal = append(x.StringVal, r.Clone())
		case 10<<3 | bytes:
			x.Int64Val = protofields.Numbers(&r, x.Int64Val)
		case 10<<3 | varint:
			x.Int64Val = append(x.Int64Val, int64(r.Varint()))
		case 11<<3 | bytes:
			x.BoolVal = protofields.Bools(&r, x.BoolVal)
		case 11<<3 | varint:
			x.BoolVal = append(x.BoolVal, r.Varint() != 0)
		case 13<<3 | bytes:
			x.HalfVal = protofields.Numbers(&r, x.HalfVal)
		case 13<<3 | varint:
			x.HalfVal = append(x.HalfVal, int32(r.Varint()))
		case 16<<3 | bytes:
			x.Uint32Val = protofields.Numbers(&r, x.Uint32Val)
		case 16<<3 | varint:
			x.Uint32Val = append(x.Uint32Val, uint32(r.Varint()))
		case 17<<3 | bytes:
			x.Uint64Val = protofields.Numbers(&r, x.Uint64Val)
		case 17<<3 | varint:
			x.Uint64Val = append(x.Uint64Val, r.Varint())
		default:
			r.Fail()
		}
	}
	if !r.OK() {
		of.Fail()
	}
}

func readShape(of *protofields.Reader, x *TensorShapeProto) {
	r := protofields.Read(of.Raw())
	for r.Next() {
		switch r.Tag {
		case 2<<3 | bytes:
			dim := new(TensorShapeProto_Dim)
			d := protofields.Read(r.Raw())
			for d.Next() {
				switch d.Tag {
				case 1<<3 | varint:
					dim.Size = int64(d.Varint())
				case 2<<3 | bytes:
					dim.Name = d.Text()
				default:
					d.Fail()
				}
			}
			if !d.OK() {
				r.Fail()
			}
			x.Dim = append(x.Dim, dim)
		case 3<<3 | varint:
			x.UnknownRank = r.Varint() != 0
		default:
			r.Fail()
		}
	}
	if !r.OK() {
		of.Fail()
	}
}

// SizeWire is the size of the message that AppendWire writes. If it returns false, proto.Marshal must write
// the message.
func (x *PredictResponse) SizeWire() (size int, ok bool) {
	ok = len(x.unknownFields) == 0
	for name, t := range x.Outputs {
		if t == nil {
			return 0, false
		}
		size += protofields.Size(sizeOutput(name, t.sizeWire(&ok), &ok))
	}
	if x.ModelSpec != nil {
		size += protofields.Size(x.ModelSpec.sizeWire(&ok))
	}
	return size, ok
}

// sizeOutput is the size of a map's entry, whose fields are there also where they are empty.
func sizeOutput(name string, tensor int, ok *bool) int {
	_ = protofields.SizeText(name, ok)
	return protofields.Size(len(name)) + protofields.Size(tensor)
}

// AppendWire appends the message.
//
//forgo:writer TensorFlow gRPC message
func (x *PredictResponse) AppendWire(dst []byte) []byte {
	ok := true
	for name, t := range x.Outputs {
		size := t.sizeWire(&ok)
		dst = protofields.AppendLength(dst, 1, sizeOutput(name, size, &ok))
		dst = protofields.AppendBytes(dst, 1, name)
		dst = t.appendWire(protofields.AppendLength(dst, 2, size))
	}
	if x.ModelSpec != nil {
		dst = x.ModelSpec.appendWire(protofields.AppendLength(dst, 2, x.ModelSpec.sizeWire(&ok)))
	}
	return dst
}

// version is the number that a spec has, as a message; ok is false where it has a label.
func (x *ModelSpec) version() (number *wrapperspb.Int64Value, ok bool) {
	switch choice := x.VersionChoice.(type) {
	case nil:
		return nil, true
	case *ModelSpec_Version:
		return choice.Version, choice.Version != nil && len(choice.Version.ProtoReflect().GetUnknown()) == 0
	}
	return nil, false
}

func sizeNumber(x uint64) int {
	if x == 0 {
		return 0
	}
	return 1 + protowire.SizeVarint(x)
}

func appendNumber(dst []byte, number, x uint64) []byte {
	if x == 0 {
		return dst
	}
	return protowire.AppendVarint(protowire.AppendVarint(dst, number<<3|varint), x)
}

func (x *ModelSpec) sizeWire(ok *bool) int {
	version, known := x.version()
	*ok = *ok && known && len(x.unknownFields) == 0
	size := protofields.SizeText(x.Name, ok) + protofields.SizeText(x.SignatureName, ok)
	if version != nil {
		size += protofields.Size(sizeNumber(uint64(version.Value)))
	}
	return size
}

func (x *ModelSpec) appendWire(dst []byte) []byte {
	dst = protofields.AppendText(dst, 1, x.Name)
	if version, _ := x.version(); version != nil {
		dst = protofields.AppendLength(dst, 2, sizeNumber(uint64(version.Value)))
		dst = appendNumber(dst, 1, uint64(version.Value))
	}
	return protofields.AppendText(dst, 3, x.SignatureName)
}

func (x *TensorProto) sizeWire(ok *bool) int {
	*ok = *ok && len(x.unknownFields) == 0
	size := sizeNumber(uint64(x.Dtype)) + sizeNumber(uint64(x.VersionNumber))
	if x.TensorShape != nil {
		size += protofields.Size(x.TensorShape.sizeWire(ok))
	}
	for i, packed := range [...]int{
		len(x.TensorContent), 4 * len(x.FloatVal), 8 * len(x.DoubleVal), protofields.SizeNumbers(x.IntVal),
		protofields.SizeNumbers(x.Int64Val), len(x.BoolVal), protofields.SizeNumbers(x.HalfVal),
		protofields.SizeNumbers(x.Uint32Val), protofields.SizeNumbers(x.Uint64Val),
	} {
		if packed > 0 {
			size += protofields.Size(packed)
			if i > 6 { // a number above 15 makes a longer tag
				size++
			}
		}
	}
	for _, text := range x.StringVal {
		size += protofields.Size(len(text))
	}
	return size
}

func (x *TensorProto) appendWire(dst []byte) []byte {
	dst = appendNumber(dst, 1, uint64(x.Dtype))
	if x.TensorShape != nil {
		ok := true
		dst = x.TensorShape.appendWire(protofields.AppendLength(dst, 2, x.TensorShape.sizeWire(&ok)))
	}
	dst = appendNumber(dst, 3, uint64(x.VersionNumber))
	if len(x.TensorContent) > 0 {
		dst = protofields.AppendBytes(dst, 4, x.TensorContent)
	}
	dst = protofields.AppendFloats(dst, 5, x.FloatVal)
	dst = protofields.AppendDoubles(dst, 6, x.DoubleVal)
	dst = protofields.AppendNumbers(dst, 7, x.IntVal)
	for _, text := range x.StringVal {
		dst = protofields.AppendBytes(dst, 8, text)
	}
	dst = protofields.AppendNumbers(dst, 10, x.Int64Val)
	dst = protofields.AppendBools(dst, 11, x.BoolVal)
	dst = protofields.AppendNumbers(dst, 13, x.HalfVal)
	dst = protofields.AppendNumbers(dst, 16, x.Uint32Val)
	return protofields.AppendNumbers(dst, 17, x.Uint64Val)
}

func (x *TensorShapeProto) sizeWire(ok *bool) int {
	*ok = *ok && len(x.unknownFields) == 0
	size := 0
	for _, dim := range x.Dim {
		if dim == nil || len(dim.unknownFields) > 0 {
			*ok = false
			return 0
		}
		size += protofields.Size(sizeNumber(uint64(dim.Size)) + protofields.SizeText(dim.Name, ok))
	}
	if x.UnknownRank {
		size += 2
	}
	return size
}

func (x *TensorShapeProto) appendWire(dst []byte) []byte {
	for _, dim := range x.Dim {
		ok := true
		dst = protofields.AppendLength(dst, 2, sizeNumber(uint64(dim.Size))+protofields.SizeText(dim.Name, &ok))
		dst = protofields.AppendText(appendNumber(dst, 1, uint64(dim.Size)), 2, dim.Name)
	}
	return appendNumber(dst, 3, protowire.EncodeBool(x.UnknownRank))
}

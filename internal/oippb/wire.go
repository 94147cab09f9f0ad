package oippb

// The two messages of an inference, encoded and decoded by hand. The generated code decodes a message with fields that this
// code does not know, and reports errors.

import (
	"math"

	"github.com/forgo-ml/forgo/internal/protofields"
)

const (
	varint  = protofields.Varint
	fixed32 = protofields.Fixed32
	fixed64 = protofields.Fixed64
	bytes   = protofields.Bytes
)

// datatypes are the names that take no memory when they are read.
func datatypes(name []byte) string {
	switch string(name) {
	case "BOOL":
		return "BOOL"
	case "BYTES":
		return "BYTES"
	case "INT8":
		return "INT8"
	case "INT16":
		return "INT16"
	case "INT32":
		return "INT32"
	case "INT64":
		return "INT64"
	case "UINT8":
		return "UINT8"
	case "UINT16":
		return "UINT16"
	case "UINT32":
		return "UINT32"
	case "UINT64":
		return "UINT64"
	case "FP16":
		return "FP16"
	case "BF16":
		return "BF16"
	case "FP32":
		return "FP32"
	case "FP64":
		return "FP64"
	}
	return ""
}

// ReadWire reads an empty message. If it returns false, read the message with proto.Unmarshal.
//
//forgo:reader OIP gRPC message
func (x *ModelInferRequest) ReadWire(message []byte) bool {
	r := protofields.Read(message)
	for r.Next() {
		switch r.Tag {
		case 1<<3 | bytes:
			x.ModelName = r.Text()
		case 2<<3 | bytes:
			x.ModelVersion = r.Text()
		case 3<<3 | bytes:
			x.Id = r.Text()
		case 4<<3 | bytes:
			readParameter(&r, &x.Parameters)
		case 5<<3 | bytes:
			if x.Inputs == nil {
				first := new(firstInput)
				x.Inputs, first.input.Shape = first.list[:0], first.shape[:0]
				x.Inputs = append(x.Inputs, &first.input)
			} else {
				x.Inputs = append(x.Inputs, new(ModelInferRequest_InferInputTensor))
			}
			readInput(&r, x.Inputs[len(x.Inputs)-1])
		case 6<<3 | bytes:
			o := new(ModelInferRequest_InferRequestedOutputTensor)
			x.Outputs = append(x.Outputs, o)
			readOutput(&r, o)
		case 7<<3 | bytes:
			x.RawInputContents = append(x.RawInputContents, r.Clone())
		default:
			r.Fail()
		}
	}
	return r.OK()
}

// firstInput is the memory of the only input that most requests have.
type firstInput struct {
	input ModelInferRequest_InferInputTensor
	list  [1]*ModelInferRequest_InferInputTensor
	shape [4]int64
}

func readInput(of *protofields.Reader, x *ModelInferRequest_InferInputTensor) {
	r := protofields.Read(of.Raw())
	for r.Next() {
		switch r.Tag {
		case 1<<3 | bytes:
			x.Name = r.Text()
		case 2<<3 | bytes:
			x.Datatype = r.Known(datatypes)
		case 3<<3 | bytes:
			x.Shape = protofields.Numbers(&r, x.Shape)
		case 3<<3 | varint:
			x.Shape = append(x.Shape, int64(r.Varint()))
		case 4<<3 | bytes:
			readParameter(&r, &x.Parameters)
		case 5<<3 | bytes:
			if x.Contents == nil {
				x.Contents = new(InferTensorContents)
			}
			readContents(&r, x.Contents)
		default:
			r.Fail()
		}
	}
	if len(x.Shape) == 0 {
		x.Shape = nil
	}
	if !r.OK() {
		of.Fail()
	}
}

func readOutput(of *protofields.Reader, x *ModelInferRequest_InferRequestedOutputTensor) {
	r := protofields.Read(of.Raw())
	for r.Next() {
		switch r.Tag {
		case 1<<3 | bytes:
			x.Name = r.Text()
		case 2<<3 | bytes:
			readParameter(&r, &x.Parameters)
		default:
			r.Fail()
		}
	}
	if !r.OK() {
		of.Fail()
	}
}

// readParameter reads one entry of a map; the last of a name counts.
func readParameter(of *protofields.Reader, to *map[string]*InferParameter) {
	name, value := "", new(InferParameter)
	r := protofields.Read(of.Raw())
	for r.Next() {
		switch r.Tag {
		case 1<<3 | bytes:
			name = r.Text()
		case 2<<3 | bytes:
			v := protofields.Read(r.Raw())
			for v.Next() {
				switch v.Tag {
				case 1<<3 | varint:
					value.ParameterChoice = &InferParameter_BoolParam{v.Varint() != 0}
				case 2<<3 | varint:
					value.ParameterChoice = &InferParameter_Int64Param{int64(v.Varint())}
				case 3<<3 | bytes:
					value.ParameterChoice = &InferParameter_StringParam{v.Text()}
				case 4<<3 | fixed64:
					value.ParameterChoice = &InferParameter_DoubleParam{math.Float64frombits(v.Fixed64())}
				case 5<<3 | varint:
					value.ParameterChoice = &InferParameter_Uint64Param{v.Varint()}
				default:
					v.Fail()
				}
			}
			if !v.OK() {
				r.Fail()
			}
		default:
			r.Fail()
		}
	}
	if !r.OK() {
		of.Fail()
		return
	}
	if *to == nil {
		*to = map[string]*InferParameter{}
	}
	(*to)[name] = value
}

func readContents(of *protofields.Reader, x *InferTensorContents) {
	r := protofields.Read(of.Raw())
	for r.Next() {
		switch r.Tag {
		case 1<<3 | bytes:
			x.BoolContents = protofields.Bools(&r, x.BoolContents)
		case 1<<3 | varint:
			x.BoolContents = append(x.BoolContents, r.Varint() != 0)
		case 2<<3 | bytes:
			x.IntContents = protofields.Numbers(&r, x.IntContents)
		case 2<<3 | varint:
			x.IntContents = append(x.IntContents, int32(r.Varint()))
		case 3<<3 | bytes:
			x.Int64Contents = protofields.Numbers(&r, x.Int64Contents)
		case 3<<3 | varint:
			x.Int64Contents = append(x.Int64Contents, int64(r.Varint()))
		case 4<<3 | bytes:
			x.UintContents = protofields.Numbers(&r, x.UintContents)
		case 4<<3 | varint:
			x.UintContents = append(x.UintContents, uint32(r.Varint()))
		case 5<<3 | bytes:
			x.Uint64Contents = protofields.Numbers(&r, x.Uint64Contents)
		case 5<<3 | varint:
			x.Uint64Contents = append(x.Uint64Contents, r.Varint())
		case 6<<3 | bytes:
			x.Fp32Contents = protofields.Floats(&r, x.Fp32Contents)
		case 6<<3 | fixed32:
			x.Fp32Contents = append(x.Fp32Contents, math.Float32frombits(r.Fixed32()))
		case 7<<3 | bytes:
			x.Fp64Contents = protofields.Doubles(&r, x.Fp64Contents)
		case 7<<3 | fixed64:
			x.Fp64Contents = append(x.Fp64Contents, math.Float64frombits(r.Fixed64()))
		case 8<<3 | bytes:
			x.BytesContents = append(x.BytesContents, r.Clone())
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
func (x *ModelInferResponse) SizeWire() (size int, ok bool) {
	ok = len(x.Parameters) == 0 && len(x.unknownFields) == 0
	size = protofields.SizeText(x.ModelName, &ok) + protofields.SizeText(x.ModelVersion, &ok) + protofields.SizeText(x.Id, &ok)
	for _, o := range x.Outputs {
		if o == nil {
			return 0, false
		}
		size += protofields.Size(o.sizeWire(&ok))
	}
	for _, raw := range x.RawOutputContents {
		size += protofields.Size(len(raw))
	}
	return size, ok
}

// AppendWire appends the message.
//
//forgo:writer OIP gRPC message
func (x *ModelInferResponse) AppendWire(dst []byte) []byte {
	dst = protofields.AppendText(dst, 1, x.ModelName)
	dst = protofields.AppendText(dst, 2, x.ModelVersion)
	dst = protofields.AppendText(dst, 3, x.Id)
	for _, o := range x.Outputs {
		ok := true
		dst = protofields.AppendLength(dst, 5, o.sizeWire(&ok))
		dst = protofields.AppendText(dst, 1, o.Name)
		dst = protofields.AppendText(dst, 2, o.Datatype)
		dst = protofields.AppendNumbers(dst, 3, o.Shape)
		if o.Contents != nil {
			dst = protofields.AppendLength(dst, 5, o.Contents.sizeWire())
			dst = o.Contents.appendWire(dst)
		}
	}
	for _, raw := range x.RawOutputContents {
		dst = protofields.AppendBytes(dst, 6, raw)
	}
	return dst
}

func (x *ModelInferResponse_InferOutputTensor) sizeWire(ok *bool) int {
	size := protofields.SizeText(x.Name, ok) + protofields.SizeText(x.Datatype, ok)
	if len(x.Shape) > 0 {
		size += protofields.Size(protofields.SizeNumbers(x.Shape))
	}
	if x.Contents != nil {
		size += protofields.Size(x.Contents.sizeWire())
		*ok = *ok && len(x.Contents.unknownFields) == 0
	}
	*ok = *ok && len(x.Parameters) == 0 && len(x.unknownFields) == 0
	return size
}

func (x *InferTensorContents) sizeWire() int {
	size := 0
	for _, packed := range [...]int{
		len(x.BoolContents), protofields.SizeNumbers(x.IntContents), protofields.SizeNumbers(x.Int64Contents),
		protofields.SizeNumbers(x.UintContents), protofields.SizeNumbers(x.Uint64Contents),
		4 * len(x.Fp32Contents), 8 * len(x.Fp64Contents),
	} {
		if packed > 0 {
			size += protofields.Size(packed)
		}
	}
	for _, text := range x.BytesContents {
		size += protofields.Size(len(text))
	}
	return size
}

func (x *InferTensorContents) appendWire(dst []byte) []byte {
	dst = protofields.AppendBools(dst, 1, x.BoolContents)
	dst = protofields.AppendNumbers(dst, 2, x.IntContents)
	dst = protofields.AppendNumbers(dst, 3, x.Int64Contents)
	dst = protofields.AppendNumbers(dst, 4, x.UintContents)
	dst = protofields.AppendNumbers(dst, 5, x.Uint64Contents)
	dst = protofields.AppendFloats(dst, 6, x.Fp32Contents)
	dst = protofields.AppendDoubles(dst, 7, x.Fp64Contents)
	for _, text := range x.BytesContents {
		dst = protofields.AppendBytes(dst, 8, text)
	}
	return dst
}

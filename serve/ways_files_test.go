package serve_test

// The files and messages that carry random rows, written here rather than by the code that reads them.

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle/bundletest"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

var tfNames = map[tensor.DType]string{
	tensor.Bool: "DT_BOOL", tensor.String: "DT_STRING", tensor.Int8: "DT_INT8", tensor.Int16: "DT_INT16", tensor.Int32: "DT_INT32",
	tensor.Int64: "DT_INT64", tensor.Uint8: "DT_UINT8", tensor.Uint16: "DT_UINT16", tensor.Uint32: "DT_UINT32", tensor.Uint64: "DT_UINT64",
	tensor.Float16: "DT_HALF", tensor.BFloat16: "DT_BFLOAT16", tensor.Float32: "DT_FLOAT", tensor.Float64: "DT_DOUBLE",
}

type whole interface {
	~int8 | ~int16 | ~int32 | ~uint8 | ~uint16 | ~uint32
}

func as[To, From whole](from []From) []To {
	to := make([]To, len(from))
	for i, x := range from {
		to[i] = To(x)
	}
	return to
}

// fillTyped puts a tensor's values in the field of their type.
func fillTyped(p *tfpb.TensorProto, x tensor.Tensor) {
	switch data := x.Data.(type) {
	case []float32:
		p.FloatVal = data
	case []float64:
		p.DoubleVal = data
	case []tensor.Float16Bits:
		p.HalfVal = as[int32](data)
	case []tensor.BFloat16Bits:
		p.HalfVal = as[int32](data)
	case []int8:
		p.IntVal = as[int32](data)
	case []int16:
		p.IntVal = as[int32](data)
	case []uint8:
		p.IntVal = as[int32](data)
	case []uint16:
		p.IntVal = as[int32](data)
	case []int32:
		p.IntVal = data
	case []int64:
		p.Int64Val = data
	case []uint32:
		p.Uint32Val = data
	case []uint64:
		p.Uint64Val = data
	case []bool:
		p.BoolVal = data
	case []string:
		for _, s := range data {
			p.StringVal = append(p.StringVal, []byte(s))
		}
	}
}

// typedValues reads the values of a type out of its field.
func typedValues(p *tfpb.TensorProto, d tensor.DType) any {
	switch d {
	case tensor.Float32:
		return p.GetFloatVal()
	case tensor.Float64:
		return p.GetDoubleVal()
	case tensor.Float16:
		return as[tensor.Float16Bits](p.GetHalfVal())
	case tensor.BFloat16:
		return as[tensor.BFloat16Bits](p.GetHalfVal())
	case tensor.Int8:
		return as[int8](p.GetIntVal())
	case tensor.Int16:
		return as[int16](p.GetIntVal())
	case tensor.Uint8:
		return as[uint8](p.GetIntVal())
	case tensor.Uint16:
		return as[uint16](p.GetIntVal())
	case tensor.Int32:
		return p.GetIntVal()
	case tensor.Int64:
		return p.GetInt64Val()
	case tensor.Uint32:
		return p.GetUint32Val()
	case tensor.Uint64:
		return p.GetUint64Val()
	case tensor.Bool:
		return p.GetBoolVal()
	}
	var values []string
	for _, b := range p.GetStringVal() {
		values = append(values, string(b))
	}
	return values
}

var numpyNames = map[tensor.DType]string{
	tensor.Bool: "|b1", tensor.Int8: "|i1", tensor.Int16: "<i2", tensor.Int32: "<i4", tensor.Int64: "<i8",
	tensor.Uint8: "|u1", tensor.Uint16: "<u2", tensor.Uint32: "<u4", tensor.Uint64: "<u8",
	tensor.Float16: "<f2", tensor.Float32: "<f4", tensor.Float64: "<f8",
}

// npy is the file that numpy.save writes: strings are padded code points.
func npy(t *testing.T, x tensor.Tensor) []byte {
	t.Helper()
	name, raw := numpyNames[x.DType()], []byte(nil)
	if values, ok := x.Data.([]string); ok {
		size := 1
		for _, s := range values {
			size = max(size, len([]rune(s)))
		}
		name = fmt.Sprintf("<U%d", size)
		for _, s := range values {
			points := append([]rune(s), make([]rune, size)...)
			for _, point := range points[:size] {
				raw = binary.LittleEndian.AppendUint32(raw, uint32(point))
			}
		}
	} else {
		var err error
		if raw, err = x.Bytes(); err != nil {
			t.Fatal(err)
		}
	}
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%d, %d), }\n", name, x.Shape[0], x.Shape[1])
	return slices.Concat([]byte("\x93NUMPY\x01\x00"), binary.LittleEndian.AppendUint16(nil, uint16(len(header))), []byte(header), raw)
}

func npz(t *testing.T, x tensor.Tensor) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	file, err := w.Create("x.npy")
	if err == nil {
		_, err = file.Write(npy(t, x))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var safetensorsNames = map[tensor.DType]string{
	tensor.Bool: "BOOL", tensor.Int8: "I8", tensor.Int16: "I16", tensor.Int32: "I32", tensor.Int64: "I64",
	tensor.Uint8: "U8", tensor.Uint16: "U16", tensor.Uint32: "U32", tensor.Uint64: "U64",
	tensor.Float16: "F16", tensor.BFloat16: "BF16", tensor.Float32: "F32", tensor.Float64: "F64",
}

// safetensors is a file of a golden case whose input and output are x.
func safetensors(t *testing.T, x tensor.Tensor) []byte {
	t.Helper()
	header, body := map[string]any{}, []byte(nil)
	add := func(name string, x tensor.Tensor) {
		raw, err := x.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		header[name] = map[string]any{"dtype": safetensorsNames[x.DType()], "shape": x.Shape, "data_offsets": []int{len(body), len(body) + len(raw)}}
		body = append(body, raw...)
	}
	for _, name := range []string{"input.x", "output.y"} {
		values, ok := x.Data.([]string)
		if !ok {
			add(name, x)
			continue
		}
		all, lengths := []byte{}, []int64{}
		for _, s := range values {
			all, lengths = append(all, s...), append(lengths, int64(len(s)))
		}
		add(name, tensor.Tensor{Shape: []int64{int64(len(all))}, Data: all})
		add(name+tensor.Lengths, tensor.Tensor{Shape: x.Shape, Data: lengths})
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text, body)
}

// replayed loads a bundle whose golden cases are the rows sent, with the recorded ones as inputs and outputs.
func replayed(t *testing.T, graph string, sent, recorded tensor.Tensor) error {
	t.Helper()
	path := servetest.GraphBundle(t, graph, "tensors")
	bundletest.Edit(t, path, func(m map[string]any) {
		var cases []any
		for i := range sent.Rows() {
			id := fmt.Sprintf("%03d", i)
			row, tensors := "golden/"+id+".json", "golden/"+id+".safetensors"
			bundletest.Write(t, path, row, namedRow(sent, i))
			bundletest.Write(t, path, tensors, safetensors(t, recorded.Slice(i, i+1)))
			cases = append(cases, map[string]any{"id": id, "input": row, "content_type": "application/json", "source": "row", "tensors": tensors})
			m["files"].(map[string]any)[row], m["files"].(map[string]any)[tensors] = map[string]any{}, map[string]any{}
		}
		m["golden"] = map[string]any{"cases": cases}
		m["tolerance"] = map[string]any{"decode": 0, "preprocess": 0, "model": 0}
	})
	m, err := predict.Options{Threads: 1}.Load(t.Context(), path, onnx.Engine())
	if err == nil {
		err = m.Close()
	}
	return err
}

package tensor

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"unsafe"
)

// maxSafetensorsHeader bounds the JSON header, since golden cases have few tensors. The format allows 100
// MB.
const maxSafetensorsHeader = 4 << 20

var safetensorsTypes = map[string]func(raw []byte) any{
	"BOOL": func(raw []byte) any {
		out := make([]bool, len(raw))
		for i, b := range raw {
			out[i] = b != 0
		}
		return out
	},
	"I8":   decode[int8],
	"I16":  decode[int16],
	"I32":  decode[int32],
	"I64":  decode[int64],
	"U8":   decode[uint8],
	"U16":  decode[uint16],
	"U32":  decode[uint32],
	"U64":  decode[uint64],
	"F16":  decode[Float16Bits],
	"BF16": decode[BFloat16Bits],
	"F32":  decode[float32],
	"F64":  decode[float64],
}

func decode[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | Float16Bits | BFloat16Bits | float32 | float64](raw []byte) any {
	var zero T
	size := int(unsafe.Sizeof(zero))
	if len(raw)%size != 0 {
		return nil
	}
	out := make([]T, len(raw)/size)
	if err := binary.Read(bytes.NewReader(raw), binary.LittleEndian, out); err != nil {
		return nil
	}
	return out
}

// ReadSafetensors reads the tensors of a file in the safetensors format
// (https://huggingface.co/docs/safetensors). The tensors do not share data.
//
//forgo:reader safetensors
func ReadSafetensors(file []byte) (Map, error) {
	if len(file) < 8 {
		return nil, fmt.Errorf("read safetensors: %d bytes are too short for a header", len(file))
	}
	n := binary.LittleEndian.Uint64(file)
	if n > maxSafetensorsHeader || n > uint64(len(file)-8) {
		return nil, fmt.Errorf("read safetensors: the header claims %d bytes of %d", n, len(file)-8)
	}
	var header map[string]json.RawMessage
	if err := json.Unmarshal(file[8:8+n], &header); err != nil {
		return nil, fmt.Errorf("read safetensors: %w", err)
	}
	body := file[8+n:]
	total := int64(0)
	out := Map{}
	var spans [][2]int64
	for name, raw := range header {
		if name == "__metadata__" {
			continue
		}
		var entry struct {
			DType   string   `json:"dtype"`
			Shape   []int64  `json:"shape"`
			Offsets [2]int64 `json:"data_offsets"`
		}
		if err := json.Unmarshal(raw, &entry); err != nil {
			return nil, fmt.Errorf("read safetensors: tensor %q: %w", name, err)
		}
		from, to := entry.Offsets[0], entry.Offsets[1]
		convert := safetensorsTypes[entry.DType]
		if convert == nil || from < 0 || to < from || to > int64(len(body)) {
			return nil, fmt.Errorf("read safetensors: tensor %q: type %q at bytes %d to %d of %d", name, entry.DType, from, to, len(body))
		}
		// Tensors that share bytes would take far more memory than the file.
		if total += to - from; total > int64(len(body)) {
			return nil, fmt.Errorf("read safetensors: its tensors exceed the file's %d bytes", len(body))
		}
		spans = append(spans, entry.Offsets)
		t := Tensor{Shape: entry.Shape, Data: convert(body[from:to])}
		if err := t.Check(); err != nil {
			return nil, fmt.Errorf("read safetensors: tensor %q: %w", name, err)
		}
		out[name] = t
	}
	// The format requires every byte to belong to one tensor.
	slices.SortFunc(spans, func(a, b [2]int64) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	end := int64(0)
	for _, span := range spans {
		if span[0] != end {
			return nil, fmt.Errorf("read safetensors: a tensor begins at byte %d, the one before it ends at %d", span[0], end)
		}
		end = span[1]
	}
	if end != int64(len(body)) {
		return nil, fmt.Errorf("read safetensors: %d bytes are left after the last tensor", int64(len(body))-end)
	}
	return out, nil
}

// Lengths is the suffix of the name of a string tensor's second half: see [JoinStrings].
const Lengths = ":lengths"

// JoinStrings joins the two halves of a string tensor. safetensors has no strings, so a bundle stores the
// bytes of all elements in row-major order and, under the same name with [Lengths], their lengths in the
// tensor's shape.
func JoinStrings(all, lengths Tensor) (Tensor, error) {
	raw, isBytes := all.Data.([]uint8)
	sizes, isLengths := lengths.Data.([]int64)
	if !isBytes || !isLengths {
		return Tensor{}, fmt.Errorf("strings are kept as uint8 and their lengths as int64, not as %s and %s", all.DType(), lengths.DType())
	}
	values := make([]string, len(sizes))
	for i, n := range sizes {
		if n < 0 || n > int64(len(raw)) {
			return Tensor{}, fmt.Errorf("element %d has %d bytes of the %d that are left", i, n, len(raw))
		}
		values[i], raw = string(raw[:n]), raw[n:]
	}
	if len(raw) > 0 {
		return Tensor{}, fmt.Errorf("%d bytes are left after the last element", len(raw))
	}
	return Tensor{Shape: lengths.Shape, Data: values}, nil
}

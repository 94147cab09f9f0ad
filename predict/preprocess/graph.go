package preprocess

import (
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/forgo-ml/forgo/predict/internal/wire"
)

//go:embed graphs.json
var graphsJSON []byte

// digests maps ways to resize, fit and channels to the digests of the graphs that forgo writes.
var digests = sync.OnceValue(func() map[string]string {
	known := map[string]string{}
	if err := json.Unmarshal(graphsJSON, &known); err != nil {
		panic("graphs.json, run make preprocess: " + err.Error())
	}
	return known
})

// Is reports whether a graph is, byte for byte, the one that forgo writes for these rules.
func (r Rules) Is(graph []byte) bool {
	want, known := digests()[fmt.Sprintf("%s %s %d", r.Resize, r.Fit, r.Channels)]
	if !known {
		return false
	}
	rest, same := r.rest(graph)
	digest := sha256.Sum256(rest)
	return same && hex.EncodeToString(digest[:]) == want
}

// rest returns the graph without the parts that a bundle chooses, as src/forgo/_preprocess.py digests it.
// same is false if these parts differ from the rules.
func (r Rules) rest(model []byte) (rest []byte, same bool) {
	chosen := r.chosen()
	same = true
	err := wire.Fields(model, func(f wire.Field) error {
		if f.Number != fieldGraph {
			rest = appendField(rest, f)
			return nil
		}
		var graph []byte
		err := wire.Fields(f.Bytes, func(f wire.Field) error {
			switch f.Number {
			case fieldOutput:
				same = same && string(f.Bytes) == string(r.output())
				return nil
			case fieldInitializer:
				name := tensorName(f.Bytes)
				if want, is := chosen[name]; is {
					same = same && string(f.Bytes) == string(want)
					f.Bytes = protowire.AppendString(protowire.AppendTag(nil, fieldTensorName, protowire.BytesType), name)
				}
			}
			graph = appendField(graph, f)
			return nil
		})
		rest = appendField(rest, wire.Field{Number: fieldGraph, Bytes: graph})
		return err
	})
	return rest, same && err == nil
}

// Fields of onnx.proto that are read.
const (
	fieldGraph       = 7
	fieldInitializer = 5
	fieldOutput      = 12
	fieldTensorName  = 8
)

// appendField writes a field back. Its numbers are varints in every message that is read.
func appendField(b []byte, f wire.Field) []byte {
	if f.Bytes == nil {
		return protowire.AppendVarint(protowire.AppendTag(b, f.Number, protowire.VarintType), f.Varint)
	}
	return protowire.AppendBytes(protowire.AppendTag(b, f.Number, protowire.BytesType), f.Bytes)
}

func tensorName(message []byte) (name string) {
	// An unreadable field gives another digest.
	_ = wire.Fields(message, func(f wire.Field) error {
		if f.Number == fieldTensorName {
			name = string(f.Bytes)
		}
		return nil
	})
	return name
}

// chosen returns the constants that a bundle chooses, by name, as Python writes them.
func (r Rules) chosen() map[string][]byte {
	numbers := func(name string, dims []int, values ...int) []byte {
		var raw []byte
		for _, v := range values {
			raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
		}
		const int64s = 7
		return constant(name, int64s, dims, raw)
	}
	const uint8s = 2
	made := map[string][]byte{
		"rows":       numbers("rows", nil, r.Height),
		"columns":    numbers("columns", nil, r.Width),
		"size":       numbers("size", []int{3}, r.Height, r.Width, r.Channels),
		"pad_colour": constant("pad_colour", uint8s, []int{3}, r.PadColour[:]),
	}
	made["shorter_side"] = numbers("shorter_side", nil, r.ShorterSide)
	return made
}

// constant writes a TensorProto.
func constant(name string, kind uint64, dims []int, raw []byte) (b []byte) {
	for _, d := range dims {
		b = protowire.AppendVarint(protowire.AppendTag(b, 1, protowire.VarintType), uint64(d))
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), kind)
	b = protowire.AppendString(protowire.AppendTag(b, fieldTensorName, protowire.BytesType), name)
	return protowire.AppendBytes(protowire.AppendTag(b, 9, protowire.BytesType), raw)
}

// output writes the ValueInfoProto of the graph's output: float32 pixels of a known size.
func (r Rules) output() []byte {
	message := func(number protowire.Number, content []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), content)
	}
	number := func(v int) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(v))
	}
	var shape []byte
	for _, d := range []int{r.Height, r.Width, r.Channels} {
		shape = append(shape, message(1, number(d))...)
	}
	const floats = 1
	tensor := append(number(floats), message(2, shape)...)
	return append(message(1, []byte("pixels")), message(2, message(1, tensor))...)
}

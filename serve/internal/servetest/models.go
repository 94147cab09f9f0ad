// Package servetest has what the tests of all protocols and packages share: servers of real models, and calls
// to them.
package servetest

// Models of the repository's bundles and of the graphs of the conformance suite.

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle/bundletest"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve"
)

// Folders of the repository, each with a slash at its end.
var (
	Bundles = conformance("bundles")
	Graphs  = conformance("graphs")
)

// conformance finds a folder from that of any test.
func conformance(name string) string {
	at := "."
	for range 6 {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return filepath.Join(at, "conformance", name) + "/"
		}
		at = filepath.Join(at, "..")
	}
	panic("a test runs outside the repository")
}

// MaxBody is what servers here take.
const MaxBody = 1 << 20

// Load loads a bundle.
func Load(tb testing.TB, path string) *predict.Model {
	tb.Helper()
	o := predict.Options{Threads: 1, Verify: predict.VerifyQuick}
	m, err := o.Load(tb.Context(), path, onnx.Engine())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = m.Close() })
	return m
}

// Committed loads the two bundles of the repository.
func Committed(tb testing.TB) serve.Models {
	tb.Helper()
	models := serve.Models{}
	for _, name := range []string{"shapes", "iris"} {
		models[name] = Load(tb, Bundles+name+".forgo")
	}
	return models
}

// GraphModel is the model of a bundle around one of the conformance graphs.
func GraphModel(tb testing.TB, graph string) *predict.Model {
	tb.Helper()
	return TaskModel(tb, graph, "tensors")
}

// TaskModel is one that says what its task is, and is changed further by edits.
func TaskModel(tb testing.TB, graph, task string, edits ...func(manifest map[string]any)) *predict.Model {
	tb.Helper()
	return Load(tb, GraphBundle(tb, graph, task, edits...))
}

// GraphBundle is a copy of iris around one of the conformance graphs.
func GraphBundle(tb testing.TB, graph, task string, edits ...func(manifest map[string]any)) string {
	tb.Helper()
	data, err := os.ReadFile(Graphs + graph + ".onnx")
	if err != nil {
		tb.Fatal(err)
	}
	info, err := onnx.Inspect(data)
	if err != nil {
		tb.Fatal(err)
	}
	place := bundletest.Copy(tb, Bundles+"iris.forgo")
	bundletest.Write(tb, place, "model.onnx", data)
	bundletest.Edit(tb, place, func(m map[string]any) {
		described := func(specs []tensor.Spec) []any {
			var out []any
			for _, s := range specs {
				shape := []any{nil}
				for _, d := range s.Shape[min(1, len(s.Shape)):] {
					shape = append(shape, d)
				}
				out = append(out, map[string]any{"name": s.Name, "graph_name": s.Name, "dtype": string(s.DType), "shape": shape})
			}
			return out
		}
		m["task"], m["inputs"], m["outputs"] = task, described(info.Inputs), described(info.Outputs)
		m["golden"] = map[string]any{"cases": []any{}, "none": "a graph of the conformance suite"}
		delete(m, "labels")
		for _, edit := range edits {
			edit(m)
		}
		for name := range m["files"].(map[string]any) {
			if strings.HasPrefix(name, "golden/") {
				delete(m["files"].(map[string]any), name)
			}
		}
	})
	return place
}

// Golden is a case's raw input, and the label that it has.
func Golden(tb testing.TB, m *predict.Model, name string, i int) (raw []byte, label string) {
	tb.Helper()
	c := m.Manifest().Golden.Cases[i]
	raw, err := os.ReadFile(filepath.Join(Bundles+name+".forgo", c.Input))
	if err != nil {
		tb.Fatal(err)
	}
	return raw, c.Label
}

// Best returns, for each row of scores, the label of its largest.
func Best(scores []float32, labels []string) []string {
	var out []string
	for ; len(scores) > 0; scores = scores[len(labels):] {
		top := 0
		for j := range labels {
			if scores[j] > scores[top] {
				top = j
			}
		}
		out = append(out, labels[top])
	}
	return out
}

// Samples hold the extremes of every type, and what JSON says of them.
var Samples = []struct {
	Data any
	JSON string
}{
	{[]bool{true, false}, `[true,false]`},
	{[]int8{-128, 127}, `[-128,127]`},
	{[]int16{-32768, 32767}, `[-32768,32767]`},
	{[]int32{math.MinInt32, math.MaxInt32}, `[-2147483648,2147483647]`},
	{[]int64{math.MinInt64, math.MaxInt64}, `[-9223372036854775808,9223372036854775807]`},
	{[]uint8{0, 255}, `[0,255]`},
	{[]uint16{0, 65535}, `[0,65535]`},
	{[]uint32{0, math.MaxUint32}, `[0,4294967295]`},
	{[]uint64{0, math.MaxUint64}, `[0,18446744073709551615]`},
	{[]float32{0.1, -1e-30}, `[0.1,-1e-30]`},
	{[]float32{float32(math.Inf(1)), float32(math.Inf(-1))}, `[Infinity,-Infinity]`},
	{[]float64{0.1, math.MaxFloat64}, `[0.1,1.7976931348623157e+308]`},
	{[]float64{math.NaN(), math.Inf(-1)}, `[NaN,-Infinity]`},
	{[]string{"", "é \"quoted\""}, `["","é \"quoted\""]`},
	{[]string{"a\x00b", "\x00"}, `["a\u0000b","\u0000"]`},
	{[]tensor.Float16Bits{0x3c00, 0xfc00}, ""},
	{[]tensor.BFloat16Bits{0x3f80, 0x7fc0}, ""},
}

package onnx_test

// Graphs that would read files or memory: each is a graph that is well, with something added.

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// message puts fields together: a number, then a string, another message, or a number.
func message(fields ...any) (b []byte) {
	for i := 0; i < len(fields); i += 2 {
		number := protowire.Number(fields[i].(int))
		switch value := fields[i+1].(type) {
		case int:
			b = protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), uint64(value))
		case string:
			b = protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), value)
		case []byte:
			b = protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), value)
		}
	}
	return b
}

func TestWhatReachesOutsideIsRefused(t *testing.T) {
	outside := message(1, 8, 2, 3, 8, "v", 13, message(1, "location", 2, "etc/passwd"), 14, 1)
	sparse := message(1, outside, 2, message(8, "i"))
	constant := func(attribute []byte) []byte { return message(2, "c", 4, "Constant", 5, attribute) }
	function := func(more ...any) []byte {
		return message(append([]any{1, "F", 10, "own", 5, "c"}, more...)...)
	}
	node := func(domain, name string) []byte { return message(2, "c", 4, name, 7, domain) }
	const file = "another file (etc/passwd)"
	for name, c := range map[string]struct {
		added []byte // to the ModelProto
		says  string
	}{
		"an initializer":             {message(7, message(5, outside)), file},
		"a sparse initializer":       {message(7, message(15, sparse)), file},
		"an attribute":               {message(7, message(1, constant(message(1, "value", 5, outside)))), file},
		"a list of tensors":          {message(7, message(1, constant(message(1, "values", 10, outside)))), file},
		"a sparse attribute":         {message(7, message(1, constant(message(1, "sparse_value", 22, sparse)))), file},
		"a list of sparse ones":      {message(7, message(1, constant(message(1, "sparse_values", 23, sparse)))), file},
		"indices of a sparse one":    {message(7, message(1, constant(message(1, "sparse_value", 22, message(2, outside))))), file},
		"a graph in a graph":         {message(7, message(1, constant(message(1, "body", 6, message(5, outside))))), file},
		"a list of graphs":           {message(7, message(1, constant(message(1, "bodies", 11, message(15, sparse))))), file},
		"an attribute of a function": {message(25, function(11, message(1, "value", 5, outside))), file},
		"a sparse one of a function": {message(25, function(11, message(1, "value", 22, sparse))), file},
		"a list of a function":       {message(25, function(11, message(1, "value", 23, sparse))), file},
		"a node of a function":       {message(25, function(7, constant(message(1, "value", 5, outside)))), file},
		"training":                   {message(20, message(1, message(5, outside))), file},
		"a place that is not named":  {message(7, message(5, message(1, 8, 2, 3, 8, "v", 14, 1))), "data outside the file"},
		"a place without a location": {message(7, message(5, message(1, 8, 2, 3, 8, "v", 13, message(1, "offset", 2, "0")))), "data outside the file"},
		"memory":                     {message(7, message(5, message(1, 8, 2, 3, 8, "v", 13, message(1, "location", 2, "*/_ORT_MEM_ADDR_/*"), 14, 1))), "_ORT_MEM_ADDR_"},
		"a model's new field":        {message(99, "x"), "field 99 of ModelProto"},
		"a tensor's new field":       {message(7, message(5, message(17, "x"))), "field 17 of TensorProto"},
		"an attribute's new field":   {message(7, message(1, constant(message(24, outside)))), "field 24 of AttributeProto"},
		"a function's new field":     {message(25, function(15, outside)), "field 15 of FunctionProto"},
		"a type's new field":         {message(7, message(13, message(2, message(1, message(3, "x"))))), "field 3 of TypeProto.Tensor"},
		"a compiled graph":           {message(7, message(1, node("com.microsoft", "EPContext"))), "com.microsoft.EPContext"},
		"another's operation":        {message(7, message(1, node("ai.onnx.contrib", "PyOp"))), `domain "ai.onnx.contrib"`},
		"one beside a function": {
			slices.Concat(message(25, function()), message(7, message(1, node("own", "G")))),
			`domain "own"`,
		},
	} {
		g := read(t, "affine")
		g.Data = append(slices.Clone(g.Data), c.added...)
		s, err := onnx.Engine().Open(t.Context(), g, predict.SessionOptions{})
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
	}
}

// A file that is one of ONNX Runtime's own format as well is what was checked.
func TestAFileOfTwoFormatsIsReadAsONNX(t *testing.T) {
	g := read(t, "affine")
	g.Data = append(message(2, "..ORTM........"), g.Data...)
	if string(g.Data[4:8]) != "ORTM" {
		t.Fatalf("it does not look like ONNX Runtime's: %q", g.Data[:8])
	}
	s, err := onnx.Engine().Open(t.Context(), g, predict.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.Run(t.Context(), predict.Tensors{"x": {Shape: []int64{1, 3}, Data: []float32{1, 2, 3}}}, []string{"y"})
	if want := (tensor.Tensor{Shape: []int64{1, 3}, Data: []float32{3, 5, 7}}); err != nil || !slices.Equal(out["y"].Data.([]float32), want.Data.([]float32)) {
		t.Errorf("got %v, %v", out, err)
	}
}

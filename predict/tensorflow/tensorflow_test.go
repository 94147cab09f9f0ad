package tensorflow_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/predicttest"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/predict/tensorflow"
)

// models are written by conformance/savedmodels.py, with TensorFlow in Python.
const models = "../../conformance/savedmodels"

func graph(name string) predict.Graph { return predict.Graph{Path: filepath.Join(models, name)} }

func TestConformance(t *testing.T) {
	predicttest.Run(t, tensorflow.Engine(), predicttest.Graphs{
		Open: func(_ *testing.T, name string) predict.Graph { return graph(name) },
		Types: []tensor.DType{
			tensor.Bool, tensor.Int8, tensor.Int16, tensor.Int32, tensor.Int64, tensor.Uint8, tensor.Uint16,
			tensor.Uint32, tensor.Uint64, tensor.Float16, tensor.BFloat16, tensor.Float32, tensor.Float64, tensor.String,
		},
		Interruptible: true,
	})
}

func open(t *testing.T, g predict.Graph, options ...tensorflow.Option) engines.Session {
	t.Helper()
	s, err := tensorflow.Engine(options...).Open(t.Context(), g, predict.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// recorded are inputs, and what TensorFlow in Python answered.
func recorded(t *testing.T, model string) (inputs, outputs predict.Tensors) {
	t.Helper()
	file, err := os.ReadFile(models + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]struct{ Inputs, Outputs map[string]json.RawMessage }
	if err := json.Unmarshal(file, &all); err != nil {
		t.Fatal(err)
	}
	read := func(from map[string]json.RawMessage) predict.Tensors {
		out := predict.Tensors{}
		for name, raw := range from {
			var err error
			if out[name], err = payload.New(raw).Tensor(tensor.Float32, 0); err != nil {
				t.Fatal(err)
			}
		}
		return out
	}
	return read(all[model].Inputs), read(all[model].Outputs)
}

func TestOldModelByTagAndNames(t *testing.T) {
	inputs, outputs := recorded(t, "forGo")
	x, want := inputs["input_1"], outputs["inferenceLayer/Softmax"]
	for _, names := range [][2]string{
		{"input_1", "inferenceLayer/Softmax"},
		{"input_1:0", "inferenceLayer/Softmax:0"},
		{"input_1", "inferenceLayer/Softmax:0"},
	} {
		g := graph("forGo")
		g.Tags, g.Inputs, g.Outputs = []string{"tags"}, names[:1], names[1:]
		s := open(t, g)
		if in := s.Inputs(); in[0].Name != names[0] || in[0].DType != tensor.Float32 || !slices.Equal(in[0].Shape, []int64{-1, 8, 8, 3}) {
			t.Errorf("Inputs() = %v", in)
		}
		if out := s.Outputs(); out[0].Name != names[1] || !slices.Equal(out[0].Shape, []int64{-1, 2}) {
			t.Errorf("Outputs() = %v", out)
		}
		got, err := s.Run(t.Context(), predict.Tensors{names[0]: x}, names[1:])
		if err != nil {
			t.Fatal(err)
		}
		if d, err := tensor.Difference(got[names[1]], want); err != nil || d > 1e-6 {
			t.Errorf("%v: differs by %v from Python (%v)", names, d, err)
		}
	}
}

func TestKerasModelBySignature(t *testing.T) {
	inputs, outputs := recorded(t, "keras")
	s := open(t, graph("keras"))
	got, err := s.Run(t.Context(), inputs, []string{"output_0"})
	if err != nil {
		t.Fatal(err)
	}
	if d, err := tensor.Difference(got["output_0"], outputs["output_0"]); err != nil || d > 1e-6 {
		t.Errorf("differs by %v from Python (%v)", d, err)
	}
}

func TestStringsAndAssets(t *testing.T) {
	s := open(t, graph("text"))
	words := tensor.Tensor{Shape: []int64{2, 2}, Data: []string{"serve", "forgo", "a\x00zero byte", strings.Repeat("long ", 1000)}}
	got, err := s.Run(t.Context(), predict.Tensors{"words": words}, []string{"number", "loud"})
	if err != nil {
		t.Fatal(err)
	}
	if n := got["number"].Data.([]int64); !slices.Equal(n, []int64{2, 0, -1, -1}) {
		t.Errorf("number = %v", n)
	}
	v1, err := open(t, graph("text-v1")).Run(t.Context(), predict.Tensors{"words": words}, []string{"number"})
	if err != nil {
		t.Fatal(err)
	}
	if n := v1["number"].Data.([]int64); !slices.Equal(n, []int64{2, 0, -1, -1}) {
		t.Errorf("number by TensorFlow 1 = %v", n)
	}
	if loud := got["loud"].Data.([]string); loud[0] != "SERVE" || loud[2] != "A\x00ZERO BYTE" || loud[3] != strings.Repeat("LONG ", 1000) {
		t.Errorf("loud = %.60q", loud)
	}
	empty, err := s.Run(t.Context(), predict.Tensors{"words": {Shape: []int64{0, 2}, Data: []string{}}}, []string{"loud"})
	if err != nil || empty["loud"].Rows() != 0 || !slices.Equal(empty["loud"].Shape, []int64{0, 2}) {
		t.Errorf("no rows: %v, %v", empty, err)
	}
}

func TestOpenRefusals(t *testing.T) {
	named := func(name string, tags []string, in, out string) predict.Graph {
		g := graph(name)
		g.Tags = tags
		if in != "" {
			g.Inputs = []string{in}
		}
		if out != "" {
			g.Outputs = []string{out}
		}
		return g
	}
	signed := func(name, signature string) predict.Graph {
		g := graph(name)
		g.Tags, g.Signature = []string{"serve"}, signature
		return g
	}
	without := func(name, file string) predict.Graph {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(models, name))); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
		return predict.Graph{Path: dir}
	}
	for name, c := range map[string]struct {
		graph predict.Graph
		says  []string
	}{
		"wrong tag":           {named("forGo", []string{"serve"}, "", ""), []string{"[serve]", "only [tags]"}},
		"wrong input":         {named("forGo", nil, "input_2", "inferenceLayer/Softmax"), []string{`no input "input_2"`, "only input_1"}},
		"wrong output":        {named("forGo", nil, "input_1", "softmax"), []string{`no output "softmax"`, "only inferenceLayer/Softmax"}},
		"wrong index":         {named("forGo", nil, "input_1", "inferenceLayer/Softmax:1"), []string{"inferenceLayer/Softmax", "no output 1"}},
		"no names":            {named("forGo", nil, "", ""), []string{"no signature", "inputs", "input_1"}},
		"no output named":     {named("forGo", nil, "input_1", ""), []string{"no signature", "outputs", "inferenceLayer/Softmax"}},
		"an input left out":   {named("two", nil, "a", "difference"), []string{`"difference"`, `"b"`}},
		"no tag chosen":       {graph("several"), []string{"[serve]", "[serve, tpu]"}},
		"half of the tags":    {named("several", []string{"tpu"}, "", ""), []string{"[serve]", "[serve, tpu]"}},
		"no signature chosen": {signed("several", ""), []string{"difference", "sum"}},
		"wrong signature":     {signed("several", "product"), []string{`"product"`, "difference, sum"}},
		"signature where none is": {
			predict.Graph{Path: filepath.Join(models, "forGo"), Signature: "serving_default"},
			[]string{`"serving_default"`, "nor any other"},
		},
		"no folder":            {predict.Graph{Path: filepath.Join(t.TempDir(), "forGo")}, []string{"forGo", "no such folder"}},
		"a file":               {predict.Graph{Path: models + ".json"}, []string{"is a folder"}},
		"bytes":                {predict.Graph{Path: "model.onnx", Data: []byte("x")}, []string{"model.onnx", "is a folder"}},
		"another folder":       {predict.Graph{Path: "../../conformance/bundles/iris.forgo"}, []string{"saved_model.pb", "model.onnx"}},
		"no variables folder":  {without("affine", "variables"), []string{"variables/"}},
		"no variables index":   {without("affine", "variables/variables.index"), []string{"variables/variables.index"}},
		"no variables data":    {without("affine", "variables/variables.data-00000-of-00001"), []string{"variables/variables.data-00000-of-00001"}},
		"no asset":             {without("text", "assets/words.txt"), []string{"assets/words.txt"}},
		"asset outside":        {graph("asset-outside"), []string{"../../x.t", "outside its folder"}},
		"table of a file":      {graph("table-outside"), []string{"at load", "InitializeTableFromTextFileV2", "refused"}},
		"reads":                {graph("reads"), []string{"ReadFile", "refused"}},
		"prints to a file":     {graph("prints"), []string{"PrintV2", "file:///tmp/forgo-prints-here", "refused"}},
		"writes as it is made": {graph("writes-at-load"), []string{"at load", "WriteFile", "refused"}},
		"saves itself":         {named("forGo", nil, "input_1", "save/control_dependency"), []string{"SaveV2", "refused"}},
		"restores":             {named("forGo", nil, "input_1", "save/RestoreV2"), []string{"RestoreV2", "refused"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := tensorflow.Engine().Open(t.Context(), c.graph, predict.SessionOptions{})
			if err == nil {
				_ = s.Close()
				t.Fatal("it was opened")
			}
			for _, part := range append(c.says, filepath.Base(c.graph.Path)) {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, err)
				}
			}
			if strings.ContainsAny(err.Error(), "\n\t") {
				t.Errorf("the error is longer than a line: %v", err)
			}
		})
	}
}

func TestAllowFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, graph("reads"), tensorflow.AllowFiles())
	out, err := s.Run(t.Context(), predict.Tensors{"path": {Shape: []int64{1}, Data: []string{file}}}, []string{"content"})
	if err != nil || out["content"].Data.([]string)[0] != "content" {
		t.Errorf("got %v, %v", out, err)
	}
}

// Which of the two libraries a process opens first must not matter. A process has one of each,
// so each order has a process of its own.
func TestBothEnginesInEitherOrder(t *testing.T) {
	const variable = "FORGO_TEST_ENGINES"
	engines := map[string]func(t *testing.T){
		"tensorflow": func(t *testing.T) { runAffine(t, tensorflow.Engine(), graph("affine")) },
		"onnx": func(t *testing.T) {
			data, err := os.ReadFile("../../conformance/graphs/affine.onnx")
			if err != nil {
				t.Fatal(err)
			}
			runAffine(t, onnx.Engine(), predict.Graph{Data: data, Path: "affine.onnx"})
		},
	}
	if order := os.Getenv(variable); order != "" {
		for range 2 {
			for _, name := range strings.Split(order, ",") {
				engines[name](t)
			}
		}
		return
	}
	for _, order := range []string{"tensorflow,onnx", "onnx,tensorflow"} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBothEnginesInEitherOrder$")
		cmd.Env = append(os.Environ(), variable+"="+order)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", order, err, out)
		}
	}
}

func runAffine(t *testing.T, engine predict.Engine, g predict.Graph) {
	t.Helper()
	s, err := engine.Open(t.Context(), g, predict.SessionOptions{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	x := tensor.Tensor{Shape: []int64{1, 3}, Data: []float32{1, 2, 3}}
	out, err := s.Run(t.Context(), predict.Tensors{"x": x}, []string{"y"})
	if err != nil || !slices.Equal(out["y"].Data.([]float32), []float32{3, 5, 7}) {
		t.Errorf("%s answered %v, %v", engine.Info().Name, out, err)
	}
}

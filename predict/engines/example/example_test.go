package example_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle/bundletest"
	"github.com/forgo-ml/forgo/predict/engines/example"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/predicttest"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve"
)

func TestConformance(t *testing.T) {
	models := map[string]string{
		"affine":       `{"weights":[[2,0,0],[0,2,0],[0,0,2]],"bias":[1,1,1]}`,
		"same-float32": `{"weights":[[1,0],[0,1]],"bias":[0,0]}`,
	}
	predicttest.Run(t, example.Engine{}, predicttest.Graphs{Open: func(t *testing.T, name string) predict.Graph {
		if models[name] == "" {
			t.Skip("a linear model has one input")
		}
		return predict.Graph{Data: []byte(models[name]), Path: name}
	}})
}

// recorded is a case's tensors, as safetensors.
func recorded(x, y []float32) []byte {
	header := fmt.Sprintf(`{"input.rows":{"dtype":"F32","shape":[1,%d],"data_offsets":[0,%d]},"output.scores":{"dtype":"F32","shape":[1,%d],"data_offsets":[%d,%d]}}`,
		len(x), 4*len(x), len(y), 4*len(x), 4*(len(x)+len(y)))
	file := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
	for _, v := range append(x[:len(x):len(x)], y...) {
		file = binary.LittleEndian.AppendUint32(file, math.Float32bits(v))
	}
	return file
}

// linearBundle is a bundle whose engine is the example's, with two golden cases.
func linearBundle(t *testing.T, weights string) string {
	t.Helper()
	path := bundletest.Copy(t, "../../../conformance/bundles/iris.forgo")
	bundletest.Write(t, path, "model.linear", []byte(weights))
	for name, c := range map[string]struct {
		row  string
		x, y []float32
	}{
		"000": {"[1,2]", []float32{1, 2}, []float32{3, 0.5}},
		"001": {"[0.5,4]", []float32{0.5, 4}, []float32{4.5, -0.5}},
	} {
		bundletest.Write(t, path, "golden/"+name+".json", []byte(c.row))
		bundletest.Write(t, path, "golden/"+name+".safetensors", recorded(c.x, c.y))
	}
	two := []any{nil, 2}
	bundletest.Edit(t, path, func(m map[string]any) {
		m["engine"], m["task"] = "linear", "tensors"
		delete(m, "labels")
		m["graph"] = map[string]any{"path": "model.linear"}
		m["inputs"] = []any{map[string]any{"name": "rows", "graph_name": "x", "dtype": "float32", "shape": two}}
		m["outputs"] = []any{map[string]any{"name": "scores", "graph_name": "y", "dtype": "float32", "shape": two}}
		golden := m["golden"].(map[string]any)
		golden["cases"] = golden["cases"].([]any)[:2]
		for i, c := range golden["cases"].([]any) {
			c := c.(map[string]any)
			c["id"], c["input"], c["tensors"] = fmt.Sprintf("00%d", i), fmt.Sprintf("golden/00%d.json", i), fmt.Sprintf("golden/00%d.safetensors", i)
			delete(c, "label")
		}
		m["files"].(map[string]any)["model.linear"] = map[string]any{}
	})
	return path
}

// An engine is one folder: its value alone lets bundles name it, proves them, and serves them.
func TestAnEngineIsOneFolder(t *testing.T) {
	folder := linearBundle(t, `{"weights":[[1,1],[1,-0.25]],"bias":[0,0]}`)
	m, err := predict.Load(t.Context(), folder, onnx.Engine(), example.Engine{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if p := m.Parity(); p.Cases != 2 || p.LargestDifference != 0 {
		t.Errorf("parity %+v", p)
	}
	x, _ := tensor.New([]float32{2, 4}, 1, 2)
	out, err := m.Run(t.Context(), predict.Tensors{"rows": x})
	if got := out["scores"].Data; err != nil || fmt.Sprint(got) != "[6 1]" {
		t.Errorf("answered %v, %v", got, err)
	}
	server := httptest.NewServer(serve.New(serve.Models{"lines": m}, serve.Options{}).Handler())
	defer server.Close()
	var config struct{ Platform, Backend string }
	for path, want := range map[string]string{"": "linear_json ", "/config": "linear_json linear"} {
		resp, err := http.Get(server.URL + "/v2/models/lines" + path)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		config.Platform, config.Backend = "", ""
		if err != nil || json.Unmarshal(raw, &config) != nil || config.Platform+" "+config.Backend != want {
			t.Errorf("/v2/models/lines%s says %s (%v), want %s", path, raw, err, want)
		}
	}
}

func TestAnEngineIsHeldToItsBundle(t *testing.T) {
	right := linearBundle(t, `{"weights":[[1,1],[1,-0.25]],"bias":[0,0]}`)
	wrong := linearBundle(t, `{"weights":[[1,1],[1,-0.2]],"bias":[0,0]}`)
	folder := linearBundle(t, `{}`)
	bundletest.Edit(t, folder, func(m map[string]any) { m["graph"] = map[string]any{"path": "golden"} })
	for name, c := range map[string]struct {
		path    string
		engines []predict.Engine
		says    string
	}{
		"no such engine":  {right, []predict.Engine{onnx.Engine()}, "it needs the engine linear; this process has [onnxruntime]"},
		"another answer":  {wrong, []predict.Engine{example.Engine{}}, "parity refused at stage model, case 00"},
		"another graph":   {linearBundle(t, `{"weights":[[1]]}`), []predict.Engine{example.Engine{}}, "its weights do not fit its 0 biases"},
		"a folder for it": {folder, []predict.Engine{example.Engine{}}, `graph names the folder "golden"; a linear model is a file`},
	} {
		if m, err := predict.Load(t.Context(), c.path, c.engines...); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, %v; want %q", name, m, err, c.says)
		}
	}
}

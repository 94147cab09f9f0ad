package serve_test

// Outputs that a bundle hides.

import (
	"fmt"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle/bundletest"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// A hidden output is proven at load, and answered only to who asks for it by name: a model with one
// output that is shown answers bare rows as if it had no other.
func TestHiddenOutputs(t *testing.T) {
	dir := bundletest.Copy(t, "../conformance/bundles/iris.forgo")
	bundletest.Edit(t, dir, func(m map[string]any) {
		m["task"] = "tensors"
		delete(m, "labels")
		m["outputs"].([]any)[1].(map[string]any)["hidden"] = true
	})
	m, err := predict.Load(t.Context(), dir, onnx.Engine())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	if m.Parity().LargestDifference == 0 {
		t.Error("the replay compared nothing")
	}
	url := servetest.Listen(t, serve.Models{"iris": m})

	row := `[5.1,3.5,1.4,0.2]`
	oip := `{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"data":` + row + `}]`
	for _, c := range []struct{ method, path, body, has string }{
		{"GET", "/v2/models/iris", "", "probabilities"},
		{"GET", "/v1/models/iris/metadata", "", "probabilities"},
		{"POST", "/v2/models/iris/infer", oip + `}`, "probabilities"},
		{"POST", "/models/iris", row, "probabilities"},
		{"POST", "/v1/models/iris:predict", `{"instances":[` + row + `]}`, "predictions:[[0."},
		{"GET", "/openapi.json", "", "probabilities"},
	} {
		status, answer := servetest.Call(t, c.method, url+c.path, c.body)
		if text := fmt.Sprint(answer); status != 200 || !strings.Contains(text, c.has) || strings.Contains(text, "logits") {
			t.Errorf("%s %s: %d %s", c.method, c.path, status, text)
		}
	}
	status, answer := servetest.Call(t, "POST", url+"/v2/models/iris/infer", oip+`,"outputs":[{"name":"logits"}]}`)
	if status != 200 || !strings.Contains(fmt.Sprint(answer), "logits") {
		t.Errorf("asked for by name: %d %v", status, answer)
	}
}

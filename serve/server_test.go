package serve_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

func TestHealthAndMetadata(t *testing.T) {
	url, models := servetest.Start(t)
	for _, path := range []string{"/v2/health/live", "/v2/health/ready", "/v2/models/iris/ready", "/v2/models/iris/versions/1/ready", "/v2"} {
		if status, answer := servetest.Call(t, "GET", url+path, ""); status != 200 {
			t.Errorf("%s: %d %v", path, status, answer)
		}
	}
	_, picture := servetest.Call(t, "GET", url+"/v2/models/shapes", "")
	if got := fmt.Sprint(picture["inputs"]); got != "[map[datatype:BYTES name:image shape:[-1 1]]]" {
		t.Errorf("inputs of a picture model: %s", got)
	}
	_, rows := servetest.Call(t, "GET", url+"/v2/models/iris/versions/1", "")
	if got := fmt.Sprint(rows["inputs"]); got != "[map[datatype:FP32 name:input shape:[-1 4]]]" {
		t.Errorf("inputs of a row model: %s", got)
	}
	first := rows["outputs"].([]any)[0].(map[string]any)
	if first["name"] != "probabilities" || first["datatype"] != "FP32" {
		t.Errorf("first output: %v", first)
	}
	parameters := rows["parameters"].(map[string]any)
	if parameters["digest"] != models["iris"].Digest() || parameters["parity"].(map[string]any)["mode"] != "quick" {
		t.Errorf("parameters: %v", parameters)
	}
}

func TestNative(t *testing.T) {
	url, models := servetest.Start(t)
	for name, m := range models {
		for i := range m.Manifest().Golden.Cases {
			raw, label := servetest.Golden(t, m, name, i)
			status, answer := servetest.Call(t, "POST", url+"/models/"+name, string(raw))
			classes, _ := answer["classes"].([]any)
			if status != 200 || len(classes) != 3 || classes[0].(map[string]any)["label"] != label {
				t.Errorf("%s case %d: %d %v, want %s first", name, i, status, answer, label)
			}
		}
	}
	raw, _ := servetest.Golden(t, models["iris"], "iris", 0)
	if _, answer := servetest.Call(t, "POST", url+"/models/iris?top=1", string(raw)); len(answer["classes"].([]any)) != 1 {
		t.Errorf("top=1: %v", answer)
	}
}

// Pictures as BYTES, in one batch, are answered row by row as one by one.
func TestInferPictures(t *testing.T) {
	url, models := servetest.Start(t)
	m := models["shapes"]
	var values, labels []string
	for i := range m.Manifest().Golden.Cases {
		raw, label := servetest.Golden(t, m, "shapes", i)
		values, labels = append(values, base64.StdEncoding.EncodeToString(raw)), append(labels, label)
	}
	status, answer := servetest.Call(t, "POST", url+"/v2/models/shapes/infer", servetest.InferBody(t, "image", "BYTES", []int{len(values)}, values))
	if status != 200 || answer["id"] != "caller-7" || answer["model_name"] != "shapes" {
		t.Fatalf("%d %v", status, answer)
	}
	output := answer["outputs"].([]any)[0].(map[string]any)
	scores := output["data"].([]any)
	names := m.Manifest().Labels
	for i, label := range labels {
		row := scores[i*len(names) : (i+1)*len(names)]
		best := 0
		for j := range row {
			if row[j].(float64) > row[best].(float64) {
				best = j
			}
		}
		if names[best] != label {
			t.Errorf("picture %d: %v, want %s", i, row, label)
		}
	}
}

func TestInferTensors(t *testing.T) {
	url, _ := servetest.Start(t)
	flat := []float64{5.1, 3.5, 1.4, 0.2, 6.7, 3.0, 5.2, 2.3}
	nested := [][]float64{flat[:4], flat[4:]}
	_, one := servetest.Call(t, "POST", url+"/v2/models/iris/infer", servetest.InferBody(t, "input", "FP32", []int{2, 4}, flat))
	status, two := servetest.Call(t, "POST", url+"/v2/models/iris/versions/1/infer", servetest.InferBody(t, "input", "FP32", []int{2, 4}, nested))
	if status != 200 || fmt.Sprint(one) != fmt.Sprint(two) {
		t.Errorf("flat and nested data differ: %v, %v", one, two)
	}
	body := `{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}],"outputs":[{"name":"logits"}]}`
	_, chosen := servetest.Call(t, "POST", url+"/v2/models/iris/infer", body)
	if outputs := chosen["outputs"].([]any); len(outputs) != 1 || outputs[0].(map[string]any)["name"] != "logits" {
		t.Errorf("asked for logits, got %v", chosen)
	}
}

// A bundle whose graph gives a scalar, where the manifest has the batch first, is refused when it
// is loaded.
func TestScalarOutputsAreRefused(t *testing.T) {
	_, err := predict.Options{Verify: predict.VerifyQuick}.Load(t.Context(), servetest.GraphBundle(t, "sum", "tensors"), onnx.Engine())
	if err == nil || !strings.Contains(err.Error(), `output "y" is float32[], the manifest says float32[-1]`) {
		t.Errorf("got %v", err)
	}
}

func TestPanicIsThatRequestsAlone(t *testing.T) {
	var log bytes.Buffer
	h := serve.New(serve.Models{"broken": nil}, serve.Options{Log: slog.New(slog.NewTextHandler(&log, nil))}).Handler()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/models/broken", strings.NewReader("x")))
	if w.Code != 500 || !strings.Contains(w.Body.String(), "internal error") || !strings.Contains(log.String(), "stack") {
		t.Errorf("%d %s; log %s", w.Code, w.Body, &log)
	}
}

package tfserving_test

// TensorFlow Serving's REST API.

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// rowsOf reads lists of numbers.
func rowsOf(tb testing.TB, v any) []float32 {
	tb.Helper()
	var out []float32
	list, ok := v.([]any)
	if !ok {
		tb.Fatalf("%v is not a list", v)
	}
	for _, row := range list {
		for _, x := range row.([]any) {
			out = append(out, float32(x.(float64)))
		}
	}
	return out
}

func TestTFServingStatusAndMetadata(t *testing.T) {
	url, _ := servetest.Start(t)
	url += "/v1/models/"
	const available = "map[model_version_status:[map[state:AVAILABLE status:map[error_code:OK error_message:] version:1]] ready:true]"
	for _, path := range []string{"iris", "iris/versions/1", "iris/labels/stable"} {
		if status, answer := servetest.Call(t, "GET", url+path, ""); status != 200 || fmt.Sprint(answer) != available {
			t.Errorf("%s: %d %v", path, status, answer)
		}
		if status, answer := servetest.Call(t, "GET", url+path+"/metadata", ""); status != 200 || !strings.Contains(fmt.Sprint(answer["metadata"]),
			"inputs:map[input:map[dtype:DT_FLOAT name:input tensor_shape:map[dim:[map[name: size:-1] map[name: size:4]] unknown_rank:false]]]") ||
			fmt.Sprint(answer["model_spec"]) != "map[name:iris signature_name: version:1]" || strings.Contains(fmt.Sprint(answer), "logits") {
			t.Errorf("%s metadata: %d %v", path, status, answer)
		}
	}
	if _, answer := servetest.Call(t, "GET", url+"shapes/metadata", ""); !strings.Contains(fmt.Sprint(answer), "inputs:map[image:map[dtype:DT_STRING") {
		t.Errorf("shapes metadata: %v", answer)
	}
}

// Rows and columns, named and bare, by version and by label, give the same bare rows.
func TestTFServingPredictRows(t *testing.T) {
	url, models := servetest.Start(t)
	flat := []float32{5.1, 3.5, 1.4, 0.2, 6.7, 3.0, 5.2, 2.3}
	out, err := models["iris"].Run(t.Context(), predict.Tensors{"input": {Shape: []int64{2, 4}, Data: flat}})
	if err != nil {
		t.Fatal(err)
	}
	want := out["probabilities"].Data.([]float32)
	for body, key := range map[string]string{
		`{"instances":[[5.1,3.5,1.4,0.2],[6.7,3.0,5.2,2.3]]}`:                                                      "predictions",
		`{"signature_name":"serving_default","instances":[{"input":[5.1,3.5,1.4,0.2]},{"input":[6.7,3,5.2,2.3]}]}`: "predictions",
		`{"inputs":[[5.1,3.5,1.4,0.2],[6.7,3.0,5.2,2.3]],"signature_name":""}`:                                     "outputs",
		`{"inputs":{"input":[[5.1,3.5,1.4,0.2],[6.7,3.0,5.2,2.3]]}}`:                                               "outputs",
	} {
		for _, at := range []string{"iris", "iris/versions/1", "iris/labels/stable"} {
			status, answer := servetest.Call(t, "POST", url+"/v1/models/"+at+":predict", body)
			if status != 200 || len(answer) != 1 || !slices.Equal(rowsOf(t, answer[key]), want) {
				t.Errorf("%s %s: %d %v, want %v", at, body, status, answer, want)
			}
		}
	}
}

// Pictures go as {"b64": …}, bare or named, in rows or in a column.
func TestTFServingPredictPictures(t *testing.T) {
	url, models := servetest.Start(t)
	m := models["shapes"]
	var bare, named, labels []string
	for i := range m.Manifest().Golden.Cases {
		raw, label := servetest.Golden(t, m, "shapes", i)
		picture := `{"b64":"` + base64.StdEncoding.EncodeToString(raw) + `"}`
		bare, named, labels = append(bare, picture), append(named, `{"image":`+picture+`}`), append(labels, label)
	}
	for key, bodies := range map[string][]string{
		"predictions": {`{"instances":[` + strings.Join(bare, ",") + `]}`, `{"instances":[` + strings.Join(named, ",") + `]}`},
		"outputs":     {`{"inputs":[` + strings.Join(bare, ",") + `]}`, `{"inputs":{"image":[` + strings.Join(bare, ",") + `]}}`},
	} {
		for _, body := range bodies {
			status, answer := servetest.Call(t, "POST", url+"/v1/models/shapes:predict", body)
			if status != 200 {
				t.Fatalf("%d %v", status, answer)
			}
			if got := servetest.Best(rowsOf(t, answer[key]), m.Manifest().Labels); !slices.Equal(got, labels) {
				t.Errorf("%s %.60s: %v, want %v", key, body, got, labels)
			}
		}
	}
	status, answer := servetest.Call(t, "POST", url+"/v1/models/shapes:classify", `{"examples":[{"image":`+bare[0]+`}]}`)
	if status != 200 || len(answer["results"].([]any)[0].([]any)) != 3 {
		t.Errorf("classify: %d %v", status, answer)
	}
}

// Several outputs go by name; numbers that are not finite are bare words both ways.
func TestTFServingPredictOutputs(t *testing.T) {
	models := serve.Models{"two": servetest.GraphModel(t, "two"), "strings": servetest.GraphModel(t, "same-string"), "doubles": servetest.GraphModel(t, "same-float64")}
	models["bytes"] = servetest.TaskModel(t, "same-string", "tensors", func(m map[string]any) {
		m["outputs"].([]any)[0].(map[string]any)["name"] = "y_bytes"
	})
	models["captions"] = servetest.TaskModel(t, "same-string", "tensors", func(m map[string]any) {
		m["inputs"].([]any)[0].(map[string]any)["name"] = "image" // of strings: the model takes no pictures
	})
	url := servetest.Listen(t, models) + "/v1/models/"
	for _, c := range []struct{ model, body, want string }{
		{"captions", `{"instances":[["a",{"b64":"Yg=="}]]}`, `{"predictions":[["a","b"]]}`},
		{"captions", `{"instances":[{"image":["a","b"]}]}`, `{"predictions":[["a","b"]]}`},
		{"captions", `{"inputs":{"image":[["a","b"]]}}`, `{"outputs":[["a","b"]]}`},
		{"bytes", `{"instances":[["a","b"]]}`, `{"predictions":[[{"b64":"YQ=="},{"b64":"Yg=="}]]}`},
		{"bytes", `{"instances":[[{"b64":"//4="},""]]}`, `{"predictions":[[{"b64":"//4="},{"b64":""}]]}`},
		{
			"two", `{"instances":[{"a":[1,2],"b":[3,4]},{"b":[1,1],"a":[0,0]}]}`,
			`{"predictions":[{"sum":[4.0,6.0],"difference":[-2.0,-2.0]},{"sum":[1.0,1.0],"difference":[-1.0,-1.0]}]}`,
		},
		{"two", `{"inputs":{"a":[[1,2]],"b":[[3,4]]}}`, `{"outputs":{"sum":[[4.0,6.0]],"difference":[[-2.0,-2.0]]}}`},
		{"doubles", `{"instances":[[NaN,-Infinity],[Infinity,1e-9]]}`, `{"predictions":[[NaN,-Infinity],[Infinity,1e-09]]}`},
		{"strings", `{"instances":[["a",{"b64":"Yg=="}]]}`, `{"predictions":[["a","b"]]}`},
		{"strings", `{"inputs":{"x":[["é",{"b64":""}],["",""]]}}`, `{"outputs":[["é",""],["",""]]}`},
	} {
		if status, _, got := servetest.Exchange(t, "POST", url+c.model+":predict", []byte(c.body)); status != 200 || string(got) != c.want {
			t.Errorf("%s %s: %d %s, want %s", c.model, c.body, status, got, c.want)
		}
	}
	status, answer := servetest.Call(t, "POST", url+"strings:predict", `{"instances":[["a",{"b64":"//4="}]]}`)
	if message, _ := answer["error"].(string); status != 400 || !strings.Contains(message, `output "y": element 1`) {
		t.Errorf("bytes as text: %d %v", status, answer)
	}
}

// What TensorFlow Serving's documentation and its tests send: sizes of 1 at the end of a shape are
// left out, and are left out of the answer.
func TestTFServingSizesOfOne(t *testing.T) {
	url := servetest.Listen(t, serve.Models{
		"half":  servetest.TaskModel(t, "half-plus-two", "regression"),
		"three": servetest.TaskModel(t, "half-plus-three", "regression"), "two": servetest.GraphModel(t, "two"),
	}) + "/v1/models/"
	for _, c := range []struct{ model, body, want string }{
		{"half", `{"instances": [1.0, 2.0, 5.0]}`, `{"predictions":[2.5,3.0,4.5]}`},
		{"half", `{"instances": [[1.0], [2.0]]}`, `{"predictions":[[2.5],[3.0]]}`},
		{"half", `{"instances": [{"x": 1.0}, {"x": 2.0}]}`, `{"predictions":[2.5,3.0]}`},
		{"half", `{"instances": [{"x": [1.0]}]}`, `{"predictions":[[2.5]]}`},
		{"half", `{"inputs": [1.0, 2.0]}`, `{"outputs":[2.5,3.0]}`},
		{"half", `{"inputs": {"x": [[1.0]]}, "more": {"a": [1]}}`, `{"outputs":[[2.5]]}`},
		{"three", `{"instances": [1.0, 2.0, 5.0]}`, `{"predictions":[3.5,4.0,5.5]}`},
	} {
		if status, _, got := servetest.Exchange(t, "POST", url+c.model+":predict", []byte(c.body)); status != 200 || string(got) != c.want {
			t.Errorf("%s %s: %d %s, want %s", c.model, c.body, status, got, c.want)
		}
	}
	for body, names := range map[string]string{
		`{"instances": [[[1.0]]]}`: "got DT_FLOAT[1 1 1], want DT_FLOAT[-1 1]", `{"instances": [[1.0, 2.0]]}`: "want DT_FLOAT[-1 1]",
		`{"instances": [[1.0], 2.0]}`: "ragged", `{"inputs": 1.0}`: "want DT_FLOAT[-1",
	} {
		if status, _, got := servetest.Exchange(t, "POST", url+"half:predict", []byte(body)); status != 400 || !strings.Contains(string(got), names) {
			t.Errorf("%s: %d %s, want %s", body, status, got, names)
		}
	}
	if status, _, got := servetest.Exchange(t, "POST", url+"two:predict", []byte(`{"instances":[{"a":1,"b":2}]}`)); status != 400 {
		t.Errorf("a size of 2 left out: %d %s", status, got)
	}
}

func TestTFServingClassify(t *testing.T) {
	url, models := servetest.Start(t)
	for body, first := range map[string]string{
		`{"examples":[{"input":[5.1,3.5,1.4,0.2]},{"input":[6.7,3.0,5.2,2.3]}]}`:                                                    "setosa",
		`{"context":{"input":[5.1,3.5,1.4,0.2]},"examples":[{},{"input":[6.7,3.0,5.2,2.3]}]}`:                                       "setosa",
		`{"examples":[{"input":[[5.1,3.5],[1.4,0.2]]},{"input":[6.7,3.0,5.2,2.3]}],"signature_name":"tensorflow/serving/classify"}`: "setosa",
	} {
		status, answer := servetest.Call(t, "POST", url+"/v1/models/iris:classify", body)
		results, _ := answer["results"].([]any)
		if status != 200 || len(results) != 2 {
			t.Fatalf("%s: %d %v", body, status, answer)
		}
		for i, want := range []string{first, "virginica"} {
			top, score := "", 0.0
			for j, pair := range results[i].([]any) {
				label, s := pair.([]any)[0].(string), pair.([]any)[1].(float64)
				if label != models["iris"].Manifest().Labels[j] {
					t.Errorf("labels out of order: %v", results[i])
				}
				if s > score {
					top, score = label, s
				}
			}
			if top != want {
				t.Errorf("%s: example %d is %s, want %s", body, i, top, want)
			}
		}
	}
}

// A regression or ranking of one number a row answers bare numbers.
func TestTFServingRegress(t *testing.T) {
	models := serve.Models{}
	for _, task := range []string{bundle.Regression, bundle.Ranking} {
		models[task] = servetest.TaskModel(t, "total", task)
	}
	url := servetest.Listen(t, models)
	body := `{"signature_name":"tensorflow/serving/regress","context":{"x":[1,1,1]},"examples":[{"x":[1,2,3.5]},{}]}`
	for task := range models {
		if status, _, got := servetest.Exchange(t, "POST", url+"/v1/models/"+task+":regress", []byte(body)); status != 200 || string(got) != `{"results":[6.5,3.0]}` {
			t.Errorf("%s: %d %s", task, status, got)
		}
	}
}

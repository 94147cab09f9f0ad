package serve_test

// TensorFlow Serving's REST API.

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve"
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
	url, _ := start(t)
	url += "/v1/models/"
	const available = "map[model_version_status:[map[state:AVAILABLE status:map[error_code:OK error_message:] version:1]] ready:true]"
	for _, path := range []string{"iris", "iris/versions/1", "iris/labels/stable"} {
		if status, answer := call(t, "GET", url+path, ""); status != 200 || fmt.Sprint(answer) != available {
			t.Errorf("%s: %d %v", path, status, answer)
		}
		if status, answer := call(t, "GET", url+path+"/metadata", ""); status != 200 || !strings.Contains(fmt.Sprint(answer["metadata"]),
			"inputs:map[input:map[dtype:DT_FLOAT name:input tensor_shape:map[dim:[map[name: size:-1] map[name: size:4]] unknown_rank:false]]]") ||
			fmt.Sprint(answer["model_spec"]) != "map[name:iris signature_name: version:1]" || strings.Contains(fmt.Sprint(answer), "logits") {
			t.Errorf("%s metadata: %d %v", path, status, answer)
		}
	}
	if _, answer := call(t, "GET", url+"shapes/metadata", ""); !strings.Contains(fmt.Sprint(answer), "inputs:map[image:map[dtype:DT_STRING") {
		t.Errorf("shapes metadata: %v", answer)
	}
}

// Rows and columns, named and bare, by version and by label, give the same bare rows.
func TestTFServingPredictRows(t *testing.T) {
	url, models := start(t)
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
			status, answer := call(t, "POST", url+"/v1/models/"+at+":predict", body)
			if status != 200 || len(answer) != 1 || !slices.Equal(rowsOf(t, answer[key]), want) {
				t.Errorf("%s %s: %d %v, want %v", at, body, status, answer, want)
			}
		}
	}
}

// Pictures go as {"b64": …}, bare or named, in rows or in a column.
func TestTFServingPredictPictures(t *testing.T) {
	url, models := start(t)
	m := models["shapes"]
	var bare, named, labels []string
	for i := range m.Manifest().Golden.Cases {
		raw, label := golden(t, m, "shapes", i)
		picture := `{"b64":"` + base64.StdEncoding.EncodeToString(raw) + `"}`
		bare, named, labels = append(bare, picture), append(named, `{"image":`+picture+`}`), append(labels, label)
	}
	for key, bodies := range map[string][]string{
		"predictions": {`{"instances":[` + strings.Join(bare, ",") + `]}`, `{"instances":[` + strings.Join(named, ",") + `]}`},
		"outputs":     {`{"inputs":[` + strings.Join(bare, ",") + `]}`, `{"inputs":{"image":[` + strings.Join(bare, ",") + `]}}`},
	} {
		for _, body := range bodies {
			status, answer := call(t, "POST", url+"/v1/models/shapes:predict", body)
			if status != 200 {
				t.Fatalf("%d %v", status, answer)
			}
			if got := best(rowsOf(t, answer[key]), m.Manifest().Labels); !slices.Equal(got, labels) {
				t.Errorf("%s %.60s: %v, want %v", key, body, got, labels)
			}
		}
	}
	status, answer := call(t, "POST", url+"/v1/models/shapes:classify", `{"examples":[{"image":`+bare[0]+`}]}`)
	if status != 200 || len(answer["results"].([]any)[0].([]any)) != 3 {
		t.Errorf("classify: %d %v", status, answer)
	}
}

// Several outputs go by name; numbers that are not finite are bare words both ways.
func TestTFServingPredictOutputs(t *testing.T) {
	models := serve.Models{"two": graphModel(t, "two"), "texts": graphModel(t, "same-string"), "doubles": graphModel(t, "same-float64")}
	models["bytes"] = taskModel(t, "same-string", "tensors", func(m map[string]any) {
		m["outputs"].([]any)[0].(map[string]any)["name"] = "y_bytes"
	})
	models["captions"] = taskModel(t, "same-string", "tensors", func(m map[string]any) {
		m["inputs"].([]any)[0].(map[string]any)["name"] = "image" // of texts: the model takes no pictures
	})
	url := listen(t, models) + "/v1/models/"
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
		{"texts", `{"instances":[["a",{"b64":"Yg=="}]]}`, `{"predictions":[["a","b"]]}`},
		{"texts", `{"inputs":{"x":[["é",{"b64":""}],["",""]]}}`, `{"outputs":[["é",""],["",""]]}`},
	} {
		if status, _, got := exchange(t, "POST", url+c.model+":predict", []byte(c.body)); status != 200 || string(got) != c.want {
			t.Errorf("%s %s: %d %s, want %s", c.model, c.body, status, got, c.want)
		}
	}
	status, answer := call(t, "POST", url+"texts:predict", `{"instances":[["a",{"b64":"//4="}]]}`)
	if message, _ := answer["error"].(string); status != 400 || !strings.Contains(message, `output "y": element 1`) {
		t.Errorf("bytes as text: %d %v", status, answer)
	}
}

// What TensorFlow Serving's documentation and its tests send: sizes of 1 at the end of a shape are
// left out, and are left out of the answer.
func TestTFServingSizesOfOne(t *testing.T) {
	url := listen(t, serve.Models{
		"half":  taskModel(t, "half-plus-two", "regression"),
		"three": taskModel(t, "half-plus-three", "regression"), "two": graphModel(t, "two"),
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
		if status, _, got := exchange(t, "POST", url+c.model+":predict", []byte(c.body)); status != 200 || string(got) != c.want {
			t.Errorf("%s %s: %d %s, want %s", c.model, c.body, status, got, c.want)
		}
	}
	for body, names := range map[string]string{
		`{"instances": [[[1.0]]]}`: "got DT_FLOAT[1 1 1], want DT_FLOAT[-1 1]", `{"instances": [[1.0, 2.0]]}`: "want DT_FLOAT[-1 1]",
		`{"instances": [[1.0], 2.0]}`: "ragged", `{"inputs": 1.0}`: "want DT_FLOAT[-1",
	} {
		if status, _, got := exchange(t, "POST", url+"half:predict", []byte(body)); status != 400 || !strings.Contains(string(got), names) {
			t.Errorf("%s: %d %s, want %s", body, status, got, names)
		}
	}
	if status, _, got := exchange(t, "POST", url+"two:predict", []byte(`{"instances":[{"a":1,"b":2}]}`)); status != 400 {
		t.Errorf("a size of 2 left out: %d %s", status, got)
	}
}

func TestTFServingClassify(t *testing.T) {
	url, models := start(t)
	for body, first := range map[string]string{
		`{"examples":[{"input":[5.1,3.5,1.4,0.2]},{"input":[6.7,3.0,5.2,2.3]}]}`:                                                    "setosa",
		`{"context":{"input":[5.1,3.5,1.4,0.2]},"examples":[{},{"input":[6.7,3.0,5.2,2.3]}]}`:                                       "setosa",
		`{"examples":[{"input":[[5.1,3.5],[1.4,0.2]]},{"input":[6.7,3.0,5.2,2.3]}],"signature_name":"tensorflow/serving/classify"}`: "setosa",
	} {
		status, answer := call(t, "POST", url+"/v1/models/iris:classify", body)
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

// A regression of one number a row answers bare numbers.
func TestTFServingRegress(t *testing.T) {
	url := listen(t, serve.Models{"total": taskModel(t, "total", "regression")})
	body := `{"signature_name":"tensorflow/serving/regress","context":{"x":[1,1,1]},"examples":[{"x":[1,2,3.5]},{}]}`
	if status, _, got := exchange(t, "POST", url+"/v1/models/total:regress", []byte(body)); status != 200 || string(got) != `{"results":[6.5,3.0]}` {
		t.Errorf("%d %s", status, got)
	}
}

// tfservingFaults are those of TensorFlow Serving's REST API alone.
func tfservingFaults() []bad {
	var all []bad
	for kind, c := range map[string]struct {
		method, path, body string
		status             int
		names              string
	}{
		"unknown version":             {"GET", "iris/versions/9", "", 404, `"9"`},
		"unknown label":               {"GET", "iris/labels/canary", "", 404, `"canary"`},
		"broken path":                 {"GET", "iris/version/1", "", 404, "versions/N"},
		"unknown verb":                {"POST", "iris:explain", "{}", 404, `"explain"`},
		"verb after a slash":          {"POST", "iris/predict", "{}", 404, "models/iris:predict"},
		"verb of a version":           {"POST", "iris/versions/1/classify", "{}", 404, "models/iris/versions/1:classify"},
		"no verb":                     {"POST", "iris", "{}", 405, ":predict"},
		"neither form":                {"POST", "iris:predict", `{}`, 400, "neither instances nor inputs"},
		"both forms":                  {"POST", "iris:predict", `{"instances":[[1,2,3,4]],"inputs":[[1,2,3,4]]}`, 400, "both instances and inputs"},
		"unknown field":               {"POST", "iris:predict", `{"rows":[[1,2,3,4]]}`, 400, `neither instances nor inputs, only ["rows"]`},
		"another verb's signature":    {"POST", "iris:predict", `{"signature_name":"tensorflow/serving/regress","instances":[[1,2,3,4]]}`, 400, "signature_name"},
		"unknown signature":           {"POST", "iris:predict", `{"signature_name":"train","instances":[[1,2,3,4]]}`, 400, `"train"`},
		"instances no list":           {"POST", "iris:predict", `{"instances":5}`, 400, "instances: it is not a list"},
		"no instances":                {"POST", "iris:predict", `{"instances":[]}`, 400, "instances: it is empty"},
		"unknown input":               {"POST", "iris:predict", `{"instances":[{"other":[1,2,3,4]}]}`, 400, `"other"`},
		"mixed rows":                  {"POST", "iris:predict", `{"instances":[{"input":[1,2,3,4]},[1,2,3,4]]}`, 400, "instance 1"},
		"an input left out":           {"POST", "two:predict", `{"instances":[{"a":[1,2],"b":[1,2]},{"a":[1,2]}]}`, 400, "instance 1"},
		"input left out":              {"POST", "two:predict", `{"instances":[{"a":[1,2]}]}`, 400, `"b"`},
		"bare rows for two inputs":    {"POST", "two:predict", `{"instances":[[1,2]]}`, 400, `["a" "b"]`},
		"rows of two shapes":          {"POST", "two:predict", `{"instances":[{"a":[1,2],"b":[1,2]},{"a":[1],"b":[1]}]}`, 400, "got DT_FLOAT[1 1], want DT_FLOAT[-1 2]"},
		"columns of two lengths":      {"POST", "two:predict", `{"inputs":{"a":[[1,2]],"b":[[1,2],[3,4]]}}`, 400, "rows"},
		"column without batch":        {"POST", "two:predict", `{"inputs":{"a":1,"b":[[1,2]]}}`, 400, `"a"`},
		"input twice":                 {"POST", "two:predict", `{"inputs":{"a":[[1,2]],"a":[[1,2]]}}`, 400, "twice"},
		"bytes for numbers":           {"POST", "iris:predict", `{"instances":[{"b64":"YQ=="}]}`, 400, "b64"},
		"no base64":                   {"POST", "shapes:predict", `{"instances":[{"b64":"***"}]}`, 400, "base64"},
		"picture as text":             {"POST", "shapes:predict", `{"instances":["aGVsbG8="]}`, 400, "b64"},
		"picture with more":           {"POST", "shapes:predict", `{"instances":[{"image":{"b64":"","x":1}}]}`, 400, "b64"},
		"classify without examples":   {"POST", "iris:classify", `{}`, 400, "no examples"},
		"classify no examples":        {"POST", "iris:classify", `{"examples":[]}`, 400, "examples: it is empty"},
		"classify with instances":     {"POST", "iris:classify", `{"instances":[[1,2,3,4]]}`, 400, `no examples, only ["instances"]`},
		"classify an unknown feature": {"POST", "iris:classify", `{"examples":[{"other":[1]}]}`, 400, `"other"`},
		"classify a short feature":    {"POST", "iris:classify", `{"examples":[{"input":[1]}]}`, 400, `"input"`},
		"classify a feature left out": {"POST", "iris:classify", `{"examples":[{"input":[1,2,3,4]},{}]}`, 400, "example 1"},
		"classify without classes":    {"POST", "two:classify", `{"examples":[{"a":[1,2],"b":[1,2]}]}`, 400, "task is tensors"},
		"regress with a classifier":   {"POST", "iris:regress", `{"examples":[{"input":[1,2,3,4]}]}`, 400, "task is classification"},
		"regress with three numbers":  {"POST", "values:regress", `{"examples":[{"x":[1,2,3]}]}`, 400, "one number a row"},
	} {
		all = append(all, bad{kind, c.method, "/v1/models/" + c.path, c.body, nil, c.status, c.names})
	}
	return all
}

func TestTFServingBadRequests(t *testing.T) {
	refuse(t, listen(t, badModels(t)), tfservingFaults())
}

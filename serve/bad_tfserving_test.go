package serve_test

// Faults of requests to TensorFlow Serving's API over REST.

import (
	"testing"

	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// tfservingFaults are those of TensorFlow Serving's REST API alone.
func tfservingFaults() []bad {
	var all []bad
	for kind, c := range map[string]struct {
		method, path, body string
		status             int
		names              string
	}{
		"unknown version":              {"GET", "iris/versions/9", "", 404, `"9"`},
		"unknown label":                {"GET", "iris/labels/canary", "", 404, `"canary"`},
		"broken path":                  {"GET", "iris/version/1", "", 404, "versions/N"},
		"unknown verb":                 {"POST", "iris:explain", "{}", 404, `"explain"`},
		"verb after a slash":           {"POST", "iris/predict", "{}", 404, "models/iris:predict"},
		"verb of a version":            {"POST", "iris/versions/1/classify", "{}", 404, "models/iris/versions/1:classify"},
		"no verb":                      {"POST", "iris", "{}", 405, ":predict"},
		"neither form":                 {"POST", "iris:predict", `{}`, 400, "neither instances nor inputs"},
		"both forms":                   {"POST", "iris:predict", `{"instances":[[1,2,3,4]],"inputs":[[1,2,3,4]]}`, 400, "both instances and inputs"},
		"unknown field":                {"POST", "iris:predict", `{"rows":[[1,2,3,4]]}`, 400, `neither instances nor inputs, only ["rows"]`},
		"another verb's signature":     {"POST", "iris:predict", `{"signature_name":"tensorflow/serving/regress","instances":[[1,2,3,4]]}`, 400, "signature_name"},
		"unknown signature":            {"POST", "iris:predict", `{"signature_name":"train","instances":[[1,2,3,4]]}`, 400, `"train"`},
		"instances not a list":         {"POST", "iris:predict", `{"instances":5}`, 400, "instances: it is not a list"},
		"no instances":                 {"POST", "iris:predict", `{"instances":[]}`, 400, "instances: it is empty"},
		"unknown input":                {"POST", "iris:predict", `{"instances":[{"other":[1,2,3,4]}]}`, 400, `"other"`},
		"mixed rows":                   {"POST", "iris:predict", `{"instances":[{"input":[1,2,3,4]},[1,2,3,4]]}`, 400, "instance 1"},
		"an input left out":            {"POST", "two:predict", `{"instances":[{"a":[1,2],"b":[1,2]},{"a":[1,2]}]}`, 400, "instance 1"},
		"input left out":               {"POST", "two:predict", `{"instances":[{"a":[1,2]}]}`, 400, `"b"`},
		"bare rows for two inputs":     {"POST", "two:predict", `{"instances":[[1,2]]}`, 400, `["a" "b"]`},
		"rows of different shapes":     {"POST", "two:predict", `{"instances":[{"a":[1,2],"b":[1,2]},{"a":[1],"b":[1]}]}`, 400, "got DT_FLOAT[1 1], want DT_FLOAT[-1 2]"},
		"columns of different lengths": {"POST", "two:predict", `{"inputs":{"a":[[1,2]],"b":[[1,2],[3,4]]}}`, 400, "rows"},
		"column without batch":         {"POST", "two:predict", `{"inputs":{"a":1,"b":[[1,2]]}}`, 400, `"a"`},
		"input twice":                  {"POST", "two:predict", `{"inputs":{"a":[[1,2]],"a":[[1,2]]}}`, 400, "twice"},
		"bytes for numbers":            {"POST", "iris:predict", `{"instances":[{"b64":"YQ=="}]}`, 400, "b64"},
		"not base64":                   {"POST", "shapes:predict", `{"instances":[{"b64":"***"}]}`, 400, "base64"},
		"picture as text":              {"POST", "shapes:predict", `{"instances":["aGVsbG8="]}`, 400, "b64"},
		"picture with more":            {"POST", "shapes:predict", `{"instances":[{"image":{"b64":"","x":1}}]}`, 400, "b64"},
		"classify without examples":    {"POST", "iris:classify", `{}`, 400, "no examples"},
		"classify no examples":         {"POST", "iris:classify", `{"examples":[]}`, 400, "examples: it is empty"},
		"classify with instances":      {"POST", "iris:classify", `{"instances":[[1,2,3,4]]}`, 400, `no examples, only ["instances"]`},
		"classify an unknown feature":  {"POST", "iris:classify", `{"examples":[{"other":[1]}]}`, 400, `"other"`},
		"classify a short feature":     {"POST", "iris:classify", `{"examples":[{"input":[1]}]}`, 400, `"input"`},
		"classify a feature left out":  {"POST", "iris:classify", `{"examples":[{"input":[1,2,3,4]},{}]}`, 400, "example 1"},
		"classify without classes":     {"POST", "two:classify", `{"examples":[{"a":[1,2],"b":[1,2]}]}`, 400, "task is tensors"},
		"regress with a classifier":    {"POST", "iris:regress", `{"examples":[{"input":[1,2,3,4]}]}`, 400, "task is classification"},
		"regress with three numbers":   {"POST", "values:regress", `{"examples":[{"x":[1,2,3]}]}`, 400, "one number a row"},
	} {
		all = append(all, bad{kind, c.method, "/v1/models/" + c.path, c.body, nil, c.status, c.names})
	}
	return all
}

func TestTFServingBadRequests(t *testing.T) {
	refuse(t, servetest.Listen(t, badModels(t)), tfservingFaults())
}

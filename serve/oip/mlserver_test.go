package oip_test

// What MLServer's codecs send, and what the errors that its users meet say.

import (
	"fmt"
	"strings"
	"testing"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// Elements that are said to be base64 are decoded, in JSON and over gRPC; a picture in JSON is
// base64 anyway, and is decoded once.
func TestContentTypeBase64(t *testing.T) {
	models := serve.Models{"strings": servetest.GraphModel(t, "same-string"), "shapes": servetest.Load(t, servetest.Bundles+"shapes.forgo")}
	url := servetest.Listen(t, models)
	const parameters = `"parameters":{"content_type":"base64"}`
	for body, want := range map[string]string{
		`{"name":"x","datatype":"BYTES","shape":[1,2],"data":["aGVsbG8=",""],` + parameters + `}`:                  `["hello",""]`,
		`{` + parameters + `,"name":"x","datatype":"BYTES","shape":[1,2],"data":["aGVsbG8=",""]}`:                  `["hello",""]`,
		`{"name":"x","datatype":"BYTES","shape":[1,2],"data":["aGVsbG8=",""],"parameters":{"content_type":"str"}}`: `["aGVsbG8=",""]`,
	} {
		_, _, answer := servetest.Exchange(t, "POST", url+"/v2/models/strings/infer", []byte(`{"inputs":[`+body+`]}`))
		if !strings.Contains(string(answer), `"data":`+want) {
			t.Errorf("%s: %s, want %s", body, answer, want)
		}
	}
	raw, label := servetest.Golden(t, models["shapes"], "shapes", 0)
	in := map[string]any{"name": "image", "datatype": "BYTES", "shape": []int{1, 1}, "data": [][]byte{raw}, "parameters": map[string]any{"content_type": "base64"}}
	asked := []any{map[string]any{"name": "probabilities", "parameters": map[string]any{"classification": 1}}}
	status, answer, _ := inferBinary(t, url+"/v2/models/shapes/infer", map[string]any{"inputs": []any{in}, "outputs": asked}, nil)
	if status != 200 || !strings.HasSuffix(fmt.Sprint(answer["outputs"].([]any)[0].(map[string]any)["data"]), label+"]") {
		t.Errorf("picture: %d %v, want %s", status, answer, label)
	}
	client := pb.NewGRPCInferenceServiceClient(servetest.DialGRPC(t, servetest.New(models)))
	values := servetest.ProtoInput("x", "BYTES", &pb.InferTensorContents{BytesContents: [][]byte{[]byte("aGVsbG8="), nil}}, 1, 2)
	values.Parameters = map[string]*pb.InferParameter{"content_type": {ParameterChoice: &pb.InferParameter_StringParam{StringParam: "base64"}}}
	over, err := client.ModelInfer(t.Context(), &pb.ModelInferRequest{ModelName: "strings", Inputs: []*pb.ModelInferRequest_InferInputTensor{values}})
	if err != nil || string(over.GetRawOutputContents()[0]) != "\x05\x00\x00\x00hello\x00\x00\x00\x00" {
		t.Errorf("gRPC: %v, %v", over, err)
	}
}

// A row of one value may come with a size of 1: MLServer's codecs send [N,1] for [-1].
func TestSizesOfOneTooMany(t *testing.T) {
	models := serve.Models{"three": servetest.GraphModel(t, "half-plus-three")}
	url := servetest.Listen(t, models)
	for _, shape := range []string{"[2]", "[2,1]", "[2,1,1]"} {
		body := `{"inputs":[{"name":"x","datatype":"FP32","shape":` + shape + `,"data":[1,2]}]}`
		if status, _, answer := servetest.Exchange(t, "POST", url+"/v2/models/three/infer", []byte(body)); status != 200 || !strings.Contains(string(answer), `"shape":[2],"data":[3.5,4]`) {
			t.Errorf("%s: %d %s", shape, status, answer)
		}
	}
	for _, shape := range []string{"[1,2]", "[]"} {
		body := `{"inputs":[{"name":"x","datatype":"FP32","shape":` + shape + `,"data":[1,2]}]}`
		if status, _, answer := servetest.Exchange(t, "POST", url+"/v2/models/three/infer", []byte(body)); status != 400 || !strings.Contains(string(answer), "want FP32[-1]") {
			t.Errorf("%s: %d %s", shape, status, answer)
		}
	}
	client := pb.NewGRPCInferenceServiceClient(servetest.DialGRPC(t, servetest.New(models)))
	in := servetest.ProtoInput("x", "FP32", &pb.InferTensorContents{Fp32Contents: []float32{1, 2}}, 2, 1)
	if answer, err := client.ModelInfer(t.Context(), &pb.ModelInferRequest{ModelName: "three", Inputs: []*pb.ModelInferRequest_InferInputTensor{in}}); err != nil || fmt.Sprint(rawFloats(t, answer, 0)) != "[3.5 4]" {
		t.Errorf("gRPC: %v, %v", answer, err)
	}
}

// Errors say what was sent and what there is, in the words of the protocol.
func TestErrorsNameWhatExists(t *testing.T) {
	url := servetest.Listen(t, serve.Models{"two": servetest.GraphModel(t, "two"), "simple": servetest.GraphModel(t, "affine"), "other": servetest.GraphModel(t, "affine")})
	for _, c := range []struct{ path, body, says string }{
		{"/v2/models/two/infer", `{"inputs":[{"name":"a","datatype":"FP32","shape":[1,2],"data":[1,2]}]}`, `input \"b\" is missing: got \"a\", the model takes \"a\" \"b\"`},
		{"/v2/models/two/infer", `{"inputs":[{"name":"a","datatype":"FP64","shape":[1,2],"data":[1,2]}]}`, `got FP64[1 2], want FP32[-1 2]`},
		{"/v1/models/two:predict", `{"instances":[{"a":[1,2,3],"b":[1,2]}]}`, `got DT_FLOAT[1 3], want DT_FLOAT[-1 2]`},
		{"/models/two", `{"a":[1,2,3],"b":[1,2]}`, `got float32[1 3], want float32[-1 2]`},
		{"/v2/models/simpel/infer", `{}`, `no such model \"simpel\"; the server has \"simple\", \"other\", \"two\"`},
		{"/v2/models/two/infer", `[5]`, `at byte 0: want an object, got a list`},
		{"/v2/models/two/infer", `{"inputs":[7]}`, `at byte 11: want an object, got a number`},
		{"/v2/models/two/infer", strings.Repeat(" ", 2*servetest.MaxBody), "longer than 1048576 bytes, the server's --max-body"},
	} {
		if status, _, answer := servetest.Exchange(t, "POST", url+c.path, []byte(c.body)); status < 400 || !strings.Contains(string(answer), c.says) {
			t.Errorf("%s %.60s: %d %s, want %s", c.path, c.body, status, answer, c.says)
		}
	}
}

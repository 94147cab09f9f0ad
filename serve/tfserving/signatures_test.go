package tfserving_test

// Several signatures of one SavedModel, by their names: what TensorFlow Serving's tests ask of half_plus_two,
// and what it answers.

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	tfpb "github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/tensorflow"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

func halfPlusTwo(t *testing.T) serve.Models {
	t.Helper()
	m, err := predict.Load(t.Context(), servetest.Bundles+"half_plus_two.forgo", tensorflow.Engine())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return serve.Models{"half": m}
}

func TestTFServingSignatures(t *testing.T) {
	url := servetest.Listen(t, halfPlusTwo(t)) + "/v1/models/half"
	for _, c := range []struct{ verb, body, answer string }{
		{"predict", `{"instances":[1.0,2.0,5.0]}`, `{"predictions":[2.5,3.0,4.5]}`},
		{"predict", `{"instances":[{"x":[1.0]},{"x":[2.0]}]}`, `{"predictions":[[2.5],[3.0]]}`},
		{"predict", `{"signature_name":"regress_x2_to_y3","instances":[[1.0]]}`, `{"predictions":[[3.5]]}`},
		{"predict", `{"instances":[[1.0]],"signature_name":"regress_x2_to_y3"}`, `{"predictions":[[3.5]]}`}, // behind all else
		{"predict", `{"inputs":[{"b64":"Cg8KDQoBeBIIEgYKBAAAgD8="}],"signature_name":"regress_x_to_y2"}`, `{"outputs":[[3.5]]}`},
		{"regress", `{"signature_name":"regress_x_to_y","examples":[{"x":[80.0]},{"x":2.0}]}`, `{"results":[42.0,3.0]}`},
		{"regress", `{"signature_name":"regress_x_to_y2","context":{"x":4.0},"examples":[{},{"x":2.0}]}`, `{"results":[5.0,4.0]}`},
		{"regress", `{"signature_name":"regress_x2_to_y3","examples":[{"inputs":2.0}]}`, `{"results":[4.0]}`},
		{"regress", `{"signature_name":"tensorflow/serving/regress","examples":[{"inputs":2.0}]}`, `{"results":[4.0]}`},
		{"classify", `{"signature_name":"classify_x_to_y","examples":[{"x":20.0},{"x":[80.0]}]}`, `{"results":[[["",12.0]],[["",42.0]]]}`},
	} {
		if status, _, got := servetest.Exchange(t, "POST", url+":"+c.verb, []byte(c.body)); status != 200 || string(got) != c.answer {
			t.Errorf("%s %s: %d %s", c.verb, c.body, status, got)
		}
	}
	for _, c := range []struct{ verb, body, says string }{
		{"predict", `{"signature_name":"regress","instances":[1.0]}`, `\"regress\": no such signature, only [\"classify_x2_to_y3\" \"classify_x_to_y\" \"regress_x2_to_y3\"`},
		{"regress", `{"examples":[{"x":2.0}]}`, `signature \"serving_default\" is for predict; name a signature for regress: [\"regress_x2_to_y3\"`},
		{"classify", `{"signature_name":"regress_x_to_y","examples":[{"x":2.0}]}`, `signature \"regress_x_to_y\" is for regress; use regress`},
		{"regress", `{"signature_name":"regress_x_to_y","examples":[{"x":2}]}`, "float"}, // an int64, as in TensorFlow Serving
		{"regress", `{"signature_name":"regress_x_to_y","examples":[{"y":2.0}]}`, "x"},
		{"regress", `{"signature_name":"regress_x_to_y","examples":[{"x":[[2.0]]}]}`, "a feature is a list of values"},
		{"regress", `{"signature_name":"regress_x_to_y","examples":[{"x":[2.0,"a"]}]}`, "example 0"},
		{"regress", `{"signature_name":"regress_x_to_y","examples":[]}`, "it is empty"},
		{"regress", `{"signature_name":"regress_x_to_y","examples":[3]}`, "not an object of features"},
		{"predict", `{"signature_name":"regress_x_to_y","signature_name":"regress_x_to_y2","instances":[[1.0]]}`, "twice"},
		{"predict", `{"signature_name":"regress_x_to_y`, "JSON"},
	} {
		if status, _, got := servetest.Exchange(t, "POST", url+":"+c.verb, []byte(c.body)); status != 400 || !strings.Contains(string(got), c.says) {
			t.Errorf("%s %s: %d %s", c.verb, c.body, status, got)
		}
	}
	_, answer := servetest.Call(t, "GET", url+"/metadata", "")
	signatures := servetest.At(answer, "metadata", "signature_def", "signature_def").(map[string]any)
	methods := map[string]string{}
	for name := range signatures {
		methods[name] = servetest.At(signatures, name, "method_name").(string)
	}
	const p = "tensorflow/serving/"
	want := map[string]string{
		"serving_default": p + "predict", "regress_x_to_y": p + "regress", "regress_x_to_y2": p + "regress", "regress_x2_to_y3": p + "regress",
		"classify_x_to_y": p + "classify", "classify_x2_to_y3": p + "classify",
	}
	got, _ := json.Marshal(methods)
	if expected, _ := json.Marshal(want); string(got) != string(expected) {
		t.Errorf("%s", got)
	}
	if servetest.At(signatures, "regress_x_to_y", "inputs", "inputs", "dtype") != "DT_STRING" || servetest.At(signatures, "classify_x_to_y", "outputs", "scores", "dtype") != "DT_FLOAT" {
		t.Errorf("%v", answer)
	}
}

func TestTFServingGRPCSignatures(t *testing.T) {
	client := tfpb.NewPredictionServiceClient(servetest.DialGRPC(t, servetest.New(halfPlusTwo(t))))
	spec := func(signature string) *tfpb.ModelSpec {
		return &tfpb.ModelSpec{Name: "half", SignatureName: signature}
	}
	example := func(name string, x ...float32) *tfpb.Example {
		return &tfpb.Example{Features: &tfpb.Features{Feature: map[string]*tfpb.Feature{
			name: {Kind: &tfpb.Feature_FloatList{FloatList: &tfpb.FloatList{Value: x}}},
		}}}
	}
	input := &tfpb.Input{Kind: &tfpb.Input_ExampleList{ExampleList: &tfpb.ExampleList{Examples: []*tfpb.Example{example("x", 80), example("x", 20)}}}}
	regressed, err := client.Regress(t.Context(), &tfpb.RegressionRequest{ModelSpec: spec("regress_x_to_y"), Input: input})
	if err != nil || len(regressed.GetResult().GetRegressions()) != 2 || regressed.GetResult().GetRegressions()[0].GetValue() != 42 ||
		regressed.GetModelSpec().GetSignatureName() != "regress_x_to_y" {
		t.Errorf("%v, %v", regressed, err)
	}
	classified, err := client.Classify(t.Context(), &tfpb.ClassificationRequest{ModelSpec: spec("classify_x_to_y"), Input: input})
	if err != nil || len(classified.GetResult().GetClassifications()) != 2 || classified.GetResult().GetClassifications()[1].GetClasses()[0].GetScore() != 12 {
		t.Errorf("%v, %v", classified, err)
	}
	shared := &tfpb.Input{Kind: &tfpb.Input_ExampleListWithContext{ExampleListWithContext: &tfpb.ExampleListWithContext{
		Context: example("x", 4), Examples: []*tfpb.Example{{}, example("x", 2)},
	}}}
	regressed, err = client.Regress(t.Context(), &tfpb.RegressionRequest{ModelSpec: spec("regress_x_to_y2"), Input: shared})
	if err != nil || regressed.GetResult().GetRegressions()[0].GetValue() != 5 || regressed.GetResult().GetRegressions()[1].GetValue() != 4 {
		t.Errorf("%v, %v", regressed, err)
	}
	serialized, _ := proto.Marshal(example("x", 1))
	predicted, err := client.Predict(t.Context(), &tfpb.PredictRequest{ModelSpec: spec("regress_x_to_y2"), Inputs: map[string]*tfpb.TensorProto{
		"inputs": {Dtype: tfpb.DataType_DT_STRING, TensorShape: servetest.Dims(1), StringVal: [][]byte{serialized}},
	}})
	if err != nil || !slices.Equal(predicted.GetOutputs()["outputs"].GetFloatVal(), []float32{3.5}) {
		t.Errorf("%v, %v", predicted, err)
	}
	_, err = client.Predict(t.Context(), &tfpb.PredictRequest{ModelSpec: spec("nowhere"), Inputs: map[string]*tfpb.TensorProto{}})
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "regress_x_to_y2") {
		t.Errorf("%v", err)
	}
	_, err = client.Regress(t.Context(), &tfpb.RegressionRequest{ModelSpec: spec("serving_default"), Input: input})
	if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "is for predict") {
		t.Errorf("%v", err)
	}
	known, err := client.GetModelMetadata(t.Context(), &tfpb.GetModelMetadataRequest{ModelSpec: spec(""), MetadataField: []string{"signature_def"}})
	var signatures tfpb.SignatureDefMap
	if err == nil {
		err = known.GetMetadata()["signature_def"].UnmarshalTo(&signatures)
	}
	if err != nil || len(signatures.GetSignatureDef()) != 6 || signatures.GetSignatureDef()["classify_x_to_y"].GetMethodName() != "tensorflow/serving/classify" ||
		signatures.GetSignatureDef()["regress_x_to_y"].GetInputs()["inputs"].GetDtype() != tfpb.DataType_DT_STRING {
		t.Errorf("%v, %v", &signatures, err)
	}
}

// A value without a list around it is a scalar, as TensorFlow Serving has it: one row, answered without one.
func TestTFServingScalars(t *testing.T) {
	models := serve.Models{"half": servetest.GraphModel(t, "half-plus-three")}
	url := servetest.Listen(t, models) + "/v1/models/half"
	for body, answer := range map[string]string{
		`{"inputs":1.0}`:              `{"outputs":3.5}`,
		`{"inputs":{"x":1.0}}`:        `{"outputs":3.5}`,
		`{"inputs":[1.0]}`:            `{"outputs":[3.5]}`,
		`{"instances":[1.0,2.0,5.0]}`: `{"predictions":[3.5,4.0,5.5]}`,
		`{"instances":[{"x":1.0}]}`:   `{"predictions":[3.5]}`,
	} {
		if status, _, got := servetest.Exchange(t, "POST", url+":predict", []byte(body)); status != 200 || string(got) != answer {
			t.Errorf("%s: %d %s", body, status, got)
		}
	}
	client := tfpb.NewPredictionServiceClient(servetest.DialGRPC(t, servetest.New(models)))
	out, err := client.Predict(t.Context(), &tfpb.PredictRequest{ModelSpec: &tfpb.ModelSpec{Name: "half"}, Inputs: map[string]*tfpb.TensorProto{
		"x": {Dtype: tfpb.DataType_DT_FLOAT, TensorShape: &tfpb.TensorShapeProto{}, FloatVal: []float32{1}},
	}})
	if y := out.GetOutputs()["y"]; err != nil || len(y.GetTensorShape().GetDim()) != 0 || !slices.Equal(y.GetFloatVal(), []float32{3.5}) {
		t.Errorf("%v, %v", out, err)
	}
}

package serve_test

// What TensorFlow Serving's gRPC services refuse.

import (
	"bytes"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/forgo-ml/forgo/internal/corpus"
	"github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// tfservingGRPCFaults are those of TensorFlow Serving's services.
func tfservingGRPCFaults() []badCall {
	var all []badCall
	edit := func(change func(r *tfpb.PredictRequest, in *tfpb.TensorProto)) *tfpb.PredictRequest {
		r := servetest.PredictIris(5.1, 3.5, 1.4, 0.2)
		change(r, r.GetInputs()["input"])
		return r
	}
	to := func(model, input string, in *tfpb.TensorProto) *tfpb.PredictRequest {
		return &tfpb.PredictRequest{ModelSpec: &tfpb.ModelSpec{Name: model}, Inputs: map[string]*tfpb.TensorProto{input: in}}
	}
	type request = tfpb.PredictRequest
	type tensorIn = tfpb.TensorProto
	const invalid = codes.InvalidArgument
	for kind, c := range map[string]struct {
		request *request
		code    codes.Code
		names   string
	}{
		"no model_spec": {edit(func(r *request, _ *tensorIn) { r.ModelSpec = nil }), invalid, "model_spec is missing"},
		"unknown model": {edit(func(r *request, _ *tensorIn) { r.ModelSpec.Name = "other" }), codes.NotFound, `"other"`},
		"unknown version": {edit(func(r *request, _ *tensorIn) {
			r.ModelSpec.VersionChoice = &tfpb.ModelSpec_Version{Version: wrapperspb.Int64(9)}
		}), codes.NotFound, `"9"`},
		"unknown label": {edit(func(r *request, _ *tensorIn) {
			r.ModelSpec.VersionChoice = &tfpb.ModelSpec_VersionLabel{VersionLabel: "canary"}
		}), invalid, `model_spec: version_label: model "iris" has no version labelled "canary"`},
		"unknown signature":       {edit(func(r *request, _ *tensorIn) { r.ModelSpec.SignatureName = "train" }), codes.FailedPrecondition, `"train"`},
		"no inputs":               {edit(func(r *request, _ *tensorIn) { r.Inputs = nil }), invalid, `input "input" is missing`},
		"unknown input":           {edit(func(r *request, in *tensorIn) { r.Inputs["other"] = in }), invalid, `inputs: the model has no input "other"`},
		"unknown output":          {edit(func(r *request, _ *tensorIn) { r.OutputFilter = []string{"other"} }), invalid, `output_filter: the signature has no output "other"`},
		"output twice":            {edit(func(r *request, _ *tensorIn) { r.OutputFilter = []string{"probabilities", "probabilities"} }), invalid, `output_filter: output "probabilities" occurs twice`},
		"no datatype":             {edit(func(_ *request, in *tensorIn) { in.Dtype = 0 }), invalid, `inputs: "input": no model takes DT_INVALID`},
		"complex":                 {edit(func(_ *request, in *tensorIn) { in.Dtype = tfpb.DataType_DT_COMPLEX64 }), invalid, `inputs: "input": no model takes DT_COMPLEX64`},
		"unknown datatype":        {edit(func(_ *request, in *tensorIn) { in.Dtype = 99 }), invalid, `inputs: "input": no model takes 99`},
		"wrong datatype":          {edit(func(_ *request, in *tensorIn) { in.Dtype, in.FloatVal, in.DoubleVal = 2, nil, make([]float64, 4) }), invalid, `"input": got DT_DOUBLE[1 4]`},
		"wrong field":             {edit(func(_ *request, in *tensorIn) { in.Dtype = tfpb.DataType_DT_DOUBLE }), invalid, `inputs: "input": DT_DOUBLE belongs in tensor_content or double_val`},
		"content and a field":     {edit(func(_ *request, in *tensorIn) { in.TensorContent = make([]byte, 16) }), invalid, `inputs: "input": DT_FLOAT belongs in tensor_content or float_val, but float_val has values`},
		"content too short":       {edit(func(_ *request, in *tensorIn) { in.FloatVal, in.TensorContent = nil, make([]byte, 15) }), invalid, `inputs: "input": shape [1 4]: tensor_content: shape [4] of float32 needs 16 bytes`},
		"no data":                 {edit(func(_ *request, in *tensorIn) { in.FloatVal = nil }), invalid, `inputs: "input": shape [1 4]: float_val: it has no values`},
		"too many values":         {edit(func(_ *request, in *tensorIn) { in.TensorShape = servetest.Dims(1, 2) }), invalid, `inputs: "input": shape [1 2]: float_val: it has 4 values`},
		"no shape":                {edit(func(_ *request, in *tensorIn) { in.TensorShape = nil }), invalid, `inputs: "input": shape []: float_val: it has 4 values`},
		"shape of the wrong rank": {edit(func(_ *request, in *tensorIn) { in.TensorShape = servetest.Dims(4, 1) }), invalid, `"input": got DT_FLOAT[4 1]`},
		"unknown rank":            {edit(func(_ *request, in *tensorIn) { in.TensorShape = &tfpb.TensorShapeProto{UnknownRank: true} }), invalid, `inputs: "input": tensor_shape: its rank`},
		"negative shape":          {edit(func(_ *request, in *tensorIn) { in.TensorShape = servetest.Dims(-1, 4) }), invalid, `inputs: "input": shape [-1 4] has a negative size`},
		"overflowing shape":       {edit(func(_ *request, in *tensorIn) { in.TensorShape = servetest.Dims(1<<40, 1<<40) }), invalid, `inputs: "input": shape [1099511627776 1099511627776] has more than 2^40`},
		"one value for too many":  {edit(func(_ *request, in *tensorIn) { in.TensorShape = servetest.Dims(1<<30, 4) }), invalid, "more elements"},
		"one value for too long": {edit(func(_ *request, in *tensorIn) {
			in.FloatVal, in.TensorShape = []float32{1}, servetest.Dims(servetest.MaxBody, 4)
		}), invalid, `inputs: "input": shape [1048576 4]: float_val: `},
		"number beyond its type": {to("bytes", "x", &tensorIn{Dtype: tfpb.DataType_DT_INT8, TensorShape: servetest.Dims(1, 2), IntVal: []int32{1, 400}}), invalid, `inputs: "x": shape [1 2]: int_val: element 1`},
		"strings without length": {to("strings", "x", &tensorIn{Dtype: tfpb.DataType_DT_STRING, TensorShape: servetest.Dims(1, 2), TensorContent: []byte{0x80, 0x80}}), invalid, `inputs: "x": shape [1 2]: tensor_content: the length of element 0 is not a varint`},
		"strings too long":       {to("strings", "x", &tensorIn{Dtype: tfpb.DataType_DT_STRING, TensorShape: servetest.Dims(1, 2), TensorContent: []byte{1, 9, 'a'}}), invalid, `inputs: "x": shape [1 2]: tensor_content: element 1`},
		"bytes after strings":    {to("strings", "x", &tensorIn{Dtype: tfpb.DataType_DT_STRING, TensorShape: servetest.Dims(1, 2), TensorContent: []byte("\x01\x01abc")}), invalid, `inputs: "x": shape [1 2]: tensor_content: 1 bytes are left`},
		"broken picture":         {to("shapes", "image", servetest.PictureTensor([][]byte{[]byte("hello")})), invalid, `"image": picture 0`},
		"pictures in a square":   {to("shapes", "image", &tensorIn{Dtype: 7, TensorShape: servetest.Dims(1, 2), StringVal: [][]byte{{}, {}}}), invalid, `"image" needs shape [N]`},
		"picture as numbers":     {to("shapes", "image", servetest.FloatTensor([]float32{1}, 1)), invalid, `"image": tensor is float32`},
		"body over the limit":    {edit(func(r *request, _ *tensorIn) { r.ModelSpec.Name = strings.Repeat("x", 2*servetest.MaxBody) }), codes.ResourceExhausted, "than"},
	} {
		all = append(all, badCall{kind, predictCall{c.request}, c.code, c.names})
	}
	int64s := &tfpb.Feature{Kind: &tfpb.Feature_Int64List{Int64List: &tfpb.Int64List{Value: []int64{1, 2, 3, 4}}}}
	for kind, c := range map[string]struct {
		model string
		input *tfpb.Input
		names string
	}{
		"no examples":          {"iris", nil, "input: it has no examples"},
		"an unknown feature":   {"iris", servetest.ExampleList(servetest.FloatList(1, 2, 3, 4), "other"), `input: example 0: the model has no input "other"`},
		"a short feature":      {"iris", servetest.ExampleList(servetest.FloatList(1), "input"), `input: example 0: feature "input" has 1 values`},
		"an empty feature":     {"iris", servetest.ExampleList(&tfpb.Feature{}, "input"), `input: example 0: feature "input": it has no values`},
		"numbers of no use":    {"iris", servetest.ExampleList(int64s, "input"), `input: example 0: feature "input": int64_list`},
		"a feature left out":   {"iris", &tfpb.Input{Kind: &tfpb.Input_ExampleList{ExampleList: &tfpb.ExampleList{Examples: []*tfpb.Example{servetest.ExampleOf(servetest.FloatList(1, 2, 3, 4), "input"), {}}}}}, `input: example 1: neither it nor the context has feature "input"`},
		"a model of something": {"strings", servetest.ExampleList(servetest.FloatList(1), "x"), "task is tensors"},
	} {
		r := &tfpb.ClassificationRequest{ModelSpec: &tfpb.ModelSpec{Name: c.model}, Input: c.input}
		all = append(all, badCall{"classify " + kind, classifyCall{r}, invalid, c.names})
	}
	one := servetest.ExampleList(servetest.FloatList(1), "x")
	for kind, c := range map[string]struct {
		spec  *tfpb.ModelSpec
		input *tfpb.Input
		code  codes.Code
		names string
	}{
		"no examples":           {&tfpb.ModelSpec{Name: "half"}, nil, invalid, "input: it has no examples"},
		"an unknown feature":    {&tfpb.ModelSpec{Name: "half"}, servetest.ExampleList(servetest.FloatList(1), "other"), invalid, `input: example 0: the model has no input "other"`},
		"a long feature":        {&tfpb.ModelSpec{Name: "half"}, servetest.ExampleList(servetest.FloatList(1, 2), "x"), invalid, `input: example 0: feature "x" has 2 values`},
		"numbers of no use":     {&tfpb.ModelSpec{Name: "half"}, servetest.ExampleList(int64s, "x"), invalid, `input: example 0: feature "x": int64_list`},
		"a feature left out":    {&tfpb.ModelSpec{Name: "half"}, &tfpb.Input{Kind: &tfpb.Input_ExampleList{ExampleList: &tfpb.ExampleList{Examples: []*tfpb.Example{servetest.ExampleOf(servetest.FloatList(1), "x"), {}}}}}, invalid, `input: example 1: neither it nor the context has feature "x"`},
		"with a classifier":     {&tfpb.ModelSpec{Name: "iris"}, servetest.ExampleList(servetest.FloatList(1, 2, 3, 4), "input"), invalid, "task is classification"},
		"with three numbers":    {&tfpb.ModelSpec{Name: "values"}, servetest.ExampleList(servetest.FloatList(1, 2, 3), "x"), invalid, "one number a row"},
		"an unknown model":      {&tfpb.ModelSpec{Name: "other"}, one, codes.NotFound, `"other"`},
		"without a model":       {nil, one, invalid, "model_spec is missing"},
		"with Predict's method": {&tfpb.ModelSpec{Name: "half", SignatureName: "tensorflow/serving/predict"}, one, invalid, "model_spec: signature_name: "},
	} {
		r := &tfpb.RegressionRequest{ModelSpec: c.spec, Input: c.input}
		all = append(all, badCall{"regress " + kind, regressCall{r}, c.code, c.names})
	}
	return all
}

func TestTFServingGRPCBadRequests(t *testing.T) {
	models := badModels(t)
	conn := servetest.DialGRPC(t, servetest.New(models))
	refuseCalls(t, conn, tfservingGRPCFaults())
	client := tfpb.NewPredictionServiceClient(conn)
	if _, err := client.MultiInference(t.Context(), &tfpb.MultiInferenceRequest{}); status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "Classify") {
		t.Errorf("MultiInference: %v", err)
	}
}

// FuzzTensorProto: whatever a tensor's message says, it is answered or refused as the caller's fault.
func FuzzTensorProto(f *testing.F) {
	corpus.Add(f)
	client := servetest.PredictionService(f, servetest.Committed(f))
	for _, seed := range []*tfpb.TensorProto{
		servetest.FloatTensor([]float32{1, 2, 3, 4}, 1, 4), servetest.FloatTensor([]float32{1}, 2, 4),
		{Dtype: 1, TensorShape: servetest.Dims(1, 4), TensorContent: bytes.Repeat([]byte{1}, 16)},
		{Dtype: 7, TensorShape: servetest.Dims(1, 1), TensorContent: []byte("\x01a")},
		{Dtype: 6, TensorShape: servetest.Dims(1, 2), IntVal: []int32{300}},
	} {
		raw, err := proto.Marshal(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		in := &tfpb.TensorProto{}
		if proto.Unmarshal(raw, in) != nil {
			return
		}
		answer, err := client.Predict(t.Context(), &tfpb.PredictRequest{
			ModelSpec: &tfpb.ModelSpec{Name: "iris"}, Inputs: map[string]*tfpb.TensorProto{"input": in},
		})
		if code := status.Code(err); code != codes.OK && code != codes.InvalidArgument && code != codes.ResourceExhausted {
			t.Fatalf("%v: %v", in, err)
		}
		rows := answer.GetOutputs()["probabilities"].GetTensorShape().GetDim()
		if err == nil && (len(rows) != 2 || rows[0].GetSize() != in.GetTensorShape().GetDim()[0].GetSize()) {
			t.Fatalf("%v: %v", in, answer)
		}
	})
}

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

	tfpb "github.com/forgo-ml/forgo/serve/tfserving/pb"
)

// tfservingGRPCFaults are those of TensorFlow Serving's services.
func tfservingGRPCFaults() []badCall {
	var all []badCall
	edit := func(change func(r *tfpb.PredictRequest, in *tfpb.TensorProto)) *tfpb.PredictRequest {
		r := predictIris(5.1, 3.5, 1.4, 0.2)
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
		"no model_spec": {edit(func(r *request, _ *tensorIn) { r.ModelSpec = nil }), invalid, "model_spec"},
		"unknown model": {edit(func(r *request, _ *tensorIn) { r.ModelSpec.Name = "other" }), codes.NotFound, `"other"`},
		"unknown version": {edit(func(r *request, _ *tensorIn) {
			r.ModelSpec.VersionChoice = &tfpb.ModelSpec_Version{Version: wrapperspb.Int64(9)}
		}), codes.NotFound, `"9"`},
		"unknown label": {edit(func(r *request, _ *tensorIn) {
			r.ModelSpec.VersionChoice = &tfpb.ModelSpec_VersionLabel{VersionLabel: "canary"}
		}), invalid, `"canary"`},
		"unknown signature":       {edit(func(r *request, _ *tensorIn) { r.ModelSpec.SignatureName = "train" }), codes.FailedPrecondition, `"train"`},
		"no inputs":               {edit(func(r *request, _ *tensorIn) { r.Inputs = nil }), invalid, `"input"`},
		"unknown input":           {edit(func(r *request, in *tensorIn) { r.Inputs["other"] = in }), invalid, `"other"`},
		"unknown output":          {edit(func(r *request, _ *tensorIn) { r.OutputFilter = []string{"other"} }), invalid, `output_filter`},
		"output twice":            {edit(func(r *request, _ *tensorIn) { r.OutputFilter = []string{"probabilities", "probabilities"} }), invalid, "twice"},
		"no datatype":             {edit(func(_ *request, in *tensorIn) { in.Dtype = 0 }), invalid, "DT_INVALID"},
		"complex":                 {edit(func(_ *request, in *tensorIn) { in.Dtype = tfpb.DataType_DT_COMPLEX64 }), invalid, "DT_COMPLEX64"},
		"unknown datatype":        {edit(func(_ *request, in *tensorIn) { in.Dtype = 99 }), invalid, "99"},
		"wrong datatype":          {edit(func(_ *request, in *tensorIn) { in.Dtype, in.FloatVal, in.DoubleVal = 2, nil, make([]float64, 4) }), invalid, "float64"},
		"wrong field":             {edit(func(_ *request, in *tensorIn) { in.Dtype = tfpb.DataType_DT_DOUBLE }), invalid, "double_val"},
		"content and a field":     {edit(func(_ *request, in *tensorIn) { in.TensorContent = make([]byte, 16) }), invalid, "float_val has values"},
		"content too short":       {edit(func(_ *request, in *tensorIn) { in.FloatVal, in.TensorContent = nil, make([]byte, 15) }), invalid, "16 bytes"},
		"no data":                 {edit(func(_ *request, in *tensorIn) { in.FloatVal = nil }), invalid, "no values"},
		"too many values":         {edit(func(_ *request, in *tensorIn) { in.TensorShape = dims(1, 2) }), invalid, "4 values"},
		"no shape":                {edit(func(_ *request, in *tensorIn) { in.TensorShape = nil }), invalid, "4 values"},
		"shape of the wrong rank": {edit(func(_ *request, in *tensorIn) { in.TensorShape = dims(4, 1) }), invalid, `"input"`},
		"unknown rank":            {edit(func(_ *request, in *tensorIn) { in.TensorShape = &tfpb.TensorShapeProto{UnknownRank: true} }), invalid, "rank"},
		"negative shape":          {edit(func(_ *request, in *tensorIn) { in.TensorShape = dims(-1, 4) }), invalid, "negative"},
		"overflowing shape":       {edit(func(_ *request, in *tensorIn) { in.TensorShape = dims(1<<40, 1<<40) }), invalid, "2^40"},
		"one value for too many":  {edit(func(_ *request, in *tensorIn) { in.TensorShape = dims(1<<30, 4) }), invalid, "more elements"},
		"one value for too long":  {edit(func(_ *request, in *tensorIn) { in.FloatVal, in.TensorShape = []float32{1}, dims(maxBody, 4) }), invalid, "longer"},
		"number over its type":    {to("bytes", "x", &tensorIn{Dtype: tfpb.DataType_DT_INT8, TensorShape: dims(1, 2), IntVal: []int32{1, 400}}), invalid, "element 1"},
		"strings without length":  {to("strings", "x", &tensorIn{Dtype: tfpb.DataType_DT_STRING, TensorShape: dims(1, 2), TensorContent: []byte{0x80, 0x80}}), invalid, "varint"},
		"strings too long":        {to("strings", "x", &tensorIn{Dtype: tfpb.DataType_DT_STRING, TensorShape: dims(1, 2), TensorContent: []byte{1, 9, 'a'}}), invalid, "element 1"},
		"bytes after strings":     {to("strings", "x", &tensorIn{Dtype: tfpb.DataType_DT_STRING, TensorShape: dims(1, 2), TensorContent: []byte("\x01\x01abc")}), invalid, "left"},
		"broken picture":          {to("shapes", "image", pictureTensor([][]byte{[]byte("hello")})), invalid, "picture 0"},
		"pictures in a square":    {to("shapes", "image", &tensorIn{Dtype: 7, TensorShape: dims(1, 2), StringVal: [][]byte{{}, {}}}), invalid, "[N]"},
		"picture as numbers":      {to("shapes", "image", floatTensor([]float32{1}, 1)), invalid, `"image"`},
		"body over the limit":     {edit(func(r *request, _ *tensorIn) { r.ModelSpec.Name = strings.Repeat("x", 2*maxBody) }), codes.ResourceExhausted, "larger than max"},
	} {
		all = append(all, badCall{kind, predictCall{c.request}, c.code, c.names})
	}
	int64s := &tfpb.Feature{Kind: &tfpb.Feature_Int64List{Int64List: &tfpb.Int64List{Value: []int64{1, 2, 3, 4}}}}
	for kind, c := range map[string]struct {
		model string
		input *tfpb.Input
		names string
	}{
		"no examples":          {"iris", nil, "no examples"},
		"an unknown feature":   {"iris", exampleList(floatList(1, 2, 3, 4), "other"), `"other"`},
		"a short feature":      {"iris", exampleList(floatList(1), "input"), "1 values"},
		"an empty feature":     {"iris", exampleList(&tfpb.Feature{}, "input"), "no values"},
		"numbers of no use":    {"iris", exampleList(int64s, "input"), "int64_list"},
		"a feature left out":   {"iris", &tfpb.Input{Kind: &tfpb.Input_ExampleList{ExampleList: &tfpb.ExampleList{Examples: []*tfpb.Example{exampleOf(floatList(1, 2, 3, 4), "input"), {}}}}}, "example 1"},
		"a model of something": {"strings", exampleList(floatList(1), "x"), "task is tensors"},
	} {
		r := &tfpb.ClassificationRequest{ModelSpec: &tfpb.ModelSpec{Name: c.model}, Input: c.input}
		all = append(all, badCall{"classify " + kind, classifyCall{r}, invalid, c.names})
	}
	return all
}

func TestTFServingGRPCBadRequests(t *testing.T) {
	models := badModels(t)
	conn := dialGRPC(t, newServer(models))
	refuseCalls(t, conn, tfservingGRPCFaults())
	client := tfpb.NewPredictionServiceClient(conn)
	if _, err := client.Regress(t.Context(), &tfpb.RegressionRequest{ModelSpec: &tfpb.ModelSpec{Name: "iris"}}); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "task is classification") {
		t.Errorf("regress: %v", err)
	}
	if _, err := client.MultiInference(t.Context(), &tfpb.MultiInferenceRequest{}); status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "Classify") {
		t.Errorf("MultiInference: %v", err)
	}
}

// FuzzTensorProto: whatever a tensor's message says, it is answered or refused as the caller's fault.
func FuzzTensorProto(f *testing.F) {
	client := predictionService(f, committed(f))
	for _, seed := range []*tfpb.TensorProto{
		floatTensor([]float32{1, 2, 3, 4}, 1, 4), floatTensor([]float32{1}, 2, 4),
		{Dtype: 1, TensorShape: dims(1, 4), TensorContent: bytes.Repeat([]byte{1}, 16)},
		{Dtype: 7, TensorShape: dims(1, 1), TensorContent: []byte("\x01a")},
		{Dtype: 6, TensorShape: dims(1, 2), IntVal: []int32{300}},
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

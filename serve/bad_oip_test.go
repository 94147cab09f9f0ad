package serve_test

// Faults of requests in the Open Inference Protocol.

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// Each bad call has its code and a message that names the field; a good one follows it.
// grpcFaults are those of the Open Inference Protocol over gRPC.
func grpcFaults() []badCall {
	edit := func(change func(r *pb.ModelInferRequest, in *pb.ModelInferRequest_InferInputTensor)) *pb.ModelInferRequest {
		r := servetest.IrisRequest(5.1, 3.5, 1.4, 0.2)
		change(r, r.GetInputs()[0])
		return r
	}
	type request = pb.ModelInferRequest
	type tensorIn = pb.ModelInferRequest_InferInputTensor
	parameter := map[string]*pb.InferParameter{"shared_memory_region": {}}
	raw := make([]byte, 16)
	var all []badCall
	for kind, c := range map[string]struct {
		request *request
		code    codes.Code
		names   string
	}{
		"unknown model":    {edit(func(r *request, _ *tensorIn) { r.ModelName = "other" }), codes.NotFound, `"other"`},
		"no model":         {edit(func(r *request, _ *tensorIn) { r.ModelName = "" }), codes.NotFound, `""`},
		"unknown version":  {edit(func(r *request, _ *tensorIn) { r.ModelVersion = "9" }), codes.NotFound, `"9"`},
		"no inputs":        {edit(func(r *request, _ *tensorIn) { r.Inputs = nil }), codes.InvalidArgument, "inputs: the request has none"},
		"no name":          {edit(func(_ *request, in *tensorIn) { in.Name = "" }), codes.InvalidArgument, "inputs[0]: it has no name"},
		"unknown input":    {edit(func(_ *request, in *tensorIn) { in.Name = "other" }), codes.InvalidArgument, `no input "other"`},
		"input twice":      {edit(func(r *request, in *tensorIn) { r.Inputs = append(r.Inputs, in) }), codes.InvalidArgument, `inputs[1]: input "input" occurs twice`},
		"unknown datatype": {edit(func(_ *request, in *tensorIn) { in.Datatype = "FP99" }), codes.InvalidArgument, `inputs[0] "input": unknown datatype "FP99"`},
		"no datatype":      {edit(func(_ *request, in *tensorIn) { in.Datatype = "" }), codes.InvalidArgument, `inputs[0] "input": unknown datatype ""`},
		"wrong field":      {edit(func(_ *request, in *tensorIn) { in.Datatype = "FP64" }), codes.InvalidArgument, "got FP64[1 4], want FP32"},
		"wrong datatype": {edit(func(_ *request, in *tensorIn) {
			in.Datatype, in.Contents = "INT64", &pb.InferTensorContents{Int64Contents: []int64{1, 2, 3, 4}}
		}), codes.InvalidArgument, `"input": got INT64[1 4]`},
		"number beyond its type": {edit(func(r *request, in *tensorIn) {
			r.ModelName, in.Name, in.Shape = "bytes", "x", []int64{1, 2}
			in.Datatype, in.Contents = "INT8", &pb.InferTensorContents{IntContents: []int32{1, 400}}
		}), codes.InvalidArgument, `inputs[0] "x": int_contents: element 1`},
		"FP16 in contents":        {edit(func(_ *request, in *tensorIn) { in.Datatype = "FP16" }), codes.InvalidArgument, "got FP16[1 4], want FP32"},
		"no data":                 {edit(func(_ *request, in *tensorIn) { in.Contents = nil }), codes.InvalidArgument, "neither contents"},
		"shape and data":          {edit(func(_ *request, in *tensorIn) { in.Shape = []int64{2, 4} }), codes.InvalidArgument, `inputs[0] "input": shape [2 4] needs 8 elements`},
		"negative shape":          {edit(func(_ *request, in *tensorIn) { in.Shape = []int64{-1, 4} }), codes.InvalidArgument, `inputs[0] "input": shape [-1 4] has a negative size`},
		"overflowing shape":       {edit(func(_ *request, in *tensorIn) { in.Shape = []int64{1 << 40, 1 << 40} }), codes.InvalidArgument, `inputs[0] "input": shape [1099511627776 1099511627776] has more than 2^40`},
		"shape of the wrong rank": {edit(func(_ *request, in *tensorIn) { in.Shape = []int64{4, 1} }), codes.InvalidArgument, `"input": got FP32[4 1]`},
		"raw and contents":        {edit(func(r *request, _ *tensorIn) { r.RawInputContents = [][]byte{raw} }), codes.InvalidArgument, "contents field must not be specified when using raw_input_contents for 'input' for model 'iris'"},
		"raw for fewer inputs":    {edit(func(r *request, _ *tensorIn) { r.RawInputContents = [][]byte{raw, raw} }), codes.InvalidArgument, "raw_input_contents has 2"},
		"raw too short":           {edit(func(r *request, in *tensorIn) { r.RawInputContents, in.Contents = [][]byte{raw[:15]}, nil }), codes.InvalidArgument, "needs 16 bytes"},
		"unknown output": {edit(func(r *request, _ *tensorIn) {
			r.Outputs = []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "other"}}
		}), codes.InvalidArgument, "outputs[0]"},
		"classification of 0": {edit(func(r *request, _ *tensorIn) {
			r.Outputs = []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "logits", Parameters: servetest.IntParameter("classification", 0)}}
		}), codes.InvalidArgument, "outputs[0]: parameters: classification: 0 is not a number of classes"},
		"classification of half": {edit(func(r *request, _ *tensorIn) {
			r.Outputs = []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "logits", Parameters: map[string]*pb.InferParameter{"classification": {}}}}
		}), codes.InvalidArgument, "outputs[0]: parameters: classification: the value does not fit int64_param"},
		"binary_data not a boolean": {edit(func(r *request, _ *tensorIn) {
			r.Outputs = []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "logits", Parameters: servetest.IntParameter("binary_data", 1)}}
		}), codes.InvalidArgument, "outputs[0]: parameters: binary_data: the value is not a bool_param"},
		"binary_data_output": {edit(func(r *request, _ *tensorIn) {
			r.Parameters = servetest.IntParameter("binary_data_output", 1)
		}), codes.InvalidArgument, "parameters: binary_data_output: the value is not a bool_param"},
		"sequence": {edit(func(r *request, _ *tensorIn) {
			r.Parameters = map[string]*pb.InferParameter{"sequence_id": {ParameterChoice: &pb.InferParameter_StringParam{StringParam: "a"}}}
		}), codes.InvalidArgument, "parameters: sequence_id: "},
		"shared memory":       {edit(func(_ *request, in *tensorIn) { in.Parameters = parameter }), codes.InvalidArgument, "shared_memory_region"},
		"picture as numbers":  {&request{ModelName: "shapes", Inputs: []*tensorIn{servetest.ProtoInput("image", "FP32", &pb.InferTensorContents{Fp32Contents: []float32{1}}, 1)}}, codes.InvalidArgument, `inputs[0]: "image" takes datatype BYTES`},
		"body over the limit": {edit(func(r *request, _ *tensorIn) { r.Id = strings.Repeat("x", 2*servetest.MaxBody) }), codes.ResourceExhausted, "than"},
	} {
		all = append(all, badCall{kind, inferCall{c.request}, c.code, c.names})
	}
	return all
}

func TestGRPCBadRequests(t *testing.T) {
	conn := servetest.DialGRPC(t, servetest.New(badModels(t)))
	refuseCalls(t, conn, grpcFaults())
	client := pb.NewGRPCInferenceServiceClient(conn)
	for _, call := range []func() error{
		func() error {
			_, err := client.ModelMetadata(t.Context(), &pb.ModelMetadataRequest{Name: "other"})
			return err
		},
		func() error {
			_, err := client.ModelStatistics(t.Context(), &pb.ModelStatisticsRequest{Name: "other"})
			return err
		},
	} {
		if err := call(); status.Code(err) != codes.NotFound || !strings.Contains(err.Error(), "other") {
			t.Errorf("unknown model: %v", err)
		}
	}
}

// Every mistake is answered with a 4xx and an error that names what is wrong, and a good
// request after it with 200.
// oipFaults are those of the Open Inference Protocol's JSON.
func oipFaults(t *testing.T, models serve.Models) []bad {
	t.Helper()
	row := []float64{1, 2, 3, 4}
	infer, pictures := "/v2/models/iris/infer", "/v2/models/shapes/infer"
	var all []bad
	for kind, c := range map[string]struct {
		method, path, body string
		status             int
		names              string
	}{
		"metadata of an unknown model": {"GET", "/v2/models/other", "", 404, "other"},
		"no inputs":                    {"POST", infer, "{}", 400, "inputs: the request has none"},
		"unknown input":                {"POST", infer, servetest.InferBody(t, "other", "FP32", []int{1, 4}, row), 400, `no input "other"`},
		"input twice":                  {"POST", infer, `{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]},{"name":"input","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]}]}`, 400, `inputs[1]: input "input" occurs twice`},
		"unknown datatype":             {"POST", infer, servetest.InferBody(t, "input", "FP99", []int{1, 4}, row), 400, `inputs[0] "input": data: unknown datatype "FP99"`},
		"wrong datatype":               {"POST", infer, servetest.InferBody(t, "input", "INT64", []int{1, 4}, []int{1, 2, 3, 4}), 400, `"input": got INT64`},
		"no shape":                     {"POST", infer, `{"inputs":[{"name":"input","datatype":"FP32","data":[1,2,3,4]}]}`, 400, `inputs[0] "input": it has no shape`},
		"no data":                      {"POST", infer, `{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4]}]}`, 400, `inputs[0] "input": it has no data`},
		"shape and data":               {"POST", infer, servetest.InferBody(t, "input", "FP32", []int{2, 4}, row), 400, `inputs[0] "input": data: shape [2 4] needs 8 elements`},
		"negative shape":               {"POST", infer, servetest.InferBody(t, "input", "FP32", []int{-1, 4}, row), 400, `inputs[0] "input": data: shape [-1 4] has a negative size`},
		"overflowing shape":            {"POST", infer, servetest.InferBody(t, "input", "FP32", []int{1 << 40, 1 << 40}, row), 400, `inputs[0] "input": data: shape [1099511627776 1099511627776] has more than 2^40`},
		"unknown output":               {"POST", infer, `{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]}],"outputs":[{"name":"other"}]}`, 400, `outputs[0]: the model has no output "other"`},
		"not base64":                   {"POST", pictures, servetest.InferBody(t, "image", "BYTES", []int{1}, []string{"***"}), 400, `inputs[0] "image": element 0 is not base64`},
		"picture as numbers":           {"POST", pictures, servetest.InferBody(t, "image", "FP32", []int{1}, []int{1}), 400, `inputs[0]: "image" takes datatype BYTES`},
	} {
		all = append(all, bad{kind, c.method, c.path, c.body, nil, c.status, c.names})
	}
	return all
}

func TestBadRequests(t *testing.T) {
	models := badModels(t)
	refuse(t, servetest.Listen(t, models), oipFaults(t, models))
}

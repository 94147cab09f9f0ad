package serve_test

// The Open Inference Protocol over gRPC, with its extensions, health and reflection.

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve"
)

func connect(tb testing.TB, dial func(context.Context) (net.Conn, error)) *grpc.ClientConn {
	tb.Helper()
	conn, err := grpc.NewClient("passthrough:///server", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return dial(ctx) }))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// dialGRPC serves over a connection in memory.
func dialGRPC(tb testing.TB, server *serve.Server) *grpc.ClientConn {
	tb.Helper()
	l := bufconn.Listen(1 << 20)
	s := server.GRPC()
	go func() { _ = s.Serve(l) }()
	tb.Cleanup(s.Stop)
	return connect(tb, l.DialContext)
}

// startAdmin serves operators, over HTTP at the address that it returns and over gRPC.
func startAdmin(tb testing.TB, server *serve.Server) (url string, conn *grpc.ClientConn) {
	tb.Helper()
	s := httptest.NewUnstartedServer(server.Admin())
	s.Config.Protocols = protocols()
	s.Start()
	tb.Cleanup(s.Close)
	return s.URL, connect(tb, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", s.Listener.Addr().String())
	})
}

func startGRPC(tb testing.TB) (pb.GRPCInferenceServiceClient, serve.Models) {
	tb.Helper()
	models := committed(tb)
	return pb.NewGRPCInferenceServiceClient(dialGRPC(tb, newServer(models))), models
}

func protoInput(name, datatype string, contents *pb.InferTensorContents, shape ...int64) *pb.ModelInferRequest_InferInputTensor {
	return &pb.ModelInferRequest_InferInputTensor{Name: name, Datatype: datatype, Shape: shape, Contents: contents}
}

func irisRequest(rows ...float32) *pb.ModelInferRequest {
	return &pb.ModelInferRequest{ModelName: "iris", Inputs: []*pb.ModelInferRequest_InferInputTensor{
		protoInput("input", "FP32", &pb.InferTensorContents{Fp32Contents: rows}, int64(len(rows)/4), 4),
	}}
}

func intParameter(name string, n int64) map[string]*pb.InferParameter {
	return map[string]*pb.InferParameter{name: {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: n}}}
}

func boolParameter(name string, b bool) map[string]*pb.InferParameter {
	return map[string]*pb.InferParameter{name: {ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: b}}}
}

// rawFloats are the values of an output that came raw.
func rawFloats(tb testing.TB, answer *pb.ModelInferResponse, i int) []float32 {
	tb.Helper()
	x, err := tensor.FromBytes(tensor.Float32, answer.GetRawOutputContents()[i], answer.GetOutputs()[i].GetShape()...)
	if err != nil {
		tb.Fatal(err)
	}
	return x.Data.([]float32)
}

func TestGRPCMetadata(t *testing.T) {
	client, _ := startGRPC(t)
	ctx := t.Context()
	live, err := client.ServerLive(ctx, &pb.ServerLiveRequest{})
	if err != nil || !live.GetLive() {
		t.Errorf("live: %v, %v", live, err)
	}
	ready, err := client.ServerReady(ctx, &pb.ServerReadyRequest{})
	if err != nil || !ready.GetReady() {
		t.Errorf("ready: %v, %v", ready, err)
	}
	model, err := client.ModelReady(ctx, &pb.ModelReadyRequest{Name: "iris", Version: "1"})
	if err != nil || !model.GetReady() {
		t.Errorf("model ready: %v, %v", model, err)
	}
	other, err := client.ModelReady(ctx, &pb.ModelReadyRequest{Name: "other"})
	if err != nil || other.GetReady() {
		t.Errorf("other ready: %v, %v", other, err)
	}
	server, err := client.ServerMetadata(ctx, &pb.ServerMetadataRequest{})
	if err != nil || server.GetName() != "forgo" || !slices.Contains(server.GetExtensions(), "statistics") {
		t.Errorf("server: %v, %v", server, err)
	}
	shapes, err := client.ModelMetadata(ctx, &pb.ModelMetadataRequest{Name: "shapes"})
	if err != nil || len(shapes.GetInputs()) != 1 || shapes.GetInputs()[0].GetDatatype() != "BYTES" || shapes.GetInputs()[0].GetName() != "image" ||
		shapes.GetOutputs()[0].GetName() != "probabilities" || shapes.GetPlatform() != "onnx_onnxv1" || !slices.Equal(shapes.GetVersions(), []string{"1"}) {
		t.Errorf("shapes: %v, %v", shapes, err)
	}
}

// Whatever form was sent, the answer is raw, and typed where that is asked for.
func TestGRPCInferDatatypes(t *testing.T) {
	for _, s := range samples {
		x := tensor.Tensor{Shape: []int64{1, 2}, Data: s.data}
		name := "same-" + string(x.DType())
		t.Run(name, func(t *testing.T) {
			client := pb.NewGRPCInferenceServiceClient(dialGRPC(t, newServer(serve.Models{name: graphModel(t, name)})))
			raw, err := x.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			in := protoInput("x", datatypeOf[x.DType()], nil, 1, 2)
			request := &pb.ModelInferRequest{ModelName: name, Id: "7", Inputs: []*pb.ModelInferRequest_InferInputTensor{in}, RawInputContents: [][]byte{raw}}
			answer, err := client.ModelInfer(t.Context(), request)
			if err != nil || answer.GetId() != "7" || !bytes.Equal(answer.GetRawOutputContents()[0], raw) || answer.GetOutputs()[0].GetContents() != nil {
				t.Fatalf("raw: %v, %v", answer, err)
			}
			in.Contents = &pb.InferTensorContents{} // MLServer's converter sets them, beside raw data too
			if answer, err := client.ModelInfer(t.Context(), request); err != nil || !bytes.Equal(answer.GetRawOutputContents()[0], raw) {
				t.Errorf("raw beside empty contents: %v, %v", answer, err)
			}
			request.RawInputContents = nil
			switch data := s.data.(type) {
			case []bool:
				in.Contents.BoolContents = data
			case []int8:
				in.Contents.IntContents = []int32{int32(data[0]), int32(data[1])}
			case []int16:
				in.Contents.IntContents = []int32{int32(data[0]), int32(data[1])}
			case []int32:
				in.Contents.IntContents = data
			case []int64:
				in.Contents.Int64Contents = data
			case []uint8:
				in.Contents.UintContents = []uint32{uint32(data[0]), uint32(data[1])}
			case []uint16:
				in.Contents.UintContents = []uint32{uint32(data[0]), uint32(data[1])}
			case []uint32:
				in.Contents.UintContents = data
			case []uint64:
				in.Contents.Uint64Contents = data
			case []float32:
				in.Contents.Fp32Contents = data
			case []float64:
				in.Contents.Fp64Contents = data
			case []string:
				in.Contents.BytesContents = [][]byte{[]byte(data[0]), []byte(data[1])}
			default:
				if _, err := client.ModelInfer(t.Context(), request); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "raw_input_contents only") {
					t.Errorf("contents: %v", err)
				}
				return
			}
			answer, err = client.ModelInfer(t.Context(), request)
			if err != nil || !bytes.Equal(answer.GetRawOutputContents()[0], raw) || answer.GetOutputs()[0].GetContents() != nil {
				t.Errorf("contents, answered raw: %v, %v; want %x", answer, err, raw)
			}
			request.Parameters = boolParameter("binary_data_output", false)
			answer, err = client.ModelInfer(t.Context(), request)
			if err != nil || len(answer.GetRawOutputContents()) != 0 || fmt.Sprint(answer.GetOutputs()[0].GetContents()) != fmt.Sprint(in.GetContents()) {
				t.Errorf("contents: %v, %v; want %v", answer, err, in.GetContents())
			}
		})
	}
}

// Pictures are answered as they are over REST; compressed calls are taken, without the test's
// bringing the codings along.
func TestGRPCInferPictures(t *testing.T) {
	client, models := startGRPC(t)
	m := models["shapes"]
	var pictures [][]byte
	var labels []string
	for i := range m.Manifest().Golden.Cases {
		raw, label := golden(t, m, "shapes", i)
		pictures, labels = append(pictures, raw), append(labels, label)
	}
	for _, coding := range []string{"identity", "gzip", "deflate"} {
		answer, err := client.ModelInfer(t.Context(), &pb.ModelInferRequest{
			ModelName: "shapes", ModelVersion: "1",
			Inputs:  []*pb.ModelInferRequest_InferInputTensor{protoInput("image", "BYTES", &pb.InferTensorContents{BytesContents: pictures}, int64(len(pictures)))},
			Outputs: []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "probabilities"}},
		}, grpc.UseCompressor(coding))
		if err != nil || len(answer.GetOutputs()) != 1 {
			t.Fatal(coding, answer, err)
		}
		if got := best(rawFloats(t, answer, 0), m.Manifest().Labels); !slices.Equal(got, labels) {
			t.Errorf("%s: %v, want %v", coding, got, labels)
		}
	}
}

func TestGRPCEmptyBatch(t *testing.T) {
	client, _ := startGRPC(t)
	request := irisRequest()
	request.Inputs[0].Shape = []int64{0, 4}
	answer, err := client.ModelInfer(t.Context(), request)
	if err != nil || !slices.Equal(answer.GetOutputs()[0].GetShape(), []int64{0, 3}) {
		t.Errorf("%v, %v", answer, err)
	}
}

// Each bad call has its code and a message that names the field; a good one follows it.
// grpcFaults are those of the Open Inference Protocol over gRPC.
func grpcFaults() []badCall {
	edit := func(change func(r *pb.ModelInferRequest, in *pb.ModelInferRequest_InferInputTensor)) *pb.ModelInferRequest {
		r := irisRequest(5.1, 3.5, 1.4, 0.2)
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
		"input twice":      {edit(func(r *request, in *tensorIn) { r.Inputs = append(r.Inputs, in) }), codes.InvalidArgument, `inputs[1]: input "input" is given twice`},
		"unknown datatype": {edit(func(_ *request, in *tensorIn) { in.Datatype = "FP99" }), codes.InvalidArgument, `inputs[0] "input": there is no datatype "FP99"`},
		"no datatype":      {edit(func(_ *request, in *tensorIn) { in.Datatype = "" }), codes.InvalidArgument, `inputs[0] "input": there is no datatype ""`},
		"wrong field":      {edit(func(_ *request, in *tensorIn) { in.Datatype = "FP64" }), codes.InvalidArgument, "got FP64[1 4], want FP32"},
		"wrong datatype": {edit(func(_ *request, in *tensorIn) {
			in.Datatype, in.Contents = "INT64", &pb.InferTensorContents{Int64Contents: []int64{1, 2, 3, 4}}
		}), codes.InvalidArgument, `"input": got INT64[1 4]`},
		"number over its type": {edit(func(r *request, in *tensorIn) {
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
			r.Outputs = []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "logits", Parameters: intParameter("classification", 0)}}
		}), codes.InvalidArgument, "outputs[0]: parameters: classification: 0 is no number of classes"},
		"classification of half": {edit(func(r *request, _ *tensorIn) {
			r.Outputs = []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "logits", Parameters: map[string]*pb.InferParameter{"classification": {}}}}
		}), codes.InvalidArgument, "outputs[0]: parameters: classification: it does not fit int64_param"},
		"binary_data no boolean": {edit(func(r *request, _ *tensorIn) {
			r.Outputs = []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "logits", Parameters: intParameter("binary_data", 1)}}
		}), codes.InvalidArgument, "outputs[0]: parameters: binary_data: it is not a bool_param"},
		"binary_data_output": {edit(func(r *request, _ *tensorIn) {
			r.Parameters = intParameter("binary_data_output", 1)
		}), codes.InvalidArgument, "parameters: binary_data_output: it is not a bool_param"},
		"sequence": {edit(func(r *request, _ *tensorIn) {
			r.Parameters = map[string]*pb.InferParameter{"sequence_id": {ParameterChoice: &pb.InferParameter_StringParam{StringParam: "a"}}}
		}), codes.InvalidArgument, "parameters: sequence_id: "},
		"shared memory":       {edit(func(_ *request, in *tensorIn) { in.Parameters = parameter }), codes.InvalidArgument, "shared_memory_region"},
		"string with zero":    {&request{ModelName: "strings", Inputs: []*tensorIn{protoInput("x", "BYTES", &pb.InferTensorContents{BytesContents: [][]byte{[]byte("a\x00b"), nil}}, 1, 2)}}, codes.InvalidArgument, `input "x": bad input: ONNX Runtime takes no string with a zero byte`},
		"picture as numbers":  {&request{ModelName: "shapes", Inputs: []*tensorIn{protoInput("image", "FP32", &pb.InferTensorContents{Fp32Contents: []float32{1}}, 1)}}, codes.InvalidArgument, `inputs[0]: "image" takes datatype BYTES`},
		"body over the limit": {edit(func(r *request, _ *tensorIn) { r.Id = strings.Repeat("x", 2*maxBody) }), codes.ResourceExhausted, "than"},
	} {
		all = append(all, badCall{kind, inferCall{c.request}, c.code, c.names})
	}
	return all
}

func TestGRPCBadRequests(t *testing.T) {
	conn := dialGRPC(t, newServer(badModels(t)))
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

func TestGRPCDeadline(t *testing.T) {
	client := pb.NewGRPCInferenceServiceClient(dialGRPC(t, newServer(serve.Models{"slow": graphModel(t, "slow")})))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := client.ModelInfer(ctx, &pb.ModelInferRequest{ModelName: "slow", Inputs: []*pb.ModelInferRequest_InferInputTensor{
		protoInput("x", "FP32", &pb.InferTensorContents{Fp32Contents: []float32{1, 2, 3}}, 1, 3),
	}})
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
}

func TestGRPCPanicIsThatCallsAlone(t *testing.T) {
	var log bytes.Buffer
	server := serve.New(serve.Models{"broken": nil}, serve.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	conn := dialGRPC(t, server)
	client, prediction := pb.NewGRPCInferenceServiceClient(conn), tfpb.NewPredictionServiceClient(conn)
	spec := &tfpb.ModelSpec{Name: "broken"}
	for name, ask := range map[string]func() error{
		"ModelMetadata": func() error {
			_, err := client.ModelMetadata(t.Context(), &pb.ModelMetadataRequest{Name: "broken"})
			return err
		},
		"Predict": func() error {
			_, err := prediction.Predict(t.Context(), &tfpb.PredictRequest{ModelSpec: spec})
			return err
		},
		"Classify": func() error {
			_, err := prediction.Classify(t.Context(), &tfpb.ClassificationRequest{ModelSpec: spec})
			return err
		},
		"Regress": func() error {
			_, err := prediction.Regress(t.Context(), &tfpb.RegressionRequest{ModelSpec: spec})
			return err
		},
		"GetModelMetadata": func() error {
			_, err := prediction.GetModelMetadata(t.Context(), &tfpb.GetModelMetadataRequest{ModelSpec: spec, MetadataField: []string{"signature_def"}})
			return err
		},
	} {
		log.Reset()
		if err := ask(); status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "internal error") || !strings.Contains(log.String(), "stack") {
			t.Errorf("%s: %v; log %s", name, err, &log)
		}
		if _, err := client.ServerLive(t.Context(), &pb.ServerLiveRequest{}); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
}

func TestGRPCHealthAndReflection(t *testing.T) {
	server := newServer(committed(t))
	conn := dialGRPC(t, server)
	health := grpc_health_v1.NewHealthClient(conn)
	for _, service := range []string{"", "inference.GRPCInferenceService"} {
		got, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
		if err != nil || got.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v, %v", service, got, err)
		}
	}
	stream, err := grpc_reflection_v1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = stream.Send(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}})
	if err != nil {
		t.Fatal(err)
	}
	list, err := stream.Recv()
	if err != nil || !strings.Contains(list.String(), "inference.GRPCInferenceService") {
		t.Errorf("reflection: %v, %v", list, err)
	}
	for _, symbol := range []string{"inference.GRPCInferenceService", "tensorflow.serving.PredictionService", "grpc.health.v1.Health"} {
		err := stream.Send(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_FileContainingSymbol{
			FileContainingSymbol: symbol,
		}})
		if err != nil {
			t.Fatal(err)
		}
		file, err := stream.Recv()
		if err != nil || len(file.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
			t.Errorf("reflection of %s: %v, %v", symbol, file, err)
		}
	}
	server.Drain()
	got, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || got.GetStatus() != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("while stopping: %v, %v", got, err)
	}
	ready, err := pb.NewGRPCInferenceServiceClient(conn).ServerReady(t.Context(), &pb.ServerReadyRequest{})
	if err != nil || ready.GetReady() {
		t.Errorf("ready while stopping: %v, %v", ready, err)
	}
}

func TestGRPCRepositoryAndStatistics(t *testing.T) {
	server := newServer(committed(t))
	public := pb.NewGRPCInferenceServiceClient(dialGRPC(t, server))
	_, conn := startAdmin(t, server)
	admin := pb.NewGRPCInferenceServiceClient(conn)
	for client, code := range map[pb.GRPCInferenceServiceClient]codes.Code{public: codes.PermissionDenied, admin: codes.Unimplemented} {
		index, err := client.RepositoryIndex(t.Context(), &pb.RepositoryIndexRequest{})
		if err != nil || len(index.GetModels()) != 2 || index.GetModels()[0].GetName() != "iris" || index.GetModels()[0].GetState() != "READY" {
			t.Errorf("index: %v, %v", index, err)
		}
		if _, err := client.RepositoryModelLoad(t.Context(), &pb.RepositoryModelLoadRequest{ModelName: "iris"}); status.Code(err) != code {
			t.Errorf("load: %v, want %v", err, code)
		}
		if _, err := client.RepositoryModelUnload(t.Context(), &pb.RepositoryModelUnloadRequest{ModelName: "iris"}); status.Code(err) != code {
			t.Errorf("unload: %v, want %v", err, code)
		}
	}
	if _, err := public.ModelInfer(t.Context(), irisRequest(make([]float32, 8)...)); err != nil {
		t.Fatal(err)
	}
	stats, err := admin.ModelStatistics(t.Context(), &pb.ModelStatisticsRequest{Name: "iris"})
	if err != nil || stats.GetModelStats()[0].GetInferenceCount() != 2 || stats.GetModelStats()[0].GetInferenceStats().GetSuccess().GetCount() != 1 {
		t.Errorf("%v, %v", stats, err)
	}
	if batches := stats.GetModelStats()[0].GetBatchStats(); len(batches) != 1 || batches[0].GetBatchSize() != 2 ||
		batches[0].GetComputeInfer().GetCount() != 1 || batches[0].GetComputeInfer().GetNs() == 0 {
		t.Errorf("batches: %v", batches)
	}
	all, err := public.ModelStatistics(t.Context(), &pb.ModelStatisticsRequest{})
	if err != nil || len(all.GetModelStats()) != 2 {
		t.Errorf("%v, %v", all, err)
	}
}

// REST and gRPC give the same numbers.
func TestGRPCEqualsREST(t *testing.T) {
	client, models := startGRPC(t)
	url := listen(t, models)
	rows := []float32{5.1, 3.5, 1.4, 0.2, 6.7, 3.0, 5.2, 2.3}
	answer, err := client.ModelInfer(t.Context(), irisRequest(rows...))
	if err != nil {
		t.Fatal(err)
	}
	_, rest := call(t, "POST", url+"/v2/models/iris/infer", inferBody(t, "input", "FP32", []int{2, 4}, rows))
	var want []float32
	for _, x := range rest["outputs"].([]any)[0].(map[string]any)["data"].([]any) {
		want = append(want, float32(x.(float64)))
	}
	if got := rawFloats(t, answer, 0); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

package oip_test

// The Open Inference Protocol over gRPC, with its extensions, health and reflection.

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

func startGRPC(tb testing.TB) (pb.GRPCInferenceServiceClient, serve.Models) {
	tb.Helper()
	models := servetest.Committed(tb)
	return pb.NewGRPCInferenceServiceClient(servetest.DialGRPC(tb, servetest.New(models))), models
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
	for _, s := range servetest.Samples {
		x := tensor.Tensor{Shape: []int64{1, 2}, Data: s.Data}
		name := "same-" + string(x.DType())
		t.Run(name, func(t *testing.T) {
			client := pb.NewGRPCInferenceServiceClient(servetest.DialGRPC(t, servetest.New(serve.Models{name: servetest.GraphModel(t, name)})))
			raw, err := x.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			in := servetest.ProtoInput("x", datatypeOf[x.DType()], nil, 1, 2)
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
			switch data := s.Data.(type) {
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
		raw, label := servetest.Golden(t, m, "shapes", i)
		pictures, labels = append(pictures, raw), append(labels, label)
	}
	for _, coding := range []string{"identity", "gzip", "deflate"} {
		answer, err := client.ModelInfer(t.Context(), &pb.ModelInferRequest{
			ModelName: "shapes", ModelVersion: "1",
			Inputs:  []*pb.ModelInferRequest_InferInputTensor{servetest.ProtoInput("image", "BYTES", &pb.InferTensorContents{BytesContents: pictures}, int64(len(pictures)))},
			Outputs: []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "probabilities"}},
		}, grpc.UseCompressor(coding))
		if err != nil || len(answer.GetOutputs()) != 1 {
			t.Fatal(coding, answer, err)
		}
		if got := servetest.Best(rawFloats(t, answer, 0), m.Manifest().Labels); !slices.Equal(got, labels) {
			t.Errorf("%s: %v, want %v", coding, got, labels)
		}
	}
}

func TestGRPCEmptyBatch(t *testing.T) {
	client, _ := startGRPC(t)
	request := servetest.IrisRequest()
	request.Inputs[0].Shape = []int64{0, 4}
	answer, err := client.ModelInfer(t.Context(), request)
	if err != nil || !slices.Equal(answer.GetOutputs()[0].GetShape(), []int64{0, 3}) {
		t.Errorf("%v, %v", answer, err)
	}
}

func TestGRPCDeadline(t *testing.T) {
	client := pb.NewGRPCInferenceServiceClient(servetest.DialGRPC(t, servetest.New(serve.Models{"slow": servetest.GraphModel(t, "slow")})))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := client.ModelInfer(ctx, &pb.ModelInferRequest{ModelName: "slow", Inputs: []*pb.ModelInferRequest_InferInputTensor{
		servetest.ProtoInput("x", "FP32", &pb.InferTensorContents{Fp32Contents: []float32{1, 2, 3}}, 1, 3),
	}})
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
}

func TestGRPCPanicIsThatCallsAlone(t *testing.T) {
	var log bytes.Buffer
	server := serve.New(serve.Models{"broken": nil}, serve.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	conn := servetest.DialGRPC(t, server)
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
	server := servetest.New(servetest.Committed(t))
	conn := servetest.DialGRPC(t, server)
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
	server := servetest.New(servetest.Committed(t))
	public := pb.NewGRPCInferenceServiceClient(servetest.DialGRPC(t, server))
	_, conn := servetest.StartAdmin(t, server)
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
	if _, err := public.ModelInfer(t.Context(), servetest.IrisRequest(make([]float32, 8)...)); err != nil {
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
	url := servetest.Listen(t, models)
	rows := []float32{5.1, 3.5, 1.4, 0.2, 6.7, 3.0, 5.2, 2.3}
	answer, err := client.ModelInfer(t.Context(), servetest.IrisRequest(rows...))
	if err != nil {
		t.Fatal(err)
	}
	_, rest := servetest.Call(t, "POST", url+"/v2/models/iris/infer", servetest.InferBody(t, "input", "FP32", []int{2, 4}, rows))
	var want []float32
	for _, x := range rest["outputs"].([]any)[0].(map[string]any)["data"].([]any) {
		want = append(want, float32(x.(float64)))
	}
	if got := rawFloats(t, answer, 0); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

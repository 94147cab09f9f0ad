package oip_test

// What Triton's clients ask for beyond the protocol: a model's configuration, an output's best
// classes, and the form that outputs come in.

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// The configuration over REST has what Triton's has: every field by its own name, numbers as
// numbers, enums by name.
func TestModelConfig(t *testing.T) {
	url, models := servetest.Start(t)
	for _, path := range []string{"/v2/models/iris/config", "/v2/models/iris/versions/1/config"} {
		status, got := servetest.Call(t, "GET", url+path, "")
		var want map[string]any
		err := json.Unmarshal(fmt.Appendf(nil, `{
			"name": "iris", "platform": "onnxruntime_onnx", "backend": "onnxruntime", "max_batch_size": 32,
			"input": [{"name": "input", "data_type": "TYPE_FP32", "format": "FORMAT_NONE", "dims": [4]}],
			"output": [
				{"name": "probabilities", "data_type": "TYPE_FP32", "dims": [3]},
				{"name": "logits", "data_type": "TYPE_FP32", "dims": [3]}
			],
			"instance_group": [{"name": "iris", "kind": "KIND_CPU", "count": %d}],
			"default_model_filename": "model.onnx",
			"dynamic_batching": {"preferred_batch_size": [], "max_queue_delay_microseconds": 0},
			"parameters": {"digest": {"string_value": %q}},
			"model_transaction_policy": {"decoupled": false}
		}`, serving.Of(models["iris"]).Stats().Instances, models["iris"].Digest()), &want)
		if err != nil || status != 200 || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %d %v, want %v (%v)", path, status, got, want, err)
		}
	}
	if status, answer := servetest.Call(t, "GET", url+"/v2/models/other/config", ""); status != 404 {
		t.Errorf("%d %v", status, answer)
	}
}

// What a model is told to do is in its configuration.
func TestModelConfigIsTheModels(t *testing.T) {
	for name, c := range map[string]struct {
		options predict.Options
		want    string
	}{
		"instances and delay": {predict.Options{Threads: 1, Instances: 3, MaxDelay: 2 * time.Millisecond, MaxBatchRows: 7}, "7 3&{2000}"},
		"no batches":          {predict.Options{Threads: 1, Instances: 1, MaxBatchRows: 1}, "1 1<nil>"},
	} {
		m, err := c.options.Load(t.Context(), servetest.GraphBundle(t, "affine", "tensors"), onnx.Engine())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = m.Close() })
		client := pb.NewGRPCInferenceServiceClient(servetest.DialGRPC(t, servetest.New(serve.Models{"m": m})))
		answer, err := client.ModelConfig(t.Context(), &pb.ModelConfigRequest{Name: "m", Version: "1"})
		if err != nil {
			t.Fatal(err)
		}
		config, batching := answer.GetConfig(), "<nil>"
		if b := config.GetDynamicBatching(); b != nil {
			batching = fmt.Sprintf("&{%d}", b.GetMaxQueueDelayMicroseconds())
		}
		if got := fmt.Sprint(config.GetMaxBatchSize(), config.GetInstanceGroup()[0].GetCount(), batching); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// Every datatype has its name in a configuration; the two protocols say the same.
func TestModelConfigDatatypes(t *testing.T) {
	models := serve.Models{"shapes": servetest.Load(t, servetest.Bundles+"shapes.forgo")}
	want := map[string]string{"shapes": "TYPE_STRING FORMAT_NONE [1]"}
	for d, name := range datatypeOf {
		graph := "same-" + string(d)
		models[graph] = servetest.GraphModel(t, graph)
		want[graph] = "TYPE_" + strings.ReplaceAll(name, "BYTES", "STRING") + " FORMAT_NONE [2]"
	}
	url := servetest.Listen(t, models)
	client := pb.NewGRPCInferenceServiceClient(servetest.DialGRPC(t, servetest.New(models)))
	for name := range models {
		answer, err := client.ModelConfig(t.Context(), &pb.ModelConfigRequest{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		in := answer.GetConfig().GetInput()[0]
		if got := fmt.Sprint(in.GetDataType(), " ", in.GetFormat(), " ", in.GetDims()); got != want[name] {
			t.Errorf("%s: %s, want %s", name, got, want[name])
		}
		status, _, raw := servetest.Exchange(t, "GET", url+"/v2/models/"+name+"/config", nil)
		var rest pb.ModelConfig
		if err := protojson.Unmarshal(raw, &rest); status != 200 || err != nil || rest.String() != answer.GetConfig().String() {
			t.Errorf("%s: REST %d %s, gRPC %v (%v)", name, status, raw, answer.GetConfig(), err)
		}
	}
	if _, err := client.ModelConfig(t.Context(), &pb.ModelConfigRequest{Name: "other"}); status.Code(err) != codes.NotFound {
		t.Errorf("%v", err)
	}
}

// classificationCases are outputs with what Triton would say of their best.
var classificationCases = []struct {
	data any
	n    int
	want []string
}{
	{[]float32{0.5, 1.25}, 1, []string{"1.250000:1"}},
	{[]float32{0.5, 1.25}, 2, []string{"1.250000:1", "0.500000:0"}},
	{[]float32{7, 7}, 9, []string{"7.000000:0", "7.000000:1"}},
	{[]float32{float32(math.NaN()), float32(math.Inf(-1))}, 2, []string{"-inf:1", "nan:0"}},
	{[]float64{1e-9, math.Inf(1)}, 2, []string{"inf:1", "0.000000:0"}},
	{[]int8{-128, 127}, 1, []string{"127:1"}},
	{[]int16{-3, -2}, 1, []string{"-2:1"}},
	{[]int32{5, 4}, 1, []string{"5:0"}},
	{[]int64{math.MaxInt64 - 1, math.MaxInt64}, 2, []string{"9223372036854775807:1", "9223372036854775806:0"}},
	{[]uint8{0, 255}, 1, []string{"255:1"}},
	{[]uint16{1, 2}, 1, []string{"2:1"}},
	{[]uint32{1, math.MaxUint32}, 1, []string{"4294967295:1"}},
	{[]uint64{math.MaxUint64, 1}, 1, []string{"18446744073709551615:0"}},
	{[]tensor.Float16Bits{0x3c00, 0x4000}, 1, []string{"2.000000:1"}},
	{[]tensor.BFloat16Bits{0x3f80, 0xbf80}, 1, []string{"1.000000:0"}},
}

func TestClassificationOfEveryDatatype(t *testing.T) {
	for _, c := range classificationCases {
		x := tensor.Tensor{Shape: []int64{1, 2}, Data: c.data}
		name := "same-" + string(x.DType())
		models := serve.Models{name: servetest.GraphModel(t, name)}
		raw, err := x.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		request := map[string]any{
			"inputs":  []any{binaryInput("x", datatypeOf[x.DType()], len(raw), 1, 2)},
			"outputs": []any{map[string]any{"name": "y", "parameters": map[string]any{"classification": c.n}}},
		}
		code, answer, _ := inferBinary(t, servetest.Listen(t, models)+"/v2/models/"+name+"/infer", request, raw)
		want := fmt.Sprint(map[string]any{"name": "y", "datatype": "BYTES", "shape": []any{1, len(c.want)}, "data": c.want})
		if got := fmt.Sprint(answer["outputs"].([]any)[0]); code != 200 || got != want {
			t.Errorf("%s: %d %s, want %s", name, code, got, want)
		}
		client := pb.NewGRPCInferenceServiceClient(servetest.DialGRPC(t, servetest.New(models)))
		over, err := client.ModelInfer(t.Context(), &pb.ModelInferRequest{
			ModelName: name, RawInputContents: [][]byte{raw},
			Inputs:  []*pb.ModelInferRequest_InferInputTensor{servetest.ProtoInput("x", datatypeOf[x.DType()], nil, 1, 2)},
			Outputs: []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "y", Parameters: servetest.IntParameter("classification", int64(c.n))}},
		})
		if err != nil {
			t.Fatal(err)
		}
		values, err := tensor.FromBytes(tensor.String, over.GetRawOutputContents()[0], over.GetOutputs()[0].GetShape()...)
		if err != nil || !slices.Equal(values.Data.([]string), c.want) || over.GetOutputs()[0].GetDatatype() != "BYTES" {
			t.Errorf("%s over gRPC: %v %v (%v), want %v", name, over, values, err, c.want)
		}
	}
}

// A classifier's first output has labels, whatever else is asked for beside it; a batch has a row
// of classes each.
func TestClassificationHasLabels(t *testing.T) {
	url, models := servetest.Start(t)
	m := models["iris"]
	var rows []json.RawMessage
	var labels []string
	for i := range m.Manifest().Golden.Cases {
		row, label := servetest.Golden(t, m, "iris", i)
		rows, labels = append(rows, row), append(labels, label)
	}
	data, err := json.Marshal(rows)
	if err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"inputs":[{"name":"input","datatype":"FP32","shape":[%d,4],"data":%s}],"outputs":[
		{"name":"probabilities","parameters":{"classification":2}},{"name":"logits","parameters":{"classification":1}}]}`, len(rows), data)
	status, answer := servetest.Call(t, "POST", url+"/v2/models/iris/infer", body)
	if status != 200 {
		t.Fatal(status, answer)
	}
	outputs := answer["outputs"].([]any)
	first, logits := outputs[0].(map[string]any), outputs[1].(map[string]any)
	if got := fmt.Sprint(first["shape"], logits["shape"]); got != fmt.Sprintf("[%d 2] [%d 1]", len(rows), len(rows)) {
		t.Fatal(got)
	}
	for i, label := range labels {
		index := slices.Index(m.Manifest().Labels, label)
		best := first["data"].([]any)[2*i].(string)
		if parts := strings.Split(best, ":"); len(parts) != 3 || parts[1] != fmt.Sprint(index) || parts[2] != label {
			t.Errorf("row %d: %q, want the label %q at %d", i, best, label, index)
		}
		if parts := strings.Split(logits["data"].([]any)[i].(string), ":"); len(parts) != 2 || parts[1] != fmt.Sprint(index) {
			t.Errorf("row %d: logits %q", i, parts)
		}
	}
	status, answer = servetest.Call(t, "POST", url+"/v2/models/iris/infer", `{"inputs":[{"name":"input","datatype":"FP32","shape":[0,4],"data":[]}],"outputs":[
		{"name":"probabilities","parameters":{"classification":2}}]}`)
	if got := fmt.Sprint(answer["outputs"]); status != 200 || got != "[map[data:[] datatype:BYTES name:probabilities shape:[0 2]]]" {
		t.Errorf("no rows: %d %s", status, got)
	}
}

// One output that is to be raw, or can be given in no other form, makes all of them raw.
func TestGRPCOutputsAreTypedWhereAllAre(t *testing.T) {
	client, _ := startGRPC(t)
	output := func(name string, parameters map[string]*pb.InferParameter) *pb.ModelInferRequest_InferRequestedOutputTensor {
		return &pb.ModelInferRequest_InferRequestedOutputTensor{Name: name, Parameters: parameters}
	}
	typed, raw := boolParameter("binary_data", false), boolParameter("binary_data", true)
	for _, c := range []struct {
		whole, first, second map[string]*pb.InferParameter
		raw                  int
	}{
		{nil, nil, nil, 2},
		{nil, typed, typed, 0},
		{nil, typed, nil, 2},
		{boolParameter("binary_data_output", false), nil, nil, 0},
		{boolParameter("binary_data_output", false), nil, raw, 2},
		{boolParameter("binary_data_output", true), typed, typed, 0},
	} {
		request := servetest.IrisRequest(5.1, 3.5, 1.4, 0.2)
		request.Parameters = c.whole
		request.Outputs = []*pb.ModelInferRequest_InferRequestedOutputTensor{output("logits", c.first), output("probabilities", c.second)}
		answer, err := client.ModelInfer(t.Context(), request)
		if err != nil || len(answer.GetRawOutputContents()) != c.raw || (answer.GetOutputs()[0].GetContents() == nil) != (c.raw > 0) {
			t.Errorf("%v: %v, %v", c, answer, err)
		}
	}
}

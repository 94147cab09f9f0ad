package tfserving_test

// TensorFlow Serving's gRPC services.

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// typed are data in the field that their type has.
func typed(data any) *tfpb.TensorProto {
	wide := func(n int, at func(i int) int32) []int32 {
		out := make([]int32, n)
		for i := range out {
			out[i] = at(i)
		}
		return out
	}
	switch d := data.(type) {
	case []bool:
		return &tfpb.TensorProto{Dtype: tfpb.DataType_DT_BOOL, BoolVal: d}
	case []int8:
		return &tfpb.TensorProto{Dtype: tfpb.DataType_DT_INT8, IntVal: wide(len(d), func(i int) int32 { return int32(d[i]) })}
	case []int16:
		return &tfpb.TensorProto{Dtype: tfpb.DataType_DT_INT16, IntVal: wide(len(d), func(i int) int32 { return int32(d[i]) })}
	case []int32:
		return &tfpb.TensorProto{Dtype: tfpb.DataType_DT_INT32, IntVal: d}
	case []int64:
		return &tfpb.TensorProto{Dtype: tfpb.DataType_DT_INT64, Int64Val: d}
	case []uint8:
		return &tfpb.TensorProto{Dtype: tfpb.DataType_DT_UINT8, IntVal: wide(len(d), func(i int) int32 { return int32(d[i]) })}
	case []uint16:
		return &tfpb.TensorProto{Dtype: tfpb.DataType_DT_UINT16, IntVal: wide(len(d), func(i int) int32 { return int32(d[i]) })}
	case []uint32:
		return &tfpb.TensorProto{Dtype: tfpb.DataType_DT_UINT32, Uint32Val: d}
	case []uint64:
		return &tfpb.TensorProto{Dtype: tfpb.DataType_DT_UINT64, Uint64Val: d}
	case []tensor.Float16Bits:
		return &tfpb.TensorProto{Dtype: tfpb.DataType_DT_HALF, HalfVal: wide(len(d), func(i int) int32 { return int32(d[i]) })}
	case []tensor.BFloat16Bits:
		return &tfpb.TensorProto{Dtype: tfpb.DataType_DT_BFLOAT16, HalfVal: wide(len(d), func(i int) int32 { return int32(d[i]) })}
	case []float32:
		return &tfpb.TensorProto{Dtype: tfpb.DataType_DT_FLOAT, FloatVal: d}
	case []float64:
		return &tfpb.TensorProto{Dtype: tfpb.DataType_DT_DOUBLE, DoubleVal: d}
	}
	p := &tfpb.TensorProto{Dtype: tfpb.DataType_DT_STRING}
	for _, text := range data.([]string) {
		p.StringVal = append(p.StringVal, []byte(text))
	}
	return p
}

// contentOf is a tensor's tensor_content: strings are their lengths as varints, then themselves.
func contentOf(t *testing.T, x tensor.Tensor) []byte {
	t.Helper()
	values, ok := x.Data.([]string)
	if !ok {
		raw, err := x.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	var lengths []byte
	for _, text := range values {
		lengths = binary.AppendUvarint(lengths, uint64(len(text)))
	}
	return append(lengths, strings.Join(values, "")...)
}

// Every type comes back in the field that it has, whether it was sent there or as content; fewer
// values than elements stand for more of the last.
func TestTFServingGRPCPredictTypes(t *testing.T) {
	for _, s := range servetest.Samples {
		x := tensor.Tensor{Shape: []int64{1, 2}, Data: s.Data}
		name := "same-" + string(x.DType())
		t.Run(name, func(t *testing.T) {
			client := servetest.PredictionService(t, serve.Models{name: servetest.GraphModel(t, name)})
			want := typed(s.Data)
			want.TensorShape = servetest.Dims(1, 2)
			content := &tfpb.TensorProto{Dtype: want.GetDtype(), TensorShape: servetest.Dims(1, 2), TensorContent: contentOf(t, x)}
			for form, in := range map[string]*tfpb.TensorProto{"field": want, "content": content} {
				answer, err := client.Predict(t.Context(), &tfpb.PredictRequest{
					ModelSpec: &tfpb.ModelSpec{Name: name}, Inputs: map[string]*tfpb.TensorProto{"x": in},
				})
				// Compared as bytes, in which a NaN equals itself.
				if got := answer.GetOutputs()["y"]; err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%s: %v, %v; want %v", form, answer, err, want)
				}
			}
			in := typed(s.Data)
			switch { // the last of the two alone
			case len(in.GetStringVal()) > 0:
				in.StringVal = in.GetStringVal()[1:]
			case len(in.GetFloatVal()) > 0:
				in.FloatVal = in.GetFloatVal()[1:]
			case len(in.GetHalfVal()) > 0:
				in.HalfVal = in.GetHalfVal()[1:]
			default:
				return
			}
			in.TensorShape = servetest.Dims(2, 2)
			answer, err := client.Predict(t.Context(), &tfpb.PredictRequest{
				ModelSpec: &tfpb.ModelSpec{Name: name}, Inputs: map[string]*tfpb.TensorProto{"x": in},
			})
			got := answer.GetOutputs()["y"]
			in.StringVal, in.FloatVal, in.HalfVal = four(in.GetStringVal()), four(in.GetFloatVal()), four(in.GetHalfVal())
			if err != nil || fmt.Sprint(got) != fmt.Sprint(in) {
				t.Errorf("one value for four: %v, %v; want %v", got, err, in)
			}
		})
	}
}

func four[T any](one []T) []T { return slices.Repeat(one, 4) }

// Whatever names the model, its version and its signature gives the answer that the library does,
// under the name of what answered.
func TestTFServingGRPCPredictRows(t *testing.T) {
	models := servetest.Committed(t)
	client := servetest.PredictionService(t, models)
	flat := []float32{5.1, 3.5, 1.4, 0.2, 6.7, 3.0, 5.2, 2.3}
	out, err := models["iris"].Run(t.Context(), predict.Tensors{"input": {Shape: []int64{2, 4}, Data: flat}})
	if err != nil {
		t.Fatal(err)
	}
	want := out["probabilities"].Data.([]float32)
	for _, spec := range []*tfpb.ModelSpec{
		{Name: "iris"},
		{Name: "iris", SignatureName: "serving_default"},
		{Name: "iris", SignatureName: "tensorflow/serving/predict"},
		{Name: "iris", VersionChoice: &tfpb.ModelSpec_Version{Version: wrapperspb.Int64(1)}},
		{Name: "iris", VersionChoice: &tfpb.ModelSpec_VersionLabel{VersionLabel: "stable"}},
	} {
		request := servetest.PredictIris(flat...)
		request.ModelSpec = spec
		answer, err := client.Predict(t.Context(), request)
		if err != nil || len(answer.GetOutputs()) != 1 || !slices.Equal(answer.GetOutputs()["probabilities"].GetFloatVal(), want) {
			t.Fatalf("%v: %v, %v; want %v", spec, answer, err, want)
		}
		if by := answer.GetModelSpec(); by.GetName() != "iris" || by.GetVersion().GetValue() != 1 || by.GetSignatureName() != "serving_default" {
			t.Errorf("%v: answered by %v", spec, by)
		}
	}
	empty, err := client.Predict(t.Context(), servetest.PredictIris())
	if err != nil || !proto.Equal(empty.GetOutputs()["probabilities"].GetTensorShape(), servetest.Dims(0, 3)) {
		t.Errorf("an empty batch: %v, %v", empty, err)
	}
}

func TestTFServingGRPCPredictOutputs(t *testing.T) {
	client := servetest.PredictionService(t, serve.Models{"two": servetest.GraphModel(t, "two")})
	request := &tfpb.PredictRequest{
		ModelSpec: &tfpb.ModelSpec{Name: "two"},
		Inputs:    map[string]*tfpb.TensorProto{"a": servetest.FloatTensor([]float32{1, 2}, 1, 2), "b": servetest.FloatTensor([]float32{3, 4}, 1, 2)},
	}
	for filter, want := range map[string]string{"": "difference sum", "sum": "sum"} {
		request.OutputFilter = strings.Fields(filter)
		answer, err := client.Predict(t.Context(), request)
		var names []string
		for name := range answer.GetOutputs() {
			names = append(names, name)
		}
		slices.Sort(names)
		if err != nil || strings.Join(names, " ") != want || !slices.Equal(answer.GetOutputs()["sum"].GetFloatVal(), []float32{4, 6}) {
			t.Errorf("output_filter %q: %v, %v", filter, answer, err)
		}
	}
}

// Pictures go encoded by the name image, and as their preprocessed tensor by its own.
func TestTFServingGRPCPredictPictures(t *testing.T) {
	models := servetest.Committed(t)
	client, m := servetest.PredictionService(t, models), models["shapes"]
	var pictures [][]byte
	var labels []string
	for i := range m.Manifest().Golden.Cases {
		raw, label := servetest.Golden(t, m, "shapes", i)
		pictures, labels = append(pictures, raw), append(labels, label)
	}
	spec := &tfpb.ModelSpec{Name: "shapes"}
	answer, err := client.Predict(t.Context(), &tfpb.PredictRequest{
		ModelSpec: spec, Inputs: map[string]*tfpb.TensorProto{"image": servetest.PictureTensor(pictures)},
	})
	if err != nil {
		t.Fatal(err)
	}
	encoded := answer.GetOutputs()["probabilities"].GetFloatVal()
	if got := servetest.Best(encoded, m.Manifest().Labels); !slices.Equal(got, labels) {
		t.Errorf("%v, want %v", got, labels)
	}
	prepared, err := m.Prepare(t.Context(), pictures[0])
	if err != nil {
		t.Fatal(err)
	}
	input := m.Manifest().Picture.Input
	answer, err = client.Predict(t.Context(), &tfpb.PredictRequest{ModelSpec: spec, Inputs: map[string]*tfpb.TensorProto{
		input: {Dtype: tfpb.DataType_DT_FLOAT, TensorShape: servetest.Dims(prepared[input].Shape...), TensorContent: contentOf(t, prepared[input])},
	}})
	if got := servetest.Best(answer.GetOutputs()["probabilities"].GetFloatVal(), m.Manifest().Labels); err != nil || got[0] != labels[0] {
		t.Errorf("preprocessed: %v, %v; want %s", got, err, labels[0])
	}
	classes, err := client.Classify(t.Context(), &tfpb.ClassificationRequest{ModelSpec: spec, Input: servetest.ExampleList(&tfpb.Feature{
		Kind: &tfpb.Feature_BytesList{BytesList: &tfpb.BytesList{Value: pictures[:1]}},
	}, "image")})
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range classes.GetResult().GetClassifications()[0].GetClasses() {
		if c.GetLabel() != m.Manifest().Labels[i] || c.GetScore()-encoded[i] > 1e-5 || encoded[i]-c.GetScore() > 1e-5 {
			t.Errorf("classify: %v, want %v", c, encoded[i])
		}
	}
}

func TestTFServingGRPCClassifyAndRegress(t *testing.T) {
	models := servetest.Committed(t)
	models["half"] = servetest.TaskModel(t, "half-plus-three", "regression")
	client := servetest.PredictionService(t, models)
	row := []float32{5.1, 3.5, 1.4, 0.2}
	want, err := client.Predict(t.Context(), servetest.PredictIris(row...))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Classify(t.Context(), &tfpb.ClassificationRequest{
		ModelSpec: &tfpb.ModelSpec{Name: "iris", SignatureName: "tensorflow/serving/classify"}, Input: servetest.ExampleList(servetest.FloatList(row...), "input"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range answer.GetResult().GetClassifications()[0].GetClasses() {
		if c.GetLabel() != models["iris"].Manifest().Labels[i] || c.GetScore() != want.GetOutputs()["probabilities"].GetFloatVal()[i] {
			t.Errorf("classify: %v, want %v", answer, want)
		}
	}
	// An example that leaves the feature out has the context's.
	regressed, err := client.Regress(t.Context(), &tfpb.RegressionRequest{
		ModelSpec: &tfpb.ModelSpec{Name: "half"}, Input: &tfpb.Input{Kind: &tfpb.Input_ExampleListWithContext{
			ExampleListWithContext: &tfpb.ExampleListWithContext{
				Context: servetest.ExampleOf(servetest.FloatList(4), "x"), Examples: []*tfpb.Example{servetest.ExampleOf(servetest.FloatList(1), "x"), {}},
			},
		}},
	})
	if got := regressed.GetResult().GetRegressions(); err != nil || len(got) != 2 || got[0].GetValue() != 3.5 || got[1].GetValue() != 5 {
		t.Errorf("regress: %v, %v", regressed, err)
	}
}

func TestTFServingGRPCMetadataAndStatus(t *testing.T) {
	conn := servetest.DialGRPC(t, servetest.New(servetest.Committed(t)))
	client, models := tfpb.NewPredictionServiceClient(conn), tfpb.NewModelServiceClient(conn)
	for model, input := range map[string]*tfpb.TensorInfo{
		"iris":   {Name: "input", Dtype: tfpb.DataType_DT_FLOAT, TensorShape: servetest.Dims(-1, 4)},
		"shapes": {Name: "image", Dtype: tfpb.DataType_DT_STRING, TensorShape: servetest.Dims(-1)},
	} {
		answer, err := client.GetModelMetadata(t.Context(), &tfpb.GetModelMetadataRequest{
			ModelSpec: &tfpb.ModelSpec{Name: model}, MetadataField: []string{"signature_def"},
		})
		var signatures tfpb.SignatureDefMap
		if err != nil || answer.GetMetadata()["signature_def"].UnmarshalTo(&signatures) != nil || answer.GetModelSpec().GetVersion().GetValue() != 1 {
			t.Fatalf("%s: %v, %v", model, answer, err)
		}
		got := signatures.GetSignatureDef()["serving_default"]
		if len(got.GetInputs()) != 1 || !proto.Equal(got.GetInputs()[input.GetName()], input) || len(got.GetOutputs()) != 1 ||
			got.GetOutputs()["probabilities"].GetDtype() != tfpb.DataType_DT_FLOAT || got.GetMethodName() != "tensorflow/serving/predict" {
			t.Errorf("%s: %v", model, got)
		}
	}
	for field, request := range map[string]*tfpb.GetModelMetadataRequest{
		"metadata_field": {ModelSpec: &tfpb.ModelSpec{Name: "iris"}}, `"graph"`: {ModelSpec: &tfpb.ModelSpec{Name: "iris"}, MetadataField: []string{"graph"}},
		"model_spec": {MetadataField: []string{"signature_def"}},
	} {
		if _, err := client.GetModelMetadata(t.Context(), request); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), field) {
			t.Errorf("metadata without %s: %v", field, err)
		}
	}
	answer, err := models.GetModelStatus(t.Context(), &tfpb.GetModelStatusRequest{ModelSpec: &tfpb.ModelSpec{Name: "iris"}})
	if got := answer.GetModelVersionStatus(); err != nil || len(got) != 1 || got[0].GetVersion() != 1 ||
		got[0].GetState() != tfpb.ModelVersionStatus_AVAILABLE || got[0].GetStatus().GetErrorCode() != tfpb.Code_OK {
		t.Errorf("status: %v, %v", answer, err)
	}
	if _, err := models.GetModelStatus(t.Context(), &tfpb.GetModelStatusRequest{ModelSpec: &tfpb.ModelSpec{Name: "other"}}); status.Code(err) != codes.NotFound {
		t.Errorf("status of another: %v", err)
	}
	if _, err := models.HandleReloadConfigRequest(t.Context(), &tfpb.ReloadConfigRequest{}); status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "RepositoryModelLoad") {
		t.Errorf("reload: %v", err)
	}
}

func TestTFServingGRPCDeadline(t *testing.T) {
	client := servetest.PredictionService(t, serve.Models{"slow": servetest.GraphModel(t, "slow")})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := client.Predict(ctx, &tfpb.PredictRequest{
		ModelSpec: &tfpb.ModelSpec{Name: "slow"}, Inputs: map[string]*tfpb.TensorProto{"x": servetest.FloatTensor([]float32{1, 2, 3}, 1, 3)},
	})
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
}

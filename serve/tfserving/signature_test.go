package tfserving_test

// A SavedModel's signature goes by its own name, as TensorFlow Serving's mnist_client asks for
// predict_images.

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle/bundletest"
	"github.com/forgo-ml/forgo/predict/tensorflow"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// signedModel is one signature of a SavedModel that has several.
func signedModel(t *testing.T, signature string) *predict.Model {
	t.Helper()
	folder := bundletest.Copy(t, servetest.Bundles+"iris.forgo")
	if err := os.Remove(filepath.Join(folder, "model.onnx")); err != nil {
		t.Fatal(err)
	}
	files := map[string]any{}
	model := os.DirFS("../../conformance/savedmodels/several")
	err := fs.WalkDir(model, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(model, path)
		bundletest.Write(t, folder, "saved_model/"+path, data)
		files["saved_model/"+path] = map[string]any{}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	end := func(name string) any {
		return map[string]any{"name": name, "graph_name": name, "dtype": "float32", "shape": []any{nil, 2}}
	}
	bundletest.Edit(t, folder, func(m map[string]any) {
		m["engine"], m["task"], m["files"] = "tensorflow", "tensors", files
		m["graph"] = map[string]any{"path": "saved_model", "tags": []string{"serve"}, "signature": signature}
		m["inputs"], m["outputs"] = []any{end("a"), end("b")}, []any{end(signature)}
		m["golden"] = map[string]any{"cases": []any{}, "none": "a SavedModel of the conformance suite"}
		delete(m, "labels")
	})
	loaded, err := predict.Load(t.Context(), folder, tensorflow.Engine())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = loaded.Close() })
	return loaded
}

func TestTFServingSignatureByItsOwnName(t *testing.T) {
	models := serve.Models{"several": signedModel(t, "sum"), "iris": servetest.Load(t, servetest.Bundles+"iris.forgo")}
	url := servetest.Listen(t, models) + "/v1/models/"
	const body = `"instances":[{"a":[1,2],"b":[3,4]}]}`
	for _, name := range []string{"sum", "serving_default", ""} {
		if status, _, got := servetest.Exchange(t, "POST", url+"several:predict", []byte(`{"signature_name":"`+name+`",`+body)); status != 200 || string(got) != `{"predictions":[[4.0,6.0]]}` {
			t.Errorf("%q: %d %s", name, status, got)
		}
	}
	if status, _, got := servetest.Exchange(t, "POST", url+"several:predict", []byte(`{"signature_name":"difference",`+body)); status != 400 ||
		!strings.Contains(string(got), `no such signature, only [\"serving_default\" \"sum\"`) {
		t.Errorf("%d %s", status, got)
	}
	if status, _, got := servetest.Exchange(t, "POST", url+"iris:predict", []byte(`{"signature_name":"sum","instances":[[1,2,3,4]]}`)); status != 400 {
		t.Errorf("a signature of another model: %d %s", status, got)
	}
	_, answer := servetest.Call(t, "GET", url+"several/metadata", "")
	signatures := servetest.At(answer, "metadata", "signature_def", "signature_def").(map[string]any)
	if len(signatures) != 2 || servetest.At(signatures, "sum", "outputs", "sum") == nil || servetest.At(signatures, "serving_default", "outputs", "sum") == nil {
		t.Errorf("%v", answer)
	}
	client := tfpb.NewPredictionServiceClient(servetest.DialGRPC(t, servetest.New(models)))
	row := func(x ...float32) *tfpb.TensorProto {
		return &tfpb.TensorProto{Dtype: tfpb.DataType_DT_FLOAT, TensorShape: servetest.Dims(1, 2), FloatVal: x}
	}
	request := &tfpb.PredictRequest{
		ModelSpec: &tfpb.ModelSpec{Name: "several", SignatureName: "sum"},
		Inputs:    map[string]*tfpb.TensorProto{"a": row(1, 2), "b": row(3, 4)},
	}
	over, err := client.Predict(t.Context(), request)
	if err != nil || !slices.Equal(over.GetOutputs()["sum"].GetFloatVal(), []float32{4, 6}) || over.GetModelSpec().GetSignatureName() != "sum" {
		t.Errorf("%v, %v", over, err)
	}
	request.ModelSpec.SignatureName = "difference"
	if _, err := client.Predict(t.Context(), request); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("%v", err)
	}
}

package servetest

// Requests, and what they are made of.

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/tfpb"
)

// AsBytes is a BYTES element as binary data has it.
func AsBytes(s string) string {
	return string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

// Exchange sends a request with headers, given as name and value in turn.
func Exchange(tb testing.TB, method, url string, body []byte, headers ...string) (status int, header http.Header, answer []byte) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp.StatusCode, resp.Header, raw
}

// Call is an exchange whose answer is a JSON object.
func Call(tb testing.TB, method, url, body string) (int, map[string]any) {
	tb.Helper()
	status, _, raw := Exchange(tb, method, url, []byte(body))
	var answer map[string]any
	if err := json.Unmarshal(raw, &answer); err != nil {
		tb.Fatalf("%s %s: status %d, body %q is not a JSON object", method, url, status, raw)
	}
	return status, answer
}

// Ask sends one request to a handler in this process: all is counted when it returns.
func Ask(ctx context.Context, h http.Handler, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "POST", path, strings.NewReader(body)))
	return w
}

// Form makes a multipart body of files, each a name and its content.
func Form(tb testing.TB, files ...[2]string) (body []byte, contentType string) {
	tb.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, file := range files {
		part, err := w.CreateFormFile("files", file[0])
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := part.Write([]byte(file[1])); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes(), w.FormDataContentType()
}

// ProtoInput is an input of the Open Inference Protocol over gRPC.
func ProtoInput(name, datatype string, contents *pb.InferTensorContents, shape ...int64) *pb.ModelInferRequest_InferInputTensor {
	return &pb.ModelInferRequest_InferInputTensor{Name: name, Datatype: datatype, Shape: shape, Contents: contents}
}

// IrisRequest asks iris for rows over gRPC.
func IrisRequest(rows ...float32) *pb.ModelInferRequest {
	return &pb.ModelInferRequest{ModelName: "iris", Inputs: []*pb.ModelInferRequest_InferInputTensor{
		ProtoInput("input", "FP32", &pb.InferTensorContents{Fp32Contents: rows}, int64(len(rows)/4), 4),
	}}
}

// IntParameter is one parameter of a request over gRPC.
func IntParameter(name string, n int64) map[string]*pb.InferParameter {
	return map[string]*pb.InferParameter{name: {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: n}}}
}

// HeaderLength is the header that says where binary data begins.
const HeaderLength = "Inference-Header-Content-Length"

// Record is one request's answer.
func Record(h http.Handler, req *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

// InferBody asks for one input in the Open Inference Protocol over REST.
func InferBody(t *testing.T, name, datatype string, shape []int, data any) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"id": "caller-7", "inputs": []any{map[string]any{"name": name, "datatype": datatype, "shape": shape, "data": data}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// Dims is a shape as TensorFlow has it.
func Dims(sizes ...int64) *tfpb.TensorShapeProto {
	s := &tfpb.TensorShapeProto{}
	for _, size := range sizes {
		s.Dim = append(s.Dim, &tfpb.TensorShapeProto_Dim{Size: size})
	}
	return s
}

// FloatTensor is a tensor of TensorFlow.
func FloatTensor(values []float32, sizes ...int64) *tfpb.TensorProto {
	return &tfpb.TensorProto{Dtype: tfpb.DataType_DT_FLOAT, TensorShape: Dims(sizes...), FloatVal: values}
}

// PictureTensor has encoded pictures as strings.
func PictureTensor(pictures [][]byte) *tfpb.TensorProto {
	return &tfpb.TensorProto{Dtype: tfpb.DataType_DT_STRING, TensorShape: Dims(int64(len(pictures))), StringVal: pictures}
}

// PredictIris asks iris for rows as clients of TensorFlow Serving do.
func PredictIris(rows ...float32) *tfpb.PredictRequest {
	return &tfpb.PredictRequest{
		ModelSpec: &tfpb.ModelSpec{Name: "iris"},
		Inputs:    map[string]*tfpb.TensorProto{"input": FloatTensor(rows, int64(len(rows)/4), 4)},
	}
}

// ExampleOf is a tf.Example of one feature.
func ExampleOf(f *tfpb.Feature, name string) *tfpb.Example {
	return &tfpb.Example{Features: &tfpb.Features{Feature: map[string]*tfpb.Feature{name: f}}}
}

// ExampleList is the input of one tf.Example.
func ExampleList(f *tfpb.Feature, name string) *tfpb.Input {
	return &tfpb.Input{Kind: &tfpb.Input_ExampleList{ExampleList: &tfpb.ExampleList{Examples: []*tfpb.Example{ExampleOf(f, name)}}}}
}

// FloatList is a feature's values.
func FloatList(values ...float32) *tfpb.Feature {
	return &tfpb.Feature{Kind: &tfpb.Feature_FloatList{FloatList: &tfpb.FloatList{Value: values}}}
}

// At follows names down into a JSON value.
func At(value any, names ...string) any {
	for _, name := range names {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

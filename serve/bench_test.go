package serve_test

// What one request costs, without the network: run with -bench . -benchmem. Over gRPC the client's
// part and HTTP/2 are in it.

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"google.golang.org/grpc"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// discard is an answer that goes nowhere.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header { return d.header }

func (d *discard) Write(b []byte) (int, error) { return len(b), nil }

func (d *discard) WriteHeader(status int) { d.status = status }

func BenchmarkRequest(b *testing.B) {
	models := servetest.Committed(b)
	h := servetest.New(models).Handler()
	rows := make([]float32, 64)
	for i := range rows {
		rows[i] = float32(i) / 17
	}
	x := tensor.Tensor{Shape: []int64{16, 4}, Data: rows}
	raw, err := x.Bytes()
	if err != nil {
		b.Fatal(err)
	}
	data, err := json.Marshal(x)
	if err != nil {
		b.Fatal(err)
	}
	header := `{"inputs":[{"name":"input","shape":[16,4],"datatype":"FP32","parameters":{"binary_data_size":256}}],"parameters":{"binary_data_output":true}}`
	b.Run("engine alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := models["iris"].Run(b.Context(), predict.Tensors{"input": x}); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, c := range []struct{ name, path, body, length string }{
		{"OIP JSON", "/v2/models/iris/infer", `{"inputs":[{"name":"input","shape":[16,4],"datatype":"FP32","data":` + string(data) + `}]}`, ""},
		{"OIP binary", "/v2/models/iris/infer", header + string(raw), strconv.Itoa(len(header))},
		{"TensorFlow Serving", "/v1/models/iris:predict", `{"instances":` + string(data) + `}`, ""},
		{"native", "/models/iris", string(data), ""},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			body := bytes.NewReader(nil)
			req := httptest.NewRequestWithContext(b.Context(), http.MethodPost, c.path, nil)
			if c.length != "" {
				req.Header.Set(servetest.HeaderLength, c.length)
			}
			w := &discard{header: http.Header{}}
			for b.Loop() {
				body.Reset([]byte(c.body))
				r := *req
				r.ContentLength = int64(len(c.body))
				r.Body = readCloser{body}
				w.status = http.StatusOK
				h.ServeHTTP(w, &r)
				if w.status != http.StatusOK {
					b.Fatal(w.status)
				}
			}
		})
	}
	benchmarkCalls(b, servetest.DialGRPC(b, servetest.New(models)), x, raw)
}

func benchmarkCalls(b *testing.B, conn *grpc.ClientConn, x tensor.Tensor, raw []byte) {
	b.Helper()
	infer := &pb.ModelInferRequest{
		ModelName: "iris", RawInputContents: [][]byte{raw},
		Inputs: []*pb.ModelInferRequest_InferInputTensor{servetest.ProtoInput("input", "FP32", nil, x.Shape...)},
	}
	predictRequest := &tfpb.PredictRequest{ModelSpec: &tfpb.ModelSpec{Name: "iris"}, Inputs: map[string]*tfpb.TensorProto{
		"input": {Dtype: tfpb.DataType_DT_FLOAT, TensorShape: servetest.Dims(x.Shape...), TensorContent: raw},
	}}
	for _, c := range []struct {
		name    string
		request caller
	}{{"OIP gRPC", inferCall{infer}}, {"TensorFlow Serving gRPC", predictCall{predictRequest}}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.request.call(b.Context(), conn, ""); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

package serve_test

// What one request costs: run with -bench . -benchmem.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/racetest"
	"github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve"
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

// request is one in a protocol, to the model iris.
type request struct {
	name string
	send func() error
}

// requests are the same 16 rows in every protocol: over HTTP without the network, over gRPC with it and with a
// client of Go's.
func requests(tb testing.TB, models serve.Models) []request {
	tb.Helper()
	h := servetest.New(models).Handler()
	rows := make([]float32, 64)
	for i := range rows {
		rows[i] = float32(i) / 17
	}
	x := tensor.Tensor{Shape: []int64{16, 4}, Data: rows}
	raw, err := x.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	data, err := json.Marshal(x)
	if err != nil {
		tb.Fatal(err)
	}
	list := []request{{"engine alone", func() error {
		_, err := models["iris"].Run(tb.Context(), predict.Tensors{"input": x})
		return err
	}}}
	header := `{"inputs":[{"name":"input","shape":[16,4],"datatype":"FP32","parameters":{"binary_data_size":256}}],"parameters":{"binary_data_output":true}}`
	for _, c := range []struct{ name, path, body, length string }{
		{"OIP JSON", "/v2/models/iris/infer", `{"inputs":[{"name":"input","shape":[16,4],"datatype":"FP32","data":` + string(data) + `}]}`, ""},
		{"OIP binary", "/v2/models/iris/infer", header + string(raw), strconv.Itoa(len(header))},
		{"TensorFlow Serving", "/v1/models/iris:predict", `{"instances":` + string(data) + `}`, ""},
		{"native", "/models/iris", string(data), ""},
	} {
		body := bytes.NewReader(nil)
		req := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, c.path, nil)
		if c.length != "" {
			req.Header.Set(servetest.HeaderLength, c.length)
		}
		w := &discard{header: http.Header{}}
		list = append(list, request{c.name, func() error {
			body.Reset([]byte(c.body))
			r := *req
			r.ContentLength = int64(len(c.body))
			r.Body = readCloser{body}
			w.status = http.StatusOK
			h.ServeHTTP(w, &r)
			if w.status != http.StatusOK {
				return fmt.Errorf("status %d", w.status)
			}
			return nil
		}})
	}
	conn := servetest.DialGRPC(tb, servetest.New(models))
	infer := &pb.ModelInferRequest{
		ModelName: "iris", RawInputContents: [][]byte{raw},
		Inputs: []*pb.ModelInferRequest_InferInputTensor{servetest.ProtoInput("input", "FP32", nil, x.Shape...)},
	}
	predictRequest := &tfpb.PredictRequest{ModelSpec: &tfpb.ModelSpec{Name: "iris"}, Inputs: map[string]*tfpb.TensorProto{
		"input": {Dtype: tfpb.DataType_DT_FLOAT, TensorShape: servetest.Dims(x.Shape...), TensorContent: raw},
	}}
	return append(list,
		request{"OIP gRPC", func() error { return inferCall{infer}.call(tb.Context(), conn, "") }},
		request{"TensorFlow Serving gRPC", func() error { return predictCall{predictRequest}.call(tb.Context(), conn, "") }},
	)
}

func BenchmarkRequest(b *testing.B) {
	for _, c := range requests(b, servetest.Committed(b)) {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.send(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What a request takes of memory is what it costs the collector: these are the most allocations of each, the
// engine's and, over gRPC, the client's among them.
func TestAllocations(t *testing.T) {
	if racetest.Enabled {
		t.Skip("the race detector allocates too")
	}
	most := map[string]float64{
		"engine alone": 14, "OIP JSON": 32, "OIP binary": 37, "TensorFlow Serving": 37, "native": 96,
		"OIP gRPC": 220, "TensorFlow Serving gRPC": 235,
	}
	for _, c := range requests(t, servetest.Committed(t)) {
		least := math.Inf(1) // the collector empties pools, and connections are kept alive, at times of their own
		for range 5 {
			least = min(least, testing.AllocsPerRun(200, func() {
				if err := c.send(); err != nil {
					t.Fatal(err)
				}
			}))
		}
		if least > most[c.name] {
			t.Errorf("%s: %v allocations, at most %v are", c.name, least, most[c.name])
		}
	}
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

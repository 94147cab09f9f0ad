package oip_test

// The Open Inference Protocol over REST, with its extensions.

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// inferBinary sends a request whose binary data is tail, and splits the answer.
func inferBinary(tb testing.TB, url string, request any, tail []byte) (status int, answer map[string]any, data []byte) {
	tb.Helper()
	header, err := json.Marshal(request)
	if err != nil {
		tb.Fatal(err)
	}
	status, h, raw := servetest.Exchange(tb, "POST", url, append(header, tail...), servetest.HeaderLength, strconv.Itoa(len(header)))
	n := len(raw)
	if length := h.Get(servetest.HeaderLength); length != "" {
		if n, err = strconv.Atoi(length); err != nil {
			tb.Fatal(err)
		}
	}
	if err := json.Unmarshal(raw[:n], &answer); err != nil {
		tb.Fatalf("status %d, %q: %v", status, raw, err)
	}
	return status, answer, raw[n:]
}

func binaryInput(name, datatype string, size int, shape ...int) map[string]any {
	return map[string]any{"name": name, "datatype": datatype, "shape": shape, "parameters": map[string]any{"binary_data_size": size}}
}

var datatypeOf = map[tensor.DType]string{
	tensor.Bool: "BOOL", tensor.String: "BYTES", tensor.Int8: "INT8", tensor.Int16: "INT16", tensor.Int32: "INT32", tensor.Int64: "INT64",
	tensor.Uint8: "UINT8", tensor.Uint16: "UINT16", tensor.Uint32: "UINT32", tensor.Uint64: "UINT64",
	tensor.Float16: "FP16", tensor.BFloat16: "BF16", tensor.Float32: "FP32", tensor.Float64: "FP64",
}

// Every datatype comes back as it was sent, in JSON and as binary data, whatever the input's
// place in the body.
func TestInferDatatypes(t *testing.T) {
	for _, s := range servetest.Samples {
		x := tensor.Tensor{Shape: []int64{1, 2}, Data: s.Data}
		name := "same-" + string(x.DType())
		t.Run(name, func(t *testing.T) {
			url := servetest.Listen(t, serve.Models{name: servetest.GraphModel(t, name)}) + "/v2/models/" + name + "/infer"
			datatype := datatypeOf[x.DType()]
			raw, err := x.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			for pad := range 8 {
				request := map[string]any{
					"id":         strings.Repeat("x", pad),
					"inputs":     []any{binaryInput("x", datatype, len(raw), 1, 2)},
					"parameters": map[string]any{"binary_data_output": true},
				}
				status, answer, data := inferBinary(t, url, request, raw)
				if status != 200 || !bytes.Equal(data, raw) {
					t.Fatalf("binary: %d %v %x, want %x", status, answer, data, raw)
				}
			}
			want := fmt.Sprintf(`{"model_name":%q,"model_version":"1","outputs":[{"name":"y","datatype":%q,"shape":[1,2],"data":%s}]}`, name, datatype, s.JSON)
			body := fmt.Sprintf(`{"inputs":[{"name":"x","shape":[1,2],"datatype":%q,"data":%s}]}`, datatype, s.JSON)
			nested := fmt.Sprintf(`{"inputs":[{"data":[%s],"name":"x","datatype":%q,"shape":[1,2],"more":{"a":[1]}}],"parameters":null}`, s.JSON, datatype)
			if s.JSON == "" {
				body = fmt.Sprintf(`{"inputs":[{"name":"x","shape":[1,2],"datatype":%q,"data":[1,2]}]}`, datatype)
				if status, _, answer := servetest.Exchange(t, "POST", url, []byte(body)); status != 400 || !strings.Contains(string(answer), "binary") {
					t.Errorf("JSON in: %d %s", status, answer)
				}
				status, answer, _ := inferBinary(t, url, map[string]any{"inputs": []any{binaryInput("x", datatype, len(raw), 1, 2)}}, raw)
				if status != 400 || !strings.Contains(fmt.Sprint(answer), "binary_data") {
					t.Errorf("JSON out: %d %v", status, answer)
				}
				return
			}
			for _, body := range []string{body, nested} {
				if status, _, answer := servetest.Exchange(t, "POST", url, []byte(body)); status != 200 || string(answer) != want {
					t.Errorf("JSON: %d %s, want %s", status, answer, want)
				}
			}
		})
	}
}

func TestInferEmptyBatch(t *testing.T) {
	url, _ := servetest.Start(t)
	for _, c := range []struct{ model, in string }{
		{"iris", `{"name":"input","datatype":"FP32","shape":[0,4],"data":[]}`},
		{"iris", `{"name":"input","datatype":"FP32","shape":[0,4],"data":null,"parameters":{"binary_data_size":0}}`},
		{"shapes", `{"name":"image","datatype":"BYTES","shape":[0],"data":[]}`},
	} {
		status, answer := servetest.Call(t, "POST", url+"/v2/models/"+c.model+"/infer", `{"inputs":[`+c.in+`],"outputs":[{"name":"probabilities"}]}`)
		if got := fmt.Sprint(answer["outputs"]); status != 200 || got != "[map[data:[] datatype:FP32 name:probabilities shape:[0 3]]]" {
			t.Errorf("%s: %d %v", c.in, status, answer)
		}
	}
}

// The answer mixes JSON and binary outputs as asked, in the order asked.
func TestInferBinaryOutputs(t *testing.T) {
	url, models := servetest.Start(t)
	url += "/v2/models/iris/infer"
	row := []float32{5.1, 3.5, 1.4, 0.2}
	raw, err := tensor.Tensor{Shape: []int64{1, 4}, Data: row}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	want, err := models["iris"].Run(t.Context(), predict.Tensors{"input": {Shape: []int64{1, 4}, Data: row}})
	if err != nil {
		t.Fatal(err)
	}
	outputs := []any{
		map[string]any{"name": "logits", "parameters": map[string]any{"binary_data": true}},
		map[string]any{"name": "probabilities"},
	}
	status, answer, data := inferBinary(t, url, map[string]any{"inputs": []any{binaryInput("input", "FP32", 16, 1, 4)}, "outputs": outputs}, raw)
	logits, err := want["logits"].Bytes()
	if err != nil {
		t.Fatal(err)
	}
	list := answer["outputs"].([]any)
	first, second := list[0].(map[string]any), list[1].(map[string]any)
	if status != 200 || !bytes.Equal(data, logits) || fmt.Sprint(first["parameters"]) != "map[binary_data_size:12]" || first["data"] != nil {
		t.Errorf("logits: %d %v %x, want %x", status, first, data, logits)
	}
	if second["parameters"] != nil || len(second["data"].([]any)) != 3 {
		t.Errorf("probabilities: %v", second)
	}
	// What an output says of itself goes before what the request says of all.
	outputs[1] = map[string]any{"name": "probabilities", "parameters": map[string]any{"binary_data": false}}
	outputs[0] = map[string]any{"name": "logits"}
	_, answer, data = inferBinary(t, url, map[string]any{
		"inputs": []any{binaryInput("input", "FP32", 16, 1, 4)}, "outputs": outputs, "parameters": map[string]any{"binary_data_output": true},
	}, raw)
	if !bytes.Equal(data, logits) || answer["outputs"].([]any)[1].(map[string]any)["data"] == nil {
		t.Errorf("binary_data_output: %v %x", answer, data)
	}
	// A JSON request may ask for binary outputs.
	status, h, body := servetest.Exchange(t, "POST", url, []byte(`{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}],
		"outputs":[{"name":"logits","parameters":{"binary_data":true}}]}`))
	if status != 200 || h.Get("Content-Type") != "application/octet-stream" || !bytes.HasSuffix(body, logits) {
		t.Errorf("JSON in, binary out: %d %v %q", status, h, body)
	}
}

func TestInferTwoBinaryInputs(t *testing.T) {
	url := servetest.Listen(t, serve.Models{"two": servetest.GraphModel(t, "two")})
	raw, err := tensor.Tensor{Data: []float32{1, 2, 10, 20}}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	status, answer, _ := inferBinary(t, url+"/v2/models/two/infer", map[string]any{
		"inputs": []any{binaryInput("b", "FP32", 8, 1, 2), binaryInput("a", "FP32", 8, 1, 2)},
	}, raw)
	if got := fmt.Sprint(answer["outputs"]); status != 200 || !strings.Contains(got, "data:[11 22]") || !strings.Contains(got, "data:[9 18]") {
		t.Errorf("%d %v", status, answer)
	}
	// One of them in JSON, the other after it.
	status, answer, _ = inferBinary(t, url+"/v2/models/two/infer", map[string]any{"inputs": []any{
		map[string]any{"name": "a", "datatype": "FP32", "shape": []int{1, 2}, "data": []int{10, 20}}, binaryInput("b", "FP32", 8, 1, 2),
	}}, raw[:8])
	if got := fmt.Sprint(answer["outputs"]); status != 200 || !strings.Contains(got, "data:[11 22]") {
		t.Errorf("mixed: %d %v", status, answer)
	}
}

func floats(tb testing.TB, raw []byte) []float32 {
	tb.Helper()
	out := make([]float32, len(raw)/4)
	if _, err := binary.Decode(raw, binary.LittleEndian, out); err != nil {
		tb.Fatal(err)
	}
	return out
}

// Inference-Header-Content-Length: 0 makes the whole body the only input's data.
func TestInferRawBody(t *testing.T) {
	models := servetest.Committed(t)
	models["strings"] = servetest.GraphModel(t, "same-string")
	url := servetest.Listen(t, models)
	rows, err := tensor.Tensor{Data: []float32{5.1, 3.5, 1.4, 0.2, 6.7, 3.0, 5.2, 2.3}}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	status, h, body := servetest.Exchange(t, "POST", url+"/v2/models/iris/infer", rows, servetest.HeaderLength, "0")
	n, err := strconv.Atoi(h.Get(servetest.HeaderLength))
	if status != 200 || err != nil || len(body)-n != 2*(12+12) {
		t.Fatalf("rows: %d %v %q", status, h, body)
	}
	if got := servetest.Best(floats(t, body[n:n+24]), models["iris"].Manifest().Labels); !slices.Equal(got, []string{"setosa", "virginica"}) {
		t.Errorf("rows: %v", got)
	}
	picture, label := servetest.Golden(t, models["shapes"], "shapes", 0)
	status, h, body = servetest.Exchange(t, "POST", url+"/v2/models/shapes/infer", picture, servetest.HeaderLength, "0")
	n, _ = strconv.Atoi(h.Get(servetest.HeaderLength))
	if status != 200 || servetest.Best(floats(t, body[n:n+12]), models["shapes"].Manifest().Labels)[0] != label {
		t.Errorf("picture: %d %q, want %s", status, body, label)
	}
	if status, _, body := servetest.Exchange(t, "POST", url+"/v2/models/strings/infer", []byte("a"), servetest.HeaderLength, "0"); status != 400 || !strings.Contains(string(body), "want BYTES[-1 2]") {
		t.Errorf("one string for two: %d %s", status, body)
	}
}

// Pictures as raw bytes in binary data, and the preprocessed tensor by its logical name,
// are answered as pictures in JSON.
func TestInferPictureForms(t *testing.T) {
	url, models := servetest.Start(t)
	url += "/v2/models/shapes/infer"
	m := models["shapes"]
	var values, encoded, labels []string
	var tensors []tensor.Tensor
	input := m.Manifest().Picture.Input
	for i := range m.Manifest().Golden.Cases {
		raw, label := servetest.Golden(t, m, "shapes", i)
		values, encoded, labels = append(values, string(raw)), append(encoded, base64.StdEncoding.EncodeToString(raw)), append(labels, label)
		in, err := m.Prepare(t.Context(), raw)
		if err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, in[input])
	}
	check := func(form string, status int, answer map[string]any) {
		t.Helper()
		if status != 200 {
			t.Fatalf("%s: %d %v", form, status, answer)
		}
		var scores []float32
		for _, x := range answer["outputs"].([]any)[0].(map[string]any)["data"].([]any) {
			scores = append(scores, float32(x.(float64)))
		}
		if got := servetest.Best(scores, m.Manifest().Labels); !slices.Equal(got, labels) {
			t.Errorf("%s: %v, want %v", form, got, labels)
		}
	}
	n := len(values)
	raw, err := tensor.Tensor{Data: values}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for _, shape := range [][]int{{n}, {n, 1}} {
		status, answer, _ := inferBinary(t, url, map[string]any{"inputs": []any{binaryInput("image", "BYTES", len(raw), shape...)}}, raw)
		check(fmt.Sprint("binary ", shape), status, answer)
		status, answer = servetest.Call(t, "POST", url, servetest.InferBody(t, "image", "BYTES", shape, encoded))
		check(fmt.Sprint("JSON ", shape), status, answer)
	}
	batch, err := tensor.Concat(tensors...)
	if err != nil {
		t.Fatal(err)
	}
	if raw, err = batch.Bytes(); err != nil {
		t.Fatal(err)
	}
	var shape []int
	for _, d := range batch.Shape {
		shape = append(shape, int(d))
	}
	status, answer, _ := inferBinary(t, url, map[string]any{"inputs": []any{binaryInput(input, datatypeOf[batch.DType()], len(raw), shape...)}}, raw)
	check("preprocessed", status, answer)
}

func TestCompressedBodies(t *testing.T) {
	url, _ := servetest.Start(t)
	url += "/v2/models/iris/infer"
	rows := make([][]float64, 100)
	for i := range rows {
		rows[i] = []float64{5.1, 3.5, 1.4, 0.2}
	}
	body := []byte(servetest.InferBody(t, "input", "FP32", []int{len(rows), 4}, rows))
	_, _, want := servetest.Exchange(t, "POST", url, body, "Accept-Encoding", "identity")
	var gz, z bytes.Buffer
	g, zw := gzip.NewWriter(&gz), zlib.NewWriter(&z)
	for _, w := range []io.WriteCloser{g, zw} {
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	unpack := map[string]func(io.Reader) (io.ReadCloser, error){
		"":        func(r io.Reader) (io.ReadCloser, error) { return io.NopCloser(r), nil },
		"gzip":    func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) },
		"deflate": zlib.NewReader,
	}
	for coding, packed := range map[string][]byte{"gzip": gz.Bytes(), "deflate": z.Bytes()} {
		for accept, given := range map[string]string{
			"deflate, gzip;q=0.5": "gzip", "gzip": "gzip", "deflate": "deflate", "gzip;q=0, deflate": "deflate",
			"gzip;q=0": "", "br": "", "": "",
		} {
			status, h, got := servetest.Exchange(t, "POST", url, packed, "Content-Encoding", coding, "Accept-Encoding", accept)
			if status != 200 || h.Get("Content-Encoding") != given {
				t.Fatalf("%s, %q: %d %v %s", coding, accept, status, h, got)
			}
			r, err := unpack[given](bytes.NewReader(got))
			if err != nil {
				t.Fatal(err)
			}
			if unpacked, err := io.ReadAll(r); err != nil || !bytes.Equal(unpacked, want) {
				t.Errorf("%s, %q: %v %.200q, want %.200q", coding, accept, err, unpacked, want)
			}
		}
	}
	if _, h, _ := servetest.Exchange(t, "GET", url[:len(url)-len("/infer")]+"/ready", nil, "Accept-Encoding", "gzip"); h.Get("Content-Encoding") != "" {
		t.Error("a short answer was packed")
	}
	// Triton's asyncio client asks for packed answers always, and unpacks those of infer alone.
	models := servetest.Committed(t)
	for i := range 10 {
		models[fmt.Sprintf("iris-%d", i)] = models["iris"]
	}
	url = servetest.Listen(t, models)
	wrong := []byte(`{"inputs":[],"outputs":[{"name":"` + strings.Repeat("x", 2000) + `"}]}`)
	for _, ask := range []struct {
		method, path string
		body         []byte
	}{
		{"GET", "/v2/models/stats", nil},
		{"POST", "/v2/models/iris/infer", wrong},
	} {
		if _, h, got := servetest.Exchange(t, ask.method, url+ask.path, ask.body, "Accept-Encoding", "gzip, deflate"); !json.Valid(got) {
			t.Errorf("%s %s: %v %.100q", ask.method, ask.path, h, got)
		}
	}
}

func TestRepositoryAndStatistics(t *testing.T) {
	models := servetest.Committed(t)
	server := servetest.New(models)
	public, admin := httptest.NewServer(server.Handler()), httptest.NewServer(server.Admin())
	t.Cleanup(public.Close)
	t.Cleanup(admin.Close)
	const index = `[{"name":"iris","version":"1","state":"READY","reason":""},{"name":"shapes","version":"1","state":"READY","reason":""}]`
	for _, url := range []string{public.URL, admin.URL} {
		for _, body := range []string{"", `{"ready":true}`} {
			if status, _, got := servetest.Exchange(t, "POST", url+"/v2/repository/index", []byte(body)); status != 200 || strings.TrimSpace(string(got)) != index {
				t.Errorf("index: %d %s", status, got)
			}
		}
	}
	for url, want := range map[string]int{public.URL: 403, admin.URL: 501} {
		for _, change := range []string{"load", "unload"} {
			if status, answer := servetest.Call(t, "POST", url+"/v2/repository/models/iris/"+change, ""); status != want || answer["error"] == "" {
				t.Errorf("%s: %d %v, want %d", change, status, answer, want)
			}
		}
	}
	servetest.Call(t, "POST", public.URL+"/v2/models/iris/infer", servetest.InferBody(t, "input", "FP32", []int{3, 4}, make([]float32, 12)))
	servetest.Call(t, "POST", public.URL+"/v2/models/iris/infer", servetest.InferBody(t, "input", "FP32", []int{1, 3}, make([]float32, 3)))
	status, answer := servetest.Call(t, "GET", admin.URL+"/v2/models/iris/stats", "")
	stats := answer["model_stats"].([]any)[0].(map[string]any)
	kinds := stats["inference_stats"].(map[string]any)
	count := func(kind string) any { return kinds[kind].(map[string]any)["count"] }
	if status != 200 || stats["inference_count"] != 3.0 || stats["execution_count"] != 1.0 || stats["last_inference"].(float64) < 1.7e12 ||
		count("success") != 1.0 || count("fail") != 1.0 || count("compute_infer") != 1.0 || count("queue") != 1.0 ||
		!strings.HasPrefix(fmt.Sprint(stats["batch_stats"]), "[map[batch_size:3 compute_infer:map[count:1 ns:") {
		t.Errorf("stats: %d %v", status, stats)
	}
	if _, answer := servetest.Call(t, "GET", admin.URL+"/v2/models/stats", ""); len(answer["model_stats"].([]any)) != 2 {
		t.Errorf("all stats: %v", answer)
	}
	server.Drain()
	for path, want := range map[string]int{"/v2/health/live": 200, "/v2/health/ready": 503, "/v2/models/iris/ready": 503, "/v2/models/iris": 200} {
		if status, _ := servetest.Call(t, "GET", public.URL+path, ""); status != want {
			t.Errorf("%s while stopping: %d, want %d", path, status, want)
		}
	}
}

func TestServerMetadata(t *testing.T) {
	url, _ := servetest.Start(t)
	if _, answer := servetest.Call(t, "GET", url+"/v2", ""); answer["name"] != "forgo" || fmt.Sprint(answer["extensions"]) != "[binary_tensor_data classification model_configuration model_repository statistics]" {
		t.Errorf("%v", answer)
	}
	if _, answer := servetest.Call(t, "GET", url+"/v2/models/iris", ""); fmt.Sprint(answer["versions"]) != "[1]" || answer["platform"] != "onnx_onnxv1" {
		t.Errorf("%v", answer)
	}
}

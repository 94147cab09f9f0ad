package serve_test

// The kinds of bad request that several protocols can carry.

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// badRows are JSON in place of one row of iris's four numbers.
var badRows = []struct{ kind, row, names string }{
	{"text for a number", `["a",2,3,4]`, "is not a number"},
	{"boolean for a number", `[true,2,3,4]`, "true is not a number"},
	{"object for a number", `[{"a":1},2,3,4]`, `"input"`},
	{"number out of range", `[1e39,2,3,4]`, "1e39 does not fit"},
	{"too few numbers", "[1,2]", `"input"`},
	{"too many numbers", "[1,2,3,4,5]", `"input"`},
	{"ragged lists", "[[1],2,3,4]", "ragged"},
	{"lists one level too deep", "[[[1,2,3,4]]]", `"input"`},
	{"lists far too deep", strings.Repeat("[", 100), "deeper than 64"},
	{"number with a plus", "[+1,2,3,4]", "JSON at byte"},
	{"number with a leading zero", "[01,2,3,4]", "JSON at byte"},
	{"number without an integer part", "[.5,2,3,4]", "JSON at byte"},
	{"number ending in a point", "[1.,2,3,4]", "JSON at byte"},
	{"number with an empty exponent", "[1e,2,3,4]", "JSON at byte"},
	{"extra comma", "[1,2,3,4,]", "JSON at byte"},
	{"missing comma", "[1 2,3,4]", "JSON at byte"},
	{"bare word", "[one,2,3,4]", "JSON at byte"},
	{"control character in a string", "[\"\x01\",2,3,4]", "JSON at byte"},
	{"list that is not closed", "[1,2,3,4", "JSON at byte"},
	{"NaN in lower case", "[nan,2,3,4]", "JSON at byte"},
}

// rowCarriers have a row between their halves. at is how errors name it there, beside the input,
// where they do for whatever is wrong.
var rowCarriers = []struct{ path, before, after, at string }{
	{"/v2/models/iris/infer", `{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"data":`, "}]}", `inputs[0] "input": data: `},
	{"/v2/models/iris/infer", `{"inputs":[{"data":`, `,"name":"input","datatype":"FP32","shape":[1,4]}]}`, `inputs[0] "input": data: `},
	{"/v1/models/iris:predict", `{"instances":[`, "]}", ""},
	{"/v1/models/iris:predict", `{"instances":[{"input":`, "}]}", ""},
	{"/v1/models/iris:predict", `{"inputs":[`, "]}", ""},
	{"/v1/models/iris:predict", `{"inputs":{"input":[`, "]}}", ""},
	{"/v1/models/iris:classify", `{"examples":[{"input":`, "}]}", "examples: example 0: "},
	{"/v1/models/iris:classify", `{"context":{"input":`, `},"examples":[{}]}`, "context: "},
	{"/models/iris", "", "", ""},
	{"/models/iris", `{"input":`, "}", ""},
	{"/models/iris", `[{"input":`, "}]", ""},
}

// badPictures are the recorded ones that both languages refuse, by what is wrong with them.
func badPictures(t *testing.T) map[string]struct{ data, names string } {
	t.Helper()
	recorded, err := os.ReadFile("../conformance/pictures.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct{ File, Refused string }
	if err := json.Unmarshal(recorded, &cases); err != nil {
		t.Fatal(err)
	}
	pictures := map[string]struct{ data, names string }{}
	for _, c := range cases {
		if c.Refused == "" {
			continue
		}
		data, err := os.ReadFile("../conformance/pictures/" + c.File)
		if err != nil {
			t.Fatal(err)
		}
		names := "picture refused: " + c.Refused
		if strings.HasPrefix(c.Refused, "it cannot be decoded") { // in words that are each decoder's own
			names = "picture refused: decode"
		}
		if !strings.HasSuffix(c.File, ".jpg") && !strings.HasSuffix(c.File, ".png") {
			names = "picture refused: " // as what the model does not accept, or as broken
		}
		pictures["picture "+c.File] = struct{ data, names string }{string(data), names}
	}
	return pictures
}

func commonFaults(t *testing.T) []bad {
	t.Helper()
	var all []bad
	for _, r := range badRows {
		for _, c := range rowCarriers {
			if r.kind == "lists one level too deep" && strings.HasSuffix(c.path, ":classify") {
				continue // whose values fill the row, however they are nested
			}
			names := r.names
			if names == `"input"` && c.at != "" {
				names = c.at
			}
			all = append(all, bad{kind: r.kind, path: c.path, body: c.before + r.row + c.after, names: names})
		}
		body, kind := servetest.Form(t, [2]string{"row.json", r.row})
		all = append(all, bad{kind: r.kind, path: "/models/iris", body: string(body), headers: []string{"Content-Type", kind}, names: `file "row.json"`})
	}
	for kind, p := range badPictures(t) {
		text := base64.StdEncoding.EncodeToString([]byte(p.data))
		body, contentType := servetest.Form(t, [2]string{"a.jpg", p.data})
		const oip, tfs, native = "/v2/models/shapes/infer", "/v1/models/shapes:predict", "/models/shapes"
		for _, b := range []bad{
			{path: oip, body: `{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"data":["` + text + `"]}]}`},
			binaryRequest(oip, `"name":"image","datatype":"BYTES","shape":[1,1]`, servetest.AsBytes(p.data)),
			{path: oip, body: p.data, headers: []string{servetest.HeaderLength, "0"}},
			{path: tfs, body: `{"instances":[{"b64":"` + text + `"}]}`},
			{path: tfs, body: `{"instances":[{"image":{"b64":"` + text + `"}}]}`},
			{path: tfs, body: `{"inputs":{"image":[{"b64":"` + text + `"}]}}`},
			{path: "/v1/models/shapes:classify", body: `{"examples":[{"image":{"b64":"` + text + `"}}]}`},
			{path: native, body: p.data},
			{path: native, body: string(body), headers: []string{"Content-Type", contentType}},
		} {
			if b.kind, b.names = kind, p.names; b.body == "" && b.headers != nil {
				b.names = "the body is empty"
			}
			all = append(all, b)
		}
	}
	many := strings.Repeat(`{"b64":"eA=="},`, 300)
	all = append(
		all,
		bad{kind: "too many pictures", path: "/v1/models/shapes:predict", body: `{"instances":[` + many[:len(many)-1] + "]}", names: "at most 256"},
		bad{kind: "input left out", path: "/v2/models/two/infer", body: `{"inputs":[{"name":"a","datatype":"FP32","shape":[1,2],"data":[1,2]}]}`, names: `"b" is missing`},
		bad{kind: "input left out", path: "/models/two", body: `{"a":[1,2]}`, names: `"b" is missing`},
		bad{kind: "timeout below 0", path: "/v2/models/iris/infer", body: `{"parameters":{"timeout":-1}}`, names: "parameters: timeout: -1"},
		bad{kind: "timeout not a number", path: "/v2/models/iris/infer", body: `{"parameters":{"timeout":"1s"}}`, names: "parameters: timeout"},
	)
	for _, b := range []bad{
		{path: "/v2/models/strings/infer", body: `{"inputs":[{"name":"x","datatype":"BYTES","shape":[1,2],"data":["a","\ud800"]}]}`},
		{path: "/v1/models/strings:predict", body: `{"instances":[["\udc00\ud800","a"]]}`},
		{path: "/models/strings", body: `["\ud83dx","a"]`},
	} {
		b.kind, b.names = "half a surrogate pair", "unpaired surrogate"
		all = append(all, b)
	}
	for _, b := range []bad{
		{path: "/v2/models/iris/infer", body: `{"inputs":[{"name":"input","datatype":"FP32","shape":[2,4],"data":[[1,2,3,4],[1,2,3]]}]}`, names: "ragged: [1] has 3 elements, those before it 4"},
		{path: "/v1/models/iris:predict", body: `{"instances":[[1,2,3,4],5]}`, names: "ragged: [1] is no list"},
	} {
		b.kind = "ragged lists"
		all = append(all, b)
	}
	for _, b := range []bad{ // the first dimension is the batch: there is none without it
		{path: "/v2/models/iris/infer", body: `{"inputs":[{"name":"input","datatype":"FP32","shape":[],"data":[5]}]}`, names: `"input": got FP32[], want FP32[-1 4]`},
		{path: "/v2/models/iris/infer", body: `{"inputs":[{"name":"input","datatype":"FP32","shape":[],"data":5}]}`, names: `"input": got FP32[], want FP32[-1 4]`},
		binaryRequest("/v2/models/iris/infer", `"name":"input","datatype":"FP32","shape":[]`, "0000"),
		{path: "/v1/models/iris:predict", body: `{"inputs":5}`, names: `"input": got DT_FLOAT[], want DT_FLOAT[-1 4]`},
		{path: "/v1/models/iris:predict", body: `{"inputs":{"input":5}}`, names: `inputs: input "input": send a list, whose first dimension is the batch`},
	} {
		if b.kind = "scalar"; b.names == "" {
			b.names = `"input": got FP32[], want FP32[-1 4]`
		}
		all = append(all, b)
	}
	for _, element := range []struct{ kind, model, datatype, value, names string }{
		{"number beyond its type", "whole", "INT32", "3000000000", "3000000000 does not fit "},
		{"fraction for an integer", "whole", "INT32", "1.5", "1.5 does not fit "},
		{"JSON in another charset", "strings", "BYTES", "\"Gr\xfcn\"", "not UTF-8"},
	} {
		row := "[" + element.value + "," + element.value + "]"
		for _, c := range []struct{ path, before, after string }{
			{"/v2/models/" + element.model + "/infer", `{"inputs":[{"name":"x","datatype":"` + element.datatype + `","shape":[1,2],"data":`, "}]}"},
			{"/v1/models/" + element.model + ":predict", `{"instances":[`, "]}"},
			{"/v1/models/" + element.model + ":predict", `{"inputs":{"x":[`, "]}}"},
			{"/models/" + element.model, "", ""},
			{"/models/" + element.model, `{"x":`, "}"},
		} {
			all = append(all, bad{kind: element.kind, path: c.path, body: c.before + row + c.after, names: element.names})
		}
	}
	for _, g := range good {
		other := strings.Replace(g.path, "iris", "other", 1)
		all = append(
			all,
			bad{kind: "unknown model", path: other, body: g.body, status: http.StatusNotFound, names: `"other"`},
			bad{kind: "unknown version", path: unversioned.ReplaceAllString(g.path, "$1/versions/9$2"), body: g.body, status: http.StatusNotFound, names: `"9"`},
			bad{kind: "wrong method", method: http.MethodPut, path: g.path, status: http.StatusMethodNotAllowed, names: "PUT"},
			bad{kind: "unknown path", path: g.path + "/other", body: g.body, status: http.StatusNotFound, names: "other"},
			bad{kind: "not JSON", path: g.path, body: "hello", names: "JSON"},
			bad{kind: "empty body", path: g.path, names: "text ends"},
			bad{kind: "two JSON values", path: g.path, body: g.body + g.body, names: "data follows the JSON value"},
			bad{kind: "body over the limit", path: g.path, body: strings.Repeat(" ", 2*servetest.MaxBody), status: http.StatusRequestEntityTooLarge, names: "longer"},
			bad{kind: "body not gzip", path: g.path, body: "hello", headers: []string{"Content-Encoding", "gzip"}, names: "Content-Encoding"},
			bad{kind: "body not deflate", path: g.path, body: "hello", headers: []string{"Content-Encoding", "deflate"}, names: "Content-Encoding"},
			bad{kind: "gzip cut short", path: g.path, body: "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff", headers: []string{"Content-Encoding", "gzip"}, names: "body"},
			bad{kind: "unknown coding", path: g.path, body: g.body, headers: []string{"Content-Encoding", "br"}, status: http.StatusUnsupportedMediaType, names: "Content-Encoding"},
			bad{kind: "deadline without a unit", path: g.path, body: g.body, headers: []string{"Grpc-Timeout", "50"}, names: "Grpc-Timeout"},
			bad{kind: "deadline below 0", path: g.path, body: g.body, headers: []string{"Grpc-Timeout", "-1S"}, names: "Grpc-Timeout"},
			bad{kind: "deadline of nine digits", path: g.path, body: g.body, headers: []string{"Grpc-Timeout", "123456789S"}, names: "Grpc-Timeout"},
		)
	}
	return all
}

func commonCalls(t *testing.T) []badCall {
	t.Helper()
	var all []badCall
	for kind, p := range badPictures(t) {
		contents := servetest.ProtoInput("image", "BYTES", &pb.InferTensorContents{BytesContents: [][]byte{[]byte(p.data)}}, 1)
		raw := servetest.ProtoInput("image", "BYTES", nil, 1, 1)
		all = append(
			all,
			badCall{kind: kind, names: p.names, request: inferCall{&pb.ModelInferRequest{ModelName: "shapes", Inputs: []*pb.ModelInferRequest_InferInputTensor{contents}}}},
			badCall{kind: kind, names: p.names, request: inferCall{&pb.ModelInferRequest{
				ModelName: "shapes", Inputs: []*pb.ModelInferRequest_InferInputTensor{raw}, RawInputContents: [][]byte{[]byte(servetest.AsBytes(p.data))},
			}}},
			badCall{kind: kind, names: p.names, request: predictCall{&tfpb.PredictRequest{
				ModelSpec: &tfpb.ModelSpec{Name: "shapes"}, Inputs: map[string]*tfpb.TensorProto{"image": servetest.PictureTensor([][]byte{[]byte(p.data)})},
			}}},
		)
	}
	parameter := func(p *pb.InferParameter) *pb.ModelInferRequest {
		r := servetest.IrisRequest(1, 2, 3, 4)
		r.Parameters = map[string]*pb.InferParameter{"timeout": p}
		return r
	}
	alone := &pb.ModelInferRequest{ModelName: "two", Inputs: []*pb.ModelInferRequest_InferInputTensor{servetest.ProtoInput("a", "FP32", &pb.InferTensorContents{Fp32Contents: []float32{1, 2}}, 1, 2)}}
	pictures := servetest.ProtoInput("image", "BYTES", &pb.InferTensorContents{BytesContents: make([][]byte, 300)}, 300)
	twice := servetest.IrisRequest(1, 2, 3, 4)
	for range 2 {
		twice.Outputs = append(twice.Outputs, &pb.ModelInferRequest_InferRequestedOutputTensor{Name: "probabilities"})
	}
	few, many := servetest.IrisRequest(1, 2), servetest.IrisRequest(1, 2, 3, 4, 5)
	few.Inputs[0].Shape, many.Inputs[0].Shape = []int64{1, 2}, []int64{1, 5}
	scalar, scalarRow := servetest.IrisRequest(5), servetest.PredictIris()
	scalar.Inputs[0].Shape, scalarRow.Inputs["input"] = nil, servetest.FloatTensor([]float32{5})
	shortRow, longRow := servetest.PredictIris(1, 2, 3, 4), servetest.PredictIris(1, 2, 3, 4)
	shortRow.Inputs["input"], longRow.Inputs["input"] = servetest.FloatTensor([]float32{1, 2}, 1, 2), servetest.FloatTensor([]float32{1, 2, 3, 4, 5}, 1, 5)
	return append(
		all,
		badCall{kind: "timeout below 0", request: inferCall{parameter(&pb.InferParameter{ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: -1}})}, names: "parameters: timeout: -1"},
		badCall{kind: "timeout not a number", request: inferCall{parameter(&pb.InferParameter{})}, names: "parameters: timeout"},
		badCall{kind: "input left out", request: inferCall{alone}, names: `"b" is missing`},
		badCall{kind: "too many pictures", request: inferCall{&pb.ModelInferRequest{ModelName: "shapes", Inputs: []*pb.ModelInferRequest_InferInputTensor{pictures}}}, names: "at most 256"},
		badCall{kind: "too many pictures", request: predictCall{&tfpb.PredictRequest{
			ModelSpec: &tfpb.ModelSpec{Name: "shapes"}, Inputs: map[string]*tfpb.TensorProto{"image": servetest.PictureTensor(make([][]byte, 300))},
		}}, names: "at most 256"},
		badCall{kind: "input left out", request: predictCall{&tfpb.PredictRequest{
			ModelSpec: &tfpb.ModelSpec{Name: "two"}, Inputs: map[string]*tfpb.TensorProto{"a": servetest.FloatTensor([]float32{1, 2}, 1, 2)},
		}}, names: `"b" is missing`},
		badCall{kind: "too few numbers", request: predictCall{shortRow}, names: `"input"`},
		badCall{kind: "too many numbers", request: predictCall{longRow}, names: `"input"`},
		badCall{kind: "scalar", request: predictCall{scalarRow}, names: `"input": got DT_FLOAT[], want DT_FLOAT[-1 4]`},
		badCall{kind: "scalar", request: inferCall{scalar}, names: `"input": got FP32[], want FP32[-1 4]`},
		badCall{kind: "output twice", request: inferCall{twice}, names: "outputs[1]"},
		badCall{kind: "too few numbers", request: inferCall{few}, names: `"input"`},
		badCall{kind: "too many numbers", request: inferCall{many}, names: `"input"`},
	)
}

func TestBadRequestsOfSeveralProtocols(t *testing.T) {
	models := badModels(t)
	refuse(t, servetest.Listen(t, models), commonFaults(t))
	refuseCalls(t, servetest.DialGRPC(t, servetest.New(models)), commonCalls(t))
}

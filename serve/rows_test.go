package serve_test

// One rule for what a row may hold, and the same bits by every way in and out: spec/rows.md.

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// ways are the ways to send rows of an input x of two elements and to read the output y, which is
// what was sent. Each returns y as it came; null says that NaN stands for infinities too.
type way struct {
	name string
	null bool
	ask  func(t *testing.T, x tensor.Tensor) (tensor.Tensor, error)
}

func everyWay(t *testing.T, name string, m *predict.Model) []way {
	t.Helper()
	models := serve.Models{name: m}
	url := servetest.Listen(t, models)
	rpc := tfpb.NewPredictionServiceClient(servetest.DialGRPC(t, servetest.New(models)))
	spec := m.Manifest().Inputs[0].Spec()
	post := func(t *testing.T, path, kind string, body []byte) []byte {
		status, _, answer := servetest.Exchange(t, http.MethodPost, url+path, body, "Content-Type", kind)
		if status != http.StatusOK {
			t.Fatalf("%s %.300q: %d %s", path, body, status, answer)
		}
		return answer
	}
	// labelled reads answers of the native protocol.
	labelled := func(t *testing.T, answer []byte) (tensor.Tensor, error) {
		var parts []tensor.Tensor
		r := payload.New(answer)
		one := func() error {
			raw, err := r.Raw()
			if err != nil {
				return err
			}
			a, _, err := predict.ReadAnswer(m.Manifest(), raw)
			parts = append(parts, a.Outputs["y"].Batch())
			return err
		}
		if r.Peek() != '[' {
			if err := one(); err != nil {
				return tensor.Tensor{}, err
			}
		} else if err := r.List(func(int) error { return one() }); err != nil {
			return tensor.Tensor{}, err
		}
		return tensor.Concat(parts...)
	}
	field := func(t *testing.T, answer []byte, name string) (y tensor.Tensor, err error) {
		r := payload.New(answer)
		err = r.Object(func(string) error {
			y, err = r.Tensor(spec.DType, 0)
			return err
		})
		return y, err
	}
	text := func(x tensor.Tensor) []byte { return tensor.AppendNested(nil, x, tensor.Bare) }
	row := func(x tensor.Tensor, i int) []byte { // by name
		y := x.Slice(i, i+1)
		return append(append([]byte(`{"x":`), text(tensor.Tensor{Shape: y.Shape[1:], Data: y.Data})...), '}')
	}
	proto := func(x tensor.Tensor, typed bool) (*tfpb.TensorProto, bool) {
		p := &tfpb.TensorProto{
			Dtype:       tfpb.DataType(tfpb.DataType_value[tfNames[x.DType()]]),
			TensorShape: &tfpb.TensorShapeProto{Dim: []*tfpb.TensorShapeProto_Dim{{Size: x.Shape[0]}, {Size: x.Shape[1]}}},
		}
		if !typed {
			if x.DType() == tensor.String {
				return nil, false
			}
			p.TensorContent, _ = x.Bytes()
			return p, true
		}
		switch data := x.Data.(type) {
		case []float32:
			p.FloatVal = data
		case []float64:
			p.DoubleVal = data
		case []int32:
			p.IntVal = data
		case []int64:
			p.Int64Val = data
		case []uint64:
			p.Uint64Val = data
		case []bool:
			p.BoolVal = data
		case []string:
			for _, s := range data {
				p.StringVal = append(p.StringVal, []byte(s))
			}
		default:
			return nil, false
		}
		return p, true
	}
	ways := []way{
		{"library, a row", false, func(t *testing.T, x tensor.Tensor) (tensor.Tensor, error) {
			var parts []tensor.Tensor
			for i := range x.Rows() {
				in, err := m.Prepare(t.Context(), row(x, i))
				if err != nil {
					return tensor.Tensor{}, err
				}
				out, err := m.Run(t.Context(), in)
				if err != nil {
					return tensor.Tensor{}, err
				}
				parts = append(parts, out["y"])
			}
			return tensor.Concat(parts...)
		}},
		{"native, list", true, func(t *testing.T, x tensor.Tensor) (tensor.Tensor, error) {
			return labelled(t, post(t, "/models/"+name, "application/json", text(x)))
		}},
		{"native, list of objects", true, func(t *testing.T, x tensor.Tensor) (tensor.Tensor, error) {
			body := []byte{'['}
			for i := range x.Rows() {
				body = append(append(body, row(x, i)...), ',')
			}
			body[len(body)-1] = ']'
			return labelled(t, post(t, "/models/"+name, "application/json", body))
		}},
		{"native, form", true, func(t *testing.T, x tensor.Tensor) (tensor.Tensor, error) {
			var files [][2]string
			for i := range x.Rows() {
				files = append(files, [2]string{fmt.Sprint(i), string(row(x, i))})
			}
			body, kind := servetest.Form(t, files...)
			return labelled(t, post(t, "/models/"+name, kind, body))
		}},
		{"native, CSV", true, func(t *testing.T, x tensor.Tensor) (tensor.Tensor, error) {
			var b bytes.Buffer
			w := csv.NewWriter(&b)
			_ = w.Write([]string{"x[1]", "x[0]"})
			for i := range x.Rows() {
				var cells []string
				for _, j := range []int{2*i + 1, 2 * i} {
					if values, ok := x.Data.([]string); ok {
						cells = append(cells, values[j])
					} else {
						cells = append(cells, string(tensor.AppendElements(nil, x, j, j+1, tensor.Bare)))
					}
				}
				_ = w.Write(cells)
			}
			w.Flush()
			return labelled(t, post(t, "/models/"+name, "text/csv", b.Bytes()))
		}},
		{"TensorFlow REST, instances", false, func(t *testing.T, x tensor.Tensor) (tensor.Tensor, error) {
			return field(t, post(t, "/v1/models/"+name+":predict", "", fmt.Appendf(nil, `{"instances":%s}`, text(x))), "predictions")
		}},
		{"TensorFlow REST, inputs", false, func(t *testing.T, x tensor.Tensor) (tensor.Tensor, error) {
			return field(t, post(t, "/v1/models/"+name+":predict", "", fmt.Appendf(nil, `{"inputs":{"x":%s}}`, text(x))), "outputs")
		}},
	}
	for _, typed := range []bool{true, false} {
		ways = append(ways, way{fmt.Sprintf("TensorFlow gRPC, typed: %v", typed), false, func(t *testing.T, x tensor.Tensor) (tensor.Tensor, error) {
			p, ok := proto(x, typed)
			if !ok {
				return x, nil
			}
			answer, err := rpc.Predict(t.Context(), &tfpb.PredictRequest{ModelSpec: &tfpb.ModelSpec{Name: name}, Inputs: map[string]*tfpb.TensorProto{"x": p}})
			if err != nil {
				return tensor.Tensor{}, err
			}
			y := answer.GetOutputs()["y"]
			got := tensor.Tensor{Shape: x.Shape, Data: x.Data}
			switch x.Data.(type) {
			case []float32:
				got.Data = y.GetFloatVal()
			case []float64:
				got.Data = y.GetDoubleVal()
			case []int32:
				got.Data = y.GetIntVal()
			case []int64:
				got.Data = y.GetInt64Val()
			case []uint64:
				got.Data = y.GetUint64Val()
			case []bool:
				got.Data = y.GetBoolVal()
			case []string:
				var values []string
				for _, b := range y.GetStringVal() {
					values = append(values, string(b))
				}
				got.Data = values
			}
			return got, nil
		}})
	}
	for form, c := range clients(t, models) {
		ways = append(ways, way{"Open Inference Protocol, " + form, false, func(t *testing.T, x tensor.Tensor) (tensor.Tensor, error) {
			out, err := c.Infer(t.Context(), name, tensor.Map{"x": x})
			return out["y"], err
		}})
	}
	return ways
}

var tfNames = map[tensor.DType]string{
	tensor.Bool: "DT_BOOL", tensor.String: "DT_STRING", tensor.Int8: "DT_INT8", tensor.Int16: "DT_INT16", tensor.Int32: "DT_INT32",
	tensor.Int64: "DT_INT64", tensor.Uint8: "DT_UINT8", tensor.Uint16: "DT_UINT16", tensor.Uint32: "DT_UINT32", tensor.Uint64: "DT_UINT64",
	tensor.Float32: "DT_FLOAT", tensor.Float64: "DT_DOUBLE",
}

var letters = []rune("a \"\\,\n\téß葡😀{}[]:#'\u2028<&")

// randomRows are rows of two elements: short numbers as people write them, any bits, extremes, and
// strings with everything that has to be escaped.
func randomRows(r *rand.Rand, d tensor.DType, n int) tensor.Tensor {
	x := tensor.Tensor{Shape: []int64{int64(n), 2}}
	n *= 2
	raw := make([]byte, n*d.ElementSize())
	for i := range raw {
		raw[i] = byte(r.Uint32())
		if d == tensor.Bool {
			raw[i] &= 1
		}
	}
	if d == tensor.String {
		values := make([]string, n)
		for i := range values {
			for range r.IntN(9) {
				values[i] += string(letters[r.IntN(len(letters))])
			}
		}
		x.Data = values
		return x
	}
	x, _ = tensor.FromBytes(d, raw, x.Shape...)
	short := func() float64 {
		s, _ := strconv.ParseFloat(fmt.Sprintf("%.*f", r.IntN(6), 200*r.Float64()-100), 64)
		return s
	}
	special := []float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), 1e-45, 5e-324, 3.4028234e38}
	switch data := x.Data.(type) {
	case []float32:
		for i := range data {
			switch r.IntN(4) {
			case 0, 1:
				data[i] = float32(short())
			case 2:
				data[i] = float32(special[r.IntN(len(special))])
			}
		}
	case []float64:
		for i := range data {
			switch r.IntN(4) {
			case 0, 1:
				data[i] = short()
			case 2:
				data[i] = special[r.IntN(len(special))]
			}
		}
	}
	return x
}

// sameBits says whether two tensors hold the same; any NaN is as good as another.
func sameBits(got, want tensor.Tensor, null bool) bool {
	if got.DType() != want.DType() || fmt.Sprint(got.Shape) != fmt.Sprint(want.Shape) {
		return false
	}
	a, errA := got.Floats()
	b, errB := want.Floats()
	if errA != nil || errB != nil {
		return fmt.Sprintf("%q", got.Data) == fmt.Sprintf("%q", want.Data)
	}
	switch want.DType() {
	case tensor.Int64, tensor.Uint64: // which floats cannot tell apart
		return fmt.Sprint(got.Data) == fmt.Sprint(want.Data)
	}
	for i := range b {
		if null && math.IsInf(b[i], 0) {
			b[i] = math.NaN()
		}
		if math.Float64bits(a[i]) != math.Float64bits(b[i]) && !(math.IsNaN(a[i]) && math.IsNaN(b[i])) {
			return false
		}
	}
	return true
}

func TestRandomRowsGetEqualAnswers(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	for d := range tfNames {
		name := "same-" + string(d)
		for _, w := range everyWay(t, name, servetest.GraphModel(t, name)) {
			for range 4 {
				x := randomRows(r, d, 1+r.IntN(9))
				if got, err := w.ask(t, x); err != nil || !sameBits(got, x, w.null) {
					t.Fatalf("seed %d: %s, %s: sent %s, got %s, %v", seed, d, w.name,
						tensor.AppendNested(nil, x, tensor.Bare), tensor.AppendNested(nil, got, tensor.Bare), err)
				}
			}
		}
	}
}

// values are JSON for an element, with what it must become in each type; "" is refused.
var values = []struct{ text, float, integer, unsigned, boolean string }{
	{"5.9", "5.9", "", "", ""},
	{"7", "7", "7", "7", ""},
	{"-0", "-0", "0", "", ""},
	{"-3", "-3", "-3", "", ""},
	{"1.0", "1", "", "", ""},
	{"1e2", "100", "", "", ""},
	{"null", "NaN", "", "", ""},
	{"NaN", "NaN", "", "", ""},
	{"Infinity", "Infinity", "", "", ""},
	{"-Infinity", "-Infinity", "", "", ""},
	{"1e39", "", "", "", ""},
	{"-1e400", "", "", "", ""},
	{"1e-60", "0", "", "", ""},
	{"16777217", "16777216", "16777217", "16777217", ""},
	{"9223372036854775807", "9223372000000000000", "9223372036854775807", "9223372036854775807", ""},
	{"9223372036854775808", "9223372000000000000", "", "9223372036854775808", ""},
	{"18446744073709551615", "18446744000000000000", "", "18446744073709551615", ""},
	{"18446744073709551616", "18446744000000000000", "", "", ""},
	{"0.1000000014901161193847656250000000001", "0.1", "", "", ""},
	{`"7"`, "", "", "", ""},
	{`""`, "", "", "", ""},
	{"true", "", "", "", "true"},
	{"false", "", "", "", "false"},
	{"{}", "", "", "", ""},
	{"[]", "", "", "", ""},
	{"[7]", "", "", "", ""},
	{"[[[7]]]", "", "", "", ""},
	{"nan", "", "", "", ""},
	{"+7", "", "", "", ""},
	{"07", "", "", "", ""},
	{".5", "", "", "", ""},
	{"0x7", "", "", "", ""},
	{"1_0", "", "", "", ""},
}

// Each value is taken, or refused as the caller's fault, in the same way wherever JSON reaches.
func TestOneRuleForEachValue(t *testing.T) {
	models := serve.Models{}
	datatypes := map[string]string{"same-float32": "FP32", "same-int64": "INT64", "same-uint64": "UINT64", "same-bool": "BOOL"}
	for name := range datatypes {
		models[name] = servetest.GraphModel(t, name)
	}
	url := servetest.Listen(t, models)
	for name, datatype := range datatypes {
		d := models[name].Manifest().Inputs[0].DType
		for _, v := range values {
			want := map[string]string{"FP32": v.float, "INT64": v.integer, "UINT64": v.unsigned, "BOOL": v.boolean}[datatype]
			row := "[" + v.text + "," + v.text + "]"
			file, kind := servetest.Form(t, [2]string{"row.json", `{"x":` + row + "}"})
			for _, w := range []struct{ path, kind, body string }{
				{"/models/" + name, "", row},
				{"/models/" + name, "", "[" + row + "]"},
				{"/models/" + name, "", `{"x":` + row + "}"},
				{"/models/" + name, "", `[{"x":` + row + "}]"},
				{"/models/" + name, kind, string(file)},
				{"/models/" + name, "text/csv", "x[0],x[1]\n" + v.text + "," + v.text + "\n"},
				{"/v1/models/" + name + ":predict", "", `{"instances":[` + row + "]}"},
				{"/v1/models/" + name + ":predict", "", `{"instances":[{"x":` + row + "}]}"},
				{"/v1/models/" + name + ":predict", "", `{"inputs":[` + row + "]}"},
				{"/v1/models/" + name + ":predict", "", `{"inputs":{"x":[` + row + "]}}"},
				{"/v2/models/" + name + "/infer", "", `{"inputs":[{"name":"x","datatype":"` + datatype + `","shape":[1,2],"data":` + row + "}]}"},
				{"/v2/models/" + name + "/infer", "", `{"inputs":[{"data":[` + row + `],"name":"x","datatype":"` + datatype + `","shape":[1,2]}]}`},
			} {
				if w.kind == "text/csv" && strings.ContainsAny(v.text, `"[`) {
					continue // of which CSV makes other text
				}
				status, _, answer := servetest.Exchange(t, http.MethodPost, url+w.path, []byte(w.body), "Content-Type", w.kind)
				element := regexpElement(string(answer))
				shown := want
				if strings.HasPrefix(w.path, "/models/") && strings.Trim(want, "-") != want && want[len(want)-1] == 'y' || strings.HasPrefix(w.path, "/models/") && (want == "NaN" || want == "Infinity") {
					shown = "null"
				}
				if strings.HasPrefix(w.path, "/v1/") && datatype == "FP32" && strings.Trim(want, "-0123456789") == "" && want != "" {
					shown += ".0"
				}
				if want == "" && status != http.StatusBadRequest || want != "" && (status != http.StatusOK || element != shown) {
					t.Errorf("%s of %s at %s %.60q: %d %s; want %q", v.text, d, w.path, w.body, status, answer, shown)
				}
			}
			if in, err := models[name].Prepare(t.Context(), []byte(`{"x":`+row+"}")); (err == nil) != (want != "") ||
				err == nil && string(tensor.AppendElements(nil, in["x"], 0, 1, tensor.Bare)) != want {
				t.Errorf("%s of %s in the library: %v, %v; want %q", v.text, d, in["x"], err, want)
			}
		}
	}
}

// regexpElement is the first element of the first innermost list of an answer.
func regexpElement(answer string) string {
	for _, part := range []string{`"y":[`, `"data":[`, `[[`} {
		if _, rest, ok := strings.Cut(answer, part); ok {
			element, _, _ := strings.Cut(rest, ",")
			return element
		}
	}
	return answer
}

// A key that is there twice is refused wherever an object is read.
func TestDuplicateKeys(t *testing.T) {
	models := servetest.Committed(t)
	models["two"] = servetest.GraphModel(t, "two")
	url := servetest.Listen(t, models)
	picture := base64.StdEncoding.EncodeToString([]byte("x"))
	for _, c := range []struct{ path, body string }{
		{"/models/two", `{"a":[1,2],"b":[1,2],"a":[3,4]}`},
		{"/models/two", `[{"a":[1,2],"b":[1,2],"b":[3,4]}]`},
		{"/v1/models/two:predict", `{"instances":[{"a":[1,2],"b":[1,2],"a":[3,4]}]}`},
		{"/v1/models/two:predict", `{"inputs":{"a":[[1,2]],"b":[[1,2]],"a":[[3,4]]}}`},
		{"/v1/models/iris:predict", `{"instances":[[1,2,3,4]],"instances":[[1,2,3,4]]}`},
		{"/v1/models/iris:classify", `{"examples":[{"input":[1,2,3,4],"input":[1,2,3,4]}]}`},
		{"/v1/models/shapes:predict", `{"instances":[{"b64":"` + picture + `","b64":"` + picture + `"}]}`},
		{"/v2/models/iris/infer", `{"inputs":[],"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]}]}`},
		{"/v2/models/iris/infer", `{"inputs":[{"name":"x","name":"input","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]}]}`},
	} {
		status, _, answer := servetest.Exchange(t, http.MethodPost, url+c.path, []byte(c.body))
		if status != http.StatusBadRequest || !strings.Contains(string(answer), "twice") {
			t.Errorf("%s %s: %d %s", c.path, c.body, status, answer)
		}
	}
}

// The memory of a body is another's only once it is parsed: callers at once are each answered with
// what they sent, in bodies so long that parsing them is interrupted.
func TestJSONBodiesAreNotMixedUp(t *testing.T) {
	const rows = 4000
	o := predict.Options{Threads: 1, Verify: predict.VerifyQuick, MaxQueueRows: 8 * rows}
	m, err := o.Load(t.Context(), servetest.GraphBundle(t, "same-int64", "tensors"), onnx.Engine())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	h := servetest.New(serve.Models{"same": m}).Handler()
	var callers sync.WaitGroup
	for caller := range 8 {
		callers.Go(func() {
			row := fmt.Sprintf("[%d,%d]", 1_000_000+caller, caller)
			many := strings.Repeat(row+",", rows-1) + row
			for range 15 {
				for path, body := range map[string]string{
					"/models/same":            "[" + many + "]",
					"/v1/models/same:predict": `{"instances":[` + many + "]}",
					"/v2/models/same/infer":   fmt.Sprintf(`{"inputs":[{"name":"x","datatype":"INT64","shape":[%d,2],"data":[%s]}]}`, rows, many),
				} {
					w := servetest.Ask(t.Context(), h, path, body)
					got := strings.NewReplacer("[", "", "]", "").Replace(w.Body.String())
					if n := strings.Count(got, strings.Trim(row, "[]")); w.Code != http.StatusOK || n != rows {
						t.Errorf("%s: %d: %d of %d rows are the caller's: %.200s", path, w.Code, n, rows, got)
						return
					}
				}
			}
		})
	}
	callers.Wait()
}

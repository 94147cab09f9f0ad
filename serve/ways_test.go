package serve_test

// Random rows by every way in and out: through the library, the replay and every protocol, each bit is the same.

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// way is a way to send rows of an input x of two elements and to read the output y, which is what was sent.
type way struct {
	name string
	// ask returns y as it came.
	ask func(t *testing.T, x tensor.Tensor) (tensor.Tensor, error)
	// labelled answers write null for NaN and infinities, and float16 and bfloat16 as other floats.
	labelled bool
	// without lists the types that the way does not carry.
	without []tensor.DType
}

var half = []tensor.DType{tensor.Float16, tensor.BFloat16}

func everyWay(t *testing.T, name string, m *predict.Model) []way {
	t.Helper()
	models := serve.Models{name: m}
	ways := []way{
		{name: "library, a row", ask: func(t *testing.T, x tensor.Tensor) (tensor.Tensor, error) {
			var parts []tensor.Tensor
			for i := range x.Rows() {
				in, err := m.Prepare(t.Context(), namedRow(x, i))
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
		{name: "replay", ask: func(t *testing.T, x tensor.Tensor) (tensor.Tensor, error) { return x, replayed(t, name, x, x) }},
	}
	url := servetest.Listen(t, models)
	ways = append(ways, nativeWays(m, url+"/models/"+name)...)
	ways = append(ways, tensorflowWays(t, models, name, url)...)
	for form, c := range clients(t, models) {
		w := way{name: "Open Inference Protocol, " + form, ask: func(t *testing.T, x tensor.Tensor) (tensor.Tensor, error) {
			out, err := c.Infer(t.Context(), name, tensor.Map{"x": x})
			return out["y"], err
		}}
		if form == "http plain" || form == "grpc plain" {
			w.without = half
		}
		ways = append(ways, w)
	}
	d := m.Manifest().Inputs[0].DType
	return slices.DeleteFunc(ways, func(w way) bool { return slices.Contains(w.without, d) })
}

func mustPost(t *testing.T, url, kind string, body []byte) []byte {
	t.Helper()
	status, _, answer := servetest.Exchange(t, http.MethodPost, url, body, "Content-Type", kind)
	if status != http.StatusOK {
		t.Fatalf("%s %.300q: %d %s", url, body, status, answer)
	}
	return answer
}

func bare(x tensor.Tensor) []byte { return tensor.AppendNested(nil, x, tensor.Bare) }

// namedRow is row i as an object.
func namedRow(x tensor.Tensor, i int) []byte {
	y := x.Slice(i, i+1)
	return append(append([]byte(`{"x":`), bare(tensor.Tensor{Shape: y.Shape[1:], Data: y.Data})...), '}')
}

func nativeWays(m *predict.Model, url string) []way {
	read := func(answer []byte) (tensor.Tensor, error) {
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
	var ways []way
	add := func(name string, body func(t *testing.T, x tensor.Tensor) (content []byte, kind string), without ...tensor.DType) {
		ways = append(ways, way{"native, " + name, func(t *testing.T, x tensor.Tensor) (tensor.Tensor, error) {
			content, kind := body(t, x)
			return read(mustPost(t, url, kind, content))
		}, true, without})
	}
	rows := func(x tensor.Tensor, between string) []byte {
		var all [][]byte
		for i := range x.Rows() {
			all = append(all, namedRow(x, i))
		}
		return bytes.Join(all, []byte(between))
	}
	add("list", func(_ *testing.T, x tensor.Tensor) ([]byte, string) { return bare(x), "application/json" })
	add("list of objects", func(_ *testing.T, x tensor.Tensor) ([]byte, string) {
		return append(append([]byte{'['}, rows(x, ",")...), ']'), "application/json"
	})
	add("JSON lines", func(_ *testing.T, x tensor.Tensor) ([]byte, string) { return rows(x, "\n"), "application/x-ndjson" })
	add("form", func(t *testing.T, x tensor.Tensor) ([]byte, string) {
		var files [][2]string
		for i := range x.Rows() {
			files = append(files, [2]string{fmt.Sprint(i), string(namedRow(x, i))})
		}
		return servetest.Form(t, files...)
	})
	add("CSV", func(_ *testing.T, x tensor.Tensor) ([]byte, string) {
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
		return b.Bytes(), "text/csv"
	}, half...)
	add(".npy", func(t *testing.T, x tensor.Tensor) ([]byte, string) { return npy(t, x), "application/x-npy" }, tensor.BFloat16)
	add(".npz", func(t *testing.T, x tensor.Tensor) ([]byte, string) { return npz(t, x), "application/x-npz" }, tensor.BFloat16)
	return ways
}

func tensorflowWays(t *testing.T, models serve.Models, name, url string) []way {
	t.Helper()
	field := func(answer []byte, d tensor.DType) (y tensor.Tensor, err error) {
		r := payload.New(answer)
		err = r.Object(func(string) error {
			y, err = r.Tensor(d, 0)
			return err
		})
		return y, err
	}
	url += "/v1/models/" + name + ":predict"
	rpc := tfpb.NewPredictionServiceClient(servetest.DialGRPC(t, servetest.New(models)))
	ask := func(fill func(p *tfpb.TensorProto, x tensor.Tensor)) func(t *testing.T, x tensor.Tensor) (tensor.Tensor, error) {
		return func(t *testing.T, x tensor.Tensor) (tensor.Tensor, error) {
			p := &tfpb.TensorProto{
				Dtype:       tfpb.DataType(tfpb.DataType_value[tfNames[x.DType()]]),
				TensorShape: &tfpb.TensorShapeProto{Dim: []*tfpb.TensorShapeProto_Dim{{Size: x.Shape[0]}, {Size: x.Shape[1]}}},
			}
			fill(p, x)
			answer, err := rpc.Predict(t.Context(), &tfpb.PredictRequest{ModelSpec: &tfpb.ModelSpec{Name: name}, Inputs: map[string]*tfpb.TensorProto{"x": p}})
			if err != nil {
				return tensor.Tensor{}, err
			}
			return tensor.Tensor{Shape: x.Shape, Data: typedValues(answer.GetOutputs()["y"], x.DType())}, nil
		}
	}
	return []way{
		{name: "TensorFlow REST, instances", ask: func(t *testing.T, x tensor.Tensor) (tensor.Tensor, error) {
			return field(mustPost(t, url, "", fmt.Appendf(nil, `{"instances":%s}`, bare(x))), x.DType())
		}},
		{name: "TensorFlow REST, inputs", ask: func(t *testing.T, x tensor.Tensor) (tensor.Tensor, error) {
			return field(mustPost(t, url, "", fmt.Appendf(nil, `{"inputs":{"x":%s}}`, bare(x))), x.DType())
		}},
		{name: "TensorFlow gRPC, values", ask: ask(fillTyped)},
		{name: "TensorFlow gRPC, content", ask: ask(func(p *tfpb.TensorProto, x tensor.Tensor) { p.TensorContent, _ = x.Bytes() }), without: []tensor.DType{tensor.String}},
	}
}

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
	switch data := x.Data.(type) {
	case []float32:
		mixed(r, data, func(x float64) float32 { return float32(x) })
	case []float64:
		mixed(r, data, func(x float64) float64 { return x })
	case []tensor.Float16Bits:
		mixed(r, data, tensor.ToFloat16)
	case []tensor.BFloat16Bits:
		mixed(r, data, tensor.ToBFloat16)
	}
	return x
}

var letters = []rune("a \"\\,\n\téß葡😀{}[]:#'\u2028<&")

// mixed replaces half of the values with short numbers, and a quarter with special ones.
func mixed[T any](r *rand.Rand, data []T, of func(float64) T) {
	special := []float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), 1e-45, 5e-324, 6e-8, 65504, 3.3895e38}
	for i := range data {
		switch r.IntN(4) {
		case 0, 1:
			short, _ := strconv.ParseFloat(fmt.Sprintf("%.*f", r.IntN(6), 200*r.Float64()-100), 64)
			data[i] = of(short)
		case 2:
			data[i] = of(special[r.IntN(len(special))])
		}
	}
}

// sameBits says whether two tensors hold the same; any NaN is as good as another.
func sameBits(got, want tensor.Tensor, labelled bool) bool {
	a, errA := got.Floats()
	b, errB := want.Floats()
	if labelled && slices.Contains(half, want.DType()) {
		want.Data = []float32{} // as which labelled answers are read
	}
	if got.DType() != want.DType() || fmt.Sprint(got.Shape) != fmt.Sprint(want.Shape) {
		return false
	}
	if errA != nil || errB != nil {
		return fmt.Sprintf("%q", got.Data) == fmt.Sprintf("%q", want.Data)
	}
	switch want.DType() {
	case tensor.Int64, tensor.Uint64: // which floats cannot tell apart
		return fmt.Sprint(got.Data) == fmt.Sprint(want.Data)
	}
	if len(a) != len(b) {
		return false
	}
	for i := range b {
		if labelled && math.IsInf(b[i], 0) {
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
				if got, err := w.ask(t, x); err != nil || !sameBits(got, x, w.labelled) {
					t.Fatalf("seed %d: %s, %s: sent %s, got %s, %v", seed, d, w.name, bare(x), bare(got), err)
				}
			}
		}
		var different *predict.ParityError
		x := randomRows(r, d, 16)
		if err := replayed(t, name, x, randomRows(r, d, 16)); !errors.As(err, &different) || different.Stage != predict.StageDecode {
			t.Errorf("seed %d: %s: the replay of other rows: %v", seed, d, err)
		}
	}
}

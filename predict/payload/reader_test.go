package payload_test

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/forgo-ml/forgo/internal/corpus"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
)

func TestTensor(t *testing.T) {
	for text, want := range map[string]tensor.Tensor{
		`5`:                               {Shape: []int64{}, Data: []int64{5}},
		` [ 1 , -2 ] `:                    {Shape: []int64{2}, Data: []int64{1, -2}},
		`[[1,2],[3,4],[5,6]]`:             {Shape: []int64{3, 2}, Data: []int64{1, 2, 3, 4, 5, 6}},
		`[]`:                              {Shape: []int64{0}, Data: []int64{}},
		`[[],[]]`:                         {Shape: []int64{2, 0}, Data: []int64{}},
		`[1.5e0,-0.25]`:                   {Shape: []int64{2}, Data: []float32{1.5, -0.25}},
		`[Infinity,-Infinity,1E+2]`:       {Shape: []int64{3}, Data: []float64{math.Inf(1), math.Inf(-1), 100}},
		`[true,false]`:                    {Shape: []int64{2}, Data: []bool{true, false}},
		`["a","\u00e9\n","\ud83d\ude00"]`: {Shape: []int64{3}, Data: []string{"a", "é\n", "😀"}},
	} {
		r := payload.New([]byte(text))
		got, err := r.Tensor(want.DType(), 0)
		if err != nil || r.End() != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, %v; want %v", text, got, err, want)
		}
	}
	if x, err := payload.New([]byte(`NaN`)).Tensor(tensor.Float32, 1); err != nil || !math.IsNaN(float64(x.Data.([]float32)[0])) {
		t.Errorf("NaN: %v, %v", x, err)
	}
}

// Short numbers are not read by strconv; they must be the same to the last bit.
func TestFloatsAreTheNearest(t *testing.T) {
	values := []string{
		"0", "-0", "-0.0", "7", "0.1", "-0.3", "16777217", "-16777217", "16777217.0000001", "16777216.9999999",
		"33554434.0000000", "0.000000000000001", "999999999999999", "9999999999999999", "0.1234567890123456", "1.5e3", "3E-2",
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		x := math.Float32frombits(random.Uint32())
		next := math.Nextafter32(x, float32(math.Inf(1)))
		if a := math.Abs(float64(x)); a < 1e-6 || a > 1e9 {
			continue
		}
		halfway := (float64(x) + float64(next)) / 2
		values = append(values, strconv.FormatFloat(float64(x), 'f', -1, 32), strconv.FormatFloat(halfway, 'f', -1, 64),
			strconv.FormatFloat(halfway, 'f', random.IntN(12), 64))
	}
	for _, text := range values {
		r := payload.New([]byte(text))
		got, err := r.Tensor(tensor.Float32, 1)
		want, _ := strconv.ParseFloat(text, 32)
		if err != nil || r.End() != nil || math.Float32bits(got.Data.([]float32)[0]) != math.Float32bits(float32(want)) {
			t.Fatalf("%s as float32: got %v, %v; want %v", text, got.Data, err, want)
		}
		r = payload.New([]byte(text))
		got, err = r.Tensor(tensor.Float64, 1)
		want, _ = strconv.ParseFloat(text, 64)
		if err != nil || r.End() != nil || math.Float64bits(got.Data.([]float64)[0]) != math.Float64bits(want) {
			t.Fatalf("%s as float64: got %v, %v; want %v", text, got.Data, err, want)
		}
	}
}

func TestNarrowFloats(t *testing.T) {
	x, err := payload.New([]byte(`[0.1, -65504, null, Infinity, 1e-8]`)).Tensor(tensor.Float16, 5)
	if want := []tensor.Float16Bits{0x2e66, 0xfbff, 0x7e00, 0x7c00, 0}; err != nil || !slices.Equal(x.Data.([]tensor.Float16Bits), want) {
		t.Errorf("float16: %v, %v; want %v", x.Data, err, want)
	}
	x, err = payload.New([]byte(`[[0.1], [-1]]`)).Tensor(tensor.BFloat16, 2)
	if want := []tensor.BFloat16Bits{0x3dcd, 0xbf80}; err != nil || !slices.Equal(x.Data.([]tensor.BFloat16Bits), want) {
		t.Errorf("bfloat16: %v, %v; want %v", x.Data, err, want)
	}
}

func TestTensorRefuses(t *testing.T) {
	for text, says := range map[string]string{
		``: "the text ends", `[1,]`: "want a number", `[1`: "want ']'", `[1 2]`: "want ']'", `[01]`: "want",
		`[1.]`: "point", `[1e]`: "exponent", `[+1]`: "want a number", `[.5]`: "want a number", `[0x1]`: "want ']'",
		`["a"]`: "\"a\" is not a number", `[null]`: "null is not a number", `[{"a":1}]`: "is not a number",
		`[[1],[1,2]]`: "ragged", `[1,[2]]`: "ragged", `[[1],2]`: "ragged", `[[],[1]]`: "ragged",
		`[128]`: "128 does not fit int8", `[1.0]`: "1.0 does not fit int8", `[NaN]`: "NaN does not fit int8",
		strings.Repeat("[", 100): "deeper than 64",
	} {
		if x, err := payload.New([]byte(text)).Tensor(tensor.Int8, 1<<60); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, %v; want %q", text, x, err, says)
		}
	}
	if _, err := payload.New([]byte(`[1e39]`)).Tensor(tensor.Float32, 1); err == nil || !strings.Contains(err.Error(), "does not fit float32") {
		t.Errorf("overflow: %v", err)
	}
	for text, dtype := range map[string]tensor.DType{`[65520]`: tensor.Float16, `[-1e39]`: tensor.BFloat16} {
		if _, err := payload.New([]byte(text)).Tensor(dtype, 1); err == nil || !strings.Contains(err.Error(), "does not fit a "+string(dtype)) {
			t.Errorf("%s as %s: %v", text, dtype, err)
		}
	}
}

func TestStrings(t *testing.T) {
	for text, want := range map[string]string{
		`"a b"`: "a b", `"\\ud83d"`: `\ud83d`, `"\""`: `"`, `"é\t"`: "é\t", `"\ud83d\ude00�"`: "😀\uFFFD",
		`"\ud83d\ude00\ufffd\ud83d\ude01"`: "😀\uFFFD😁", `"�\u0041"`: "\uFFFDA",
	} {
		r := payload.New([]byte(text))
		if got, err := r.Text(); err != nil || r.End() != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", text, got, err, want)
		}
	}
	for text, says := range map[string]string{
		"\"a\x1fb\"": `control character '\x1f'`, `"a`: "not closed", `"a\"`: "not closed", "\"\xff\"": "not UTF-8", `"\x"`: "broken string",
		`"\u12"`: "broken string", `"a\ud83d"`: `surrogate \ud83d`, `"\ude00\ud83d"`: `surrogate \ude00`, `"\ud83d\u0041"`: `surrogate \ud83d`,
		`"\ud83d\ude00\ud83dxude00"`: `surrogate \ud83d`, `"\ud83d\nude00"`: `surrogate \ud83d`, `7`: "want a string",
	} {
		if got, err := payload.New([]byte(text)).Text(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %q, %v; want %q", text, got, err, says)
		}
	}
}

// A value that is passed over is held to JSON all the same.
func TestRaw(t *testing.T) {
	for _, text := range []string{`true`, `false`, `null`, `-1.5e3`, `NaN`, `Infinity`, `"a\n"`, `[]`, `[1, [true], {"a": null}]`, `{}`, `{"a" : false, "b\u00e9" : [ ] }`} {
		r := payload.New([]byte(" " + text + " "))
		if got, err := r.Raw(); err != nil || r.End() != nil || string(got) != text {
			t.Errorf("%s: got %s, %v", text, got, err)
		}
	}
	for _, text := range []string{``, `tru`, `fals`, `nul`, `x`, `'a'`, `"a`, `"\x"`, `01`, `1.`, `[1,]`, `[1`, `{1:2}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{"\x":1}`} {
		r := payload.New([]byte(text))
		if got, err := r.Raw(); err == nil && r.End() == nil {
			t.Errorf("%s: got %s", text, got)
		}
	}
}

func TestInputOfAScalar(t *testing.T) {
	for _, batch := range []bool{true, false} {
		x, err := payload.New([]byte(`7`)).Input(tensor.Spec{Name: "x", DType: tensor.Int64, Shape: []int64{}}, batch)
		if err != nil || len(x.Shape) != 0 || x.Data.([]int64)[0] != 7 {
			t.Errorf("a scalar, batch %t: %v, %v", batch, x, err)
		}
	}
}

// asEncodingJSON holds the scanner to encoding/json: both refuse, or both read the same.
func asEncodingJSON[T tensor.Element](t *testing.T, text []byte, dtype tensor.DType) {
	t.Helper()
	var want []T
	wantErr := json.Unmarshal(text, &want)
	r := payload.New(text)
	got, err := r.Tensor(dtype, 3)
	if err == nil {
		err = r.End()
	}
	if bytes.Contains(text, []byte("null")) || bytes.Contains(text, []byte("NaN")) || bytes.Contains(text, []byte("Inf")) {
		return // encoding/json leaves null out and has no such numbers
	}
	if err == nil && len(got.Shape) != 1 {
		return // deeper or shallower than the []T that encoding/json reads
	}
	if err != nil && !utf8.Valid(text) {
		return // encoding/json changes such strings
	}
	if err != nil && strings.Contains(err.Error(), "unpaired surrogate") {
		return // encoding/json takes it for U+FFFD
	}
	if dtype == tensor.Uint8 && bytes.HasPrefix(bytes.TrimSpace(text), []byte{'"'}) {
		return // base64, to encoding/json
	}
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%s of %q: scan says %v, encoding/json %v", dtype, text, err, wantErr)
	}
	if err == nil && len(want) > 0 && !reflect.DeepEqual(got.Data, any(want)) {
		t.Fatalf("%s of %q: scan reads %v, encoding/json %v", dtype, text, got.Data, want)
	}
}

func FuzzTensor(f *testing.F) {
	corpus.Add(f)
	for _, seed := range []string{
		`[1,2.5,-3e2]`, `["a","\u00e9\ud800","\\\""]`, `[true,false]`, `[]`, ` [ 0 ] `, `[-0, 0.1e-45]`,
		`[340282356779733661637539395458142568447]`, `[18446744073709551615]`, `[-128,127,128]`, `[-1]`, `[255,256]`, `[65535,65536]`, `[2147483648]`, `"AQ=="`, `[1,]`, "[\"\xff\"]", `[[1],[2]]`, `[1][2]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		asEncodingJSON[float32](t, text, tensor.Float32)
		asEncodingJSON[float64](t, text, tensor.Float64)
		asEncodingJSON[int8](t, text, tensor.Int8)
		asEncodingJSON[int16](t, text, tensor.Int16)
		asEncodingJSON[int32](t, text, tensor.Int32)
		asEncodingJSON[int64](t, text, tensor.Int64)
		asEncodingJSON[uint8](t, text, tensor.Uint8)
		asEncodingJSON[uint16](t, text, tensor.Uint16)
		asEncodingJSON[uint32](t, text, tensor.Uint32)
		asEncodingJSON[uint64](t, text, tensor.Uint64)
		asEncodingJSON[bool](t, text, tensor.Bool)
		asEncodingJSON[string](t, text, tensor.String)
		if x, err := payload.New(text).Tensor(tensor.Float64, 0); err == nil {
			again, err := payload.New(tensor.AppendNested(nil, x, tensor.Bare)).Tensor(tensor.Float64, 0)
			if d, diffErr := tensor.Difference(again, x); err != nil || diffErr != nil || d != 0 {
				t.Fatalf("%q does not come back: %v, %v, %v", text, again, err, diffErr)
			}
		}
	})
}

// Raw takes what encoding/json takes.
func FuzzRaw(f *testing.F) {
	corpus.Add(f)
	for _, seed := range []string{`{"a":[1,{"b":null}],"c":"d"}`, `{}`, `[{},[]]`, `{"a":1,}`, `{"a" 1}`, `nul`, `"\x"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r := payload.New(text)
		_, err := r.Raw()
		if err == nil {
			err = r.End()
		}
		if err != nil && (strings.Contains(err.Error(), "deeper") || !utf8.Valid(text)) || bytes.Contains(text, []byte("NaN")) || bytes.Contains(text, []byte("Inf")) {
			return
		}
		if (err == nil) != json.Valid(text) {
			t.Fatalf("%q: scan says %v, encoding/json %v", text, err, json.Valid(text))
		}
	})
}

func BenchmarkTensor(b *testing.B) {
	row := make([]float32, 64)
	for i := range row {
		row[i] = float32(i) / 17
	}
	text, err := json.Marshal([][]float32{row})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := payload.New(text).Tensor(tensor.Float32, 64); err != nil {
			b.Fatal(err)
		}
	}
}

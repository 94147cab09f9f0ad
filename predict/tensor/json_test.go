package tensor_test

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/forgo-ml/forgo/predict/tensor"
)

func TestAppend(t *testing.T) {
	x := tensor.Tensor{Shape: []int64{2, 1, 2}, Data: []float32{0.1, float32(math.Inf(-1)), float32(math.NaN()), 1e-9}}
	if got := string(tensor.AppendFlat(nil, x, tensor.Bare)); got != `[0.1,-Infinity,NaN,1e-09]` {
		t.Error(got)
	}
	if got := string(tensor.AppendNested(nil, x, tensor.Bare)); got != `[[[0.1,-Infinity]],[[NaN,1e-09]]]` {
		t.Error(got)
	}
	if got := string(tensor.AppendNested(nil, tensor.Tensor{Shape: []int64{}, Data: []tensor.Float16Bits{0x3c00}}, tensor.Bare)); got != `1` {
		t.Error(got)
	}
	if got := string(tensor.AppendNestedBase64(nil, []int64{2, 1}, []string{"a\x00", ""})); got != `[[{"b64":"YQA="}],[{"b64":""}]]` {
		t.Error(got)
	}
	if got := string(tensor.AppendFlat(nil, tensor.Tensor{Shape: []int64{2}, Data: []string{"a\"b", "é"}}, tensor.Bare)); got != `["a\"b","é"]` {
		t.Error(got)
	}
}

// Floats have a point or an exponent, where readers know types by nothing else.
func TestFloatsInJSON(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		t    tensor.Tensor
		want string
	}{
		{tensor.Tensor{Shape: []int64{7}, Data: []float32{1, -0.5, 0, 1e21, 1e-9, float32(inf), 16777216}}, `[1.0,-0.5,0.0,1e+21,1e-09,Infinity,16777216.0]`},
		{tensor.Tensor{Shape: []int64{2}, Data: []float64{math.Copysign(0, -1), math.NaN()}}, `[-0.0,NaN]`},
		{tensor.Tensor{Shape: []int64{1}, Data: []tensor.Float16Bits{0x3c00}}, `[1.0]`},
		{tensor.Tensor{Shape: []int64{2}, Data: []int64{1, -2}}, `[1,-2]`},
	} {
		if got := string(tensor.AppendFlat(nil, c.t, tensor.Decimal)); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

func TestAppendNull(t *testing.T) {
	x := tensor.Tensor{Shape: []int64{2, 2}, Data: []float64{math.NaN(), math.Inf(1), math.Inf(-1), -0.5}}
	if got := string(tensor.AppendNested(nil, x, tensor.Null)); got != `[[null,null],[null,-0.5]]` {
		t.Error(got)
	}
	if got, err := json.Marshal(x); err != nil || string(got) != `[[null,null],[null,-0.5]]` {
		t.Errorf("%s, %v", got, err)
	}
}

// What was sent is quoted in part, however long it is.
func TestQuotesEndAtCharacters(t *testing.T) {
	x := strings.Repeat("x", 100)
	for s, want := range map[string]string{
		x:                                  x,
		x + "x":                            x + "... (101 bytes)",
		"x" + strings.Repeat("é", 50):      "x" + strings.Repeat("é", 49) + "... (101 bytes)",
		"xx" + strings.Repeat("😀", 25):     "xx" + strings.Repeat("😀", 24) + "... (102 bytes)",
		x[:98] + strings.Repeat("\xff", 9): x[:98] + "... (107 bytes)",
		strings.Repeat("\xff", 101):        strings.Repeat("\xff", 96) + "... (101 bytes)",
	} {
		if got := tensor.Cut(s); got != want {
			t.Errorf("cut %q: %q", s, got)
		}
		if text, rest, _ := strings.Cut(want, "... "); rest == "" && tensor.Quote(s) != strconv.Quote(s) || rest != "" && tensor.Quote(s) != strconv.Quote(text)+"... "+rest {
			t.Errorf("quote %q: %s", s, tensor.Quote(s))
		}
	}
}

func TestQuotesAreShort(t *testing.T) {
	for _, s := range []string{"", "short", strings.Repeat("x", 100), strings.Repeat("x", 101), strings.Repeat("é", 1<<20), strings.Repeat("\x00", 1<<20)} {
		cut, quoted := tensor.Cut(s), tensor.Quote(s)
		if len(cut) > 130 || len(quoted) > 530 || len(s) <= 100 && cut != s || !utf8.ValidString(cut) {
			t.Errorf("%.10q... of %d bytes: %q, %q", s, len(s), cut, quoted)
		}
	}
}

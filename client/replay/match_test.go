package replay

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/tensor"
)

func cases(shapes ...int64) []bundle.Recorded {
	var list []bundle.Recorded
	for i, n := range shapes {
		x := tensor.Tensor{Shape: []int64{1, n}, Data: make([]float32, n)}
		list = append(list, bundle.Recorded{Case: bundle.Case{ID: fmt.Sprint(i)}, Inputs: tensor.Map{"x": x}})
	}
	return list
}

// Every case is sent, in requests of n that fit one batch, and at least as many as callers.
func TestRequests(t *testing.T) {
	for _, n := range []int{1, 3, 8} {
		for _, callers := range []int{1, 8} {
			for name, all := range map[string][]bundle.Recorded{
				"one": cases(2), "some": cases(2, 2, 2, 2, 2), "many": cases(slices.Repeat([]int64{4}, 20)...), "of two shapes": cases(2, 3, 2, 3, 2, 2),
			} {
				sent := map[string]bool{}
				got := requests(all, n, callers)
				for _, request := range got {
					if _, err := bundle.Stack(request); err != nil || len(request) != n {
						t.Errorf("%s: %d of %d cases: %v", name, len(request), n, err)
					}
					for _, c := range request {
						sent[c.ID] = true
					}
				}
				if len(sent) != len(all) || len(got) < callers {
					t.Errorf("%s by %d for %d callers: %d of %d cases in %d requests", name, n, callers, len(sent), len(all), len(got))
				}
			}
		}
	}
}

func TestMatch(t *testing.T) {
	size := func(n int64) *int64 { return &n }
	info := func(name string, shape ...*int64) bundle.TensorInfo {
		return bundle.TensorInfo{Name: name, DType: tensor.Float32, Shape: append([]*int64{nil}, shape...)}
	}
	row := bundle.Manifest{Inputs: []bundle.TensorInfo{info("x", size(2), size(3))}, Outputs: []bundle.TensorInfo{info("y", size(3))}}
	two := bundle.Manifest{Inputs: []bundle.TensorInfo{info("a"), info("b")}, Outputs: row.Outputs}
	picture := row
	picture.Picture = &bundle.Picture{Input: "x"}
	float := func(name string, shape ...int64) tensor.Spec {
		return tensor.Spec{Name: name, DType: tensor.Float32, Shape: shape}
	}
	for name, c := range map[string]struct {
		manifest bundle.Manifest
		inputs   []tensor.Spec
		picture  string
		sent     map[string]string
		says     string
	}{
		"by name":               {row, []tensor.Spec{float("x", -1, 2, 3)}, "", map[string]string{"x": "x"}, ""},
		"a single one":          {row, []tensor.Spec{float("Input_1", -1, 2, 3)}, "", map[string]string{"x": "Input_1"}, ""},
		"nothing said":          {row, nil, "", map[string]string{"x": "x"}, ""},
		"no shape said":         {row, []tensor.Spec{float("x")}, "", map[string]string{"x": "x"}, ""},
		"unknown type":          {row, []tensor.Spec{{Name: "x", Shape: []int64{-1, 2, 3}}}, "", map[string]string{"x": "x"}, ""},
		"transposed":            {row, []tensor.Spec{float("x", -1, 3, 2)}, "", nil, `the server's input "x" is float32[-1 3 2], the bundle's is float32[-1 2 3]`},
		"another rank":          {row, []tensor.Spec{float("x", -1, 6)}, "", nil, "is float32[-1 6]"},
		"another type":          {row, []tensor.Spec{{Name: "x", DType: tensor.Float64, Shape: []int64{-1, 2, 3}}}, "", nil, "is float64"},
		"two by name":           {two, []tensor.Spec{float("b", -1), float("a", -1)}, "", map[string]string{"a": "a", "b": "b"}, ""},
		"two that have others":  {two, []tensor.Spec{float("a", -1), float("c", -1)}, "", nil, `takes "a", "c", which has no "b"`},
		"an encoded picture":    {picture, []tensor.Spec{{Name: "image_bytes", DType: tensor.String, Shape: []int64{-1, 1}}}, "image_bytes", map[string]string{}, ""},
		"a picture's tensor":    {picture, []tensor.Spec{float("pixels", -1, 2, 3)}, "", map[string]string{"x": "pixels"}, ""},
		"text, and no pictures": {row, []tensor.Spec{{Name: "x", DType: tensor.String, Shape: []int64{-1}}}, "", nil, "is string[-1]"},
	} {
		e, err := Match(&c.manifest, c.inputs, nil)
		if c.says != "" {
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v; want %q", name, err, c.says)
			}
			continue
		}
		if err != nil || e.Picture != c.picture || fmt.Sprint(e.Inputs) != fmt.Sprint(c.sent) {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
}

// Floats of different widths are compared by value, other types are not.
func TestDifference(t *testing.T) {
	single := tensor.Tensor{Shape: []int64{1}, Data: []float32{0.1}}
	double := tensor.Tensor{Shape: []int64{1}, Data: []float64{0.1}}
	if d, err := difference(double, single); err != nil || d == 0 || d > 1e-8 {
		t.Errorf("%v, %v", d, err)
	}
	if _, err := difference(tensor.Tensor{Shape: []int64{1}, Data: []int64{0}}, single); err == nil {
		t.Error("an integer passed for a float")
	}
	if _, err := difference(tensor.Tensor{Shape: []int64{1, 1}, Data: []float64{0.1}}, single); err == nil {
		t.Error("another shape passed")
	}
}

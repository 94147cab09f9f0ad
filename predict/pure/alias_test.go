package pure

import (
	"slices"
	"testing"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/internal/onnxformat"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// Identity, and Cast to the type that is there, cost no copy; but callers keep their inputs and own their answers.
func TestUnchangedValues(t *testing.T) {
	float := map[string]attribute{"to": {i: 1}}
	plain := map[string]attribute{}
	for _, given := range []predict.Tensor{
		{Shape: []int64{3}, Data: []float32{1, -2, 3}},
		{Shape: []int64{3}, Data: []float64{1, -2, 3}},
	} {
		in := onnxformat.Value{Spec: tensor.Spec{Name: "a", DType: given.DType(), Shape: []int64{-1}}}
		g := &graph{opsets: map[string]int{"": 18}, constants: map[string]*value{}, inputs: []onnxformat.Value{in}, nodes: []*node{
			{op: "Identity", in: []string{"a"}, out: []string{"same"}, attributes: plain},
			{op: "Cast", in: []string{"same"}, out: []string{"float"}, attributes: float},
			{op: "Neg", in: []string{"float"}, out: []string{"less"}, attributes: plain},
			{op: "Neg", in: []string{"less"}, out: []string{"back"}, attributes: plain},
			{op: "Add", in: []string{"float", "back"}, out: []string{"twice"}, attributes: plain},
			{op: "Identity", in: []string{"twice"}, out: []string{"again"}, attributes: plain},
		}}
		s := &session{inputs: []tensor.Spec{in.Spec}}
		names := []string{"same", "twice", "again"}
		for _, name := range names {
			out := onnxformat.Value{Spec: tensor.Spec{Name: name, DType: tensor.Float32, Shape: []int64{-1}}}
			if name == "same" {
				out.DType = given.DType()
			}
			g.outputs, s.outputs = append(g.outputs, out), append(s.outputs, out.Spec)
		}
		var err error
		if s.plan, err = planGraph(t.Context(), g, nil); err != nil {
			t.Fatal(err)
		}
		for range 3 { // later runs find the memory of earlier ones
			out, err := s.Run(t.Context(), predict.Tensors{"a": given}, names)
			if err != nil {
				t.Fatal(err)
			}
			for name, times := range map[string]float32{"twice": 2, "again": 2} {
				got := out[name].Data.([]float32)
				if want := []float32{times, -2 * times, 3 * times}; !slices.Equal(got, want) {
					t.Errorf("%s of %s is %v, want %v", name, given.DType(), got, want)
				}
				clear(got) // it is the caller's alone
			}
			switch d := given.Data.(type) {
			case []float32:
				same := out["same"].Data.([]float32)
				if clear(same); !slices.Equal(d, []float32{1, -2, 3}) {
					t.Fatalf("the input became %v", d)
				}
			case []float64:
				same := out["same"].Data.([]float64)
				if clear(same); !slices.Equal(d, []float64{1, -2, 3}) {
					t.Fatalf("the input became %v", d)
				}
			}
		}
	}
}

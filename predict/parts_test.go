package predict

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// A graph that takes so many rows at once is asked with as many each time, and answers as many as came.
func TestPartsOfAFixedBatch(t *testing.T) {
	for _, c := range []struct {
		batch, rows int
		asked       []string // the shape and the values of each run
	}{
		{1, 2, []string{"[1 1] [0]", "[1 1] [1]"}},
		{3, 3, []string{"[3 1] [0 1 2]"}},
		{3, 2, []string{"[3 1] [0 1 1]"}},
		{3, 4, []string{"[3 1] [0 1 2]", "[3 1] [3 3 3]"}},
		{0, 2, []string{"[1] [0]", "[1] [1]"}},
	} {
		t.Run(fmt.Sprint(c.rows, " rows by ", c.batch), func(t *testing.T) {
			values := make([]float32, c.rows)
			for i := range values {
				values[i] = float32(i)
			}
			in := Tensors{"x": {Shape: []int64{int64(c.rows), 1}, Data: values}}
			var asked []string
			out, err := parts(t.Context(), c.batch, in, c.rows, func(_ context.Context, in Tensors) (Tensors, error) {
				x := in["x"]
				asked = append(asked, fmt.Sprintf("%v %v", x.Shape, x.Data))
				return Tensors{"y": {Shape: slices.Clone(x.Shape), Data: slices.Clone(x.Data.([]float32))}}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(asked, c.asked) {
				t.Errorf("asked %q, want %q", asked, c.asked)
			}
			if y := out["y"]; !slices.Equal(y.Data.([]float32), values) || y.Rows() != c.rows {
				t.Errorf("answered %v %v", y.Shape, y.Data)
			}
		})
	}
	_, err := parts(t.Context(), 2, Tensors{"x": {Shape: []int64{0, 1}, Data: []float32{}}}, 0, nil)
	if !errors.Is(err, ErrInput) {
		t.Errorf("no rows: %v", err)
	}
	short := func(context.Context, Tensors) (Tensors, error) {
		return Tensors{"y": tensor.Tensor{Shape: []int64{1}, Data: []float32{1}}}, nil
	}
	if _, err := parts(t.Context(), 2, Tensors{"x": {Shape: []int64{3}, Data: []float32{1, 2, 3}}}, 3, short); err == nil {
		t.Error("an answer with other rows was taken")
	}
}

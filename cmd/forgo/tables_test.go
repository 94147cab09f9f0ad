package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// decoded is a model that takes tensors and no text.
type decoded struct{ got []predict.Tensors }

func (*decoded) Answer(context.Context, []byte) (predict.Answer, error) {
	return predict.Answer{}, errors.New("asked as a text")
}

func (d *decoded) AnswerInputs(_ context.Context, in predict.Tensors) (predict.Answer, error) {
	d.got = append(d.got, in)
	return predict.Answer{}, nil
}

func (*decoded) Close() error { return nil }

// Rows of tables and arrays are read once: what was decoded is not written as JSON to be read again.
func TestTablesAndArraysAreReadOnce(t *testing.T) {
	vector := []tensor.Spec{{Name: "x", DType: tensor.Float32, Shape: []int64{-1, 2}}}
	columns := []tensor.Spec{{Name: "n", DType: tensor.Int64, Shape: []int64{-1}}, {Name: "s", DType: tensor.String, Shape: []int64{-1}}}
	scalar := []tensor.Spec{{Name: "x", DType: tensor.Float64, Shape: []int64{}}}
	x := func(values ...float32) tensor.Map {
		return tensor.Map{"x": {Shape: []int64{1, 2}, Data: values}}
	}
	nan := float32(math.NaN())
	for name, c := range map[string]struct {
		ending string
		specs  []tensor.Spec
		text   []byte
		want   []tensor.Map
	}{
		"a table": {".csv", vector, []byte("1.5,NaN\n-2,3e38\n"), []tensor.Map{x(1.5, nan), x(-2, 3e38)}},
		"with columns": {".csv", columns, []byte("s,n\n\"a,b\",9007199254740993\n"), []tensor.Map{{
			"n": {Shape: []int64{1}, Data: []int64{9007199254740993}}, "s": {Shape: []int64{1}, Data: []string{"a,b"}},
		}}},
		"of a scalar": {".csv", scalar, []byte("x\n0.1\n"), []tensor.Map{{"x": {Shape: []int64{}, Data: []float64{0.1}}}}},
		"an array":    {".npy", vector, npyOf(t, 1.5, nan, -2, 3e38), []tensor.Map{x(1.5, nan), x(-2, 3e38)}},
	} {
		path := filepath.Join(t.TempDir(), "rows"+c.ending)
		if err := os.WriteFile(path, c.text, 0o600); err != nil {
			t.Fatal(err)
		}
		model := new(decoded)
		a := asker{takes: payload.Inputs{Specs: c.specs}, ask: func(q question) bool {
			if _, _, err := answerOne(t.Context(), model, q); err != nil {
				t.Errorf("%s: %s: %v", name, q, err)
			}
			return true
		}}
		if err := a.file(path); err != nil || len(model.got) != len(c.want) {
			t.Errorf("%s: %v, %v", name, model.got, err)
			continue
		}
		for i, want := range c.want {
			for input, w := range want {
				got := model.got[i][input]
				if d, err := tensor.Difference(got, w); err != nil || d != 0 {
					t.Errorf("%s: row %d: %q is %v, want %v", name, i, input, got, w)
				}
			}
		}
	}
}

// npyOf is an array of rows of two.
func npyOf(t *testing.T, values ...float32) []byte {
	t.Helper()
	raw, err := tensor.Tensor{Shape: []int64{int64(len(values))}, Data: values}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	header := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, 2), }", len(values)/2)
	header += strings.Repeat(" ", 117-len(header)) + "\n"
	return bytes.Join([][]byte{[]byte(payload.NPYMagic), {1, 0, byte(len(header)), 0}, []byte(header), raw}, nil)
}

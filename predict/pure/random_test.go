package pure

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/forgo-ml/forgo/internal/racetest"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// Random graphs are answered as ONNX Runtime answers them. FORGO_RANDOM_GRAPHS says how many (10,000, or 400
// with -short or the race detector), FORGO_SEED which.
func TestRandomGraphs(t *testing.T) {
	count, seed := "10000", "1"
	if testing.Short() || racetest.Enabled {
		count = "400"
	}
	if n := os.Getenv("FORGO_RANDOM_GRAPHS"); n != "" {
		count = n
	}
	if s := os.Getenv("FORGO_SEED"); s != "" {
		seed = s
	}
	t.Logf("%s graphs of seed %s", count, seed)
	folder := t.TempDir()
	python(t, "../../conformance/random_graphs.py", folder, seed, count)
	cases, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := strconv.Atoi(count); len(cases) < want*8/10 {
		t.Fatalf("only %d graphs were made", len(cases))
	}
	for _, c := range cases {
		got, err := answer(t, filepath.Join(folder, c.Name()))
		if err != nil {
			t.Errorf("%s: %v", c.Name(), err)
			continue
		}
		for name, want := range tensors(t, filepath.Join(folder, c.Name()), "output") {
			if err := differ(got[name], want, 1e-5, 1e-5*max(1, largest(want))); err != nil {
				t.Errorf("%s: %s: %v", c.Name(), name, err)
			}
		}
	}
}

// largest is the largest magnitude in a tensor: sums of float32 numbers are exact to it, not to
// what is left where they cancel out.
func largest(t tensor.Tensor) float64 {
	most := 0.0
	visit := func(x float64) {
		if x = math.Abs(x); x > most && !math.IsInf(x, 0) {
			most = x
		}
	}
	switch d := t.Data.(type) {
	case []float32:
		for _, x := range d {
			visit(float64(x))
		}
	case []float64:
		for _, x := range d {
			visit(x)
		}
	}
	return most
}

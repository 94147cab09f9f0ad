// Package predicttest tests that engines behave alike. Each engine's tests call [Run] with the real
// library.
package predicttest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// Graphs provides the graphs for the tests by name, in the engine's own format, as a file or a folder:
//
//	affine     x float32 [batch, 3] to y = 2x + 1
//	two        a, b float32 [batch, 2] to sum and difference
//	same-TYPE  x to y, both TYPE [batch, 2], unchanged, for each type in Types
//	slow       x float32 [batch, 3] to y, taking minutes unless it is stopped; optional
type Graphs struct {
	Open  func(t *testing.T, name string) predict.Graph
	Types []tensor.DType
	// Interruptible says that the engine can abandon a run under way, at least at its deadline. Other
	// engines check the context only before a run.
	Interruptible bool
}

// Run tests an engine against the contract of [predict.Engine] and [engines.Session].
func Run(t *testing.T, engine predict.Engine, g Graphs) {
	if lib, err := engine.Library(); err != nil || lib.Path == "" || lib.Version == "" {
		t.Fatalf("Library() = %+v, %v; want a path and a version", lib, err)
	}
	open := func(t *testing.T, name string) engines.Session {
		t.Helper()
		s, err := engine.Open(t.Context(), g.Open(t, name), predict.SessionOptions{Threads: 1})
		if err != nil {
			t.Fatalf("open %s: %v", name, err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Errorf("close %s: %v", name, err)
			}
		})
		return s
	}
	affine := open(t, "affine")
	t.Run("ends", func(t *testing.T) {
		s := affine
		want := tensor.Spec{Name: "x", DType: tensor.Float32, Shape: []int64{-1, 3}}
		if in := s.Inputs(); len(in) != 1 || !same(in[0], want) {
			t.Errorf("Inputs() = %v, want [%v]", in, want)
		}
		want.Name = "y"
		if out := s.Outputs(); len(out) != 1 || !same(out[0], want) {
			t.Errorf("Outputs() = %v, want [%v]", out, want)
		}
	})
	t.Run("batches of any size", func(t *testing.T) {
		s := affine
		for _, rows := range []int{1, 2, 7, 64} {
			x := ramp(rows, 3)
			out, err := s.Run(t.Context(), predict.Tensors{"x": x}, []string{"y"})
			if err != nil {
				t.Fatalf("%d rows: %v", rows, err)
			}
			checkAffine(t, x, out["y"])
		}
	})
	t.Run("several inputs, chosen outputs", func(t *testing.T) {
		s := open(t, "two")
		a, b := ramp(2, 2), ramp(2, 2)
		for i := range b.Data.([]float32) {
			b.Data.([]float32)[i] = 10
		}
		out, err := s.Run(t.Context(), predict.Tensors{"a": a, "b": b}, []string{"difference"})
		if err != nil {
			t.Fatal(err)
		}
		if _, there := out["sum"]; there || len(out) != 1 {
			t.Errorf("got outputs %v, asked for difference", out)
		}
		if got := out["difference"].Data.([]float32); got[3] != a.Data.([]float32)[3]-10 {
			t.Errorf("difference = %v", got)
		}
	})
	for _, dtype := range g.Types {
		t.Run("type "+string(dtype), func(t *testing.T) { checkType(t, open(t, "same-"+string(dtype)), samples[dtype]) })
	}
	t.Run("results outlive the next run", func(t *testing.T) {
		s := affine
		first, second := ramp(1, 3), ramp(1, 3)
		second.Data.([]float32)[0] = 1000
		out, err := s.Run(t.Context(), predict.Tensors{"x": first}, []string{"y"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Run(t.Context(), predict.Tensors{"x": second}, []string{"y"}); err != nil {
			t.Fatal(err)
		}
		checkAffine(t, first, out["y"])
	})
	t.Run("inputs are only read", func(t *testing.T) {
		s := affine
		x := ramp(4, 3)
		before := slices.Clone(x.Data.([]float32))
		if _, err := s.Run(t.Context(), predict.Tensors{"x": x}, []string{"y"}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(before, x.Data.([]float32)) {
			t.Errorf("the input was changed to %v", x.Data)
		}
	})
	t.Run("results share no memory with inputs", func(t *testing.T) {
		if !slices.Contains(g.Types, tensor.Float32) {
			t.Skip("no same-float32")
		}
		s := open(t, "same-"+string(tensor.Float32))
		x := ramp(2, 2)
		want := slices.Clone(x.Data.([]float32))
		out, err := s.Run(t.Context(), predict.Tensors{"x": x}, []string{"y"})
		if err != nil {
			t.Fatal(err)
		}
		clear(x.Data.([]float32))
		if got := out["y"].Data.([]float32); !slices.Equal(got, want) {
			t.Errorf("the result changed with the input, to %v", got)
		}
	})
	t.Run("many callers at once", func(t *testing.T) {
		s := affine
		var wg sync.WaitGroup
		for caller := range 16 {
			wg.Go(func() {
				for range 50 {
					x := ramp(1+caller%5, 3)
					for i := range x.Data.([]float32) {
						x.Data.([]float32)[i] += float32(1000 * caller)
					}
					out, err := s.Run(t.Context(), predict.Tensors{"x": x}, []string{"y"})
					if err != nil {
						t.Error(err)
						return
					}
					checkAffine(t, x, out["y"])
				}
			})
		}
		wg.Wait()
	})
	t.Run("wrong calls", func(t *testing.T) { wrongCalls(t, affine) })
	t.Run("broken graph", func(t *testing.T) { brokenGraph(t, engine, g) })
	t.Run("context", func(t *testing.T) { contexts(t, engine, affine, open, g) })
	t.Run("close", func(t *testing.T) {
		s := open(t, "affine")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("closing twice: %v", err)
		}
		if _, err := s.Run(t.Context(), predict.Tensors{"x": ramp(1, 3)}, []string{"y"}); err == nil {
			t.Error("a closed session ran")
		}
	})
}

func wrongCalls(t *testing.T, s engines.Session) {
	x := ramp(2, 3)
	for _, c := range []struct {
		name    string
		inputs  predict.Tensors
		outputs []string
	}{
		{"no input", predict.Tensors{}, []string{"y"}},
		{"unknown input", predict.Tensors{"x": x, "z": x}, []string{"y"}},
		{"unknown output", predict.Tensors{"x": x}, []string{"z"}},
		{"wrong type", predict.Tensors{"x": {Shape: []int64{1, 3}, Data: []float64{1, 2, 3}}}, []string{"y"}},
		{"wrong size", predict.Tensors{"x": ramp(2, 4)}, []string{"y"}},
		{"wrong rank", predict.Tensors{"x": {Shape: []int64{3}, Data: []float32{1, 2, 3}}}, []string{"y"}},
		{"too little data", predict.Tensors{"x": {Shape: []int64{2, 3}, Data: []float32{1, 2, 3}}}, []string{"y"}},
		{"no data", predict.Tensors{"x": {Shape: []int64{1, 3}}}, []string{"y"}},
	} {
		if out, err := s.Run(t.Context(), c.inputs, c.outputs); err == nil {
			t.Errorf("%s: got %v, want an error", c.name, out)
		}
	}
	if _, err := s.Run(t.Context(), predict.Tensors{"x": x}, []string{"y"}); err != nil {
		t.Errorf("a right call after the wrong ones: %v", err)
	}
}

func brokenGraph(t *testing.T, engine predict.Engine, g Graphs) {
	whole := g.Open(t, "affine")
	if whole.Data == nil {
		brokenFolder(t, engine, whole)
		return
	}
	for _, n := range []int{0, 1, len(whole.Data) / 2, len(whole.Data) - 1} {
		cut := predict.Graph{Data: whole.Data[:n:n], Path: whole.Path}
		if cut.Data == nil {
			cut.Data = []byte{}
		}
		if s, err := engine.Open(t.Context(), cut, predict.SessionOptions{}); err == nil {
			_ = s.Close()
			t.Errorf("a graph cut to %d of %d bytes was opened", n, len(whole.Data))
		}
	}
}

// brokenFolder truncates and removes each file of a graph's folder.
func brokenFolder(t *testing.T, engine predict.Engine, whole predict.Graph) {
	err := filepath.WalkDir(whole.Path, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(whole.Path, path)
		if err != nil {
			return err
		}
		for _, n := range []int{-1, 0, 1, len(data) / 2, len(data) - 1} {
			t.Run(fmt.Sprintf("%s at %d", name, n), func(t *testing.T) {
				t.Parallel()
				cut := whole
				cut.Path = t.TempDir()
				if err := os.CopyFS(cut.Path, os.DirFS(whole.Path)); err != nil {
					t.Fatal(err)
				}
				var err error
				if n < 0 {
					err = os.Remove(filepath.Join(cut.Path, name))
				} else {
					err = os.Truncate(filepath.Join(cut.Path, name), int64(n))
				}
				if err != nil {
					t.Fatal(err)
				}
				if s, err := engine.Open(t.Context(), cut, predict.SessionOptions{}); err == nil {
					_ = s.Close()
					t.Errorf("a graph with %s cut to %d of %d bytes was opened", name, n, len(data))
				}
			})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func contexts(t *testing.T, engine predict.Engine, affine engines.Session, open func(*testing.T, string) engines.Session, g Graphs) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	x := predict.Tensors{"x": ramp(1, 3)}
	if _, err := affine.Run(ended, x, []string{"y"}); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context gave %v, want context.Canceled", err)
	}
	if _, err := engine.Open(ended, g.Open(t, "affine"), predict.SessionOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("opening with an ended context gave %v, want context.Canceled", err)
	}
	if !g.Interruptible {
		return
	}
	s := open(t, "slow")
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Run(soon, x, []string{"y"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a run past its deadline gave %v, want context.DeadlineExceeded", err)
	}
}

// samples has two rows of two values of each type, including extremes.
var samples = map[tensor.DType]any{
	tensor.Bool:     []bool{true, false, false, true},
	tensor.Int8:     []int8{-128, 127, 0, 1},
	tensor.Int16:    []int16{math.MinInt16, math.MaxInt16, 0, 1},
	tensor.Int32:    []int32{math.MinInt32, math.MaxInt32, 0, 1},
	tensor.Int64:    []int64{math.MinInt64, math.MaxInt64, 0, 1},
	tensor.Uint8:    []uint8{0, 255, 1, 2},
	tensor.Uint16:   []uint16{0, math.MaxUint16, 1, 2},
	tensor.Uint32:   []uint32{0, math.MaxUint32, 1, 2},
	tensor.Uint64:   []uint64{0, math.MaxUint64, 1, 2},
	tensor.Float16:  []tensor.Float16Bits{0x3c00, 0xc000, 0x7bff, 0x0001},
	tensor.BFloat16: []tensor.BFloat16Bits{0x3f80, 0xc000, 0x7f7f, 0x0001},
	tensor.Float32:  []float32{math.MaxFloat32, -1, float32(math.Inf(1)), math.SmallestNonzeroFloat32},
	tensor.Float64:  []float64{math.MaxFloat64, -1, math.Inf(-1), math.SmallestNonzeroFloat64},
	tensor.String:   []string{"", "plain", "ünïcödé ✓", "two\nlines"},
}

func checkType(t *testing.T, s engines.Session, data any) {
	in := tensor.Tensor{Shape: []int64{2, 2}, Data: data}
	out, err := s.Run(t.Context(), predict.Tensors{"x": in}, []string{"y"})
	if err != nil {
		t.Fatal(err)
	}
	if d, err := tensor.Difference(out["y"], in); err != nil || d != 0 {
		t.Errorf("sent %v, got %v back (%v)", in, out["y"], err)
	}
}

func checkAffine(t *testing.T, x, y tensor.Tensor) {
	t.Helper()
	if !slices.Equal(x.Shape, y.Shape) {
		t.Errorf("y has shape %v for x %v", y.Shape, x.Shape)
		return
	}
	for i, v := range x.Data.([]float32) {
		if got := y.Data.([]float32)[i]; got != 2*v+1 {
			t.Errorf("y[%d] = %v for x = %v, want %v", i, got, v, 2*v+1)
			return
		}
	}
}

func ramp(rows, columns int) tensor.Tensor {
	data := make([]float32, rows*columns)
	for i := range data {
		data[i] = float32(i)
	}
	return tensor.Tensor{Shape: []int64{int64(rows), int64(columns)}, Data: data}
}

func same(a, b tensor.Spec) bool {
	return a.Name == b.Name && a.DType == b.DType && slices.Equal(a.Shape, b.Shape)
}

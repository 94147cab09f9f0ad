package predict_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/internal/waittest"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle/bundletest"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// tampered is a real engine whose sessions of models run through a test's hands. It is how
// faults are planted.
type tampered struct {
	predict.Engine
	run func(ctx context.Context, s engines.Session, in predict.Tensors, out []string) (predict.Tensors, error)
}

type tamperedSession struct {
	engines.Session
	engine tampered
}

func (e tampered) Open(ctx context.Context, g predict.Graph, o predict.SessionOptions) (engines.Session, error) {
	s, err := e.Engine.Open(ctx, g, o)
	return tamperedSession{s, e}, err
}

func (s tamperedSession) Run(ctx context.Context, in predict.Tensors, out []string) (predict.Tensors, error) {
	return s.engine.run(ctx, s.Session, in, out)
}

// faults are what a batcher must not do to the rows of a run.
var faults = map[string]func(rows int, data []float32){
	"two rows swapped": func(rows int, data []float32) {
		per := len(data) / rows
		first, last := data[:per], data[len(data)-per:]
		for i := range first {
			first[i], last[i] = last[i], first[i]
		}
	},
	"a row dropped": func(rows int, data []float32) { // those behind it move up
		copy(data, data[len(data)/rows:])
	},
}

// faulty plants a fault in every run of several rows for which on answers true.
func faulty(fault func(int, []float32), on func() bool) predict.Engine {
	return tampered{onnx.Engine(), func(ctx context.Context, s engines.Session, in predict.Tensors, names []string) (predict.Tensors, error) {
		out, err := s.Run(ctx, in, names)
		if err != nil || out[names[0]].Rows() < 2 || !on() {
			return out, err
		}
		for _, t := range out {
			fault(t.Rows(), t.Data.([]float32))
		}
		return out, nil
	}}
}

// An output that is not what it says it is fails the calls of its run, and not the process.
func TestBrokenOutputsAreErrors(t *testing.T) {
	var broken atomic.Bool
	engine := tampered{onnx.Engine(), func(ctx context.Context, s engines.Session, in predict.Tensors, names []string) (predict.Tensors, error) {
		out, err := s.Run(ctx, in, names)
		if broken.Load() {
			for name, t := range out {
				out[name] = tensor.Tensor{Shape: t.Shape, Data: t.Data.([]float32)[1:]}
			}
		}
		return out, err
	}}
	m, err := options().Load(t.Context(), iris, engine)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	broken.Store(true)
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for range 20 {
				if _, err := m.Classify(t.Context(), []byte("[5.1,3.5,1.4,0.2]")); err == nil || !strings.Contains(err.Error(), "needs") {
					t.Errorf("got %v", err)
				}
			}
		})
	}
	group.Wait()
}

const callers = 64

// irisRows are rows that name their caller, each with its answer alone.
type irisRows struct {
	inputs    [callers][][]float32
	alone     [callers][]predict.Tensors
	tolerance float64
}

func rowsOfCallers(t *testing.T) *irisRows {
	t.Helper()
	o := options()
	o.MaxBatchRows = 1
	m, err := o.Load(t.Context(), iris, onnx.Engine())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	r := &irisRows{tolerance: m.Manifest().Tolerance.Model}
	var logits []float32 // the first of each row, to tell that a mix-up could be seen
	for caller := range callers {
		for row := range 16 {
			x := []float32{4 + float32(caller)/16, 2 + float32(row)/8, 1 + float32(caller)/10, 0.1 * float32(row)}
			out, err := m.Run(t.Context(), predict.Tensors{"input": {Shape: []int64{1, 4}, Data: x}})
			if err != nil {
				t.Fatal(err)
			}
			r.inputs[caller] = append(r.inputs[caller], x)
			r.alone[caller] = append(r.alone[caller], out)
			logits = append(logits, out["logits"].Data.([]float32)...)
		}
	}
	for i := 0; i < len(logits); i += 3 {
		for j := 0; j < i; j += 3 {
			a, b := tensor.Tensor{Data: logits[i : i+3]}, tensor.Tensor{Data: logits[j : j+3]}
			if d, err := tensor.Difference(a, b); err != nil || d < 2*r.tolerance {
				t.Fatalf("rows %d and %d have one answer: %v, %v", i/3, j/3, d, err)
			}
		}
	}
	return r
}

// check sends requests of random sizes from many callers at once, and fails unless every
// answer is its caller's and equals the answer alone.
func (r *irisRows) check(ctx context.Context, requests int, run func(context.Context, predict.Tensors) (predict.Tensors, error)) error {
	var wg sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(requests))
	wrong := make(chan error, callers)
	for caller := range callers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(caller)))
			for left.Add(-1) >= 0 {
				if err := r.one(ctx, caller, random, run); err != nil {
					wrong <- fmt.Errorf("caller %d: %w", caller, err)
					left.Store(0)
					return
				}
			}
		})
	}
	wg.Wait()
	close(wrong)
	return <-wrong
}

func (r *irisRows) one(ctx context.Context, caller int, random *rand.Rand, run func(context.Context, predict.Tensors) (predict.Tensors, error)) error {
	n := 1 + random.IntN(8)
	var picked []int
	var data []float32
	for range n {
		row := random.IntN(len(r.inputs[caller]))
		picked = append(picked, row)
		data = append(data, r.inputs[caller][row]...)
	}
	out, err := run(ctx, predict.Tensors{"input": {Shape: []int64{int64(n), 4}, Data: data}})
	if err != nil {
		return err
	}
	for i, row := range picked {
		for name, want := range r.alone[caller][row] {
			if out[name].Rows() != n {
				return fmt.Errorf("%q has %d rows for %d", name, out[name].Rows(), n)
			}
			if d, err := tensor.Difference(out[name].Slice(i, i+1), want); err != nil || d > r.tolerance {
				return fmt.Errorf("row %d of %d, %q: it differs from the answer alone by %v (%w)", i, n, name, d, err)
			}
		}
	}
	return nil
}

// Every one of 200,000 answers is its caller's, whatever ran together.
func TestEveryAnswerIsItsCallers(t *testing.T) {
	requests := 200_000
	if testing.Short() {
		requests = 20_000
	}
	rows := rowsOfCallers(t)
	for name, o := range map[string]predict.Options{
		"one instance":  {Instances: 1},
		"two instances": {Instances: 2, MaxBatchRows: 24},
		"a delay":       {MaxDelay: 100 * time.Microsecond, MaxBatchRows: 64},
	} {
		t.Run(name, func(t *testing.T) {
			n := requests
			if name != "one instance" {
				n = requests / 10
			}
			var together atomic.Int64 // runs of more rows than a request has
			engine := tampered{onnx.Engine(), func(ctx context.Context, s engines.Session, in predict.Tensors, out []string) (predict.Tensors, error) {
				if in["input"].Rows() > 8 {
					together.Add(1)
				}
				return s.Run(ctx, in, out)
			}}
			o.Threads = 1
			m, err := o.Load(t.Context(), iris, engine)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			together.Store(0)
			if err := rows.check(t.Context(), n, m.Run); err != nil {
				t.Fatal(err)
			}
			if together.Load() < int64(n)/1000 {
				t.Errorf("%d runs of several callers' rows: hardly anything was batched", together.Load())
			}
		})
	}
}

// The same check finds faults, so its silence means something.
func TestTheCheckFindsPlantedFaults(t *testing.T) {
	rows := rowsOfCallers(t)
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			var runs atomic.Int64
			var planted atomic.Bool
			m, err := options().Load(t.Context(), iris, faulty(fault, func() bool { return planted.Load() && runs.Add(1)%100 == 0 }))
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if err := rows.check(t.Context(), 2_000, m.Run); err != nil {
				t.Fatalf("before the fault is planted: %v", err)
			}
			planted.Store(true)
			if err := rows.check(t.Context(), 200_000, m.Run); err == nil {
				t.Error("nothing was found")
			}
		})
	}
	t.Run("two callers' answers swapped", func(t *testing.T) {
		m := load(t, iris)
		kept := make(chan predict.Tensors, 1)
		swapping := func(ctx context.Context, in predict.Tensors) (predict.Tensors, error) {
			out, err := m.Run(ctx, in)
			select {
			case kept <- out:
				return out, err
			case other := <-kept:
				return other, err
			}
		}
		if err := rows.check(t.Context(), 2_000, swapping); err == nil {
			t.Error("nothing was found")
		}
	})
}

// A fault in batches is refused before it answers anybody: in requests of several rows, and
// where only requests of several callers that run together are mixed up.
func TestLoadRefusesMixedUpRows(t *testing.T) {
	for name, fault := range faults {
		for where, after := range map[string]int64{"anywhere": 0, "among callers only": 10} {
			t.Run(name+" "+where, func(t *testing.T) {
				var runs atomic.Int64 // of several rows; the first ten replay 16 cases as requests of 8 rows, whole and in parts of 2
				_, err := options().Load(t.Context(), iris, faulty(fault, func() bool { return runs.Add(1) > after }))
				var parity *predict.ParityError
				if !errors.As(err, &parity) || parity.Stage != predict.StageModel {
					t.Errorf("got %v, want it refused at stage model", err)
				}
			})
		}
	}
}

// yielding lets others run before each run, as a slow engine does, on one core too.
var yielding = tampered{onnx.Engine(), func(ctx context.Context, s engines.Session, in predict.Tensors, out []string) (predict.Tensors, error) {
	runtime.Gosched()
	return s.Run(ctx, in, out)
}}

// loadGraph loads a graph of the conformance kit in a bundle of its own.
func loadGraph(t *testing.T, name string, o predict.Options, inputs, outputs []any) *predict.Model {
	t.Helper()
	graph, err := os.ReadFile(filepath.Join("../conformance/graphs", name+".onnx"))
	if err != nil {
		t.Fatal(err)
	}
	path := bundletest.Copy(t, iris)
	bundletest.Write(t, path, "model.onnx", graph)
	bundletest.Edit(t, path, func(m map[string]any) {
		m["task"], m["inputs"], m["outputs"] = "tensors", inputs, outputs
		m["golden"] = map[string]any{"cases": []any{}, "none": "a graph of the conformance kit"}
		delete(m, "labels")
	})
	m, err := o.Load(t.Context(), path, yielding)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func end(name, graphName, dtype string, columns any) any {
	return map[string]any{"name": name, "graph_name": graphName, "dtype": dtype, "shape": []any{nil, columns}}
}

// Callers whose rows have other widths, who send what makes ONNX Runtime fail, or who leave,
// disturb nobody.
func TestCallersDisturbNobody(t *testing.T) {
	m := loadGraph(t, "lookup", predict.Options{Instances: 1},
		[]any{end("index", "x", "int64", nil)}, []any{end("value", "y", "float32", nil)})
	var wg sync.WaitGroup
	var failed, left atomic.Int64
	for caller := range callers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(2, uint64(caller)))
			for range 200 {
				rows, columns := 1+random.IntN(4), 1+random.IntN(3)
				x := make([]int64, rows*columns)
				for i := range x {
					x[i] = int64(100*caller + random.IntN(100))
				}
				bad, leaving := random.IntN(10) == 0, random.IntN(10) == 0
				if bad {
					x[random.IntN(len(x))] = 1_000_000
				}
				ctx, cancel := context.WithCancel(t.Context())
				if leaving {
					go cancel()
				}
				out, err := m.Run(ctx, predict.Tensors{"index": {Shape: []int64{int64(rows), int64(columns)}, Data: x}})
				cancel()
				switch {
				case leaving && errors.Is(err, context.Canceled):
					left.Add(1)
					clear(x) // it is the caller's again
				case bad:
					failed.Add(1)
					if err == nil || errors.Is(err, context.Canceled) {
						t.Errorf("caller %d: a bad index gave %v, %v", caller, out, err)
					}
				case err != nil:
					t.Errorf("caller %d: %v", caller, err)
				default:
					want := make([]float32, len(x))
					for i := range x {
						want[i] = float32(x[i]) + 0.5
					}
					if y := out["value"]; !slices.Equal(y.Data.([]float32), want) || y.Shape[1] != int64(columns) {
						t.Errorf("caller %d: got %v, want %v", caller, y, want)
					}
				}
			}
		})
	}
	wg.Wait()
	if failed.Load() == 0 || left.Load() == 0 {
		t.Errorf("%d requests failed and %d callers left: the test tested nothing", failed.Load(), left.Load())
	}
}

func TestSeveralInputsAreGathered(t *testing.T) {
	m := loadGraph(t, "two", predict.Options{Instances: 1},
		[]any{end("left", "a", "float32", 2), end("right", "b", "float32", 2)},
		[]any{end("less", "difference", "float32", 2), end("more", "sum", "float32", 2)})
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			c := float32(caller)
			for n := range 200 {
				i := float32(n)
				out, err := m.Run(t.Context(), predict.Tensors{
					"left":  {Shape: []int64{1, 2}, Data: []float32{c, i}},
					"right": {Shape: []int64{1, 2}, Data: []float32{1000, c}},
				})
				if err != nil {
					t.Error(err)
					return
				}
				more, less := out["more"].Data.([]float32), out["less"].Data.([]float32)
				if !slices.Equal(more, []float32{c + 1000, i + c}) || !slices.Equal(less, []float32{c - 1000, i - c}) {
					t.Errorf("caller %d: %v, %v", caller, more, less)
				}
			}
		})
	}
	wg.Wait()
}

func TestCloseWhileManyCall(t *testing.T) {
	m := load(t, iris)
	rows := rowsOfCallers(t)
	var answered atomic.Int64
	result := make(chan error)
	go func() {
		result <- rows.check(t.Context(), 1_000_000_000, func(ctx context.Context, in predict.Tensors) (predict.Tensors, error) {
			out, err := m.Run(ctx, in)
			answered.Add(1)
			return out, err
		})
	}()
	waittest.Until(t, "a thousand are answered", func() bool { return answered.Load() >= 1000 })
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if err := <-result; !errors.Is(err, predict.ErrClosed) {
		t.Errorf("got %v, want ErrClosed and nothing else", err)
	}
}

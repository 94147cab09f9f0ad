package predict_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/bundle/bundletest"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/tensor"
)

const (
	shapes = "../conformance/bundles/shapes.forgo"
	iris   = "../conformance/bundles/iris.forgo"
)

func options() predict.Options { return predict.Options{Threads: 1} }

func load(t *testing.T, path string) *predict.Model {
	t.Helper()
	m, err := options().Load(t.Context(), path, onnx.Engine())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func golden(t *testing.T, m *predict.Model, path string, i int) (bundle.Case, []byte) {
	t.Helper()
	c := m.Manifest().Golden.Cases[i]
	raw, err := os.ReadFile(filepath.Join(path, c.Input))
	if err != nil {
		t.Fatal(err)
	}
	return c, raw
}

func TestLoadProvesParity(t *testing.T) {
	for _, path := range []string{shapes, iris} {
		p := load(t, path).Parity()
		if p.Mode != "full" || p.Cases != p.Of || p.Cases < 16 || p.Top1Agreement != 1 || p.LargestDifference > p.Tolerance ||
			p.LargestDifference != max(p.Differences.Model, p.Differences.Label) || p.Differences.Model == 0 || p.Differences.Decode != float64(p.DecodeDifference) {
			t.Errorf("%s: %+v", path, p)
		}
	}
	o := options()
	o.Verify = predict.VerifyQuick
	m, err := o.Load(t.Context(), iris, onnx.Engine())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if p := m.Parity(); p.Mode != "quick" || p.Cases != 4 || p.Of < 16 {
		t.Errorf("quick: %+v", p)
	}
}

func TestGoldenShapes(t *testing.T) {
	got := serving.Of(load(t, "../conformance/bundles/iris.forgo")).GoldenShapes()
	if want := map[string][]int64{"input": {1, 4}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestClassify(t *testing.T) {
	m := load(t, shapes)
	for i := range m.Manifest().Golden.Cases {
		c, raw := golden(t, m, shapes, i)
		classes, err := m.Classify(t.Context(), raw)
		if err != nil {
			t.Fatal(err)
		}
		sum := float32(0)
		for _, class := range classes {
			sum += class.Score
		}
		best := slices.IsSortedFunc(classes, func(a, b predict.Class) int { return int(b.Score*1e6) - int(a.Score*1e6) })
		if classes[0].Label != c.Label || len(classes) != 3 || !best || sum < 0.999 || sum > 1.001 {
			t.Errorf("case %s: %v, want %s first", c.ID, classes, c.Label)
		}
	}
}

func TestClassifyFromManyGoroutines(t *testing.T) {
	m := load(t, shapes)
	var wg sync.WaitGroup
	for i := range m.Manifest().Golden.Cases {
		c, raw := golden(t, m, shapes, i)
		wg.Go(func() {
			for range 20 {
				classes, err := m.Classify(t.Context(), raw)
				if err != nil || classes[0].Label != c.Label {
					t.Errorf("case %s: %v, %v", c.ID, classes, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestBadInputIsTheCallers(t *testing.T) {
	pictures, rows := load(t, shapes), load(t, iris)
	row := func(data ...float32) predict.Tensors {
		return predict.Tensors{"input": {Shape: []int64{1, int64(len(data))}, Data: data}}
	}
	for name, call := range map[string]func() error{
		"a text file":      func() error { _, err := pictures.Classify(t.Context(), []byte("hello")); return err },
		"nothing":          func() error { _, err := pictures.Classify(t.Context(), nil); return err },
		"no JSON":          func() error { _, err := rows.Classify(t.Context(), []byte("{")); return err },
		"short row":        func() error { _, err := rows.Classify(t.Context(), []byte("[1,2]")); return err },
		"strings":          func() error { _, err := rows.Classify(t.Context(), []byte(`["a","b","c","d"]`)); return err },
		"unknown field":    func() error { _, err := rows.Classify(t.Context(), []byte(`{"input":[1,2,3,4],"x":1}`)); return err },
		"tensor too short": func() error { _, err := rows.Run(t.Context(), row(1, 2)); return err },
		"no tensor":        func() error { _, err := rows.Run(t.Context(), predict.Tensors{}); return err },
		"unknown tensor": func() error {
			in := row(1, 2, 3, 4)
			in["other"] = in["input"]
			_, err := rows.Run(t.Context(), in)
			return err
		},
	} {
		if err := call(); !errors.Is(err, predict.ErrInput) {
			t.Errorf("%s: got %v, want an ErrInput", name, err)
		}
	}
}

func TestRunRows(t *testing.T) {
	m := load(t, iris)
	in := tensor.Tensor{Shape: []int64{2, 4}, Data: []float32{5.1, 3.5, 1.4, 0.2, 6.7, 3.0, 5.2, 2.3}}
	out, err := m.Run(t.Context(), predict.Tensors{"input": in})
	if err != nil {
		t.Fatal(err)
	}
	for row, want := range []string{"setosa", "virginica"} {
		a, err := m.Label(out, row)
		if err != nil || a.Classes[0].Label != want {
			t.Errorf("row %d: %v, %v; want %s", row, a, err, want)
		}
	}
}

func TestContextIsHonoured(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := options().Load(ended, iris, onnx.Engine()); !errors.Is(err, context.Canceled) {
		t.Errorf("Load: %v", err)
	}
	m := load(t, iris)
	if _, err := m.Classify(ended, []byte("[5.1,3.5,1.4,0.2]")); !errors.Is(err, context.Canceled) {
		t.Errorf("Classify: %v", err)
	}
}

// A request that finds no room is refused before anything is made of it.
func TestBusyComesBeforeDecoding(t *testing.T) {
	o := options()
	o.MaxQueueRows = 1
	m, err := o.Load(t.Context(), shapes, onnx.Engine())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	reservation, err := serving.Of(m).Reserve(1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Classify(t.Context(), []byte("no picture")); !errors.Is(err, predict.ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
	reservation.Release()
	if _, err := m.Classify(t.Context(), []byte("no picture")); !errors.Is(err, predict.ErrInput) {
		t.Errorf("got %v, want ErrInput", err)
	}
}

func TestClosedModelAnswersNothing(t *testing.T) {
	m := load(t, iris)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Classify(t.Context(), []byte("[5.1,3.5,1.4,0.2]")); err == nil {
		t.Error("a closed model answered")
	}
}

// What digests cannot find, because they were made right, the replay or the graph must.
func TestLoadRefusesWithTheStage(t *testing.T) {
	type m = map[string]any
	swap := func(t *testing.T, path, a, b string) {
		one, err1 := os.ReadFile(filepath.Join(path, a))
		two, err2 := os.ReadFile(filepath.Join(path, b))
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		bundletest.Write(t, path, a, two)
		bundletest.Write(t, path, b, one)
	}
	for name, c := range map[string]struct {
		stage  predict.Stage
		files  func(t *testing.T, path string)
		change func(m)
	}{
		"another picture": {predict.StageDecode, func(t *testing.T, p string) { swap(t, p, "golden/000.jpg", "golden/001.jpg") }, nil},
		"another answer":  {predict.StagePreprocess, func(t *testing.T, p string) { swap(t, p, "golden/000.safetensors", "golden/001.safetensors") }, nil},
		"outputs swapped": {predict.StageModel, nil, func(x m) {
			outs := x["outputs"].([]any)
			outs[0].(m)["graph_name"], outs[1].(m)["graph_name"] = "logits", "probabilities"
		}},
		"labels swapped": {predict.StageLabel, nil, func(x m) {
			l := x["labels"].([]any)
			l[0], l[1], l[2] = l[1], l[2], l[0]
		}},
	} {
		t.Run(name, func(t *testing.T) {
			path := bundletest.Copy(t, shapes)
			if c.files != nil {
				c.files(t, path)
			}
			bundletest.Edit(t, path, func(x m) {
				if c.change != nil {
					c.change(x)
				}
			})
			_, err := options().Load(t.Context(), path, onnx.Engine())
			var parity *predict.ParityError
			if !errors.As(err, &parity) || parity.Stage != c.stage || parity.Case == "" {
				t.Errorf("got %v, want stage %s", err, c.stage)
			}
		})
	}
	for name, cut := range map[string]string{"truncated graph": "model.onnx", "truncated preprocessing": "preprocess.onnx", "truncated tensors": "golden/003.safetensors"} {
		t.Run(name, func(t *testing.T) {
			path := bundletest.Copy(t, shapes)
			data, err := os.ReadFile(filepath.Join(path, cut))
			if err != nil {
				t.Fatal(err)
			}
			bundletest.Write(t, path, cut, data[:len(data)*2/3])
			bundletest.Edit(t, path, func(m) {})
			_, err = options().Load(t.Context(), path, onnx.Engine())
			var folder *bundle.Error
			if !errors.As(err, &folder) || folder.File != cut {
				t.Errorf("got %v, want %s named", err, cut)
			}
		})
	}
}

func TestLoadWithoutGoldensSaysSo(t *testing.T) {
	path := bundletest.Copy(t, iris)
	bundletest.Edit(t, path, func(x map[string]any) {
		x["golden"] = map[string]any{"cases": []any{}, "none": "made by hand"}
	})
	p := load(t, path).Parity()
	if p.Mode != "none" || !strings.Contains(p.String(), "NOT PROVEN") || !strings.Contains(p.String(), "made by hand") {
		t.Errorf("%+v: %s", p, p)
	}
}

func TestLoadNeedsTheEngine(t *testing.T) {
	if _, err := predict.Load(t.Context(), iris); err == nil || !strings.Contains(err.Error(), "onnxruntime") {
		t.Errorf("got %v, want the engine named", err)
	}
}

// A thousand loads and closes must not keep what they allocated.
func TestLoadAndCloseFreeMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	cycle := func(n int) {
		for range n {
			m, err := options().Load(t.Context(), iris, onnx.Engine())
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
		}
		runtime.GC()
	}
	cycle(50)
	before := residentKiB(t)
	cycle(200)
	if after := residentKiB(t); after > before+before/4+8<<10 {
		t.Errorf("resident memory grew from %d to %d KiB over 200 loads", before, after)
	}
}

func TestTimesOfACall(t *testing.T) {
	pictures, rows := load(t, shapes), load(t, iris)
	_, raw := golden(t, pictures, shapes, 0)
	in, took, err := serving.Of(pictures).PrepareTimed(t.Context(), raw)
	if err != nil || took.Decode <= 0 || took.Preprocess <= 0 || took.Queue != 0 || took.Infer != 0 {
		t.Errorf("a picture: %+v, %v", took, err)
	}
	reservation, err := serving.Enter(serving.Of(pictures), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, took, err = serving.Of(pictures).RunTimed(t.Context(), &reservation.Reservation, in); err != nil || took.Decode+took.Preprocess != 0 || took.BatchRows != 1 || took.Queue <= 0 || took.Infer <= 0 {
		t.Errorf("its run: %+v, %v", took, err)
	}
	if _, took, err = serving.Of(pictures).PrepareTimed(t.Context(), raw[:40]); !errors.Is(err, predict.ErrInput) || took.Decode <= 0 || took.Preprocess != 0 {
		t.Errorf("half a picture: %+v, %v", took, err)
	}
	if _, took, err = serving.Of(rows).PrepareTimed(t.Context(), []byte("[1,2,3,4]")); err != nil || took.Decode <= 0 || took.Preprocess != 0 {
		t.Errorf("a row: %+v, %v", took, err)
	}
	want := []serving.BatchStats{{Rows: 1, Runs: 1, Infer: serving.Of(pictures).Stats().Batches[0].Infer}}
	if s := serving.Of(pictures).Stats(); !slices.Equal(s.Batches, want) || len(serving.Of(rows).Stats().Batches) != 0 {
		t.Errorf("runs, but for the replay's: %+v, %+v", s, serving.Of(rows).Stats())
	}
}

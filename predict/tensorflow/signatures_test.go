package tensorflow_test

// Bundles that hold several signatures of one SavedModel: TensorFlow Serving's half_plus_two.

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/bundle/bundletest"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/predict/tensorflow"
)

const halfPlusTwo = "../../conformance/bundles/half_plus_two.forgo"

func TestSignaturesOfOneSavedModel(t *testing.T) {
	m, err := predict.Load(t.Context(), halfPlusTwo, tensorflow.Engine())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"serving_default", "classify_x2_to_y3", "classify_x_to_y", "regress_x2_to_y3", "regress_x_to_y", "regress_x_to_y2"}
	if got := m.Signatures(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if p := m.Parity(); p.Mode != "full" || p.Signatures != 5 || p.Cases != 60 || p.Of != 60 || !strings.Contains(p.String(), "60 of 60 cases of 6 signatures") {
		t.Errorf("%+v: %s", p, p)
	}
	x := predict.Tensor{Shape: []int64{3, 1}, Data: []float32{1, 2, 5}}
	for name, answer := range map[string]struct {
		input, output string
		values        []float32
	}{
		"":                  {"x", "y", []float32{2.5, 3, 4.5}},
		"serving_default":   {"x", "y", []float32{2.5, 3, 4.5}},
		"regress_x2_to_y3":  {"inputs", "outputs", []float32{3.5, 4, 5.5}},
		"classify_x2_to_y3": {"inputs", "scores", []float32{3.5, 4, 5.5}},
	} {
		s, ok := m.Signature(name)
		if !ok {
			t.Fatalf("no signature %q", name)
		}
		out, err := s.Run(t.Context(), predict.Tensors{answer.input: x})
		if err != nil || !slices.Equal(out[answer.output].Data.([]float32), answer.values) {
			t.Errorf("%q: %v, %v", name, out, err)
		}
	}
	s, _ := m.Signature("regress_x_to_y2")
	if s.Manifest().Graph.Method != bundle.Regress || s.Parity().Cases != 10 {
		t.Errorf("%+v", s.Manifest().Graph)
	}
	// What a graph cannot parse is its caller's fault, and nobody else's.
	if _, err := s.Run(t.Context(), predict.Tensors{"inputs": {Shape: []int64{1}, Data: []string{"no example"}}}); !errors.Is(err, predict.ErrInput) {
		t.Errorf("%v", err)
	}
	if _, ok := m.Signature("nowhere"); ok {
		t.Error("an unknown signature")
	}
	if stats := serving.Of(m).Stats(); stats.Instances != 6 {
		t.Errorf("%+v", stats)
	}
	// A place in the model's queue moves to that of the signature that a request turns out to name.
	reservation, err := serving.Enter(serving.Of(m), 100)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := m.Signature("regress_x2_to_y3")
	if reservation.Use("nowhere") || !reservation.Use("regress_x2_to_y3") {
		t.Error("it moves elsewhere")
	}
	if _, _, err := reservation.Run(t.Context(), predict.Tensors{"inputs": x}); err != nil {
		t.Error(err)
	}
	reservation.Release()
	if stats := serving.Of(m).Stats(); stats.QueueBytes != 0 || stats.QueueRows != 0 || stats.Running != 0 {
		t.Errorf("%+v", stats)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if _, err := other.Run(t.Context(), predict.Tensors{"inputs": x}); !errors.Is(err, predict.ErrClosed) {
		t.Errorf("closed with the model: %v", err)
	}
}

// signature is an entry of a manifest.
func signature(m map[string]any, i int) map[string]any {
	return m["signatures"].([]any)[i].(map[string]any)
}

func TestSignaturesRefused(t *testing.T) {
	swap := func(m map[string]any, i, j int, key string) {
		a, b := signature(m, i), signature(m, j)
		a[key], b[key] = b[key], a[key]
	}
	for name, c := range map[string]struct {
		change func(m map[string]any)
		says   []string
	}{
		"a signature listed twice": {func(m map[string]any) { signature(m, 1)["name"] = "regress_x_to_y" }, []string{`"regress_x_to_y" is listed twice`}},
		"the bundle's own again":   {func(m map[string]any) { signature(m, 1)["name"] = "serving_default" }, []string{`"serving_default" is listed twice`}},
		"one without cases": {func(m map[string]any) {
			signature(m, 3)["golden"] = map[string]any{"cases": []any{}, "none": "trust me"}
		}, []string{`"regress_x_to_y"`, "needs golden cases if the bundle has them"}},
		"one with no cases and no reason": {func(m map[string]any) { signature(m, 3)["golden"] = map[string]any{"cases": []any{}} }, []string{"/signatures/3/golden"}},
		"cases of another": {
			func(m map[string]any) { signature(m, 3)["golden"] = signature(m, 1)["golden"] },
			[]string{`"regress_x_to_y"`, "another signature", "signatures/1/"},
		},
		"the bundle's own cases": {func(m map[string]any) { signature(m, 2)["golden"] = m["golden"] }, []string{`"regress_x2_to_y3"`, "another signature"}},
		"one that the graph has not": {
			func(m map[string]any) { signature(m, 0)["name"] = "nowhere\x1b[2J" },
			[]string{`"nowhere\x1b[2J"`, "it has no signature", "regress_x_to_y2"},
		},
		"goldens of another":     {func(m map[string]any) { swap(m, 3, 4, "golden") }, []string{"stage model", `"outputs" differs by`, "regress_x_to_y"}},
		"names of each other":    {func(m map[string]any) { swap(m, 3, 4, "name") }, []string{"stage model", `"outputs" differs`}},
		"another output's":       {func(m map[string]any) { ofFirst(signature(m, 4), "outputs")["graph_name"] = "y3" }, []string{`signature "regress_x_to_y2"`, "stage model"}},
		"an input of that name":  {func(m map[string]any) { ofFirst(signature(m, 4), "outputs")["name"] = "inputs" }, []string{`the name "inputs" belongs to two inputs or outputs`}},
		"a type that is not its": {func(m map[string]any) { ofFirst(signature(m, 4), "inputs")["dtype"] = "float32" }, []string{`signature "regress_x_to_y2"`}},
		"an unknown method":      {func(m map[string]any) { signature(m, 4)["method"] = "train" }, []string{"/signatures/4/method"}},
		"too many": {func(m map[string]any) {
			all := m["signatures"].([]any)
			for i := range 5000 {
				one := map[string]any{}
				for k, v := range signature(m, 1) {
					one[k] = v
				}
				one["name"] = fmt.Sprint("s", i)
				all = append(all, one)
			}
			m["signatures"] = all
		}, []string{"/signatures", "64"}},
		"none by name": {func(m map[string]any) { delete(m["graph"].(map[string]any), "signature") }, []string{"whose graph names a signature"}},
	} {
		path := bundletest.Copy(t, halfPlusTwo)
		bundletest.Edit(t, path, c.change)
		m, err := predict.Load(t.Context(), path, tensorflow.Engine())
		if err == nil {
			_ = m.Close()
			t.Errorf("%s: loaded: %s", name, m.Parity())
			continue
		}
		for _, part := range c.says {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q is not in %q", name, part, err)
			}
		}
		if strings.ContainsRune(err.Error(), 0x1b) {
			t.Errorf("%s: not printable: %q", name, err)
		}
	}
}

func ofFirst(entry map[string]any, key string) map[string]any {
	return entry[key].([]any)[0].(map[string]any)
}

// Without cases nothing is said to be proven, of any signature.
func TestSignaturesUnproven(t *testing.T) {
	path := bundletest.Copy(t, halfPlusTwo)
	bundletest.Edit(t, path, func(m map[string]any) {
		none := map[string]any{"cases": []any{}, "none": "none were given"}
		m["golden"] = none
		for i := range m["signatures"].([]any) {
			signature(m, i)["golden"] = none
		}
	})
	if _, err := (predict.Options{RequireProof: true}).Load(t.Context(), path, tensorflow.Engine()); !errors.Is(err, predict.ErrUnproven) {
		t.Errorf("%v", err)
	}
	m, err := predict.Load(t.Context(), path, tensorflow.Engine())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if p := m.Parity(); p.Mode != "none" || p.Cases != 0 || !strings.Contains(p.String(), "NOT PROVEN") {
		t.Errorf("%s", p)
	}
	for _, name := range m.Signatures() {
		if s, _ := m.Signature(name); !strings.Contains(s.Parity().String(), "NOT PROVEN") {
			t.Errorf("%s: %s", name, s.Parity())
		}
	}
}

// Rows of one signature never run with those of another, however many come at once.
func TestSignaturesDoNotShareBatches(t *testing.T) {
	m, err := predict.Options{Threads: 1, Instances: 1}.Load(t.Context(), halfPlusTwo, tensorflow.Engine())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	failed := make(chan error, 64)
	for i := range cap(failed) {
		go func() {
			name, input, output, more := "", "x", "y", 2.0
			if i%2 > 0 {
				name, input, output, more = "regress_x2_to_y3", "inputs", "outputs", 3
			}
			s, _ := m.Signature(name)
			x := float32(i)
			out, err := s.Run(t.Context(), predict.Tensors{input: {Shape: []int64{1, 1}, Data: []float32{x}}})
			if err == nil {
				want := tensor.Tensor{Shape: []int64{1, 1}, Data: []float32{x/2 + float32(more)}}
				if d, e := tensor.Difference(out[output], want); e != nil || d > 1e-6 || math.IsNaN(d) {
					err = fmt.Errorf("%q of %v: %v", name, x, out)
				}
			}
			failed <- err
		}()
	}
	for range cap(failed) {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

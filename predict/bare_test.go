package predict_test

import (
	"encoding/json"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/predict/tensorflow"
)

const conformance = "../conformance"

func bareGraph(t *testing.T, name string, options ...onnx.OpenOption) *predict.Bare {
	t.Helper()
	m, err := onnx.Open(t.Context(), filepath.Join(conformance, "graphs", name+".onnx"), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// oldModel is the SavedModel that the old way of serving ran: its tag and its layers' names
// have to be known.
func oldModel(t *testing.T, p predict.Pictures) *predict.Bare {
	t.Helper()
	m, err := tensorflow.Open(t.Context(), filepath.Join(conformance, "savedmodels/forGo"),
		tensorflow.Tags("tags"), tensorflow.Input("input_1"), tensorflow.Output("inferenceLayer/Softmax"),
		tensorflow.Pictures(onnx.Engine(), p))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func readJSON(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(conformance, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

// preparedPictures is conformance/prepared.json: what TensorFlow and Pillow make of a picture.
type preparedPictures struct {
	File  string
	Cases []preparedCase
}

type preparedCase struct {
	Resize, Fit, Channels string
	ShorterSide           int      `json:"shorter_side"`
	PadColour             [3]uint8 `json:"pad_colour"`
	Scale                 float32
	Mean, Std             []float32
	Values                [][][]float32
}

func TestBarePicturesAreThoseOfTraining(t *testing.T) {
	var recorded preparedPictures
	readJSON(t, "prepared.json", &recorded)
	picture, err := os.ReadFile(filepath.Join(conformance, recorded.File))
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range append(predict.Resizes(), predict.Fits()[1:]...) {
		if !slices.ContainsFunc(recorded.Cases, func(c preparedCase) bool { return c.Resize == way || c.Fit == way }) {
			t.Errorf("no case for %s", way)
		}
	}
	for _, c := range recorded.Cases {
		t.Run(c.Resize+" "+c.Fit, func(t *testing.T) {
			m := oldModel(t, predict.Pictures{
				Resize: c.Resize, Fit: c.Fit, ShorterSide: c.ShorterSide, PadColour: c.PadColour, Channels: c.Channels, Scale: c.Scale, Mean: c.Mean, Std: c.Std,
			})
			set, taken := m.Pictures()
			if !taken || set.Height != 8 || set.Width != 8 {
				t.Errorf("pictures are %v, not of the input's size", set)
			}
			in, err := m.Prepare(t.Context(), picture)
			if err != nil {
				t.Fatal(err)
			}
			got := in["input_1"]
			if !slices.Equal(got.Shape, []int64{1, 8, 8, 3}) {
				t.Fatalf("prepared %v", got.Shape)
			}
			i, worst := 0, 0.0
			for _, row := range c.Values {
				for _, pixel := range row {
					for channel, want := range pixel {
						// in steps of 255, whatever the scale
						step := float64(set.Scale / set.Std[channel])
						worst = max(worst, math.Abs(float64(got.Data.([]float32)[i]-want))/step)
						i++
					}
				}
			}
			if worst > 0.001 {
				t.Errorf("prepared values are off by %.3g of 255", worst)
			}
		})
	}
}

func TestBareClassifiesAsTensorFlowDid(t *testing.T) {
	var recorded map[string]struct{ Outputs map[string][][]float32 }
	readJSON(t, "savedmodels.json", &recorded)
	var prepared preparedPictures
	readJSON(t, "prepared.json", &prepared)
	picture, err := os.ReadFile(filepath.Join(conformance, prepared.File))
	if err != nil {
		t.Fatal(err)
	}
	m := oldModel(t, predict.Pictures{})
	m.Labels = []string{"female", "male"}
	classes, err := m.Classify(t.Context(), picture)
	if err != nil {
		t.Fatal(err)
	}
	want := recorded["forGo"].Outputs["inferenceLayer/Softmax"][1] // of this picture
	for i, label := range m.Labels {
		at := slices.IndexFunc(classes, func(c predict.Class) bool { return c.Label == label })
		if d := math.Abs(float64(classes[at].Score - want[i])); d > 1e-4 {
			t.Errorf("%s has %v, TensorFlow in Python said %v", label, classes[at].Score, want[i])
		}
	}
	if classes[0].Score < classes[1].Score {
		t.Errorf("the best class is not the first: %v", classes)
	}
	answer, err := m.Answer(t.Context(), picture)
	if err != nil || !slices.Equal(answer.Classes, classes) {
		t.Errorf("Answer gave %v, %v", answer, err)
	}
}

func TestBareChannelsFirst(t *testing.T) {
	picture, err := os.ReadFile(filepath.Join(conformance, "pictures/rgb.png"))
	if err != nil {
		t.Fatal(err)
	}
	m := bareGraph(t, "planes", onnx.Pictures(predict.Pictures{Channels: "BGR", Mean: []float32{0, 10, 20}}))
	in, err := m.Prepare(t.Context(), picture)
	if err != nil || !slices.Equal(in["x"].Shape, []int64{1, 3, 8, 6}) {
		t.Fatalf("prepared %v, %v", in["x"].Shape, err)
	}
	last := bareGraph(t, "pictures", onnx.Pictures(predict.Pictures{Height: 8, Width: 6}))
	rgb, err := last.Prepare(t.Context(), picture)
	if err != nil {
		t.Fatal(err)
	}
	planes, pixels := in["x"].Data.([]float32), rgb["x"].Data.([]float32)
	for i, v := range planes {
		channel, pixel := i/48, i%48
		if want := pixels[3*pixel+2-channel] - float32(10*channel); v != want {
			t.Fatalf("channel %d of pixel %d is %v, want %v", channel, pixel, v, want)
		}
	}
}

func TestBareRows(t *testing.T) {
	m := bareGraph(t, "two")
	answer, err := m.Answer(t.Context(), []byte(`{"a": [1, 2], "b": [10, 20]}`))
	if err != nil || answer.Classes != nil {
		t.Fatalf("got %v, %v", answer, err)
	}
	if sum := answer.Outputs["sum"]; !slices.Equal(sum.Data.([]float32), []float32{11, 22}) || !slices.Equal(sum.Shape, []int64{2}) {
		t.Errorf("sum = %v", sum)
	}
	one := bareGraph(t, "two", onnx.Output("difference"))
	one.Labels = []string{"left", "right"}
	classes, err := one.Classify(t.Context(), []byte(`{"a": [1, 2], "b": [10, 2]}`))
	if err != nil || classes[0] != (predict.Class{Label: "right"}) || classes[1] != (predict.Class{Label: "left", Score: -9}) {
		t.Errorf("classes = %v, %v", classes, err)
	}
}

func TestBareRefusals(t *testing.T) {
	pictures := func(name string, p predict.Pictures) error {
		_, err := onnx.Open(t.Context(), filepath.Join(conformance, "graphs", name+".onnx"), onnx.Pictures(p))
		if !errors.Is(err, predict.ErrPictures) {
			t.Errorf("%s: %v is no ErrPictures", name, err)
		}
		return err
	}
	opened := func(_ *predict.Bare, err error) error { return err }
	classify := func(m *predict.Bare, raw string) error {
		_, err := m.Classify(t.Context(), []byte(raw))
		return err
	}
	labelled := bareGraph(t, "affine")
	labelled.Labels = []string{"a", "b"}
	taken := bareGraph(t, "planes", onnx.Pictures(predict.Pictures{}))
	_, extra := bareGraph(t, "affine").Run(t.Context(), predict.Tensors{"x": {Shape: []int64{1, 2}, Data: []float32{1, 2}}})
	if !errors.Is(extra, predict.ErrInput) {
		t.Errorf("a wrong shape gave %v, not ErrInput", extra)
	}
	graph := filepath.Join(conformance, "graphs/two.onnx")
	for name, c := range map[string]struct {
		err  error
		says []string
	}{
		"unknown output":     {opened(onnx.Open(t.Context(), graph, onnx.Output("product"))), []string{"two.onnx", `"product"`, "sum, difference"}},
		"unknown input":      {opened(onnx.Open(t.Context(), graph, onnx.Input("a", "c"))), []string{"two.onnx", `"c"`, "a, b"}},
		"an input left out":  {opened(onnx.Open(t.Context(), graph, onnx.Input("a"))), []string{"two.onnx", "a, b"}},
		"tags for ONNX":      {opened(predict.Open(t.Context(), onnx.Engine(), predict.Opening{Graph: predict.Graph{Path: graph, Tags: []string{"serve"}}})), []string{"two.onnx", "tags"}},
		"no file":            {opened(onnx.Open(t.Context(), "nowhere.onnx")), []string{"nowhere.onnx"}},
		"several outputs":    {classify(bareGraph(t, "two"), `{"a": [1, 2], "b": [1, 2]}`), []string{"one output", "sum", "difference"}},
		"too few labels":     {classify(labelled, "[1, 2, 3]"), []string{"2 labels", "3 scores", `"y"`}},
		"no picture":         {classify(taken, "[1, 2, 3]"), []string{"picture refused"}},
		"no pictures":        {pictures("affine", predict.Pictures{}), []string{`"x"`, "float32[-1 3]", "pictures"}},
		"several inputs":     {pictures("two", predict.Pictures{}), []string{"2 inputs", "a, b"}},
		"another size":       {pictures("planes", predict.Pictures{Height: 9}), []string{"height 8", "not 9"}},
		"no size":            {pictures("pictures", predict.Pictures{}), []string{"height free"}},
		"no width":           {pictures("pictures", predict.Pictures{Height: 4}), []string{"width free"}},
		"too large":          {pictures("pictures", predict.Pictures{Height: 1 << 30, Width: 1 << 30}), []string{"more than the limit of"}},
		"unknown way":        {pictures("planes", predict.Pictures{Resize: "../bicubic"}), []string{`"../bicubic"`, "bilinear-tf1"}},
		"unknown channels":   {pictures("planes", predict.Pictures{Channels: "GBR"}), []string{"GBR"}},
		"two means":          {pictures("planes", predict.Pictures{Mean: []float32{1, 2}}), []string{"mean has 2 values"}},
		"division by 0":      {pictures("planes", predict.Pictures{Std: []float32{1, 0, 1}}), []string{"std is 0"}},
		"no engine for them": {opened(predict.Open(t.Context(), onnx.Engine(), predict.Opening{Graph: predict.Graph{Path: graph}, Pictures: &predict.Pictures{}})), []string{"onnx.Engine()"}},
	} {
		if c.err == nil || slices.ContainsFunc(c.says, func(part string) bool { return !strings.Contains(c.err.Error(), part) }) {
			t.Errorf("%s: got %v, want %q", name, c.err, c.says)
		}
	}
}

func TestBareRunChoosesOutputs(t *testing.T) {
	m := bareGraph(t, "two")
	x := tensor.Tensor{Shape: []int64{1, 2}, Data: []float32{3, 4}}
	for _, c := range []struct{ asked, got []string }{
		{nil, []string{"difference", "sum"}},
		{[]string{"sum"}, []string{"sum"}},
		{[]string{"sum", "difference"}, []string{"difference", "sum"}},
	} {
		out, err := m.Run(t.Context(), predict.Tensors{"a": x, "b": x}, c.asked...)
		if got := slices.Sorted(maps.Keys(out)); err != nil || !slices.Equal(got, c.got) {
			t.Errorf("asked for %v, got %v, %v", c.asked, got, err)
		}
	}
}

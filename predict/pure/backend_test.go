package pure

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// python runs one of conformance's programs.
func python(t *testing.T, args ...string) {
	t.Helper()
	env := os.Getenv("VIRTUAL_ENV")
	if env == "" {
		t.Skip("needs VIRTUAL_ENV, an environment with onnx and onnxruntime")
	}
	if out, err := exec.CommandContext(t.Context(), filepath.Join(env, "bin", "python"), args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// tensors reads the files of one kind in a case's folder.
func tensors(t *testing.T, folder, kind string) map[string]tensor.Tensor {
	t.Helper()
	found := map[string]tensor.Tensor{}
	for i := 0; ; i++ {
		data, err := os.ReadFile(filepath.Join(folder, fmt.Sprintf("%s_%d.pb", kind, i)))
		if errors.Is(err, os.ErrNotExist) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		name, value, err := decodeTensor(data)
		if err != nil {
			t.Skip(err) // of an element type that forgo does not have
		}
		found[name] = value
	}
}

// differ compares an answer to what was expected.
func differ(got, want tensor.Tensor, relative, absolute float64) error {
	if got.DType() != want.DType() || fmt.Sprint(got.Shape) != fmt.Sprint(want.Shape) {
		return fmt.Errorf("got %s%v, want %s%v", got.DType(), got.Shape, want.DType(), want.Shape)
	}
	far := func(x, y float64) bool {
		if math.IsNaN(x) || math.IsNaN(y) || math.IsInf(x, 0) || math.IsInf(y, 0) {
			return !(x == y || math.IsNaN(x) && math.IsNaN(y))
		}
		return math.Abs(x-y) > absolute+relative*math.Abs(y)
	}
	switch g := got.Data.(type) {
	case []float32:
		for i, w := range want.Data.([]float32) {
			if far(float64(g[i]), float64(w)) {
				return fmt.Errorf("element %d is %v, want %v", i, g[i], w)
			}
		}
	case []float64:
		for i, w := range want.Data.([]float64) {
			if far(g[i], w) {
				return fmt.Errorf("element %d is %v, want %v", i, g[i], w)
			}
		}
	default:
		if g, w := fmt.Sprint(got.Data), fmt.Sprint(want.Data); g != w {
			return fmt.Errorf("got %.300s, want %.300s", g, w)
		}
	}
	return nil
}

// answer runs a case.
func answer(t *testing.T, folder string) (predict.Tensors, error) {
	t.Helper()
	s, err := Engine().Open(t.Context(), predict.Graph{Path: filepath.Join(folder, "model.onnx")}, predict.SessionOptions{})
	if err != nil {
		return nil, err
	}
	var outputs []string
	for _, o := range s.Outputs() {
		outputs = append(outputs, o.Name)
	}
	return s.Run(t.Context(), tensors(t, folder, "input"), outputs)
}

// refusedTypes are why a backend test of an operator that is here may be refused: the element
// types that forgo does not have, and what only training does.
var refusedTypes = []string{
	"has an element type that is not supported",             // 8-bit floats, 2- and 4-bit integers
	"elements of type float16 are not supported",            // in Python they are made float32
	"elements of type bfloat16 are not supported",           //
	"its training mode is not supported",                    //
	"BatchNormalization: it has 3 outputs",                  // of training
	"MaxPool: it has 2 outputs",                             // which maximum it was
	"its weights are not constant",                          // and no kernel_shape either
	"LabelEncoder: the type of its values is not supported", // int16
	"Resize: its antialias is not supported",                // which no exporter that forgo has writes
	"Resize: its keep_aspect_ratio_policy",                  //
	"Resize: its coordinate_transformation_mode \"tf_crop",  //
}

// The operators answer as the onnx package's own backend tests say.
func TestBackend(t *testing.T) {
	folder := t.TempDir()
	python(t, append([]string{"../../conformance/backend.py", folder}, Operators()...)...)
	cases, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	passed := 0
	for _, c := range cases {
		t.Run(c.Name(), func(t *testing.T) {
			switch c.Name() {
			case "test_resize_downsample_scales_cubic_align_corners", "test_resize_downsample_scales_linear_align_corners":
				t.Skip("ONNX Runtime aligns the last element that there is, and so does this engine; the reference does not")
			}
			got, err := answer(t, filepath.Join(folder, c.Name()))
			if err != nil {
				for _, why := range refusedTypes {
					if strings.Contains(err.Error(), why) {
						return
					}
				}
				t.Fatal(err)
			}
			for name, want := range tensors(t, filepath.Join(folder, c.Name()), "output") {
				relative := 1e-5
				if strings.HasPrefix(c.Name(), "test_averagepool_2d_ceil_last_window") {
					relative = 1e-3 // its expected numbers have four digits
				}
				if err := differ(got[name], want, relative, 1e-6); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			passed++
		})
	}
	if passed < 600 {
		t.Errorf("only %d of %d cases were answered", passed, len(cases))
	}
}

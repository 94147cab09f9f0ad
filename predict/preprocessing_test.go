package predict

import (
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/internal/admission"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/internal/batching"
	"github.com/forgo-ml/forgo/predict/preprocess"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// A large picture reserves far less than a float copy of it if the kernel prepares it, and more than one if an engine runs
// an unknown graph. The sum never overflows.
func TestPreprocessingIsReservedByTheHeader(t *testing.T) {
	const large, whole = 9459, 9459 * 9459 * 3
	for _, resize := range Resizes() {
		kernel, err := preprocess.New(preprocess.Rules{Height: 224, Width: 224, Channels: 3, Resize: resize, Fit: "shorter-side", ShorterSide: 256})
		if err != nil {
			t.Fatal(err)
		}
		p := preprocessing{kernel: kernel, height: 224, width: 224}
		n := p.memory(large, large)
		if n <= 224*224*3*4 || n > whole/8 {
			t.Errorf("%s reserves %d bytes for a picture of %d", resize, n, whole)
		}
		// One pixel wide: what the filter makes of it may be larger than the picture.
		const line = 89_478_485
		if tall := p.memory(1, line); tall > 300*line || tall != p.memory(line, 1) {
			t.Errorf("%s reserves %d bytes for a line of pixels", resize, tall)
		}
	}
	p := preprocessing{height: 224, width: 224}
	if n := p.memory(large, large); n < 40*large*large {
		t.Errorf("an unknown graph reserves %d bytes, less than the floats that it may make", n)
	}
	if n := p.memory(1, 89_478_485); n > math.MaxInt64/1000 {
		t.Errorf("an unknown graph reserves %d bytes for a line of pixels", n)
	}
}

// A bundle that says rules which its graph does not follow gets no kernel, and so nothing is reserved by these rules.
func TestRulesDoNotCountWithoutTheirGraph(t *testing.T) {
	graph, err := preprocessors.ReadFile("preprocess/nearest.onnx") // forgo's own, but no bundle's
	if err != nil {
		t.Fatal(err)
	}
	input := tensor.Spec{DType: tensor.Float32, Shape: []int64{-1, 224, 224, 3}}
	for _, rules := range []*bundle.Rules{nil, {Resize: "nearest", Fit: "stretch"}} {
		if kernelFor(&bundle.Picture{Rules: rules}, input, graph) != nil {
			t.Errorf("rules %v get a kernel for another graph", rules)
		}
	}
	if !strings.HasPrefix(string(graph), "\b") {
		t.Error("the graph is no graph")
	}
}

// The memory that comes on top while a picture is decoded is taken from the budget without waiting, and given back.
func TestPictureWithCodesOfItsOwnTakesMoreOfTheBudget(t *testing.T) {
	picture, err := os.ReadFile("../conformance/pictures/codes-of-their-own.webp")
	if err != nil {
		t.Fatal(err)
	}
	kernel, err := preprocess.New(preprocess.Rules{Height: 8, Width: 8, Channels: 3, Resize: "nearest", Fit: "stretch"})
	if err != nil {
		t.Fatal(err)
	}
	m := &Model{
		manifest:      bundle.Manifest{Picture: &bundle.Picture{Input: "pixels"}},
		preprocessing: preprocessing{kernel: kernel, height: 8, width: 8},
		batcher:       &batching.Batcher{},
	}
	take := func(budget *admission.Budget) error {
		m.batcher.Budget = budget
		_, _, err := m.preparePicture(t.Context(), picture)
		if n := budget.Used(); n != 0 {
			t.Errorf("%d bytes are still taken", n)
		}
		return err
	}
	ample := admission.NewBudget(64 << 20)
	if err := take(ample); err != nil {
		t.Fatal(err)
	}
	whole := ample.Peak()
	if err := take(admission.NewBudget(whole * 8 / 7)); err != nil { // an eighth is kept for small requests
		t.Errorf("%d bytes are taken, and not enough: %v", whole, err)
	}
	if err := take(admission.NewBudget((whole - 1<<19) * 8 / 7)); !errors.Is(err, ErrInput) {
		t.Errorf("%v, want it refused as too large", err)
	}
}

package preprocess_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/internal/racetest"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/pixels"
	"github.com/forgo-ml/forgo/predict/preprocess"
)

var fits = []string{"stretch", "crop", "shorter-side", "pad"}

// writer gives the graphs that Python writes for rules.
func writer(t *testing.T) func(preprocess.Rules) []byte {
	t.Helper()
	python := filepath.Join(os.Getenv("VIRTUAL_ENV"), "bin", "python")
	if _, err := os.Stat(python); err != nil || os.Getenv("VIRTUAL_ENV") == "" {
		t.Skip("no Python environment: VIRTUAL_ENV is not set")
	}
	cmd := exec.CommandContext(t.Context(), python, "-m", "conformance.graphs")
	cmd.Dir, cmd.Stderr = "../..", os.Stderr
	ask, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	answer, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ask.Close()
		cmd.Wait()
	})
	return func(r preprocess.Rules) []byte {
		fmt.Fprintln(ask, r.Height, r.Width, r.Channels, r.Resize, r.Fit, r.ShorterSide, r.PadColour[0], r.PadColour[1], r.PadColour[2])
		var length [4]byte
		if _, err := io.ReadFull(answer, length[:]); err != nil {
			t.Fatal(err)
		}
		graph := make([]byte, binary.BigEndian.Uint32(length[:]))
		if _, err := io.ReadFull(answer, graph); err != nil {
			t.Fatal(err)
		}
		return graph
	}
}

// rules are those of a size, by each way to resize, fit and number of channels.
func rules(height, width int) (all []preprocess.Rules) {
	for _, resize := range predict.Resizes() {
		for _, fit := range fits {
			for _, channels := range []int{3, 1} {
				r := preprocess.Rules{Height: height, Width: width, Channels: channels, Resize: resize, Fit: fit}
				if fit == "shorter-side" {
					r.ShorterSide = max(height, width) + 5
				}
				if fit == "pad" {
					r.PadColour = [3]uint8{255, 1, 7}
				}
				all = append(all, r)
			}
		}
	}
	return all
}

// corpus is every picture of the corpus that is decoded, and noise of odd sizes.
func corpus(t *testing.T) (pictures []pixels.RGB) {
	t.Helper()
	files, _ := filepath.Glob("../../conformance/pictures/*")
	seen := map[string]bool{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		img, err := pixels.Decode(t.Context(), data, pixels.Options{Alpha: pixels.AlphaDropped, MaxPixels: 1 << 20})
		if err == nil && !seen[string(img.Pix)] {
			seen[string(img.Pix)] = true
			pictures = append(pictures, img)
		}
	}
	if len(pictures) < 100 {
		t.Fatalf("%d pictures are no corpus", len(pictures))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range [][2]int{{1, 1}, {9, 9}, {5, 7}, {300, 2}, {1, 90}, {33, 500}, {427, 640}, {212, 90}} {
		img := pixels.RGB{Height: size[0], Width: size[1], Pix: make([]byte, 3*size[0]*size[1])}
		for i := range img.Pix {
			img.Pix[i] = byte(random.Uint32())
		}
		pictures = append(pictures, img)
	}
	return pictures
}

// The kernel gives what ONNX Runtime makes of the graph that Python writes: to the last bit, but for filters that are summed up
// in single precision, where the order of the sums may differ by what the replay allows.
func TestKernelIsTheGraph(t *testing.T) {
	write := writer(t)
	pictures := corpus(t)
	worst := map[string]float64{}
	for _, size := range [][2]int{{48, 64}, {1, 1}, {31, 7}}[:racetest.Some(3, 1)] {
		for _, r := range rules(size[0], size[1]) {
			graph := write(r)
			if !r.Is(graph) {
				t.Fatalf("%+v: its graph is not recognized", r)
			}
			kernel, err := preprocess.New(r)
			if err != nil {
				t.Fatal(err)
			}
			session, err := onnx.Engine().Open(t.Context(), predict.Graph{Data: graph, Path: r.Resize}, predict.SessionOptions{Threads: 1})
			if err != nil {
				t.Fatal(err)
			}
			some := pictures
			if testing.Short() || size[0] != 48 {
				some = pictures[len(pictures)-20:]
			}
			some = some[len(some)-racetest.Some(len(some), 12):]
			for _, img := range some {
				out, err := session.Run(t.Context(), predict.Tensors{"image": {Shape: []int64{int64(img.Height), int64(img.Width), 3}, Data: img.Pix}}, []string{"pixels"})
				if err != nil {
					t.Fatal(err)
				}
				want := out["pixels"].Data.([]float32)
				got, err := kernel.Run(t.Context(), img.Pix, img.Width, img.Height)
				if err != nil || len(got) != len(want) {
					t.Fatalf("%+v of %d x %d: %d values for %d, %v", r, img.Width, img.Height, len(got), len(want), err)
				}
				for i := range got {
					off := math.Abs(float64(got[i]) - float64(want[i]))
					if worst[r.Resize] = max(worst[r.Resize], off); !(off <= allowed(r.Resize)) {
						t.Fatalf("%+v of %d x %d: value %d is %v, the graph gives %v", r, img.Width, img.Height, i, got[i], want[i])
					}
				}
			}
			session.Close()
		}
	}
	t.Logf("largest differences: %v", worst)
}

// allowed is how far the kernel may be from the graph, in steps of 255.
func allowed(resize string) float64 {
	if strings.HasSuffix(resize, "-pillow") || strings.HasPrefix(resize, "nearest") || resize == "bilinear" || resize == "bilinear-tf1" {
		return 0
	}
	return 1e-9
}

// A graph that differs anywhere from what its rules give is not taken for it: another rule, size or colour, a constant, a
// node, an output that is another tensor.
func TestOnlyTheGraphOfTheRulesIsRecognized(t *testing.T) {
	write := writer(t)
	r := preprocess.Rules{Height: 24, Width: 32, Channels: 3, Resize: "bicubic-pillow", Fit: "pad", PadColour: [3]uint8{255, 1, 7}}
	graph := write(r)
	for _, other := range rules(24, 32) {
		if other != r && other.Is(graph) {
			t.Errorf("the graph of %+v passes for %+v", r, other)
		}
	}
	for name, change := range map[string]func(*preprocess.Rules){
		"height": func(r *preprocess.Rules) { r.Height++ }, "width": func(r *preprocess.Rules) { r.Width++ },
		"colour": func(r *preprocess.Rules) { r.PadColour[2]++ }, "resize": func(r *preprocess.Rules) { r.Resize = "cubic" },
	} {
		if other := r; true {
			change(&other)
			if other.Is(graph) {
				t.Errorf("the graph passes for rules with another %s", name)
			}
		}
	}
	cut := preprocess.Rules{Height: 24, Width: 24, Channels: 1, Resize: "nearest", Fit: "shorter-side", ShorterSide: 30}
	if whole := write(cut); cut.Is(whole) {
		cut.ShorterSide++
		if cut.Is(whole) {
			t.Error("the graph passes for rules with another shorter side")
		}
	} else {
		t.Error("a graph with a shorter side is not recognized")
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range racetest.Some(20_000, 500) {
		changed := slices.Clone(graph)
		at := random.IntN(len(changed))
		switch random.IntN(3) {
		case 0:
			changed[at] ^= byte(1 + random.IntN(255))
		case 1:
			changed = slices.Delete(changed, at, at+1)
		default:
			changed = slices.Insert(changed, at, byte(random.Uint32()))
		}
		if !bytes.Equal(changed, graph) && r.Is(changed) {
			t.Fatalf("a change at byte %d of %d is not noticed", at, len(graph))
		}
	}
}

// What Run allocates is within what Memory says, for pictures of any shape.
func TestMemoryIsAllThatRunTakes(t *testing.T) {
	for _, r := range rules(48, 64) {
		kernel, err := preprocess.New(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range [][2]int{{1, 1}, {640, 427}, {3, 100_000}, {100_000, 3}, {2000, 1500}}[:racetest.Some(5, 2)] {
			pix := make([]byte, 3*size[0]*size[1])
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, err := kernel.Run(t.Context(), pix, size[0], size[1]); err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			const classes = 9 // an eighth is lost to the allocator's size classes
			took := int64(after.TotalAlloc - before.TotalAlloc)
			if may := kernel.Memory(size[0], size[1])*classes/8 + 16<<10; took > may {
				t.Errorf("%+v of %v takes %d bytes, and reserves %d", r, size, took, may)
			}
		}
	}
}

func TestRunEndsWithItsCaller(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	for _, r := range rules(48, 64) {
		kernel, err := preprocess.New(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kernel.Run(gone, make([]byte, 3*100*100), 100, 100); !errors.Is(err, context.Canceled) {
			t.Errorf("%+v: it goes on without its caller: %v", r, err)
		}
	}
}

// An axis that becomes longer than could be counted is refused, before anything is counted.
func TestLongAxesAreRefused(t *testing.T) {
	kernel, err := preprocess.New(preprocess.Rules{Height: 224, Width: 224, Channels: 3, Resize: "nearest", Fit: "shorter-side", ShorterSide: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kernel.Run(t.Context(), make([]byte, 3*2000), 2000, 1); err == nil || !strings.Contains(err.Error(), "131072000 x 65536") {
		t.Errorf("a long axis: %v", err)
	}
}

func BenchmarkKernel(b *testing.B) {
	pix := make([]byte, 3*640*427)
	for i := range pix {
		pix[i] = byte(i * 7)
	}
	for _, resize := range predict.Resizes() {
		b.Run(resize, func(b *testing.B) {
			kernel, err := preprocess.New(preprocess.Rules{Height: 224, Width: 224, Channels: 3, Resize: resize, Fit: "stretch"})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := kernel.Run(b.Context(), pix, 640, 427); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

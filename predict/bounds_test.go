package predict_test

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle/bundletest"
	"github.com/forgo-ml/forgo/predict/onnx"
)

// bounded loads an ONNX graph of conformance in a bundle of its own.
func bounded(t *testing.T, graph string, o predict.Options, inputs, outputs any) *predict.Model {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../conformance", graph+".onnx"))
	if err != nil {
		t.Fatal(err)
	}
	path := bundletest.Copy(t, iris)
	bundletest.Write(t, path, "model.onnx", data)
	bundletest.Edit(t, path, func(m map[string]any) {
		m["task"], m["inputs"], m["outputs"] = "tensors", []any{inputs}, []any{outputs}
		m["golden"] = map[string]any{"cases": []any{}, "none": "a graph of another"}
		delete(m, "labels")
	})
	m, err := o.Load(t.Context(), path, onnx.Engine())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func column(rows int64) predict.Tensors {
	return predict.Tensors{"x": {Shape: []int64{rows, 1}, Data: make([]float32, rows)}}
}

// 64 KB make an answer of 1 GB: it is refused, before it is made where the graph says how large it
// gets.
func TestAnswersAreBounded(t *testing.T) {
	const limit = 16 << 20 // 2,048 rows
	for graph, made := range map[string]bool{"hostile/outer": false, "hostile/outer-unsaid": true} {
		m := bounded(t, graph, predict.Options{MaxOutputBytes: limit}, end("x", "x", "float32", 1), end("y", "y", "float32", nil))
		rows := int64(16384)
		if made {
			rows = 4096 // which are 64 MB: they are made
		}
		before := residentKiB(t)
		_, err := m.Run(t.Context(), column(rows))
		if !errors.Is(err, predict.ErrInput) || !strings.Contains(err.Error(), "send fewer rows") {
			t.Errorf("%s: got %v", graph, err)
		}
		if grown := residentKiB(t) - before; !made && grown > 64<<10 {
			t.Errorf("%s: it took %d MiB to refuse it", graph, grown>>10)
		}
		out, err := m.Run(t.Context(), column(2000))
		if err != nil || !slices.Equal(out["y"].Shape, []int64{2000, 2000}) {
			t.Errorf("%s: an answer that is small enough: %v, %v", graph, out["y"].Shape, err)
		}
	}
}

// A run is given up when its time is over, though its caller would wait, and the model goes on.
func TestRunsAreBounded(t *testing.T) {
	m := bounded(t, "graphs/slow", predict.Options{RunTimeout: 200 * time.Millisecond}, end("x", "x", "float32", 3), end("y", "y", "float32", 3))
	x := predict.Tensors{"x": {Shape: []int64{1, 3}, Data: []float32{1, 2, 3}}}
	for range 2 {
		start := time.Now()
		_, err := m.Run(t.Context(), x)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "longer than 200ms") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
	}
}

// Recorded pixels are as many as the picture has: a file that says otherwise is refused before it is
// decoded.
func TestRecordedPixelsAreNotABomb(t *testing.T) {
	header := []byte("IHDR\x00\x00\x75\x30\x00\x00\x75\x30\x08\x02\x00\x00\x00") // 30,000 x 30,000
	bomb := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d")
	bomb = binary.BigEndian.AppendUint32(append(bomb, header...), crc32.ChecksumIEEE(header))
	path := bundletest.Copy(t, shapes)
	m := load(t, shapes)
	bundletest.Write(t, path, m.Manifest().Golden.Cases[0].Pixels, bomb)
	bundletest.Edit(t, path, func(map[string]any) {})
	_, err := options().Load(t.Context(), path, onnx.Engine())
	if err == nil || !strings.Contains(err.Error(), "training saw 30000 x 30000") {
		t.Errorf("got %v", err)
	}
}

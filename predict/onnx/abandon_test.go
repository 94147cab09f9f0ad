package onnx_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/internal/waittest"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/onnx"
)

// window is a graph of one operation, whose time grows with the square of its input's sides and of the window's.
func window(side int) predict.Graph {
	plane := func(name string) []byte {
		free := message(2, "")
		return message(1, name, 2, message(1, message(1, 1, 2, message(1, message(1, 1), 1, message(1, 1), 1, free, 1, free))))
	}
	kernel := message(1, "kernel_shape", 8, side, 8, side, 20, 7)
	graph := message(1, message(1, "x", 2, "y", 4, "MaxPool", 5, kernel), 2, "window", 11, plane("x"), 12, plane("y"))
	return predict.Graph{Data: message(1, 8, 7, graph, 8, message(1, "", 2, 12))}
}

// runWindow runs the graph on a plane of side × side zeros.
func runWindow(ctx context.Context, s engines.Session, side int64) (time.Duration, error) {
	x := predict.Tensors{"x": {Shape: []int64{1, 1, side, side}, Data: make([]float32, side*side)}}
	start := time.Now()
	_, err := s.Run(ctx, x, []string{"y"})
	return time.Since(start), err
}

// Nothing can interrupt one operation: its caller does not wait for it, and few of them are left behind. The
// operations here take hours, and end with a process of their own.
func TestRunsThatDoNotEndAreLeftBehind(t *testing.T) {
	const own = "FORGO_TEST_LEFT_BEHIND"
	if os.Getenv(own) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), own+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	s, err := onnx.Engine().Open(t.Context(), window(1024), predict.SessionOptions{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	refused := false
	for i := 0; i < 8 && !refused; i++ {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := runWindow(ctx, s, 2048)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		refused = err != nil && strings.Contains(err.Error(), "have not ended")
	}
	if !refused {
		t.Error("any number of runs is left behind")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		os.Exit(1)
	}
	os.Exit(0)
}

// What is left behind is freed once it ends.
func TestALateRunIsFreed(t *testing.T) {
	before := runtime.NumGoroutine()
	s, err := onnx.Engine().Open(t.Context(), window(64), predict.SessionOptions{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	side := int64(1 << 10)
	waittest.Until(t, "a run is left behind", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := runWindow(ctx, s, side)
		side += side / 4
		left := s.(interface{ Left() int }).Left() > 0
		if !left && err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		return left
	})
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for end := time.Now().Add(5 * time.Minute); runtime.NumGoroutine() > before; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("what was left behind goes on after its operation has ended")
		}
	}
}

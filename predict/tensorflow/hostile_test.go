package tensorflow_test

// Models that do more than answer: see conformance/hostile.py.

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/internal/fifotest"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/tensorflow"
)

const hostile = "../../conformance/hostile"

// What a model must not do is refused wherever it is in the graph: where goldens never lead, in what
// no signature calls, and where the loader, its optimizer or Python would come by.
func TestHostileModelsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		says   string
		python bool // whether it is Python alone that would do it
	}{
		"leaks":                 {"ImmutableConst", false},
		"aborts":                {"Abort", false},
		"prints":                {"PrintV2", false},
		"unused":                {"WriteFile", false},
		"swapped":               {"WriteFile", false},
		"swapped-for-saving":    {"api_implements", false},
		"gradient-that-saves":   {"SaveV2", false},
		"restored-by-saving":    {"one of its objects can call it", true},
		"initialized-by-saving": {"at load", true},
	} {
		g := predict.Graph{Path: filepath.Join(hostile, name)}
		err := tensorflow.Check(g)
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "\n") {
			t.Errorf("check %s: %v, want %q", name, err, c.says)
		}
		s, err := tensorflow.Engine().Open(t.Context(), g, predict.SessionOptions{})
		if err == nil {
			_ = s.Close()
		}
		if (err == nil) != c.python {
			t.Errorf("open %s: %v", name, err)
		}
	}
	for _, name := range []string{"clean", "endless"} {
		if err := tensorflow.Check(predict.Graph{Path: filepath.Join(hostile, name)}); err != nil {
			t.Errorf("%s is refused: %v", name, err)
		}
	}
}

// A model that is trusted with files is still the one that its signature names.
func TestFunctionsAreNotSwapped(t *testing.T) {
	const written = "/tmp/forgo-hostile-here"
	if err := os.Remove(written); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	s := open(t, predict.Graph{Path: filepath.Join(hostile, "swapped")}, tensorflow.AllowFiles())
	out, err := s.Run(t.Context(), predict.Tensors{"x": {Shape: []int64{1, 4}, Data: []float32{1, 2, 3, 4}}}, []string{"y"})
	if err != nil || out["y"].Data.([]float32)[3] != 8 {
		t.Errorf("got %v, %v", out, err)
	}
	if _, err := os.Stat(written); err == nil {
		t.Error("the other function ran")
	}
}

// TensorFlow would take the other form for the one that was checked.
func TestTwoFormsOfAGraphAreRefused(t *testing.T) {
	for _, other := range []string{"saved_model.cpb", "saved_model.pbtxt"} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(hostile, "clean"))); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, other), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := tensorflow.Check(predict.Graph{Path: dir}); err == nil || !strings.Contains(err.Error(), other) {
			t.Errorf("%s: %v", other, err)
		}
	}
}

// A model names its own files, not those of whoever opens it.
func TestLinksOutOfTheFolderAreRefused(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("one\ntwo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, says := range map[string]string{"assets/words.txt": "leads out of the folder", "variables/other": "not a regular file"} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(models, "text"))); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		_ = os.Remove(path)
		var err error
		if name == "variables/other" {
			fifotest.Make(t, path)
		} else {
			err = os.Symlink(outside, path)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := tensorflow.Check(predict.Graph{Path: dir}); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An endless loop is ended when its time is over, and the model answers as before.
func TestEndlessLoopsAreEnded(t *testing.T) {
	s := open(t, predict.Graph{Path: filepath.Join(hostile, "endless")})
	ask := func(x float32, limit time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		start := time.Now()
		_, err := s.Run(ctx, predict.Tensors{"x": {Shape: []int64{1, 4}, Data: []float32{x, 0, 0, 0}}}, []string{"y"})
		if took := time.Since(start); took > limit+5*time.Second {
			t.Errorf("a run of %v took %v", limit, took)
		}
		return err
	}
	for range 3 {
		if err := ask(1e9, 200*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the endless one: %v", err)
		}
		if err := ask(1, 20*time.Second); err != nil {
			t.Errorf("another: %v", err)
		}
	}
}

// One operation cannot be interrupted: its caller does not wait for it, and there are few of them.
func TestRunsThatDoNotEndAreLeftBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	s := open(t, predict.Graph{Path: filepath.Join(hostile, "long")})
	in := predict.Tensors{"x": {Shape: []int64{1, 4}, Data: []float32{1, 0, 0, 0}}}
	refused := false
	for i := 0; i < 8 && !refused; i++ {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		start := time.Now()
		_, err := s.Run(ctx, in, []string{"y"})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 5*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		refused = strings.Contains(err.Error(), "have not ended")
	}
	if !refused {
		t.Error("any number of runs is left behind")
	}
	start := time.Now()
	if err := s.Close(); err != nil || time.Since(start) > 5*time.Second {
		t.Errorf("closed after %v: %v", time.Since(start), err)
	}
	for end := time.Now().Add(5 * time.Minute); runtime.NumGoroutine() > before; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("what was left behind goes on after its operations have ended")
		}
	}
}

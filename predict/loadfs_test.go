package predict_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/forgo-ml/forgo/internal/fifotest"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle/bundletest"
	"github.com/forgo-ml/forgo/predict/pure"
)

// bare is a file system that can do nothing but open.
type bare struct{ fs.FS }

func TestLoadFS(t *testing.T) {
	for name, c := range map[string]struct {
		fsys   fs.FS
		folder string
	}{
		"a folder":          {os.DirFS(filepath.Dir(iris)), filepath.Base(iris)},
		"the folder itself": {os.DirFS(iris), "."},
		"open alone":        {bare{os.DirFS(iris)}, "."},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := predict.LoadFS(t.Context(), c.fsys, c.folder, pure.Engine())
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			own, err := predict.Load(t.Context(), iris, pure.Engine())
			if err != nil {
				t.Fatal(err)
			}
			defer own.Close()
			if m.Digest() != own.Digest() || m.Parity() != own.Parity() {
				t.Errorf("%s %v, want %s %v", m.Digest(), m.Parity(), own.Digest(), own.Parity())
			}
		})
	}
}

// endless is a file without an end, whatever it says of its size.
type endless struct{ fs.FS }

type endlessFile struct{ fs.File }

func (e endless) Open(name string) (fs.File, error) {
	f, err := e.FS.Open(name)
	if err == nil && strings.HasSuffix(name, "model.onnx") {
		return endlessFile{f}, nil
	}
	return f, err
}
func (endlessFile) Read(p []byte) (int, error) { return len(p), nil }

// A file system may be anything: what it holds is refused as in a folder, and nothing is waited for.
func TestLoadFSRefuses(t *testing.T) {
	fifo := bundletest.Copy(t, iris)
	path := filepath.Join(fifo, "model.onnx")
	fifotest.Make(t, path)
	changed := bundletest.Copy(t, iris)
	file := filepath.Join(changed, "model.onnx")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		fsys         fs.FS
		folder, want string
	}{
		"a FIFO":             {os.DirFS(fifo), ".", "bundle .: model.onnx: it is a FIFO"},
		"a FIFO, open alone": {bare{os.DirFS(fifo)}, ".", "model.onnx: it is a FIFO"},
		"a changed file":     {os.DirFS(changed), ".", "its content changed"},
		"no end":             {endless{os.DirFS(iris)}, ".", "its content changed"},
		"nothing":            {fstest.MapFS{}, "digits.forgo", "bundle digits.forgo: not a bundle"},
		"a path outside":     {os.DirFS(iris), "../iris.forgo", "invalid argument"},
	} {
		done := make(chan error, 1)
		go func() {
			_, err := predict.LoadFS(t.Context(), c.fsys, c.folder, pure.Engine())
			done <- err
		}()
		select {
		case err := <-done:
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: got %v, want %q", name, err, c.want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: loading does not come back", name)
		}
	}
}

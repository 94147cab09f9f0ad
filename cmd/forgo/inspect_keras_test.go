package main

import (
	"archive/zip"
	"compress/flate"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/internal/racetest"
)

// A small .keras file takes no memory for what it claims to be.
func TestInspectKerasIsBounded(t *testing.T) {
	if racetest.Enabled {
		t.Skip("one goroutine measures its memory; the run without the race detector tests it")
	}
	made := func(name string, write func(*zip.Writer)) string {
		path := filepath.Join(t.TempDir(), name+".keras")
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		archive := zip.NewWriter(file)
		archive.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
		write(archive)
		if err := archive.Close(); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	member := func(w *zip.Writer, name string, parts ...string) {
		to, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range parts {
			if _, err := io.WriteString(to, part); err != nil {
				t.Fatal(err)
			}
		}
	}
	config := func(parts ...string) func(*zip.Writer) {
		return func(w *zip.Writer) {
			member(w, "metadata.json", `{"keras_version": "3"}`)
			member(w, "config.json", parts...)
		}
	}
	for name, c := range map[string]struct{ path, says string }{
		"unpacked": {made("unpacked", config(strings.Repeat(" ", 100<<20), "{}")), "config.json: it exceeds"},
		"objects":  {made("objects", config(`{"config": {"layers": [`, strings.Repeat("{},", 5<<20), "{}]}}")), "config.json: it has more than"},
		"values":   {made("values", config(`{"config": {"output_layers": [`, strings.Repeat("0,", 5<<20), "0]}}")), "config.json: it has more than"},
		"nested":   {made("nested", config(`{"config": {"output_layers": `, strings.Repeat("[", 5<<20))), "config.json: it has more than"},
		"metadata": {made("metadata", func(w *zip.Writer) { member(w, "metadata.json", strings.Repeat(" ", 100<<20)) }), "metadata.json: it exceeds"},
		"directory": {made("directory", func(w *zip.Writer) {
			for i := range 150_000 {
				if _, err := w.CreateRaw(&zip.FileHeader{Name: fmt.Sprintf("%080d", i)}); err != nil {
					t.Fatal(err)
				}
			}
		}), "list of members"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		code, out, errs := command(t, "inspect", c.path)
		runtime.ReadMemStats(&after)
		if code != exitRefused || out != "" || !strings.Contains(errs, c.says) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: exit code %d, %q, want %q", name, code, errs, c.says)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 160<<20 { // in all, collected or not
			t.Errorf("%s: %d bytes were allocated", name, took)
		}
	}
}

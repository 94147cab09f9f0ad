package jpeg_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/forgo-ml/forgo/predict/pixels/jpeg"
)

// The canonical form of a file is accepted, is its own canonical form, and has the same pixels.
func TestCanonicalKeepsThePixels(t *testing.T) {
	files, err := filepath.Glob("../../../conformance/pictures/*.jpg")
	if err != nil || len(files) == 0 {
		t.Fatal("no pictures", err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := jpeg.Parse(data, 1<<20)
		if errors.Is(err, jpeg.ErrRefused) {
			continue
		}
		want, err := f.Decode(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		again, err := jpeg.Parse(f.Canonical(), 1<<20)
		if err != nil {
			t.Fatalf("%s: the canonical form is refused: %v", name, err)
		}
		got, err := again.Decode(t.Context())
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: the canonical form has other pixels (%v)", name, err)
		}
		if !bytes.Equal(again.Canonical(), f.Canonical()) {
			t.Errorf("%s: the canonical form has another", name)
		}
	}
}

// The size is refused by the header, before anything is allocated for it.
func TestParseBoundsThePixels(t *testing.T) {
	data, err := os.ReadFile("../../../conformance/pictures/420-baseline.jpg")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jpeg.Parse(data, 53*41); err != nil {
		t.Error(err)
	}
	if _, err := jpeg.Parse(data, 53*41-1); !errors.Is(err, jpeg.ErrRefused) {
		t.Errorf("got %v, want it refused", err)
	}
}

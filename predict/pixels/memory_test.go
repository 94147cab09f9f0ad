package pixels

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"runtime"
	"testing"
)

// A small file takes the memory of its pixels, and little more.
func TestDecodeTakesThePixelsMemory(t *testing.T) {
	const side = 3000
	grey := image.NewGray(image.Rect(0, 0, side, side))
	var asPNG, asJPEG bytes.Buffer
	if err := png.Encode(&asPNG, grey); err != nil {
		t.Fatal(err)
	}
	if err := jpeg.Encode(&asJPEG, grey, nil); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"PNG": asPNG.Bytes(), "JPEG": asJPEG.Bytes()} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		img, err := Decode(t.Context(), data, Options{})
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Fatal(err)
		}
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(len(img.Pix)+len(data)+2<<20); got > most {
			t.Errorf("%s: %d bytes of file took %d, want at most %d", name, len(data), got, most)
		}
	}
}

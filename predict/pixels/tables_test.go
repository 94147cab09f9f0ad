package pixels

import (
	"bytes"
	"errors"
	"testing"
)

// A picture without tables of its own is decoded, or refused, as in a fresh process, whatever
// was decoded before it.
func TestDecodeKeepsNothingOfThePictureBefore(t *testing.T) {
	alone, err := Decode(t.Context(), picture(t, "no-huffman-tables.jpg"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, before := range []string{"quality-60.jpg", "quality-95.jpg", "420-progressive.jpg", "grey.jpg"} {
		if _, err := Decode(t.Context(), picture(t, before), Options{}); err != nil {
			t.Fatal(err)
		}
		after, err := Decode(t.Context(), picture(t, "no-huffman-tables.jpg"), Options{})
		if err != nil || !bytes.Equal(after.Pix, alone.Pix) {
			t.Errorf("without Huffman tables, after %s: other pixels than alone (%v)", before, err)
		}
		if _, err := Decode(t.Context(), picture(t, "no-quantization-tables.jpg"), Options{}); !errors.Is(err, ErrPicture) {
			t.Errorf("without quantization tables, after %s: got %v, want it refused", before, err)
		}
	}
}

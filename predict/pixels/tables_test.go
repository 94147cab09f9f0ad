package pixels

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"sync"
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

// A thousand pictures of all kinds, at once and in random order, decode as each does alone.
func TestDecodeTogetherAsAlone(t *testing.T) {
	all := cases(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 125 {
				c := all[rand.IntN(len(all))]
				img, err := Decode(t.Context(), picture(t, c.File), Options{Alpha: AlphaDropped})
				if c.Refused != "" {
					if !errors.Is(err, ErrPicture) {
						t.Errorf("%s: %v, want it refused", c.File, err)
					}
					continue
				}
				if sum := sha256.Sum256(img.Pix); err != nil || hex.EncodeToString(sum[:]) != c.SHA256 {
					t.Errorf("%s: other pixels than alone (%v)", c.File, err)
				}
			}
		})
	}
	group.Wait()
}

package pixels

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type pictureCase struct {
	File          string
	Width, Height int
	SHA256        string
	Refused       string
}

func cases(tb testing.TB) []pictureCase {
	tb.Helper()
	raw, err := os.ReadFile("../../conformance/pictures.json")
	if err != nil {
		tb.Fatal(err)
	}
	var all []pictureCase
	if err := json.Unmarshal(raw, &all); err != nil {
		tb.Fatal(err)
	}
	return all
}

func picture(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("../../conformance/pictures", name))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// Every picture decodes to the pixels that Python recorded, or is refused as it was there.
func TestDecodeAgreesWithPython(t *testing.T) {
	for _, c := range cases(t) {
		t.Run(c.File, func(t *testing.T) {
			if !Exact() && strings.Contains(c.File, "-tables") {
				t.Skip("image/jpeg knows no standard Huffman tables, and reads pictures without quantization tables")
			}
			img, err := Decode(t.Context(), picture(t, c.File), Options{})
			if c.Refused != "" {
				if !errors.Is(err, ErrPicture) {
					t.Fatalf("got %v, want it refused: %s", err, c.Refused)
				}
				if !strings.Contains(c.Refused, "cannot be decoded") && !strings.HasSuffix(err.Error(), c.Refused) {
					t.Errorf("refused with %q, Python says %q", err, c.Refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if img.Width != c.Width || img.Height != c.Height {
				t.Fatalf("%d x %d pixels, want %d x %d", img.Width, img.Height, c.Width, c.Height)
			}
			sum := sha256.Sum256(img.Pix)
			if hex.EncodeToString(sum[:]) != c.SHA256 && (Exact() || strings.HasSuffix(c.File, ".png")) {
				t.Error("other pixels than Pillow's")
			}
		})
	}
}

// The decoder for builds without libjpeg-turbo stays within 3 of 255 of it, 0.1 in the mean.
func TestApproximateDecode(t *testing.T) {
	if !Exact() {
		t.Skip("there is no exact decoder in this build to compare with")
	}
	for _, c := range cases(t) {
		if c.Refused != "" || !strings.HasSuffix(c.File, ".jpg") || strings.Contains(c.File, "-tables") {
			continue
		}
		t.Run(c.File, func(t *testing.T) {
			data := picture(t, c.File)
			h, err := readHeader(data)
			if err != nil {
				t.Fatal(err)
			}
			want, err := decodeJPEG(data, h)
			if err != nil {
				t.Fatal(err)
			}
			got, err := decodeApproximate(data)
			if err != nil {
				t.Fatal(err)
			}
			worst, sum := 0, 0
			for i := range want.Pix {
				d := max(int(got.Pix[i])-int(want.Pix[i]), int(want.Pix[i])-int(got.Pix[i]))
				worst, sum = max(worst, d), sum+d
			}
			if mean := float64(sum) / float64(len(want.Pix)); worst > 3 || mean > 0.1 {
				t.Errorf("differs by up to %d of 255, mean %.3f", worst, mean)
			}
		})
	}
}

func TestDecodeHoldsToAccept(t *testing.T) {
	if _, err := Decode(t.Context(), picture(t, "rgb.png"), Options{Accept: []string{JPEG}}); !errors.Is(err, ErrPicture) {
		t.Errorf("a PNG where only JPEG is accepted: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range cases(f) {
		f.Add(picture(f, c.File))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if h, err := readHeader(data); err != nil || h.width*h.height > 1<<20 {
			return
		}
		img, err := Decode(t.Context(), data, Options{})
		if err == nil && len(img.Pix) != 3*img.Width*img.Height {
			t.Errorf("%d bytes for %d x %d pixels", len(img.Pix), img.Width, img.Height)
		}
	})
}

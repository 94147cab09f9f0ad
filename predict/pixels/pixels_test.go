package pixels

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/internal/corpus"
)

type pictureCase struct {
	File          string
	Width, Height int
	SHA256        string
	White, Black  string // of pictures with transparent pixels
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
func TestDecodeGivesPythonsPixels(t *testing.T) {
	for _, c := range cases(t) {
		t.Run(c.File, func(t *testing.T) {
			img, err := Decode(t.Context(), picture(t, c.File), Options{Alpha: AlphaDropped})
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
			for alpha, want := range map[Alpha]string{AlphaDropped: c.SHA256, AlphaWhite: cmp.Or(c.White, c.SHA256), AlphaBlack: cmp.Or(c.Black, c.SHA256)} {
				img, err := Decode(t.Context(), picture(t, c.File), Options{Alpha: alpha})
				sum := sha256.Sum256(img.Pix)
				if err != nil || hex.EncodeToString(sum[:]) != want {
					t.Errorf("alpha %q: other pixels than Python's (%v)", alpha, err)
				}
			}
			_, err = Decode(t.Context(), picture(t, c.File), Options{})
			if transparent := c.White+c.Black != ""; transparent != errors.Is(err, ErrPicture) {
				t.Errorf("transparent: %v; without a rule: %v", transparent, err)
			}
		})
	}
}

func TestDecodeHoldsToAccept(t *testing.T) {
	if _, err := Decode(t.Context(), picture(t, "rgb.png"), Options{Accept: []string{JPEG}}); !errors.Is(err, ErrPicture) {
		t.Errorf("a PNG where only JPEG is accepted: %v", err)
	}
}

// Whatever comes, nothing panics, and libjpeg-turbo and the decoder in Go answer alike.
func FuzzDecode(f *testing.F) {
	corpus.Add(f)
	for _, c := range cases(f) {
		f.Add(picture(f, c.File))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if h, err := readHeader(data); err != nil || h.width*h.height > 1<<20 {
			return
		}
		verdicts := map[string]bool{}
		for _, decode := range decoders {
			verdicts[verdict(t, data, decode)] = true
		}
		if len(verdicts) > 1 {
			t.Errorf("the decoders differ: %v", verdicts)
		}
	})
}

// Pictures that are decoded into the memory of others have the pixels that they have in fresh memory.
func TestRecycledMemoryLeavesNothing(t *testing.T) {
	for _, c := range cases(t) {
		data := picture(t, c.File)
		fresh, err := Decode(t.Context(), data, Options{Alpha: AlphaDropped})
		if err != nil || len(fresh.Pix) == 0 {
			continue
		}
		for name, decode := range decoders {
			want, err := decode(t.Context(), data)
			if err != nil {
				continue // by the other decoder alone
			}
			want.Pix = bytes.Clone(want.Pix)
			for _, left := range []byte{0x55, 0xaa} {
				for range 3 { // pictures that are turned take two
					RGB{Pix: bytes.Repeat([]byte{left}, len(want.Pix)+100)}.Recycle()
				}
				got, err := decode(t.Context(), data)
				if err != nil || !bytes.Equal(got.Pix, want.Pix) {
					t.Errorf("%s with %s: other pixels in memory full of %#x (%v)", c.File, name, left, err)
				}
			}
		}
	}
}

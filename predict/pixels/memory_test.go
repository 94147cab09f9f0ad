package pixels

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/forgo-ml/forgo/internal/racetest"
	"github.com/forgo-ml/forgo/predict/pixels/pixelstest"
)

// large are pictures of 3,000 × 3,000 pixels in small files, by their names.
func large(tb testing.TB) map[string][]byte {
	tb.Helper()
	if racetest.Enabled {
		tb.Skip("one goroutine decodes large pictures; the run without the race detector tests it")
	}
	made := map[string][]byte{}
	for name, img := range map[string]image.Image{
		"grey.png": image.NewGray(image.Rect(0, 0, 3000, 3000)), "alpha.png": image.NewNRGBA64(image.Rect(0, 0, 3000, 3000)),
	} {
		var encoded bytes.Buffer
		if err := png.Encode(&encoded, img); err != nil {
			tb.Fatal(err)
		}
		made[name] = encoded.Bytes()
	}
	made["scans.jpg"] = pixelstest.Scans(3000, 3000, 256, true)
	if os.Getenv("VIRTUAL_ENV") == "" {
		return made
	}
	folder := tb.TempDir()
	script := `
import sys
from PIL import Image
for name, mode, how in (("grey", "L", {}), ("colour", "RGB", {}), ("turned", "RGB", {"exif": turned}), ("progressive", "RGB", {"progressive": True})):
    Image.new(mode, (3000, 3000)).save(f"{sys.argv[1]}/{name}.jpg", **how)
image = Image.linear_gradient("L").resize((3000, 3000)).convert("RGB")
image.save(f"{sys.argv[1]}/lossy.webp", method=0)
image.convert("RGBA").save(f"{sys.argv[1]}/lossless.webp", lossless=True, method=0, quality=0)
image.putalpha(Image.linear_gradient("L").resize((3000, 3000)))
image.save(f"{sys.argv[1]}/alpha.webp", method=0)
image.convert("CMYK").save(f"{sys.argv[1]}/lzw.tif", compression="tiff_lzw")
image.convert("L").quantize(7).save(f"{sys.argv[1]}/packbits.tif", compression="packbits")
`
	script = "from PIL import Image\nturned = Image.Exif()\nturned[0x0112] = 6\n" + script
	if out, err := exec.CommandContext(tb.Context(), filepath.Join(os.Getenv("VIRTUAL_ENV"), "bin/python"), "-c", script, folder).CombinedOutput(); err != nil {
		tb.Fatalf("%v: %s", err, out)
	}
	for _, name := range []string{"grey.jpg", "colour.jpg", "turned.jpg", "progressive.jpg", "lossy.webp", "lossless.webp", "alpha.webp", "lzw.tif", "packbits.tif"} {
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			tb.Fatal(err)
		}
		made[name] = data
	}
	return made
}

// Decoding takes what Reserve was told at most, and Reserve can refuse it.
func TestDecodeTakesWhatIsReserved(t *testing.T) {
	if underASan {
		t.Skip("under the address sanitizer Go allocates more, zones around what is asked for among it")
	}
	for name, data := range large(t) {
		for decoder, decode := range jpegDecoders {
			h, err := readHeader(data)
			if err != nil {
				t.Fatal(err)
			}
			runtime.GC() // so that nothing is left of the picture before
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if h.media == JPEG {
				img, e := decode(t.Context(), h)
				_, err = upright(img, h.orientation), e
			} else {
				_, err = Decode(t.Context(), data, Options{Alpha: AlphaWhite})
			}
			runtime.ReadMemStats(&after)
			if err != nil {
				t.Fatal(err)
			}
			if got, most := int64(after.TotalAlloc-before.TotalAlloc), h.memory(int64(len(data))); got > most || most > 7*3*3000*3000 {
				t.Errorf("%s with %s: %d bytes of file took %d; %d were reserved", name, decoder, len(data), got, most)
			}
		}
		full := errors.New("no room")
		if _, err := Decode(t.Context(), data, Options{Reserve: func(int64, int, int) error { return full }}); !errors.Is(err, full) {
			t.Errorf("%s: %v, want no room", name, err)
		}
	}
}

// ending is a context that ends when it was asked a number of times.
type ending struct {
	context.Context
	asked, most int
}

func (e *ending) Err() error {
	if e.asked++; e.asked > e.most {
		return context.Canceled
	}
	return nil
}

// Decoding ends with its caller, in the middle of a picture too.
func TestDecodeEndsWithItsCaller(t *testing.T) {
	for name, data := range large(t) {
		h, err := readHeader(data)
		if err != nil {
			t.Fatal(err)
		}
		decode := func(ctx context.Context) (RGB, error) { return h.png.decode(ctx, AlphaWhite) }
		switch h.media {
		case WebP:
			decode = func(ctx context.Context) (RGB, error) { return decodeWebP(ctx, h.webp, Options{Alpha: AlphaWhite}) }
		case TIFF:
			decode = func(ctx context.Context) (RGB, error) { return h.tiff.decode(ctx, AlphaWhite) }
		}
		if h.media == JPEG {
			decode = func(ctx context.Context) (RGB, error) { return decodeInGo(ctx, h) }
		}
		ctx := &ending{Context: t.Context(), most: 10}
		if _, err := decode(ctx); !errors.Is(err, context.Canceled) || ctx.asked != 11 {
			t.Errorf("%s: %v after %d questions", name, err, ctx.asked)
		}
	}
}

// Of a lossless WebP with more codes than its size lets expect, the memory for them is reserved on top before it is
// taken, and nothing is decoded without it.
func TestCodesOfTheirOwnAreReservedOnTop(t *testing.T) {
	data := picture(t, "codes-of-their-own.webp")
	full := errors.New("no room")
	for _, most := range []int{0, 1, 99} {
		reserved, asked := int64(0), 0
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Decode(t.Context(), data, Options{Reserve: func(bytes int64, width, height int) error {
			if asked == most {
				return full
			}
			asked++
			reserved += bytes
			if width != 80 || height != 80 {
				t.Errorf("%d x %d pixels", width, height)
			}
			return nil
		}})
		runtime.ReadMemStats(&after)
		if most == 99 && (err != nil || asked < 2) || most < 99 && !errors.Is(err, full) {
			t.Errorf("%v after %d times", err, asked)
		}
		if took := int64(after.TotalAlloc - before.TotalAlloc); most > 0 && took > reserved && !underASan {
			t.Errorf("took %d, %d were reserved", took, reserved)
		}
	}
}

// Package pixels turns encoded pictures into the same pixels that training saw.
//
// [Decode] follows the rules of spec/pictures.md to the letter: what they do not cover is
// refused, never guessed. JPEG decodes in Go alone; built with the tag turbojpeg, sound files go
// through libjpeg-turbo, to the same pixels: faster if they are progressive or the processor has no AVX2.
package pixels

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/forgo-ml/forgo/predict/pixels/webp"
)

// MaxPixels is the largest width times height that is decoded: Pillow's own limit.
const MaxPixels = 89_478_485

// Media types that Decode accepts.
const (
	JPEG = "image/jpeg"
	PNG  = "image/png"
	GIF  = "image/gif"
	BMP  = "image/bmp"
	TIFF = "image/tiff"
	WebP = "image/webp"
)

// Formats are the kinds of files that Decode takes: each with its name, media type and the endings that files
// of it have.
var Formats = []Format{
	{"JPEG", JPEG, []string{".jpg", ".jpeg"}},
	{"PNG", PNG, []string{".png"}},
	{"GIF", GIF, []string{".gif"}},
	{"BMP", BMP, []string{".bmp"}},
	{"TIFF", TIFF, []string{".tif", ".tiff"}},
	{"WebP", WebP, []string{".webp"}},
}

// Format is a kind of picture file.
type Format struct {
	Name, Media string
	Endings     []string // with their dots, in lower case
}

// ErrPicture is wrapped by every error that is the picture's fault.
var ErrPicture = errors.New("picture refused")

// RGB is a decoded, upright picture: three bytes a pixel, row after row from the top.
type RGB struct {
	Width, Height int
	Pix           []byte // len is 3*Width*Height
}

// Recycle lets a later Decode have the memory of the picture, which nobody may use any more. Optional.
func (p RGB) Recycle() {
	if cap(p.Pix) <= keptPix {
		pixes.Put(&p.Pix)
	}
}

// keptPix bounds what is kept for later pictures.
const keptPix = 8 << 20

var pixes sync.Pool // of *[]byte

// takePix returns memory for a picture, which holds whatever it held before.
func takePix(n int) []byte {
	if kept, _ := pixes.Get().(*[]byte); kept != nil && cap(*kept) >= n {
		return (*kept)[:n]
	}
	return make([]byte, n)
}

// Options say what Decode takes. The zero value is useful.
type Options struct {
	// Accept lists the media types allowed. Optional: all.
	Accept []string
	// MaxPixels bounds width times height further than the constant does. Optional: not at all.
	MaxPixels int
	// Reserve is told how many bytes decoding takes at most, beside the file, before it takes them, and the
	// picture's size as it is stored. Its error ends the decoding, and Decode returns it. It is called again, with
	// the bytes that come on top, for a lossless WebP with unusually many codes. Optional.
	Reserve func(bytes int64, width, height int) error
	// Alpha is what becomes of transparent pixels. Optional: pictures that have any are refused.
	Alpha Alpha
}

// Decode decodes one picture and applies its EXIF orientation. Errors wrap [ErrPicture] where
// the picture is at fault, or ctx's error where ctx ended first. Safe for concurrent use.
func Decode(ctx context.Context, data []byte, o Options) (RGB, error) {
	if err := ctx.Err(); err != nil {
		return RGB{}, err
	}
	h, err := readHeader(data)
	if err != nil {
		return RGB{}, err
	}
	if o.MaxPixels > 0 && h.width > o.MaxPixels/h.height {
		return RGB{}, refuse("%d x %d pixels are more than %d", h.width, h.height, o.MaxPixels)
	}
	if !allowed(h.media, o.Accept) {
		return RGB{}, refuse("it is %s, the model accepts %v", h.media, o.Accept)
	}
	if o.Reserve != nil {
		if err := o.Reserve(h.memory(int64(len(data))), h.width, h.height); err != nil {
			return RGB{}, err
		}
	}
	var img RGB
	switch h.media {
	case JPEG:
		img, err = decodeJPEG(ctx, h)
	case PNG:
		img, err = h.png.decode(ctx, o.Alpha)
	case GIF:
		img, err = h.gif.decode(ctx, o.Alpha)
	case BMP:
		img, err = h.bmp.decode(ctx, o.Alpha)
	case TIFF:
		img, err = h.tiff.decode(ctx, o.Alpha)
	case WebP:
		img, err = decodeWebP(ctx, h.webp, o)
	}
	if err != nil {
		return RGB{}, err
	}
	turned := upright(img, h.orientation)
	if h.orientation > 1 {
		img.Recycle()
	}
	return turned, nil
}

// Decoder names the JPEG decoder in use, for reports.
func Decoder() string { return jpegDecoder }

// Sniff returns the media type that the data's first bytes claim, or "".
func Sniff(data []byte) string {
	switch {
	case len(data) >= 3 && data[0] == 0xff && data[1] == 0xd8 && data[2] == 0xff:
		return JPEG
	case len(data) >= 8 && string(data[:8]) == "\x89PNG\r\n\x1a\n":
		return PNG
	case len(data) >= 6 && (string(data[:6]) == "GIF87a" || string(data[:6]) == "GIF89a"):
		return GIF
	case len(data) >= 2 && string(data[:2]) == "BM":
		return BMP
	case len(data) >= 4 && (string(data[:4]) == "II*\x00" || string(data[:4]) == "MM\x00*"):
		return TIFF
	case webp.Starts(data):
		return WebP
	}
	return ""
}

func allowed(media string, accept []string) bool {
	for _, a := range accept {
		if a == media {
			return true
		}
	}
	return len(accept) == 0
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrPicture, fmt.Errorf(format, args...))
}

// upright turns a picture as EXIF orientation 1 to 8 asks.
func upright(in RGB, orientation int) RGB {
	if orientation == 1 {
		return in
	}
	w, h := in.Width, in.Height
	out := RGB{Width: w, Height: h, Pix: takePix(len(in.Pix))}
	if orientation >= 5 {
		out.Width, out.Height = h, w
	}
	i := 0
	for y := range out.Height {
		for x := range out.Width {
			sx, sy := x, y
			switch orientation {
			case 2: // mirrored left to right
				sx = w - 1 - x
			case 3: // turned by 180°
				sx, sy = w-1-x, h-1-y
			case 4: // mirrored top to bottom
				sy = h - 1 - y
			case 5: // transposed
				sx, sy = y, x
			case 6: // needs a quarter turn clockwise
				sx, sy = y, h-1-x
			case 7: // transversed
				sx, sy = w-1-y, h-1-x
			case 8: // needs a quarter turn counter-clockwise
				sx, sy = w-1-y, x
			}
			copy(out.Pix[i:i+3], in.Pix[3*(sy*w+sx):])
			i += 3
		}
	}
	return out
}

// Package pixels decodes pictures to exactly the pixels that training saw.
//
// [Decode] follows the rules of spec/pictures.md and refuses what they do not cover. It decodes JPEG in
// Go. On a processor without AVX2, a build with the tag turbojpeg decodes sound files with libjpeg-turbo, to
// the same pixels, which is faster there.
package pixels

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/forgo-ml/forgo/predict/pixels/webp"
)

// MaxPixels is the largest width times height that Decode accepts, Pillow's own limit.
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

// Formats lists the file formats that Decode accepts, with their names, media types and file extensions.
var Formats = []Format{
	{"JPEG", JPEG, []string{".jpg", ".jpeg"}},
	{"PNG", PNG, []string{".png"}},
	{"GIF", GIF, []string{".gif"}},
	{"BMP", BMP, []string{".bmp"}},
	{"TIFF", TIFF, []string{".tif", ".tiff"}},
	{"WebP", WebP, []string{".webp"}},
}

// Format is a file format of pictures.
type Format struct {
	Name, Media string
	Endings     []string // with their dots, in lower case
}

// ErrPicture is wrapped by every error in the picture itself.
var ErrPicture = errors.New("picture refused")

// RGB is a decoded, upright picture: three bytes for each pixel, in rows from the top.
type RGB struct {
	Width, Height int
	Pix           []byte // len is 3*Width*Height
}

// Recycle returns the picture's memory for use by a later Decode. The caller must not use the picture
// afterwards. Optional.
func (p RGB) Recycle() {
	if cap(p.Pix) <= keptPix {
		pixes.Put(&p.Pix)
	}
}

// keptPix bounds the memory that is kept for later pictures.
const keptPix = 8 << 20

var pixes sync.Pool // of *[]byte

// takePix returns memory for a picture. It may hold old data.
func takePix(n int) []byte {
	if kept, _ := pixes.Get().(*[]byte); kept != nil && cap(*kept) >= n {
		return (*kept)[:n]
	}
	return make([]byte, n)
}

// Options configure Decode. The zero value is useful.
type Options struct {
	// Accept lists the allowed media types. Optional: all.
	Accept []string
	// MaxPixels bounds width times height below the constant MaxPixels. Optional: only the constant does.
	MaxPixels int
	// Reserve is called before decoding with the most memory that it takes, in bytes and without the file,
	// and with the picture's stored size. Decode calls it again with the additional bytes for a lossless
	// WebP with unusually many codes. If Reserve fails, Decode returns its error. Optional.
	Reserve func(bytes int64, width, height int) error
	// Alpha says how to treat transparent pixels. Optional: pictures with any are refused.
	Alpha Alpha
}

// Decode decodes one picture and applies its EXIF orientation. The error wraps [ErrPicture] if the picture
// is at fault, and ctx.Err() if ctx ends first. Decode is safe for concurrent use.
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

// Decoder returns the name of the JPEG decoder in use.
func Decoder() string { return jpegDecoder() }

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

// upright applies EXIF orientation 1 to 8.
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

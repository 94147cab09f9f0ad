package pixels

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/forgo-ml/forgo/internal/racetest"
)

// counting is a context that counts how often it is asked: decoders ask before each piece of work.
type counting struct {
	context.Context
	asked int
}

func (c *counting) Err() error {
	c.asked++
	return nil
}

// bounds are what decoding a picture may cost, of its header and the file's length alone.
type bounds struct {
	rows     int // of pixels that a decoder passes over before it asks its caller again
	pieces   int // times that it asks at most: how often it passes over the rows, and parts that have no rows
	pixels   int // passed over at most for each byte of the file; 0 where a byte may stand for any number
	spanning int // pixels in a row of what is coded
}

func (h header) bounds(file int) bounds {
	in := func(rows, height int) int { return (height + rows - 1) / rows }
	switch h.media {
	case JPEG: // each scan passes over the blocks, and the output does; a block of a scan's first pass takes a bit
		passes := h.jpeg.Scans() + 1
		return bounds{8, passes * in(8, h.height), 8 * 64 * passes, h.width}
	case PNG: // a byte inflates to 1,032 at most, of 8 pixels each; interlaced ones have seven passes
		return bounds{64, 7 * in(64, h.height), 1032 * 8, h.width}
	case GIF: // 9 bits or more stand for 4,096 pixels at most, once the table is full, and 3 bits for few
		return bounds{1, h.gif.frame.height, 4096, h.gif.frame.width}
	case BMP:
		if h.bmp.runs { // two bytes end a row, or are 255 pixels
			return bounds{1, file/2 + 1, 128, 1}
		}
		return bounds{64, in(64, h.height), 8, h.width}
	case TIFF: // strips and tiles may be of the same bytes, and are as many as the picture needs
		n := in(64, h.height)
		for _, p := range h.tiff.parts {
			n += in(64, p.height)
		}
		return bounds{64, n, 0, h.width}
	}
	n := in(16, h.height) + in(64, h.height) // lossy: planes, then colours
	if !h.webp.Lossless {
		n += in(64, h.height) // of alpha
	}
	// Lossless pixels or alpha: at most five images, one in another, by codes of 20 bits or more, and four transforms.
	n += 5*(1+in(1<<15, h.width*h.height)) + file*8/20 + 4*in(64, h.height)
	return bounds{16, n, 0, h.width}
}

// fuzzed changes a picture as damage and malice do: bytes changed, cut out, repeated, taken from another file, and
// the end cut off.
func fuzzed(random *rand.Rand, data, other []byte) []byte {
	data = append([]byte(nil), data...)
	span := func(of []byte) (int, int) {
		from := random.IntN(len(of))
		return from, from + random.IntN(min(64, len(of)-from)) + 1
	}
	for range 1 + random.IntN(6) {
		from, to := span(data)
		switch random.IntN(8) {
		case 0:
			data = data[:to]
		case 1:
			data = append(data[:from:from], data[to:]...)
		case 2:
			data = append(data[:to:to], data[from:]...)
		case 3:
			a, b := span(other)
			data = append(data[:from:from], append(append([]byte(nil), other[a:b]...), data[from:]...)...)
		default:
			data[from] = byte(random.IntN(256))
		}
		if len(data) == 0 {
			return []byte{0}
		}
	}
	if random.IntN(4) > 0 {
		resum(data)
	}
	return data
}

// Nothing that fuzzing makes of the corpus panics, takes more memory than is reserved, or more work than its header
// and length allow; and what is not reserved is not decoded.
func TestFuzzedPicturesTakeBoundedMemoryAndWork(t *testing.T) {
	const (
		room      = 64 << 20  // what Reserve gives
		parsing   = 160 << 10 // what the table of a JPEG's 256 scans takes as it grows
		state     = 64 << 10  // a decoder's own, when the pool has none: the race detector makes pools forget
		beginning = 3         // questions before the first row
	)
	var files, sound [][]byte
	for _, c := range cases(t) {
		if data := picture(t, c.File); len(data) > 0 {
			files = append(files, data)
			if c.Refused == "" {
				sound = append(sound, data)
			}
		}
	}
	random := rand.New(rand.NewPCG(13, 0))
	full := errors.New("no room")
	begun, taken, noRoom := map[string]int{}, 0, 0
	for try := range racetest.Some(10_000, 1000) {
		data := fuzzed(random, sound[random.IntN(len(sound))], files[random.IntN(len(files))])
		for name, decode := range jpegDecoders {
			ctx := &counting{Context: t.Context()}
			reserved := int64(0)
			o := Options{Alpha: AlphaWhite, Reserve: func(n int64, _, _ int) error {
				if reserved+n > room {
					return full
				}
				reserved += n
				return nil
			}}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			h, err := readHeader(data)
			var img RGB
			if err == nil {
				if h.media != JPEG {
					img, err = Decode(ctx, data, o)
				} else if err = o.Reserve(h.memory(int64(len(data))), h.width, h.height); err == nil {
					if img, err = decode(ctx, h); err == nil {
						img = upright(img, h.orientation)
					}
				}
			}
			runtime.ReadMemStats(&after)
			switch {
			case err == nil:
				taken++
				if len(img.Pix) != 3*h.width*h.height {
					t.Errorf("try %d: %d bytes of %d x %d pixels", try, len(img.Pix), h.width, h.height)
				}
			case errors.Is(err, full):
				noRoom++
			case !errors.Is(err, ErrPicture):
				t.Fatalf("try %d: %v", try, err)
			}
			allowed := reserved + parsing + state
			if h.media != JPEG {
				allowed += parsing // Decode reads the header once more
			}
			if took := int64(after.TotalAlloc - before.TotalAlloc); took > allowed && !underASan {
				t.Errorf("try %d with %s: %s of %d bytes took %d; %d were reserved, %d are allowed",
					try, name, h.media, len(data), took, reserved, allowed)
			}
			if reserved == 0 {
				continue
			}
			begun[h.media]++
			b := h.bounds(len(data))
			if ctx.asked > b.pieces+beginning {
				t.Errorf("try %d with %s: %s of %d bytes and %d x %d pixels asked %d times, %d are allowed",
					try, name, h.media, len(data), h.width, h.height, ctx.asked, b.pieces+beginning)
			}
			piece := b.spanning * b.rows
			if work := (ctx.asked - beginning) * piece; b.pixels > 0 && work > b.pixels*len(data)+7*piece {
				t.Errorf("try %d with %s: %s of %d bytes passed over %d pixels, %d a byte are allowed", try, name, h.media, len(data), work, b.pixels)
			}
		}
	}
	for _, f := range Formats {
		if begun[f.Media] < racetest.Some(50, 5) {
			t.Errorf("%d pictures of %s went past their headers", begun[f.Media], f.Name)
		}
	}
	t.Logf("%v went past their headers; %d were taken, %d had no room", begun, taken, noRoom)
}

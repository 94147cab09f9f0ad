// Package webp decodes the first picture of WebP files to libwebp's pixels, which are Pillow's too. It
// supports lossy pictures (VP8, RFC 6386), lossless ones (VP8L, RFC 9649), and the alpha plane of lossy
// ones.
package webp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrRefused is wrapped by every error in the picture itself.
var ErrRefused = errors.New("WebP refused")

const (
	truncated = "it is a truncated WebP"
	damaged   = "it cannot be decoded"
)

func refuse(format string, args ...any) error {
	return refusal(fmt.Sprintf(format, args...))
}

type refusal string

func (r refusal) Error() string        { return string(r) }
func (r refusal) Is(target error) bool { return target == ErrRefused }

// File is a WebP file whose chunks have been checked. src/forgo/_webp.py reads them by the same rules.
type File struct {
	Width, Height int // of the canvas
	// X and Y are the position of the frame on the canvas. FrameWidth and FrameHeight are its size, in
	// pixels.
	X, Y                    int
	FrameWidth, FrameHeight int
	Lossless                bool
	EXIF                    []byte // nil if there is none

	alpha []byte // an ALPH chunk's body
	data  []byte // a VP8 or VP8L chunk's body, with its padding
}

// Starts reports whether data starts like a WebP file.
func Starts(data []byte) bool {
	return len(data) >= 12 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP"
}

// chunks iterates over chunks that fill data.
type chunks struct {
	data   []byte
	name   string
	body   []byte
	padded []byte // the body with its padding
}

// next advances to the next chunk and reports whether there is one.
func (c *chunks) next() (bool, error) {
	if len(c.data) == 0 {
		return false, nil
	}
	if len(c.data) < 8 {
		return false, refuse(truncated)
	}
	size := uint64(binary.LittleEndian.Uint32(c.data[4:]))
	padded := size + size&1
	if padded > uint64(len(c.data)-8) {
		return false, refuse(truncated)
	}
	c.name, c.body, c.padded = string(c.data[:4]), c.data[8:8+size], c.data[8:8+padded]
	if size&1 == 1 && c.padded[size] != 0 {
		return false, refuse("its chunk %s is padded with %02x", named(c.name), c.padded[size])
	}
	c.data = c.data[8+padded:]
	return true, nil
}

// named returns a chunk's name for messages, with a number for anything but letters, digits and spaces.
func named(name string) string {
	out := ""
	for _, c := range []byte(name) {
		if c == ' ' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' {
			out += string(rune(c))
		} else {
			out += fmt.Sprintf("\\x%02x", c)
		}
	}
	return out
}

// Parse checks a file's chunks. maxPixels bounds width times height.
func Parse(data []byte, maxPixels int) (*File, error) {
	if len(data) < 12 {
		return nil, refuse(truncated)
	}
	size := uint64(binary.LittleEndian.Uint32(data[4:]))
	if size > uint64(len(data)-8) || size < 4 {
		return nil, refuse(truncated)
	}
	c, f := &chunks{data: data[12 : 8+size]}, &File{}
	if ok, err := c.next(); err != nil {
		return nil, err
	} else if !ok {
		return nil, refuse("it is a WebP without a picture")
	}
	if c.name != "VP8X" {
		if err := f.picture(c); err != nil {
			return nil, err
		}
		f.Width, f.Height = f.FrameWidth, f.FrameHeight
		return f, f.bounded(maxPixels)
	}
	if len(c.body) != 10 {
		return nil, refuse("its header is %d bytes long", len(c.body))
	}
	flags := c.body[0]
	f.Width, f.Height = 1+three(c.body[4:]), 1+three(c.body[7:])
	if err := f.bounded(maxPixels); err != nil {
		return nil, err
	}
	for {
		ok, err := c.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		switch c.name {
		case "EXIF":
			if f.EXIF == nil && flags&8 != 0 {
				f.EXIF = c.body
			}
		case "ANMF":
			if f.data == nil && flags&2 != 0 {
				err = f.frame(c.body)
			}
		case "ALPH":
			if f.alpha == nil && f.data == nil && flags&2 == 0 {
				f.alpha = c.body
			}
		case "VP8 ", "VP8L":
			if f.data == nil && flags&2 == 0 {
				err = f.picture(c)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	switch {
	case f.data == nil:
		return nil, refuse("it is a WebP without a picture")
	case flags&2 == 0 && (f.FrameWidth != f.Width || f.FrameHeight != f.Height):
		return nil, refuse("its picture has %d x %d pixels, its header gives %d x %d", f.FrameWidth, f.FrameHeight, f.Width, f.Height)
	}
	return f, nil
}

func (f *File) bounded(maxPixels int) error {
	if f.Width > maxPixels/f.Height {
		return refuse("%d x %d pixels are more than %d", f.Width, f.Height, maxPixels)
	}
	return nil
}

// frame reads the first frame of an animation.
func (f *File) frame(body []byte) error {
	if len(body) < 16 {
		return refuse(truncated)
	}
	f.X, f.Y = 2*three(body), 2*three(body[3:])
	width, height := 1+three(body[6:]), 1+three(body[9:])
	if f.X+width > f.Width || f.Y+height > f.Height {
		return refuse("its first frame reaches beyond its canvas")
	}
	c := &chunks{data: body[16:]}
	for f.data == nil {
		ok, err := c.next()
		if err != nil {
			return err
		}
		if !ok {
			return refuse("it is a WebP without a picture")
		}
		switch c.name {
		case "ALPH":
			if f.alpha == nil {
				f.alpha = c.body
			}
		case "VP8 ", "VP8L":
			if err := f.picture(c); err != nil {
				return err
			}
		}
	}
	if f.FrameWidth != width || f.FrameHeight != height {
		return refuse("its picture has %d x %d pixels, its header gives %d x %d", f.FrameWidth, f.FrameHeight, width, height)
	}
	return nil
}

// picture reads the head of the chunk with the pixels.
func (f *File) picture(c *chunks) error {
	b := c.body
	f.data = c.padded
	switch c.name {
	case "VP8 ":
		if len(b) < 10 {
			return refuse(truncated)
		}
		tag := three(b)
		if tag&1 != 0 || tag>>1&7 > 3 || tag>>4&1 == 0 || string(b[3:6]) != "\x9d\x01\x2a" {
			return refuse("its frame header is damaged")
		}
		f.FrameWidth, f.FrameHeight = int(binary.LittleEndian.Uint16(b[6:]))&0x3fff, int(binary.LittleEndian.Uint16(b[8:]))&0x3fff
		if f.FrameWidth == 0 || f.FrameHeight == 0 {
			return refuse("its header gives %d x %d pixels", f.FrameWidth, f.FrameHeight)
		}
		blocks := ((f.FrameWidth + 15) / 16) * ((f.FrameHeight + 15) / 16)
		if modes := tag >> 5; modes > len(b)-10 || modes < blocks/8 {
			return refuse("its modes have %d bytes", modes)
		}
	case "VP8L":
		f.Lossless, f.alpha = true, nil
		if len(b) < 5 {
			return refuse(truncated)
		}
		head := binary.LittleEndian.Uint32(b[1:])
		if b[0] != 0x2f || head>>29 != 0 {
			return refuse("its frame header is damaged")
		}
		f.FrameWidth, f.FrameHeight = 1+int(head&0x3fff), 1+int(head>>14&0x3fff)
	default:
		return refuse("it has a chunk %s before its picture, for which no rule is stated", named(c.name))
	}
	return nil
}

func three(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// Transparent reports whether the frame has an alpha channel.
func (f *File) Transparent() bool {
	return f.alpha != nil || f.Lossless && f.data[4]&0x10 != 0
}

// Frame is a decoded picture.
type Frame struct {
	Pix   []byte // RGB, three bytes a pixel, in rows from the top
	Alpha []byte // one byte a pixel; nil where every pixel is opaque
}

// Memory returns the most memory that Decode takes, including its result, in bytes. A lossless picture
// with unusually many codes takes more.
func (f *File) Memory() int64 {
	pixels := int64(f.FrameWidth) * int64(f.FrameHeight)
	blocks := (int64(f.FrameWidth) + 15) / 16 * ((int64(f.FrameHeight) + 15) / 16)
	n := 3*pixels + 64<<10
	if f.Transparent() {
		n += pixels
	}
	if f.Lossless {
		return n + losslessMemory(pixels, len(f.data))
	}
	if f.alpha != nil {
		n += losslessMemory(pixels, len(f.alpha))
	}
	return n + 384*blocks + int64(f.FrameWidth+16)*64
}

// Decode decodes the frame. The error wraps [ErrRefused] if the picture is at fault, and ctx.Err() if ctx
// ends first. Decode calls more before it takes memory beyond [File.Memory], and returns its error. more
// is optional.
func (f *File) Decode(ctx context.Context, more func(bytes int64) error) (Frame, error) {
	if f.Lossless {
		return f.decodeLossless(ctx, more)
	}
	pix, err := decodeLossy(ctx, f.data, f.FrameWidth, f.FrameHeight)
	if err != nil {
		return Frame{}, err
	}
	out := Frame{Pix: pix}
	if f.alpha != nil {
		out.Alpha, err = decodeAlpha(ctx, f.alpha, f.FrameWidth, f.FrameHeight, more)
	}
	return out, err
}

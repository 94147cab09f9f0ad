// Package jpeg decodes JPEG files to the pixels that libjpeg-turbo 3.2 gives with its accurate
// integer inverse transform and fancy upsampling, bit for bit, in Go alone.
//
// [Parse] walks a whole file and refuses what spec/pictures.md doesn't allow; [File.Decode] then
// decodes it. Coded data that is damaged decodes to what libjpeg-turbo makes of it on x86-64, where
// the transform's 16-bit overflows are part of the result.
package jpeg

import (
	"errors"
	"fmt"
	"slices"
)

// ErrRefused is what every error that is the file's fault is.
var ErrRefused = errors.New("JPEG refused")

type refusal string

func (r refusal) Error() string      { return string(r) }
func (refusal) Is(target error) bool { return target == ErrRefused }

// Bounds on what is decoded, stated in spec/pictures.md.
const (
	maxScans       = 256 // a legal progressive file needs about ten
	maxSegments    = 4096
	maxBlocksInMCU = 10
	maxSide        = 65500 // libjpeg's own
)

// File is a JPEG that Parse has checked. It refers to the data that it was made from.
type File struct {
	Width, Height int
	Components    int  // 1, 3 or 4
	Progressive   bool // coefficients come in several passes
	EXIF          []byte

	data       []byte
	components [4]component
	maxH, maxV int
	jfif       bool
	adobe      bool
	transform  byte // Adobe's
	kept       []span
	scans      []scan
}

type component struct {
	id, h, v, quant  byte
	width, height    int // in samples
	blocksX, blocksY int // that hold samples
}

type span struct{ from, to int }

// scan is one pass over some components, with the tables that hold at its start.
type scan struct {
	components []int
	dc, ac     []byte // table numbers of each component
	ss, se     int
	ah, al     uint
	restart    int // MCUs between restart markers, 0 without
	data       span
	dht        [2][4]*huffmanSpec
	dqt        [4]*[64]uint16 // in zigzag order
}

// huffmanSpec is a table as a DHT segment gives it.
type huffmanSpec struct {
	counts [17]byte
	values []byte
}

func refuse(format string, args ...any) error {
	return refusal(fmt.Sprintf(format, args...))
}

// Scans is how many passes the file makes over its coefficients.
func (f *File) Scans() int { return len(f.scans) }

// Interleaved reports whether one sequential scan has all components, so that no coefficient waits
// for another scan.
func (f *File) Interleaved() bool {
	return !f.Progressive && len(f.scans[0].components) == f.Components
}

// Canonical returns the file without what decoding doesn't need: of application data and comments
// only the markers that tell the colours, nothing between segments, nothing after the end.
func (f *File) Canonical() []byte { return f.AppendCanonical(nil) }

// AppendCanonical appends Canonical's file.
func (f *File) AppendCanonical(out []byte) []byte {
	out = append(slices.Grow(out, len(f.data)+64), 0xff, 0xd8)
	if f.jfif {
		out = append(out, "\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"...)
	}
	if f.adobe {
		out = append(out, "\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"...)
		out = append(out, f.transform)
	}
	for _, s := range f.kept {
		out = append(out, f.data[s.from:s.to]...)
	}
	return append(out, 0xff, 0xd9)
}

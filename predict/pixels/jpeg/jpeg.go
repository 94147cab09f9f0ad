// Package jpeg decodes JPEG files in Go to the same pixels, bit for bit, as libjpeg-turbo 3.2 with its
// accurate integer inverse transform and fancy upsampling.
//
// [Parse] reads a whole file and refuses what spec/pictures.md does not allow. [File.Decode] then decodes
// it. Damaged coded data decodes to the pixels of libjpeg-turbo on x86-64, where 16-bit overflows of the
// transform affect the result.
package jpeg

import (
	"errors"
	"fmt"
	"slices"
)

// ErrRefused matches, in errors.Is, every error in the file itself.
var ErrRefused = errors.New("JPEG refused")

type refusal string

func (r refusal) Error() string      { return string(r) }
func (refusal) Is(target error) bool { return target == ErrRefused }

// Bounds on files, as in spec/pictures.md.
const (
	maxScans       = 256 // a legal progressive file needs about ten
	maxSegments    = 4096
	maxBlocksInMCU = 10
	maxSide        = 65500 // libjpeg's own
)

// File is a JPEG file that Parse has checked. It shares the data that Parse got.
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

// scan is one pass over some components, with the tables that apply at its start.
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

// huffmanSpec is a table in a DHT segment.
type huffmanSpec struct {
	counts [17]byte
	values []byte
}

func refuse(format string, args ...any) error {
	return refusal(fmt.Sprintf(format, args...))
}

// Vectors reports whether decoding uses vectors: on amd64 processors with AVX2 and BMI2. They give the same
// pixels several times as fast.
func Vectors() bool { return hasVectors }

// Scans returns the number of passes that the file makes over its coefficients.
func (f *File) Scans() int { return len(f.scans) }

// Interleaved reports whether a single sequential scan has all components, so that no coefficient waits
// for another scan.
func (f *File) Interleaved() bool {
	return !f.Progressive && len(f.scans[0].components) == f.Components
}

// Canonical returns the file without what decoding does not need. Of application data and comments, it
// keeps only the markers that determine the colours. It drops what is between segments and after the end.
func (f *File) Canonical() []byte { return f.AppendCanonical(nil) }

// AppendCanonical appends the result of Canonical to out.
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

package pixels

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"io"
	"slices"
)

// tiffFile is what the first directory of a TIFF says. src/forgo/_tiff.py reads it by the same rules.
type tiffFile struct {
	width, height int
	samples       int
	photometric   int
	deflated      bool
	differences   bool // each sample is the difference from the one to its left
	rowsPerStrip  int
	strips        [][]byte
	palette       [256][3]byte
	orientation   int
}

const maxTIFFValues = 1 << 16 // of one tag

const truncatedTIFF = "it is a truncated TIFF"

// Tags of TIFF 6.0.
const (
	tiffWidth, tiffHeight, tiffBits, tiffCompression, tiffPhotometric = 256, 257, 258, 259, 262
	tiffOffsets, tiffOrientation, tiffSamples, tiffRows, tiffCounts   = 273, 274, 277, 278, 279
	tiffPlanar, tiffPredictor, tiffColours, tiffTiles, tiffExtra      = 284, 317, 320, 322, 338
	tiffFormat                                                        = 339
)

func parseTIFF(data []byte) (*tiffFile, error) {
	if len(data) < 8 {
		return nil, refuse(truncatedTIFF)
	}
	var order binary.ByteOrder = binary.LittleEndian
	if data[0] == 'M' {
		order = binary.BigEndian
	}
	at := uint64(order.Uint32(data[4:]))
	if at+2 > uint64(len(data)) {
		return nil, refuse(truncatedTIFF)
	}
	count := int(order.Uint16(data[at:]))
	entries := data[at+2:]
	if len(entries) < 12*count {
		return nil, refuse(truncatedTIFF)
	}
	tags := map[int][]int{}
	for i := range count {
		e := entries[12*i:]
		tag, kind, n := int(order.Uint16(e)), order.Uint16(e[2:]), uint64(order.Uint32(e[4:]))
		size := map[uint16]uint64{3: 2, 4: 4}[kind]
		if size == 0 || n == 0 || !slices.Contains(tiffRead, tag) {
			continue // no number, or of no concern
		}
		if n > maxTIFFValues {
			return nil, refuse("its tag %d has %d values", tag, n)
		}
		if _, twice := tags[tag]; twice {
			return nil, refuse("it has the tag %d twice", tag)
		}
		from := uint64(0)
		field := e[8:12]
		if n*size > 4 {
			from, field = uint64(order.Uint32(e[8:])), data
		}
		if from+n*size > uint64(len(field)) {
			return nil, refuse(truncatedTIFF)
		}
		values := make([]int, n)
		for k := range values {
			if size == 2 {
				values[k] = int(order.Uint16(field[from+2*uint64(k):]))
			} else {
				values[k] = int(order.Uint32(field[from+4*uint64(k):]))
			}
		}
		tags[tag] = values
	}
	one := func(tag, otherwise int) int {
		if v := tags[tag]; len(v) > 0 {
			return v[0]
		}
		return otherwise
	}
	f := &tiffFile{
		width: one(tiffWidth, 0), height: one(tiffHeight, 0), samples: one(tiffSamples, 1), photometric: one(tiffPhotometric, -1),
		orientation: one(tiffOrientation, 1),
	}
	if f.width == 0 || f.height == 0 {
		return nil, refuse("its header gives %d x %d pixels", f.width, f.height)
	}
	if f.width > MaxPixels/f.height {
		return nil, refuse("%d x %d pixels are more than %d", f.width, f.height, MaxPixels)
	}
	if f.orientation < 1 || f.orientation > 8 || len(tags[tiffOrientation]) > 1 {
		f.orientation = 1
	}
	compression, predictor, planar := one(tiffCompression, 1), one(tiffPredictor, 1), one(tiffPlanar, 1)
	f.deflated, f.differences = compression != 1, predictor == 2
	if compression != 1 && compression != 8 && compression != 32946 || predictor > 2 || predictor < 1 || f.differences && !f.deflated || planar != 1 || tags[tiffTiles] != nil {
		return nil, refuse("it is a TIFF with compression %d, predictor %d, planes %d or tiles, for which no rule is stated", compression, predictor, planar)
	}
	legal := f.samples > 0 && f.samples == map[int]int{0: 1, 1: 1, 2: 3, 3: 1}[f.photometric] && tags[tiffExtra] == nil ||
		f.photometric == 2 && f.samples == 4 && slices.Equal(tags[tiffExtra], []int{2})
	for _, bits := range tags[tiffBits] {
		legal = legal && bits == 8
	}
	for _, format := range tags[tiffFormat] {
		legal = legal && format == 1
	}
	if !legal || len(tags[tiffBits]) != f.samples {
		return nil, refuse("it is a TIFF of photometric %d with %d samples of %d bits, for which no rule is stated", f.photometric, f.samples, one(tiffBits, 1))
	}
	if f.photometric == 3 {
		if len(tags[tiffColours]) != 3*256 {
			return nil, refuse("its palette is damaged")
		}
		for i := range f.palette {
			for c := range 3 {
				f.palette[i][c] = byte(tags[tiffColours][256*c+i] >> 8)
			}
		}
	}
	f.rowsPerStrip = min(one(tiffRows, f.height), f.height)
	if f.rowsPerStrip == 0 {
		return nil, refuse("its strips have no rows")
	}
	strips, offsets, counts := (f.height+f.rowsPerStrip-1)/f.rowsPerStrip, tags[tiffOffsets], tags[tiffCounts]
	if len(offsets) != strips || len(counts) != strips {
		return nil, refuse("it has %d strips, and places of %d and sizes of %d", strips, len(offsets), len(counts))
	}
	for i, offset := range offsets {
		if offset+counts[i] > len(data) {
			return nil, refuse(truncatedTIFF)
		}
		strip := data[offset:][:counts[i]]
		if !f.deflated && len(strip) != f.width*f.samples*f.rows(i) {
			return nil, refuse(damagedPixels)
		}
		f.strips = append(f.strips, strip)
	}
	return f, nil
}

var tiffRead = []int{
	tiffWidth, tiffHeight, tiffBits, tiffCompression, tiffPhotometric, tiffOffsets, tiffOrientation, tiffSamples,
	tiffRows, tiffCounts, tiffPlanar, tiffPredictor, tiffColours, tiffTiles, tiffExtra, tiffFormat,
}

// rows is how many rows strip i has.
func (f *tiffFile) rows(i int) int { return min(f.rowsPerStrip, f.height-i*f.rowsPerStrip) }

func (f *tiffFile) decode(ctx context.Context, alpha Alpha) (RGB, error) {
	out := RGB{Width: f.width, Height: f.height, Pix: make([]byte, 3*f.width*f.height)}
	row, opaque := make([]byte, f.width*f.samples), true
	for i, strip := range f.strips {
		var in io.Reader = bytes.NewReader(strip)
		if f.deflated {
			var err error
			if in, err = zlib.NewReader(in); err != nil {
				return RGB{}, refuse(damagedPixels)
			}
		}
		for y := range f.rows(i) {
			if y%64 == 0 {
				if err := ctx.Err(); err != nil {
					return RGB{}, err
				}
			}
			if _, err := io.ReadFull(in, row); err != nil {
				return RGB{}, refuse(damagedPixels)
			}
			if f.differences {
				for x := f.samples; x < len(row); x++ {
					row[x] += row[x-f.samples]
				}
			}
			opaque = f.convert(row, out.Pix[3*f.width*(i*f.rowsPerStrip+y):], alpha) && opaque
		}
		if n, err := in.Read(make([]byte, 1)); n > 0 || err != io.EOF {
			return RGB{}, refuse(damagedPixels)
		}
	}
	if !opaque && alpha == AlphaRefused {
		return RGB{}, refuse(transparent)
	}
	return out, nil
}

// convert writes a row's pixels and reports whether all are opaque.
func (f *tiffFile) convert(row, out []byte, alpha Alpha) bool {
	opaque := true
	for x := range f.width {
		o, p := (*[3]byte)(out[3*x:]), row[f.samples*x:]
		switch f.photometric {
		case 0:
			o[0], o[1], o[2] = 255-p[0], 255-p[0], 255-p[0]
		case 1:
			o[0], o[1], o[2] = p[0], p[0], p[0]
		case 3:
			*o = f.palette[p[0]]
		default:
			o[0], o[1], o[2] = p[0], p[1], p[2]
			if f.samples == 4 && p[3] != 255 {
				opaque = false
				o[0], o[1], o[2] = alpha.over(p[0], p[3]), alpha.over(p[1], p[3]), alpha.over(p[2], p[3])
			}
		}
	}
	return opaque
}

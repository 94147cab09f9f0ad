package pixels

import (
	"encoding/binary"
	"slices"
)

// tiffFile is the first directory of a TIFF. src/forgo/_tiff.py reads it by the same rules.
type tiffFile struct {
	width, height int
	order         binary.ByteOrder
	samples       int
	bits          int // of a sample
	photometric   int
	alpha         bool // the last sample is one
	planar        bool // each sample has parts of its own
	compression   int
	differences   bool // each sample is the difference from the one to its left
	parts         []tiffPart
	palette       [256][3]byte
	orientation   int
}

// tiffPart is a strip or a tile.
type tiffPart struct {
	data          []byte
	plane         int // of the samples, where they are apart
	x, y          int // where it lies in the picture
	width, height int // of the whole tile
}

const (
	maxTIFFValues = 1 << 16     // of one tag
	maxLZW        = 178_956_970 // bytes of a part, which Pillow unpacks at once
	truncatedTIFF = "it is a truncated TIFF"
)

// Tags of TIFF 6.0.
const (
	tiffWidth, tiffHeight, tiffBits, tiffCompression, tiffPhotometric = 256, 257, 258, 259, 262
	tiffFill, tiffOffsets, tiffOrientation, tiffSamples               = 266, 273, 274, 277
	tiffRows, tiffCounts, tiffPlanar, tiffPredictor, tiffColours      = 278, 279, 284, 317, 320
	tiffTileWidth, tiffTileHeight, tiffTileOffsets, tiffTileCounts    = 322, 323, 324, 325
	tiffExtra, tiffFormat                                             = 338, 339
)

var tiffRead = []int{
	tiffWidth, tiffHeight, tiffBits, tiffCompression, tiffPhotometric, tiffFill, tiffOffsets, tiffOrientation, tiffSamples,
	tiffRows, tiffCounts, tiffPlanar, tiffPredictor, tiffColours, tiffTileWidth, tiffTileHeight, tiffTileOffsets, tiffTileCounts,
	tiffExtra, tiffFormat,
}

// Compressions of TIFF that can be decoded.
const (
	tiffPlain, tiffLZW, tiffDeflate, tiffOldDeflate, tiffPackBits = 1, 5, 8, 32946, 32773
)

// tiffOther names the other compressions.
var tiffOther = map[int]string{
	2: "fax codes", 3: "fax codes", 4: "fax codes", 6: "JPEG of the old kind", 7: "JPEG", 34712: "JPEG 2000", 34892: "JPEG",
	34925: "LZMA", 50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
}

// tiffTags reads the first directory.
func tiffTags(data []byte) (map[int][]int, binary.ByteOrder, error) {
	if len(data) < 8 {
		return nil, nil, refuse(truncatedTIFF)
	}
	var order binary.ByteOrder = binary.LittleEndian
	if data[0] == 'M' {
		order = binary.BigEndian
	}
	at := uint64(order.Uint32(data[4:]))
	if at+2 > uint64(len(data)) {
		return nil, nil, refuse(truncatedTIFF)
	}
	count := int(order.Uint16(data[at:]))
	entries := data[at+2:]
	if len(entries) < 12*count {
		return nil, nil, refuse(truncatedTIFF)
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
			return nil, nil, refuse("its tag %d has %d values", tag, n)
		}
		if _, twice := tags[tag]; twice {
			return nil, nil, refuse("it has the tag %d twice", tag)
		}
		from := uint64(0)
		field := e[8:12]
		if n*size > 4 {
			from, field = uint64(order.Uint32(e[8:])), data
		}
		if from+n*size > uint64(len(field)) {
			return nil, nil, refuse(truncatedTIFF)
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
	return tags, order, nil
}

func parseTIFF(data []byte) (*tiffFile, error) {
	tags, order, err := tiffTags(data)
	if err != nil {
		return nil, err
	}
	one := func(tag, otherwise int) int {
		if v := tags[tag]; len(v) > 0 {
			return v[0]
		}
		return otherwise
	}
	f := &tiffFile{
		width: one(tiffWidth, 0), height: one(tiffHeight, 0), samples: one(tiffSamples, 1), bits: one(tiffBits, 1),
		photometric: one(tiffPhotometric, -1), orientation: one(tiffOrientation, 1), order: order,
		compression: one(tiffCompression, 1), differences: one(tiffPredictor, 1) == 2,
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
	if name, known := tiffOther[f.compression]; known {
		return nil, refuse("it is a TIFF compressed by %s, which is not decoded: convert it to PNG", name)
	}
	predictor, planar, fill := one(tiffPredictor, 1), one(tiffPlanar, 1), one(tiffFill, 1)
	known := slices.Contains([]int{tiffPlain, tiffLZW, tiffDeflate, tiffOldDeflate, tiffPackBits}, f.compression)
	differing := predictor == 2 && f.bits >= 8 && f.compression != tiffPlain && f.compression != tiffPackBits
	if !known || predictor != 1 && !differing || planar < 1 || planar > 2 || fill != 1 {
		return nil, refuse("it is a TIFF with compression %d, predictor %d, planes %d and fill order %d, for which no rule is stated", f.compression, predictor, planar, fill)
	}
	if !f.legal(tags[tiffExtra], tags[tiffBits], tags[tiffFormat]) || planar == 2 && f.samples > 1 && f.bits != 8 {
		return nil, refuse("it is a TIFF of photometric %d with %d samples of %d bits, for which no rule is stated", f.photometric, f.samples, f.bits)
	}
	f.planar = planar == 2 && f.samples > 1
	if f.photometric == 3 {
		entries := 1 << f.bits
		if len(tags[tiffColours]) != 3*entries {
			return nil, refuse("its palette is damaged")
		}
		for i := range entries {
			for c := range 3 {
				f.palette[i][c] = byte(tags[tiffColours][entries*c+i] >> 8)
			}
		}
	}
	return f, f.divide(data, tags, one)
}

// legal reports whether a rule covers this kind of pixels, and notes whether they have alpha.
func (f *tiffFile) legal(extra, bits, formats []int) bool {
	for _, b := range bits {
		if b != f.bits {
			return false
		}
	}
	for _, format := range formats {
		if format != 1 {
			return false
		}
	}
	if len(bits) > 1 && len(bits) != f.samples {
		return false
	}
	colours, depths, extras := 1, []int{1, 2, 4, 8, 16}, true
	switch f.photometric {
	case 0:
		depths, extras = depths[:4], false
	case 1:
	case 2:
		colours, depths = 3, depths[3:]
	case 3:
		depths, extras = depths[:4], false
	case 5:
		colours, depths, extras = 4, depths[3:], false
	default:
		return false
	}
	if !slices.Contains(depths, f.bits) {
		return false
	}
	switch {
	case f.samples == colours:
		return len(extra) == 0
	case f.samples != colours+1 || !extras || colours == 1 && f.bits != 8:
		return false
	case len(extra) == 0:
		f.alpha = true
		return colours == 3
	}
	f.alpha = extra[0] == 2
	return len(extra) == 1 && (extra[0] == 2 || extra[0] == 0)
}

// divide finds the strips or tiles.
func (f *tiffFile) divide(data []byte, tags map[int][]int, one func(tag, otherwise int) int) error {
	width, height, kind, offsets, counts := f.width, min(one(tiffRows, f.height), f.height), "strips", tags[tiffOffsets], tags[tiffCounts]
	tiled := tags[tiffTileWidth] != nil || tags[tiffTileHeight] != nil
	if tiled {
		width, height = one(tiffTileWidth, 0), one(tiffTileHeight, 0)
		kind, offsets, counts = "tiles", tags[tiffTileOffsets], tags[tiffTileCounts]
	}
	if width == 0 || height == 0 {
		return refuse("its %s have no rows", kind)
	}
	across, down, planes := (f.width+width-1)/width, (f.height+height-1)/height, 1
	if f.planar {
		planes = f.samples
	}
	if tiled && (across > MaxPixels/width || down > MaxPixels/height || across*width > MaxPixels/(down*height)) {
		return refuse("its tiles of %d x %d pixels are too large", width, height)
	}
	n := across * down * planes
	if len(offsets) != n || len(counts) != n {
		return refuse("it has %d %s, but %d offsets and %d byte counts", n, kind, len(offsets), len(counts))
	}
	for i, offset := range offsets {
		if offset+counts[i] > len(data) {
			return refuse(truncatedTIFF)
		}
		at := i % (across * down)
		p := tiffPart{
			data: data[offset:][:counts[i]], plane: i / (across * down), x: at % across * width, y: at / across * height,
			width: width, height: height,
		}
		if !tiled {
			p.height = min(height, f.height-p.y)
		}
		size := f.rowBytes(&p) * p.height
		switch {
		case f.compression == tiffPlain && len(p.data) < size:
			return refuse(damagedPixels)
		case f.compression == tiffLZW && size > maxLZW:
			return refuse("its %s of %d bytes are more than %d", kind, size, maxLZW)
		case f.compression == tiffLZW && len(p.data) > 1 && p.data[0] == 0 && p.data[1]&1 == 1:
			return refuse("it is a TIFF compressed by old-style LZW, which is not decoded: convert it to PNG")
		}
		f.parts = append(f.parts, p)
	}
	return nil
}

// perPixel returns the number of samples that a part has for each pixel.
func (f *tiffFile) perPixel() int {
	if f.planar {
		return 1
	}
	return f.samples
}

func (f *tiffFile) rowBytes(p *tiffPart) int { return (p.width*f.perPixel()*f.bits + 7) / 8 }

// memory returns the memory of decoding apart from the picture.
func (f *tiffFile) memory() int64 {
	widest := 0
	for i := range f.parts {
		widest = max(widest, f.rowBytes(&f.parts[i])+f.parts[i].width*f.perPixel())
	}
	return int64(f.samples)*int64(f.width)*int64(f.height) + int64(widest) + 256<<10
}

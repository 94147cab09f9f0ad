package pixels

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// pngFile is the content of a PNG's chunks. src/forgo/_png.py reads the same bytes by the same rules, with
// the same messages.
type pngFile struct {
	width, height int
	depth, colour int
	interlaced    bool
	palette       [256][3]byte
	// key holds the sample values that are transparent in a grey or colour picture.
	key [3]uint16
	// alphas are the alpha values of a palette's entries.
	alphas      [256]byte
	transparent bool // has key or alphas
	exif        []byte
	data        [][]byte // of the IDAT chunks
}

// Colour types of PNG.
const (
	pngGrey      = 0
	pngRGB       = 2
	pngPalette   = 3
	pngGreyAlpha = 4
	pngRGBAlpha  = 6
)

const (
	truncatedPNG  = "it is a truncated PNG"
	damagedPixels = "its pixel data is damaged"
)

func parsePNG(data []byte) (*pngFile, error) {
	f := &pngFile{}
	hasPalette, hasKey, ended := false, false, false
	for at := 8; ; {
		if at+12 > len(data) {
			return nil, refuse(truncatedPNG)
		}
		n := binary.BigEndian.Uint32(data[at:])
		kind := string(data[at+4 : at+8])
		sound := uint64(n) <= uint64(len(data)-at-12)
		if (f.width == 0) != (kind == "IHDR") {
			if f.width == 0 {
				return nil, refuse("it is a PNG without a header")
			}
			return nil, refuse("it has two headers")
		}
		if !sound {
			return nil, refuse(truncatedPNG)
		}
		chunk := data[at+8 : at+8+int(n)]
		sum := binary.BigEndian.Uint32(data[at+8+int(n):])
		covered := data[at+4 : at+8+int(n)]
		at += 12 + int(n)

		read := kind == "IHDR" || kind == "PLTE" || kind == "IDAT" || kind == "IEND"
		if len(f.data) == 0 { // behind the pixels nothing else is read
			read = read || kind == "tRNS" || kind == "eXIf"
		}
		if !read {
			if kind[0]&0x20 == 0 {
				return nil, refuse("it has a chunk %x, for which no rule is stated", kind)
			}
			ended = ended || len(f.data) > 0
			continue
		}
		if crc32.ChecksumIEEE(covered) != sum {
			return nil, refuse("its %s chunk is damaged", kind)
		}
		switch kind {
		case "IHDR":
			if err := f.header(chunk); err != nil {
				return nil, err
			}
		case "PLTE":
			if f.colour != pngPalette || len(f.data) > 0 {
				break // a suggestion at most
			}
			if hasPalette || n == 0 || n%3 != 0 || n > 3*256 {
				return nil, refuse("its palette is damaged")
			}
			hasPalette = true
			for i := range int(n) / 3 {
				copy(f.palette[i][:], chunk[3*i:])
			}
		case "tRNS":
			if hasKey {
				break
			}
			hasKey = true
			if err := f.transparency(chunk); err != nil {
				return nil, err
			}
		case "eXIf":
			if f.exif == nil {
				f.exif = chunk
			}
		case "IDAT":
			if f.colour == pngPalette && !hasPalette {
				return nil, refuse("its palette is missing")
			}
			if ended {
				return nil, refuse("its pixel data is in two places")
			}
			f.data = append(f.data, chunk)
			continue
		case "IEND":
			if len(f.data) == 0 {
				return nil, refuse("it is a PNG without pixels")
			}
			return f, nil
		}
		ended = ended || len(f.data) > 0
	}
}

func (f *pngFile) header(chunk []byte) error {
	if len(chunk) != 13 {
		return refuse("its IHDR chunk is damaged")
	}
	width, height := binary.BigEndian.Uint32(chunk), binary.BigEndian.Uint32(chunk[4:])
	if width == 0 || height == 0 {
		return refuse("its header gives %d x %d pixels", width, height)
	}
	if uint64(width)*uint64(height) > MaxPixels {
		return refuse("%d x %d pixels are more than %d", width, height, MaxPixels)
	}
	f.width, f.height = int(width), int(height)
	f.depth, f.colour, f.interlaced = int(chunk[8]), int(chunk[9]), chunk[12] == 1
	legal := map[int][]byte{pngGrey: {1, 2, 4, 8, 16}, pngRGB: {8, 16}, pngPalette: {1, 2, 4, 8}, pngGreyAlpha: {8, 16}, pngRGBAlpha: {8, 16}}
	if !bytes.Contains(legal[f.colour], chunk[8:9]) || chunk[10] != 0 || chunk[11] != 0 || chunk[12] > 1 {
		return refuse("its header names colour type %d with %d bits, compression %d, filter %d, interlace %d", f.colour, f.depth, chunk[10], chunk[11], chunk[12])
	}
	return nil
}

func (f *pngFile) transparency(chunk []byte) error {
	const damaged = "its tRNS chunk is damaged"
	switch f.colour {
	case pngPalette:
		if len(chunk) > 256 {
			return refuse(damaged)
		}
		for i := range f.alphas {
			f.alphas[i] = 255
		}
		copy(f.alphas[:], chunk)
	case pngGrey, pngRGB:
		if f.depth == 16 {
			return refuse("it has 16 bits a sample and a transparent colour, for which no rule is stated")
		}
		if len(chunk) != 2*f.samples() {
			return refuse(damaged)
		}
		for i := range f.samples() {
			f.key[i] = binary.BigEndian.Uint16(chunk[2*i:]) & (1<<f.depth - 1)
		}
	default:
		return nil // it has alpha of its own
	}
	f.transparent = true
	return nil
}

func (f *pngFile) samples() int {
	return map[int]int{pngGrey: 1, pngRGB: 3, pngPalette: 1, pngGreyAlpha: 2, pngRGBAlpha: 4}[f.colour]
}

// pass is one of the subpictures of an interlaced PNG.
type pass struct{ x, y, stepX, stepY int }

var adam7 = []pass{{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}

// decode inflates row by row, so that it needs memory only for the pixels and two rows.
func (f *pngFile) decode(ctx context.Context, alpha Alpha) (RGB, error) {
	parts := make([]io.Reader, len(f.data))
	for i, d := range f.data {
		parts[i] = bytes.NewReader(d)
	}
	in, err := zlib.NewReader(io.MultiReader(parts...))
	if err != nil {
		return RGB{}, refuse(damagedPixels)
	}
	out := RGB{Width: f.width, Height: f.height, Pix: make([]byte, 3*f.width*f.height)}
	passes := []pass{{0, 0, 1, 1}}
	if f.interlaced {
		passes = adam7
	}
	bits := f.depth * f.samples()
	back := max(1, bits/8) // how far left the filters look
	opaque := true
	for _, p := range passes {
		width := (f.width - p.x + p.stepX - 1) / p.stepX
		if width <= 0 || p.y >= f.height {
			continue
		}
		size := (width*bits + 7) / 8
		row, above := make([]byte, 1+size), make([]byte, 1+size)
		for y := p.y; y < f.height; y += p.stepY {
			if y%64 == 0 {
				if err := ctx.Err(); err != nil {
					return RGB{}, err
				}
			}
			if _, err := io.ReadFull(in, row); err != nil || !unfilter(row[0], row[1:], above[1:], back) {
				return RGB{}, refuse(damagedPixels)
			}
			opaque = f.convert(row[1:], out.Pix[3*(y*f.width+p.x):], width, 3*p.stepX, alpha) && opaque
			row, above = above, row
		}
	}
	if n, err := in.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		return RGB{}, refuse(damagedPixels)
	}
	if !opaque && alpha == AlphaRefused {
		return RGB{}, refuse(transparent)
	}
	return out, nil
}

// unfilter undoes one of PNG's five filters, and reports whether the filter exists.
func unfilter(filter byte, row, above []byte, back int) bool {
	above = above[:len(row)]
	switch filter {
	case 0:
	case 1:
		for i := back; i < len(row); i++ {
			row[i] += row[i-back]
		}
	case 2:
		for i, v := range above {
			row[i] += v
		}
	case 3:
		for i := range min(back, len(row)) {
			row[i] += above[i] / 2
		}
		for i := back; i < len(row); i++ {
			row[i] += byte((int(row[i-back]) + int(above[i])) / 2)
		}
	case 4:
		for i := range min(back, len(row)) {
			row[i] += above[i]
		}
		for i := back; i < len(row); i++ {
			row[i] += paeth(int(row[i-back]), int(above[i]), int(above[i-back]))
		}
	default:
		return false
	}
	return true
}

func paeth(left, above, corner int) byte {
	toLeft, toAbove, toCorner := distance(above, corner), distance(left, corner), distance(left+above, 2*corner)
	switch {
	case toLeft <= toAbove && toLeft <= toCorner:
		return byte(left)
	case toAbove <= toCorner:
		return byte(above)
	}
	return byte(corner)
}

func distance(a, b int) int { return max(a-b, b-a) }

// convert writes a row's pixels, step bytes apart, and reports whether all are opaque.
func (f *pngFile) convert(row, out []byte, width, step int, alpha Alpha) bool {
	if f.colour == pngRGB && f.depth == 8 && !f.transparent && step == 3 {
		copy(out, row[:3*width])
		return true
	}
	opaque := true
	for x := range width {
		r, g, b, a := f.pixel(row, x)
		if a != 255 {
			opaque = false
			r, g, b = alpha.over(r, a), alpha.over(g, a), alpha.over(b, a)
		}
		o := (*[3]byte)(out[x*step:])
		o[0], o[1], o[2] = r, g, b
	}
	return opaque
}

// pixel reads pixel x of a row. Of a 16-bit sample, the upper eight bits count.
func (f *pngFile) pixel(row []byte, x int) (r, g, b, a byte) {
	a = 255
	wide := f.depth / 8 // bytes a sample
	switch f.colour {
	case pngGrey, pngPalette:
		v := uint16(0)
		switch f.depth {
		case 8:
			v = uint16(row[x])
		case 16:
			v = binary.BigEndian.Uint16(row[2*x:])
		default:
			v = uint16(row[x*f.depth/8]>>(8-f.depth-x*f.depth%8)) & (1<<f.depth - 1)
		}
		if f.colour == pngPalette {
			p := f.palette[v]
			if f.transparent {
				a = f.alphas[v]
			}
			return p[0], p[1], p[2], a
		}
		if f.transparent && v == f.key[0] {
			a = 0
		}
		if f.depth == 16 {
			v >>= 8
		} else {
			v *= 255 / (1<<f.depth - 1)
		}
		return byte(v), byte(v), byte(v), a
	case pngGreyAlpha:
		p := row[2*wide*x:]
		return p[0], p[0], p[0], p[wide]
	case pngRGBAlpha:
		p := row[4*wide*x:]
		return p[0], p[wide], p[2*wide], p[3*wide]
	}
	p := row[3*wide*x:]
	if f.transparent {
		same := true
		for i := range 3 {
			same = same && uint16(p[i]) == f.key[i]
		}
		if same {
			a = 0
		}
	}
	return p[0], p[wide], p[2*wide], a
}

package pixels

import (
	"context"
	"encoding/binary"
	"slices"
)

// bmpFile is the header of a BMP. src/forgo/_bmp.py reads it by the same rules.
type bmpFile struct {
	width, height int
	topDown       bool
	bits          int
	palette       [256][3]byte
	masks         [4]uint32 // red, green, blue, alpha; of 16 and 32 bits
	runs          bool      // rows are coded in runs
	stride        int
	data          []byte
}

const truncatedBMP = "it is a truncated BMP"

// bmpMasks are the masks that a 32-bit pixel may have.
var bmpMasks = [][4]uint32{
	{0xff0000, 0xff00, 0xff, 0},
	{0xff000000, 0xff0000, 0xff00, 0},
	{0xff000000, 0xff0000, 0xff00, 0xff},
	{0xff, 0xff00, 0xff0000, 0xff000000},
	{0xff0000, 0xff00, 0xff, 0xff000000},
}

func parseBMP(data []byte) (*bmpFile, error) {
	if len(data) < 18 {
		return nil, refuse(truncatedBMP)
	}
	start, size := uint64(binary.LittleEndian.Uint32(data[10:])), int(binary.LittleEndian.Uint32(data[14:]))
	if !slices.Contains([]int{12, 40, 52, 56, 64, 108, 124}, size) {
		return nil, refuse("its header is %d bytes long, for which no rule is stated", size)
	}
	if len(data) < 14+size {
		return nil, refuse(truncatedBMP)
	}
	f, at := &bmpFile{}, 14+size
	var width, height int64
	compression, colours, entry := uint32(0), 0, 4
	if size == 12 {
		width, height = int64(binary.LittleEndian.Uint16(data[18:])), int64(binary.LittleEndian.Uint16(data[20:]))
		f.bits, entry = int(binary.LittleEndian.Uint16(data[24:])), 3
	} else {
		width, height = int64(int32(binary.LittleEndian.Uint32(data[18:]))), int64(int32(binary.LittleEndian.Uint32(data[22:])))
		f.bits, compression = int(binary.LittleEndian.Uint16(data[28:])), binary.LittleEndian.Uint32(data[30:])
		colours = int(binary.LittleEndian.Uint32(data[46:]))
	}
	if height < 0 {
		f.topDown, height = true, -height
	}
	if width <= 0 || height == 0 {
		return nil, refuse("its header gives %d x %d pixels", width, height)
	}
	if width*height > MaxPixels {
		return nil, refuse("%d x %d pixels are more than %d", width, height, MaxPixels)
	}
	f.width, f.height = int(width), int(height)
	legal := compression == 0 && slices.Contains([]int{1, 4, 8, 16, 24, 32}, f.bits) ||
		compression == 3 && size != 64 && (f.bits == 16 || f.bits == 32)
	f.runs = compression == 1 && f.bits == 8 || compression == 2 && f.bits == 4
	if !legal && !f.runs || f.runs && f.topDown {
		return nil, refuse("it has %d bits a pixel and compression %d, for which no rule is stated", f.bits, compression)
	}
	switch {
	case f.bits <= 8:
		if colours == 0 {
			colours = 1 << f.bits
		}
		if colours > 256 {
			return nil, refuse("its palette has %d entries", colours)
		}
		if len(data) < at+entry*colours {
			return nil, refuse(truncatedBMP)
		}
		for i := range colours {
			p := data[at+entry*i:]
			f.palette[i] = [3]byte{p[2], p[1], p[0]}
		}
		at += entry * colours
	case compression == 3:
		n := 3
		if size >= 56 {
			n = 4
		}
		if size == 40 {
			at += 12
			if len(data) < at {
				return nil, refuse(truncatedBMP)
			}
		}
		for i := range n {
			f.masks[i] = binary.LittleEndian.Uint32(data[54+4*i:])
		}
		m := f.masks
		if f.bits == 32 && !slices.Contains(bmpMasks, m) || f.bits == 16 && m != [4]uint32{0xf800, 0x7e0, 0x1f} && m != [4]uint32{0x7c00, 0x3e0, 0x1f} {
			return nil, refuse("it has the colour masks %x, %x, %x and %x, for which no rule is stated", m[0], m[1], m[2], m[3])
		}
	case f.bits == 16:
		f.masks = [4]uint32{0x7c00, 0x3e0, 0x1f}
	case f.bits == 32:
		f.masks = bmpMasks[0]
	}
	f.stride = (f.width*f.bits + 31) / 32 * 4
	if start < uint64(at) {
		return nil, refuse("its pixels begin inside its header")
	}
	if start > uint64(len(data)) || !f.runs && start+uint64(f.stride)*uint64(f.height) > uint64(len(data)) {
		return nil, refuse(truncatedBMP)
	}
	f.data = data[start:]
	if f.runs && width*height > 128*int64(len(f.data)) {
		return nil, refuse("its runs have %d bytes for %d x %d pixels", len(f.data), width, height)
	}
	return f, nil
}

func (f *bmpFile) decode(ctx context.Context, alpha Alpha) (RGB, error) {
	out := RGB{Width: f.width, Height: f.height, Pix: make([]byte, 3*f.width*f.height)}
	if f.runs {
		return out, f.decodeRuns(ctx, out.Pix)
	}
	opaque := true
	for y := range f.height {
		if y%64 == 0 {
			if err := ctx.Err(); err != nil {
				return RGB{}, err
			}
		}
		from := y
		if !f.topDown {
			from = f.height - 1 - y
		}
		row, pix := f.data[from*f.stride:][:f.stride], out.Pix[3*y*f.width:]
		for x := range f.width {
			r, g, b, a := f.pixel(row, x)
			if a != 255 {
				opaque = false
				r, g, b = alpha.over(r, a), alpha.over(g, a), alpha.over(b, a)
			}
			o := (*[3]byte)(pix[3*x:])
			o[0], o[1], o[2] = r, g, b
		}
	}
	if !opaque && alpha == AlphaRefused {
		return RGB{}, refuse(transparent)
	}
	return out, nil
}

func (f *bmpFile) pixel(row []byte, x int) (r, g, b, a byte) {
	switch f.bits {
	case 24:
		p := row[3*x:]
		return p[2], p[1], p[0], 255
	case 16:
		v := uint32(binary.LittleEndian.Uint16(row[2*x:]))
		return spread(v, f.masks[0]), spread(v, f.masks[1]), spread(v, f.masks[2]), 255
	case 32:
		v := binary.LittleEndian.Uint32(row[4*x:])
		a = 255
		if f.masks[3] != 0 {
			a = spread(v, f.masks[3])
		}
		return spread(v, f.masks[0]), spread(v, f.masks[1]), spread(v, f.masks[2]), a
	}
	p := f.palette[row[x*f.bits/8]>>(8-f.bits-x*f.bits%8)&byte(1<<f.bits-1)]
	return p[0], p[1], p[2], 255
}

// spread scales the bits of a mask to 0 to 255, rounded down.
func spread(v, mask uint32) byte {
	low := mask & -mask
	return byte(v & mask / low * 255 / (mask / low))
}

// decodeRuns decodes run-length encoded rows. Skipped pixels have index 0.
func (f *bmpFile) decodeRuns(ctx context.Context, pix []byte) error {
	for i := range f.width * f.height {
		copy(pix[3*i:], f.palette[0][:])
	}
	x, y, in := 0, 0, f.data
	put := func(index byte) {
		copy(pix[3*((f.height-1-y)*f.width+x):], f.palette[index][:])
		x++
	}
	// index returns the i-th index in packed bytes, or a repeated one.
	index := func(b byte, i int) byte {
		if f.bits == 8 {
			return b
		}
		return b >> (4 * (1 - i%2)) & 15
	}
	for len(in) >= 2 {
		count, value := int(in[0]), in[1]
		in = in[2:]
		if count > 0 {
			if y >= f.height || x+count > f.width {
				return refuse(damagedPixels)
			}
			for i := range count {
				put(index(value, i))
			}
			continue
		}
		switch value {
		case 0: // the row ends
			x, y = 0, y+1
			if err := ctx.Err(); err != nil {
				return err
			}
		case 1: // the picture ends
			return nil
		case 2: // pixels are left out
			if len(in) < 2 {
				return refuse(damagedPixels)
			}
			x, y = x+int(in[0]), y+int(in[1])
			in = in[2:]
		default:
			n := int(value)
			size := (n*f.bits + 7) / 8
			if y >= f.height || x+n > f.width || len(in) < size+size%2 {
				return refuse(damagedPixels)
			}
			for i := range n {
				put(index(in[i*f.bits/8], i))
			}
			in = in[size+size%2:]
		}
	}
	return refuse(damagedPixels)
}

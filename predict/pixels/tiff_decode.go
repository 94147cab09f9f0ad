package pixels

import (
	"bytes"
	"compress/zlib"
	"context"
	"errors"
	"io"
)

// decode converts all samples to eight bits, and those to pixels.
func (f *tiffFile) decode(ctx context.Context, alpha Alpha) (RGB, error) {
	samples := make([]byte, f.width*f.height*f.samples)
	var u unpacker
	for i := range f.parts {
		if err := f.decodePart(ctx, &f.parts[i], &u, samples); err != nil {
			return RGB{}, err
		}
	}
	out := RGB{Width: f.width, Height: f.height, Pix: samples}
	if f.photometric == 2 && f.samples == 3 {
		return out, nil
	}
	out.Pix = make([]byte, 3*f.width*f.height)
	opaque := true
	for y := range f.height {
		if y%64 == 0 {
			if err := ctx.Err(); err != nil {
				return RGB{}, err
			}
		}
		opaque = f.convert(samples[y*f.width*f.samples:], out.Pix[3*y*f.width:], alpha) && opaque
	}
	if !opaque && alpha == AlphaRefused {
		return RGB{}, refuse(transparent)
	}
	return out, nil
}

// unpacker is reused for each part.
type unpacker struct {
	packed, row []byte
	lzw         *lzw
	zlib        io.ReadCloser
}

// decodePart puts the samples of a strip or tile into place.
func (f *tiffFile) decodePart(ctx context.Context, p *tiffPart, u *unpacker, samples []byte) error {
	var in io.Reader = bytes.NewReader(p.data)
	switch f.compression {
	case tiffLZW:
		if u.lzw == nil {
			u.lzw = newLZW()
		}
		u.lzw.reset(p.data)
		in = u.lzw
	case tiffPackBits:
		in = &packBits{data: p.data}
	case tiffDeflate, tiffOldDeflate:
		var err error
		if u.zlib == nil {
			u.zlib, err = zlib.NewReader(in)
		} else {
			err = u.zlib.(zlib.Resetter).Reset(in, nil)
		}
		if err != nil {
			return refuse(damagedPixels)
		}
		in = u.zlib
	}
	n := f.perPixel()
	if u.packed == nil { // all parts are of one width
		u.packed, u.row = make([]byte, f.rowBytes(p)), make([]byte, p.width*n)
	}
	packed, row := u.packed, u.row
	for y := range p.height {
		if y%64 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if _, err := io.ReadFull(in, packed); err != nil {
			return refuse(damagedPixels)
		}
		if p.y+y >= f.height {
			continue
		}
		f.unpack(packed, row, n)
		at := (p.y+y)*f.width + p.x
		width := min(p.width, f.width-p.x)
		if !f.planar {
			copy(samples[at*n:][:width*n], row)
			continue
		}
		for x := range width {
			samples[(at+x)*f.samples+p.plane] = row[x]
		}
	}
	if f.compression == tiffDeflate || f.compression == tiffOldDeflate {
		if n, err := in.Read(make([]byte, 1)); n > 0 || err != io.EOF {
			return refuse(damagedPixels)
		}
	}
	return nil
}

// unpack converts a row's samples to one byte each: the upper eight bits of 16, or fewer than 8 unchanged.
func (f *tiffFile) unpack(packed, row []byte, n int) {
	switch f.bits {
	case 8:
		copy(row, packed)
		if f.differences {
			for x := n; x < len(row); x++ {
				row[x] += row[x-n]
			}
		}
	case 16:
		if f.differences {
			for x := n; x < len(row); x++ {
				f.order.PutUint16(packed[2*x:], f.order.Uint16(packed[2*x:])+f.order.Uint16(packed[2*(x-n):]))
			}
		}
		for x := range row {
			row[x] = byte(f.order.Uint16(packed[2*x:]) >> 8)
		}
	default:
		for x := range row {
			at := x * f.bits
			row[x] = packed[at/8] >> (8 - f.bits - at%8) & (1<<f.bits - 1)
		}
	}
}

// convert writes a row's pixels and reports whether all are opaque.
func (f *tiffFile) convert(row, out []byte, alpha Alpha) bool {
	opaque, spread := true, byte(1)
	if f.bits < 8 {
		spread = 255 / (1<<f.bits - 1)
	}
	for x := range f.width {
		o, p := (*[3]byte)(out[3*x:]), row[f.samples*x:]
		switch f.photometric {
		case 0:
			v := 255 - p[0]*spread
			o[0], o[1], o[2] = v, v, v
		case 1:
			v := p[0] * spread
			o[0], o[1], o[2] = v, v, v
		case 3:
			*o = f.palette[p[0]]
		case 5:
			white := 255 - int(p[3])
			for c := range o {
				o[c] = byte(white - (int(p[c])*white+127)/255)
			}
		default:
			o[0], o[1], o[2] = p[0], p[1], p[2]
		}
		if a := p[f.samples-1]; f.alpha && a != 255 {
			opaque = false
			o[0], o[1], o[2] = alpha.over(o[0], a), alpha.over(o[1], a), alpha.over(o[2], a)
		}
	}
	return opaque
}

var errTIFF = errors.New("damaged")

// packBits unpacks runs. A run may extend beyond the end.
type packBits struct {
	data  []byte
	left  int // of the run
	value byte
	alike bool // the run repeats value
}

func (r *packBits) Read(p []byte) (int, error) {
	for r.left == 0 {
		if len(r.data) < 2 {
			return 0, errTIFF
		}
		n := int8(r.data[0])
		r.data = r.data[1:]
		switch {
		case n == -128:
		case n < 0:
			r.left, r.alike, r.value = 1-int(n), true, r.data[0]
			r.data = r.data[1:]
		default:
			r.left, r.alike = 1+int(n), false
		}
	}
	n := min(r.left, len(p))
	if r.alike {
		for i := range n {
			p[i] = r.value
		}
	} else {
		if n > len(r.data) {
			return 0, errTIFF
		}
		copy(p[:n], r.data)
		r.data = r.data[n:]
	}
	r.left -= n
	return n, nil
}

// lzw unpacks TIFF's LZW: codes of 9 to 12 bits, highest bit first, which lengthen one code early. Like
// libtiff it keeps up to 1,024 strings beyond the last that a code can name.
type lzw struct {
	data   []byte
	acc    uint32
	have   int
	prefix [lzwMost]uint16
	suffix [lzwMost]byte
	first  [lzwMost]byte
	length [lzwMost]uint16
	next   int // the string that is made next; -1 where none can be
	size   int // of codes
	last   int // code
	buffer [lzwMost]byte
	ready  []byte
}

const (
	lzwClear, lzwEnd, lzwFirst = 256, 257, 258
	lzwMost                    = 4095 + 1024
)

func newLZW() *lzw {
	r := &lzw{}
	for i := range 256 {
		r.suffix[i], r.first[i], r.length[i] = byte(i), byte(i), 1
	}
	return r
}

// reset starts another part.
func (r *lzw) reset(data []byte) {
	r.data, r.acc, r.have, r.next, r.size, r.ready = data, 0, 0, -1, 9, nil
}

func (r *lzw) code() int {
	for r.have < r.size {
		if len(r.data) == 0 {
			return -1
		}
		r.acc = r.acc<<8 | uint32(r.data[0])
		r.data = r.data[1:]
		r.have += 8
	}
	r.have -= r.size
	return int(r.acc>>r.have) & (1<<r.size - 1)
}

func (r *lzw) Read(p []byte) (int, error) {
	if len(r.ready) == 0 && !r.more() {
		return 0, errTIFF
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	return n, nil
}

// more unpacks a code, and reports whether it succeeded.
func (r *lzw) more() bool {
	code := r.code()
	if code == lzwClear {
		r.next, r.size = lzwFirst, 9
		for code == lzwClear {
			code = r.code()
		}
		if code < 0 || code > 255 {
			return false
		}
		r.last = code
		r.ready = append(r.buffer[:0], byte(code))
		return true
	}
	if code < 0 || code == lzwEnd || r.next < 0 || code > r.next {
		return false
	}
	r.prefix[r.next], r.first[r.next] = uint16(r.last), r.first[r.last]
	r.length[r.next] = r.length[r.last] + 1
	r.suffix[r.next] = r.first[r.last]
	if code != r.next {
		r.suffix[r.next] = r.first[code]
	}
	r.next++
	if r.next > 1<<r.size-2 {
		r.size = min(r.size+1, 12)
	}
	if r.next == lzwMost {
		r.next = -1
	}
	r.last = code
	n := int(r.length[code])
	for at := n - 1; at >= 0; at-- {
		r.buffer[at] = r.suffix[code]
		code = int(r.prefix[code])
	}
	r.ready = r.buffer[:n]
	return true
}

package jpeg

import (
	"context"
	"encoding/binary"
	"sync"
)

// decoder is the memory of one decoding, without the pixels. It is reused, since a server would
// otherwise leave megabytes to the collector with each picture.
type decoder struct {
	*File
	src    source
	tables [2][4]huffman
	pairs  [4]pairs // of the AC tables, where blocks are sequential
	paired [4]bool
	planes [4]plane
	raw    [2]unitCoefs // of one unit and the next, as they are coded
	block  block
	blocks [maxBlocksInMCU]slot
	rows   [4][]byte // of a component each, brought to the picture's width
}

// plane holds one component while it is decoded.
type plane struct {
	*component
	quant      [64]int16 // in natural order
	spanX      int       // blocks in a row, with those that fill the last unit
	coefs      []int16   // of a file with several scans: all its blocks
	known      []history // of a progressive file: of all its blocks
	samples    []byte    // a ring of two rows of units
	stride     int
	rowsOfRing int
	up         upsampling
	previous   int32 // DC
}

// keptSize bounds the memory that a decoder keeps for the next picture.
const keptSize = 8 << 20

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// Decode decodes the picture to RGB, three bytes for each pixel. If ctx ends, it returns early with
// ctx.Err(). Decode is safe for concurrent use.
func (f *File) Decode(ctx context.Context) ([]byte, error) {
	pix := make([]byte, 3*f.Width*f.Height)
	if err := f.DecodeTo(ctx, pix); err != nil {
		return nil, err
	}
	return pix, nil
}

// DecodeTo decodes the picture to pix. Unless it returns an error, it writes every byte of pix.
func (f *File) DecodeTo(ctx context.Context, pix []byte) error {
	d := decoders.Get().(*decoder)
	d.File = f
	err := d.decode(ctx, pix[:3*f.Width*f.Height])
	d.File, d.blocks = nil, [maxBlocksInMCU]slot{}
	for i := range d.planes {
		p := &d.planes[i]
		p.component = nil
		if 2*cap(p.coefs) > keptSize {
			p.coefs, p.known = nil, nil
		}
		if cap(p.samples) > keptSize {
			p.samples = nil
		}
	}
	if cap(d.src.buffer) > keptSize {
		d.src.buffer = nil
	}
	d.src = source{buffer: d.src.buffer}
	decoders.Put(d)
	return err
}

const decoderSize = 192 << 10 // tables and the like

// Memory returns the most memory that Decode takes apart from the file, in bytes, including the pixels.
func (f *File) Memory() int64 {
	n := 3 * int64(f.Width) * int64(f.Height)
	whole := !f.Interleaved()
	for i := range f.Components {
		c := &f.components[i]
		blocks := int64(ceilDiv(c.blocksX, int(c.h))*int(c.h)) * 64
		n += blocks*2*int64(c.v) + 2*int64(f.Width)
		if whole {
			all := blocks * int64(ceilDiv(c.blocksY, int(c.v))*int(c.v))
			n += 2*all + all/8
		}
	}
	longest := 0
	for _, s := range f.scans {
		longest = max(longest, s.data.to-s.data.from)
	}
	return n + int64(longest) + decoderSize
}

func (d *decoder) decode(ctx context.Context, pix []byte) error {
	whole := !d.Interleaved()
	for i := range d.Components {
		p := &d.planes[i]
		c := &d.components[i]
		p.component = c
		p.spanX = ceilDiv(c.blocksX, int(c.h)) * int(c.h)
		p.stride, p.rowsOfRing = 8*p.spanX, 16*int(c.v)
		p.samples = sized(p.samples, p.stride*p.rowsOfRing)
		p.up = newUpsampling(d.maxH/int(c.h), d.maxV/int(c.v), c.width)
		d.rows[i] = sized(d.rows[i], max(2*c.width, d.Width))
		if whole {
			p.coefs = sized(p.coefs, 64*p.spanX*ceilDiv(c.blocksY, int(c.v))*int(c.v))
			clear(p.coefs)
			if d.Progressive {
				p.known = sized(p.known, len(p.coefs)/64)
				clear(p.known)
			}
		}
	}
	latched := [4]bool{}
	for i := range d.scans {
		for _, c := range d.scans[i].components {
			if !latched[c] {
				latched[c] = true
				d.planes[c].setQuant(d.scans[i].dqt[d.components[c].quant])
			}
		}
		if whole {
			if err := d.storeScan(ctx, &d.scans[i]); err != nil {
				return err
			}
		}
	}
	if whole {
		return d.output(ctx, pix, func(row int) { d.transformRow(row) })
	}
	units := d.units(&d.scans[0])
	return d.output(ctx, pix, func(row int) { d.decodeRow(units, row) })
}

func sized[T byte | int16 | history](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

func (p *plane) setQuant(q *[64]uint16) {
	for k, v := range q {
		p.quant[natural[k]] = int16(v)
	}
}

// units counts a scan's units (MCUs) and its restart intervals.
type units struct {
	*scan
	perRow, rows int
	coders       [4]coder
	left         int // until the next restart marker
}

// units begins a scan: its tables, its data, its predictions.
func (d *decoder) units(s *scan) *units {
	u := &units{scan: s, left: s.restart}
	if len(s.components) == 1 {
		c := &d.components[s.components[0]]
		u.perRow, u.rows = c.blocksX, c.blocksY
	} else {
		u.perRow, u.rows = ceilDiv(d.Width, 8*d.maxH), ceilDiv(d.Height, 8*d.maxV)
	}
	for i, c := range s.components {
		d.planes[c].previous = 0
		d.table(0, s.dc[i], s)
		d.table(1, s.ac[i], s)
		dc, ac := s.dc[i]&3, s.ac[i]&3
		u.coders[i] = coder{&d.tables[0][dc], &d.tables[1][ac], &d.pairs[ac]}
	}
	d.src.start(d.data[s.data.from:s.data.to])
	return u
}

func (d *decoder) table(class int, number byte, s *scan) {
	if number > 3 || s.dht[class][number] == nil {
		return
	}
	t := &d.tables[class][number]
	if t.build(s.dht[class][number]) && class == 1 {
		d.paired[number] = false
	}
	if class == 1 && !d.Progressive && !d.paired[number] {
		d.pairs[number].build(&t.fast)
		d.paired[number] = true
	}
}

// whole returns how many units come before the next row and the next restart marker.
func (u *units) whole(x int) int {
	if u.restart > 0 {
		return min(u.perRow-x, u.left)
	}
	return u.perRow - x
}

// next comes before each unit: it goes past a restart marker that is due, and reports whether the
// segment has data for the unit.
func (d *decoder) next(u *units) (restarted, ok bool) {
	if u.restart > 0 {
		if u.left == 0 {
			d.src.restart()
			for _, c := range u.components {
				d.planes[c].previous = 0
			}
			u.left, restarted = u.restart, true
		}
		u.left--
	}
	return restarted, !d.src.empty
}

// storeScan adds one scan to the coefficients of all blocks.
func (d *decoder) storeScan(ctx context.Context, s *scan) error {
	u := d.units(s)
	bands := band{ss: s.ss, se: s.se, al: s.al}
	for row := range u.rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		for x := range u.perRow {
			restarted, ok := d.next(u)
			if restarted {
				bands.run = 0
			}
			switch {
			case !ok:
			case d.Progressive && u.ss > 0:
				d.storeBand(u, &bands, x, row)
			case !d.storeUnit(u, x, row):
				return refuse("its coefficients are out of range")
			}
			if d.src.spent() {
				d.src.empty = true
			}
		}
	}
	return nil
}

// storeBand adds to one block of a scan of AC coefficients.
func (d *decoder) storeBand(u *units, bands *band, x, y int) {
	p, ac := &d.planes[u.components[0]], u.coders[0].ac
	i := y*p.spanX + x
	c, known := (*[64]int16)(p.coefs[64*i:]), &p.known[i]
	switch {
	case u.ah > 0:
		bands.refine(c, known, &d.src.bitReader, ac)
	case bands.run > 0:
		bands.run--
	default:
		bands.first(c, known, &d.src.bitReader, ac)
	}
}

// storeUnit adds to the blocks of a unit of a sequential scan, or of one of DC coefficients.
func (d *decoder) storeUnit(u *units, x, y int) bool {
	r := &d.src.bitReader
	for i, ci := range u.components {
		p := &d.planes[ci]
		h, v := int(p.h), int(p.v)
		if len(u.components) == 1 {
			h, v = 1, 1
		}
		for by := y * v; by < (y+1)*v; by++ {
			for bx := x * h; bx < (x+1)*h; bx++ {
				c := (*[64]int16)(p.coefs[64*(by*p.spanX+bx):])
				switch {
				case !d.Progressive:
					r.sequential((*coefs)(d.raw[0][:]), &u.coders[i], &p.previous)
					*c = *d.raw[0].block(0)
				case u.ah == 0:
					if !firstDC(c, r, u.coders[i].dc, &p.previous, u.al) {
						return false
					}
				case r.bits(1) != 0:
					c[0] |= 1 << u.al
				}
			}
		}
	}
	return true
}

// transformRow brings one row of units from the stored coefficients into the rings.
func (d *decoder) transformRow(row int) {
	b := &d.block
	for i := range d.Components {
		p := &d.planes[i]
		for by := row * int(p.v); by < min((row+1)*int(p.v), p.blocksY); by++ {
			for bx := range p.blocksX {
				c := (*[64]int16)(p.coefs[64*(by*p.spanX+bx):])
				p.inverse(b, c, 63, p.samples[8*by%p.rowsOfRing*p.stride+8*bx:])
			}
		}
	}
}

// inverse transforms raw coefficients, none of them behind last, into 8 × 8 samples at dst.
func (p *plane) inverse(b *block, c *[64]int16, last int, dst []byte) {
	if last == 0 {
		if v := c[0] * p.quant[0]; abs(v) <= safeSum {
			level := uint64(clampByte((int32(v)+4)>>3+128)) * 0x0101010101010101
			for y := range 8 {
				binary.LittleEndian.PutUint64(dst[y*p.stride:], level)
			}
			return
		}
	} else if hasVectors && vectorInverse(dst, p.stride, c, &p.quant) {
		return
	}
	b.load(c, &p.quant, last)
	b.inverse(dst, p.stride)
}

// output fills the rings row of units by row of units, and writes the pixels that they give. The
// last pixel rows of one row of units wait for the next, which is their context.
func (d *decoder) output(ctx context.Context, pix []byte, fill func(row int)) error {
	rows := ceilDiv(d.Height, 8*d.maxV)
	done := 0
	for row := range rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		fill(row)
		ready := (row+1)*8*d.maxV - d.maxV
		if row == rows-1 {
			ready = d.Height
		}
		for ; done < ready; done++ {
			d.pixelRow(done, pix[3*d.Width*done:][:3*d.Width])
		}
	}
	return nil
}

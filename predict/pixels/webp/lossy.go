package webp

import "context"

// Prediction modes. 16×16 luma and chroma use only the first four.
const (
	modeDC = iota
	modeTM
	modeV
	modeH
	modeRD
	modeVR
	modeLD
	modeVL
	modeHD
	modeHU
)

// lossy decodes a VP8 key frame.
type lossy struct {
	width, height int
	columns, rows int // of macroblocks

	modes  *boolReader
	tokens []*boolReader

	segmented  bool
	newMap     bool
	absolute   bool // segments' values stand for themselves, not for differences
	quantizer  [4]int
	strength   [4]int
	segment    [3]uint8 // probabilities
	simple     bool     // the filter is
	level      int      // of the filter, 0 for none
	sharpness  int
	difference [2]int // of the filter's level: of all blocks, of those of 4×4 modes
	skipping   bool
	skip       uint8 // probability

	dequantizers  [4]dequantizer
	probabilities [4][8][3][11]uint8
	filters       [4][2]filter

	y, u, v            []byte // planes, of whole macroblocks
	yStride, uvStride  int
	above              []column
	left               column
	work               workspace
	coefficients       [384]int16
	nonzeroY, nonzeroC uint32 // two bits a block: what its coefficients need
}

// column is what a macroblock leaves for its neighbours below and to the right.
type column struct {
	modes     [4]uint8
	nonzero   uint8 // four bits of luma, two of each chroma
	nonzeroDC uint8
	y         [16]byte // the lowest row before filtering; for the one below
	u, v      [8]byte
	filter    filter
}

type dequantizer struct{ y1, y2, uv [2]int32 }

func decodeLossy(ctx context.Context, data []byte, width, height int) ([]byte, error) {
	d := &lossy{width: width, height: height, columns: (width + 15) / 16, rows: (height + 15) / 16}
	if !d.header(data) {
		return nil, refuse(damaged)
	}
	d.yStride, d.uvStride = 16*d.columns, 8*d.columns
	d.y = make([]byte, d.yStride*16*d.rows)
	d.u, d.v = make([]byte, d.uvStride*8*d.rows), make([]byte, d.uvStride*8*d.rows)
	d.above = make([]column, d.columns)
	for row := range d.rows {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !d.row(row) {
			return nil, refuse(damaged)
		}
		if d.level > 0 { // what the next row is predicted from was kept as it was before
			d.filterRow(row)
		}
	}
	return d.colours(ctx)
}

func (d *lossy) header(data []byte) bool {
	size := three(data) >> 5
	r := newBoolReader(data[10 : 10+size])
	rest := data[10+size:]
	d.modes = r
	r.number(2) // colour space and clamping, which change nothing
	d.segment = [3]uint8{255, 255, 255}
	if d.segmented = r.flag(); d.segmented {
		d.newMap = r.flag()
		if r.flag() {
			d.absolute = r.flag()
			for i := range d.quantizer {
				d.quantizer[i] = r.optional(7)
			}
			for i := range d.strength {
				d.strength[i] = r.optional(6)
			}
		} else {
			d.absolute = true
		}
		if d.newMap {
			for i := range d.segment {
				if r.flag() {
					d.segment[i] = uint8(r.number(8))
				}
			}
		}
	}
	d.simple = r.flag()
	d.level, d.sharpness = r.number(6), r.number(3)
	differs := r.flag()
	if differs && r.flag() {
		for i := range 8 {
			if !r.flag() {
				continue
			}
			switch v := r.signed(6); i {
			case 0:
				d.difference[0] = v
			case 4:
				d.difference[1] = v
			}
		}
	}
	parts := 1 << r.number(2)
	if r.ended || len(rest) < 3*(parts-1) {
		return false
	}
	sizes, rest := rest, rest[3*(parts-1):]
	for i := range parts - 1 {
		n := min(three(sizes[3*i:]), len(rest))
		d.tokens = append(d.tokens, newBoolReader(rest[:n]))
		rest = rest[n:]
	}
	d.tokens = append(d.tokens, newBoolReader(rest))
	if len(rest) == 0 {
		return false
	}
	d.readQuantizers()
	r.flag() // whether probabilities are kept for the next frame
	for i := range d.probabilities {
		for j := range d.probabilities[i] {
			for k := range d.probabilities[i][j] {
				for l := range d.probabilities[i][j][k] {
					p := firstProbabilities[i][j][k][l]
					if r.bit(updateProbabilities[i][j][k][l]) {
						p = uint8(r.number(8))
					}
					d.probabilities[i][j][k][l] = p
				}
			}
		}
	}
	if d.skipping = r.flag(); d.skipping {
		d.skip = uint8(r.number(8))
	}
	d.setFilters()
	return true
}

func (d *lossy) readQuantizers() {
	r := d.modes
	base := r.number(7)
	y1DC, y2DC, y2AC, uvDC, uvAC := r.optional(4), r.optional(4), r.optional(4), r.optional(4), r.optional(4)
	dc := func(q, most int) int32 { return int32(dcQuantizers[max(0, min(q, most))]) }
	ac := func(q int) int32 { return int32(acQuantizers[max(0, min(q, 127))]) }
	for i := range d.dequantizers {
		q := base
		if d.segmented {
			q = d.quantizer[i]
			if !d.absolute {
				q += base
			}
		}
		d.dequantizers[i] = dequantizer{
			y1: [2]int32{dc(q+y1DC, 127), ac(q)},
			y2: [2]int32{2 * dc(q+y2DC, 127), max(8, ac(q+y2AC)*155/100)},
			uv: [2]int32{dc(q+uvDC, 117), ac(q + uvAC)},
		}
	}
}

// block holds the settings of a macroblock, which precede its coefficients.
type block struct {
	segment int
	skipped bool
	fine    bool // luma is predicted in blocks of 4×4
	luma    [16]uint8
	chroma  uint8
}

// row decodes a row of macroblocks. It reports whether there was enough data.
func (d *lossy) row(y int) bool {
	d.left = column{}
	d.work.startRow(y)
	tokens := d.tokens[y&(len(d.tokens)-1)]
	for x := range d.columns {
		b := d.readModes(&d.above[x])
		coded := false
		if b.skipped {
			d.left.nonzero, d.above[x].nonzero = 0, 0
			if !b.fine {
				d.left.nonzeroDC, d.above[x].nonzeroDC = 0, 0
			}
			d.nonzeroY, d.nonzeroC = 0, 0
		} else {
			coded = d.readCoefficients(tokens, &b, &d.above[x])
		}
		if tokens.ended {
			return false
		}
		fine := 0
		if b.fine {
			fine = 1
		}
		f := d.filters[b.segment][fine]
		f.inner = f.inner || coded
		d.above[x].filter = f
		d.reconstruct(x, y, &b)
	}
	return !d.modes.ended
}

func (d *lossy) readModes(above *column) block {
	r, b := d.modes, block{}
	if d.newMap {
		if r.bit(d.segment[0]) {
			b.segment = 2 + r.one(d.segment[2])
		} else {
			b.segment = r.one(d.segment[1])
		}
	}
	if d.skipping {
		b.skipped = r.bit(d.skip)
	}
	if b.fine = !r.bit(145); b.fine {
		for y := range 4 {
			mode := d.left.modes[y]
			for x := range 4 {
				mode = readMode(r, &modeProbabilities[above.modes[x]][mode])
				above.modes[x], b.luma[4*y+x] = mode, mode
			}
			d.left.modes[y] = mode
		}
	} else {
		mode := uint8(modeDC)
		if r.bit(156) {
			mode = modeH
			if r.bit(128) {
				mode = modeTM
			}
		} else if r.bit(163) {
			mode = modeV
		}
		b.luma[0] = mode
		above.modes = [4]uint8{mode, mode, mode, mode}
		d.left.modes = above.modes
	}
	switch {
	case !r.bit(142):
		b.chroma = modeDC
	case !r.bit(114):
		b.chroma = modeV
	case r.bit(183):
		b.chroma = modeTM
	default:
		b.chroma = modeH
	}
	return b
}

// readMode reads the mode of a block of 4×4.
func readMode(r *boolReader, p *[9]uint8) uint8 {
	switch {
	case !r.bit(p[0]):
		return modeDC
	case !r.bit(p[1]):
		return modeTM
	case !r.bit(p[2]):
		return modeV
	case !r.bit(p[3]):
		switch {
		case !r.bit(p[4]):
			return modeH
		case !r.bit(p[5]):
			return modeRD
		}
		return modeVR
	case !r.bit(p[6]):
		return modeLD
	case !r.bit(p[7]):
		return modeVL
	case !r.bit(p[8]):
		return modeHD
	}
	return modeHU
}

package webp

// filter says how strongly a macroblock's edges are filtered.
type filter struct {
	limit     int // 0 for not at all
	interior  int
	threshold int  // of high variance
	inner     bool // edges inside the macroblock are filtered too
}

func (d *lossy) setFilters() {
	for segment := range d.filters {
		base := d.level
		if d.segmented {
			base = d.strength[segment]
			if !d.absolute {
				base += d.level
			}
		}
		for fine := range 2 {
			level := base + d.difference[0]
			if fine == 1 {
				level += d.difference[1]
			}
			level = max(0, min(level, 63))
			f := filter{inner: fine == 1}
			if level > 0 {
				f.interior = level
				if d.sharpness > 0 {
					f.interior >>= 1
					if d.sharpness > 4 {
						f.interior >>= 1
					}
					f.interior = min(f.interior, 9-d.sharpness)
				}
				f.interior = max(f.interior, 1)
				f.limit = 2*level + f.interior
				switch {
				case level >= 40:
					f.threshold = 2
				case level >= 15:
					f.threshold = 1
				}
			}
			d.filters[segment][fine] = f
		}
	}
}

// filterRow filters the edges of a row of macroblocks, and those above it.
func (d *lossy) filterRow(row int) {
	for column := range d.columns {
		f := d.above[column].filter
		if f.limit == 0 {
			continue
		}
		y := 16*row*d.yStride + 16*column
		if d.simple {
			if column > 0 {
				simple(d.y, y, 1, d.yStride, f.limit+4)
			}
			if f.inner {
				for i := 4; i < 16; i += 4 {
					simple(d.y, y+i, 1, d.yStride, f.limit)
				}
			}
			if row > 0 {
				simple(d.y, y, d.yStride, 1, f.limit+4)
			}
			if f.inner {
				for i := 4; i < 16; i += 4 {
					simple(d.y, y+i*d.yStride, d.yStride, 1, f.limit)
				}
			}
			continue
		}
		uv := 8*row*d.uvStride + 8*column
		if column > 0 {
			edge(d.y, y, 1, d.yStride, 16, f.limit+4, &f, true)
			edge(d.u, uv, 1, d.uvStride, 8, f.limit+4, &f, true)
			edge(d.v, uv, 1, d.uvStride, 8, f.limit+4, &f, true)
		}
		if f.inner {
			for i := 4; i < 16; i += 4 {
				edge(d.y, y+i, 1, d.yStride, 16, f.limit, &f, false)
			}
			edge(d.u, uv+4, 1, d.uvStride, 8, f.limit, &f, false)
			edge(d.v, uv+4, 1, d.uvStride, 8, f.limit, &f, false)
		}
		if row > 0 {
			edge(d.y, y, d.yStride, 1, 16, f.limit+4, &f, true)
			edge(d.u, uv, d.uvStride, 1, 8, f.limit+4, &f, true)
			edge(d.v, uv, d.uvStride, 1, 8, f.limit+4, &f, true)
		}
		if f.inner {
			for i := 4; i < 16; i += 4 {
				edge(d.y, y+i*d.yStride, d.yStride, 1, 16, f.limit, &f, false)
			}
			edge(d.u, uv+4*d.uvStride, d.uvStride, 1, 8, f.limit, &f, false)
			edge(d.v, uv+4*d.uvStride, d.uvStride, 1, 8, f.limit, &f, false)
		}
	}
}

func abs(v int) int {
	if v < 0 {
		return -v
	}
	return v
}

// signed clips v to a signed 8-bit number.
func signed(v int) int { return max(-128, min(v, 127)) }

// simple filters 16 positions along an edge; across is the step over it.
func simple(p []byte, at, across, along, limit int) {
	for range 16 {
		p1, p0, q0, q1 := int(p[at-2*across]), int(p[at-across]), int(p[at]), int(p[at+across])
		if 4*abs(p0-q0)+abs(p1-q1) <= 2*limit+1 {
			two(p, at, across, p1, p0, q0, q1)
		}
		at += along
	}
}

// two changes the two samples at the edge.
func two(p []byte, at, across, p1, p0, q0, q1 int) {
	a := 3*(q0-p0) + signed(p1-q1)
	p[at-across] = clip(p0 + max(-16, min((a+3)>>3, 15)))
	p[at] = clip(q0 - max(-16, min((a+4)>>3, 15)))
}

// edge filters count positions along an edge, outer between macroblocks or inside one.
func edge(p []byte, at, across, along, count, limit int, f *filter, outer bool) {
	limit, interior := 2*limit+1, f.interior
	for range count {
		p1, p0, q0, q1 := int(p[at-2*across]), int(p[at-across]), int(p[at]), int(p[at+across])
		if 4*abs(p0-q0)+abs(p1-q1) <= limit {
			p3, p2, q2, q3 := int(p[at-4*across]), int(p[at-3*across]), int(p[at+2*across]), int(p[at+3*across])
			if abs(p3-p2) <= interior && abs(p2-p1) <= interior && abs(p1-p0) <= interior &&
				abs(q3-q2) <= interior && abs(q2-q1) <= interior && abs(q1-q0) <= interior {
				switch {
				case abs(p1-p0) > f.threshold || abs(q1-q0) > f.threshold:
					two(p, at, across, p1, p0, q0, q1)
				case outer:
					a := signed(3*(q0-p0) + signed(p1-q1))
					a1, a2, a3 := (27*a+63)>>7, (18*a+63)>>7, (9*a+63)>>7
					p[at-3*across], p[at-2*across], p[at-across] = clip(p2+a3), clip(p1+a2), clip(p0+a1)
					p[at], p[at+across], p[at+2*across] = clip(q0-a1), clip(q1-a2), clip(q2-a3)
				default:
					a := 3 * (q0 - p0)
					a1, a2 := max(-16, min((a+4)>>3, 15)), max(-16, min((a+3)>>3, 15))
					a3 := (a1 + 1) >> 1
					p[at-2*across], p[at-across] = clip(p1+a3), clip(p0+a2)
					p[at], p[at+across] = clip(q0-a1), clip(q1-a3)
				}
			}
		}
		at += along
	}
}

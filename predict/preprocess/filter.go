package preprocess

import "context"

// filter is a way to resize.
type filter struct {
	run     func(ctx context.Context, p picture, o output, rows, columns axis) error
	support float64 // on either side; 0 of those without sums
	rounds  bool    // to whole numbers, after each axis
	steps   bool    // counts the pixels of a resized axis one by one
}

// memory returns the memory of an axis's taps.
func (f filter) memory(a axis) int64 {
	return 8 * int64(float64(a.wanted())*(a.reach(f.support)+4))
}

// work returns the memory between the picture and the output.
func (f filter) work(rows, columns axis, width, channels int) int64 {
	line := int64(width)*int64(channels) + 8
	made := int64(columns.wanted())*int64(channels) + 8
	switch {
	case f.support == 0:
		return 8 * made
	case f.rounds:
		taken := float64(rows.wanted())*float64(rows.have)/float64(max(rows.total, 1)) + rows.reach(f.support) + 2
		return int64(min(float64(rows.have), taken))*made + 24*line + 17*made
	}
	return 4 * line
}

var filters = map[string]filter{
	"nearest":            {run: nearest(nearestPillow), steps: true},
	"nearest-tf":         {run: nearest(nearestTF)},
	"bilinear":           {run: bilinear(true)},
	"bilinear-tf1":       {run: bilinear(false)},
	"bilinear-antialias": spans(1, true, triangle),
	"bicubic":            summed(2, func(a axis) taps[float32] { return fourTaps(a, -0.5, true) }),
	"bicubic-antialias":  spans(2, true, cubic),
	"bicubic-torch":      summed(2, func(a axis) taps[float32] { return fourTaps(a, -0.75, false) }),
	"lanczos3":           spans(3, false, lanczosOf(3)),
	"lanczos3-antialias": spans(3, true, lanczosOf(3)),
	"lanczos5":           spans(5, false, lanczosOf(5)),
	"lanczos5-antialias": spans(5, true, lanczosOf(5)),
	"area":               summed(0.5, areaTaps),
	"box-pillow":         rounded(0.5, pillowBox),
	"bilinear-pillow":    rounded(1, pillowTriangle),
	"hamming-pillow":     rounded(1, pillowHamming),
	"bicubic-pillow":     rounded(2, pillowCubic),
	"lanczos-pillow":     rounded(3, pillowLanczos),
}

func nearest(find func(axis) []int) func(context.Context, picture, output, axis, axis) error {
	return func(ctx context.Context, p picture, o output, rows, columns axis) error {
		across := find(columns)
		for i, y := range find(rows) {
			if err := ended(ctx, i); err != nil {
				return err
			}
			row, made := p.row(y), o.row(i)
			if p.channels == 1 {
				for j, x := range across {
					made[j] = float32(row[x])
				}
				continue
			}
			for _, x := range across {
				pixel, values := row[3*x:3*x+3:3*x+3], made[:3:3]
				values[0], values[1], values[2] = float32(pixel[0]), float32(pixel[1]), float32(pixel[2])
				made = made[3:]
			}
		}
		return nil
	}
}

// ended checks ctx from time to time.
func ended(ctx context.Context, row int) error {
	if row%64 == 0 {
		return ctx.Err()
	}
	return nil
}

func bilinear(halfPixel bool) func(context.Context, picture, output, axis, axis) error {
	mixed := func(a, b, share float32) float32 { return a + float32((b-a)*share) }
	return func(ctx context.Context, p picture, o output, rows, columns axis) error {
		across := betweens(columns, halfPixel)
		if width := columns.wanted() * p.channels; hasVectors && width >= 8 {
			return vectorBilinear(ctx, p, o, across, betweens(rows, halfPixel), width)
		}
		for i, down := range betweens(rows, halfPixel) {
			if err := ended(ctx, i); err != nil {
				return err
			}
			upper, lower, made := p.row(down.lower), p.row(down.upper), o.row(i)
			for j := range across {
				b := &across[j]
				l, r, to := b.lower*p.channels, b.upper*p.channels, j*p.channels
				for c := range p.channels {
					above := mixed(float32(upper[l+c]), float32(upper[r+c]), b.share)
					below := mixed(float32(lower[l+c]), float32(lower[r+c]), b.share)
					made[to+c] = mixed(above, below, down.share)
				}
			}
		}
		return nil
	}
}

func spans(radius float32, antialias bool, kernel func(float32) float32) filter {
	return summed(float64(radius), func(a axis) taps[float32] { return spanTaps(a, radius, antialias, kernel) })
}

// floats maps bytes to floats.
var floats = func() (t [256]float32) {
	for i := range t {
		t[i] = float32(i)
	}
	return t
}()

// summed returns a filter that sums in single precision: rows first, one output row at a time.
func summed(support float64, tapsOf func(axis) taps[float32]) filter {
	return filter{support: support, run: func(ctx context.Context, p picture, o output, rows, columns axis) error {
		down, along := tapsOf(rows), tapsOf(columns)
		from, to := along.span()
		line := make([]float32, p.stride)
		for i := range rows.wanted() {
			if err := ended(ctx, i); err != nil {
				return err
			}
			part := line[from*p.channels : to*p.channels]
			clear(part)
			positions, weights := down.of(i)
			for t, y := range positions {
				addRow(part, p.row(int(y))[from*p.channels:][:len(part)], weights[t])
			}
			made := o.row(i)
			for j := range columns.wanted() {
				positions, weights := along.of(j)
				if p.channels == 3 {
					made[3*j], made[3*j+1], made[3*j+2] = sumColours(line, positions, weights)
					continue
				}
				sum := float32(0)
				for t, x := range positions {
					sum += float32(line[x] * weights[t])
				}
				made[j] = sum
			}
		}
		return nil
	}}
}

// addRow adds a row of the picture, times its weight, to line.
func addRow(line []float32, row []byte, weight float32) {
	done := 0
	if hasVectors {
		done = vectorAddRow(line, row, weight)
	}
	line, row = line[done:], row[done:]
	row = row[:len(line)]
	for x, v := range row {
		line[x] += float32(floats[v] * weight)
	}
}

// sumColours sums pixels of three channels.
func sumColours(line []float32, positions []int32, weights []float32) (r, g, b float32) {
	weights = weights[:len(positions)]
	for t, x := range positions {
		pixel, weight := (*[3]float32)(line[3*x:]), weights[t]
		r += float32(pixel[0] * weight)
		g += float32(pixel[1] * weight)
		b += float32(pixel[2] * weight)
	}
	return r, g, b
}

package webp

import "context"

// decodeAlpha decodes an ALPH chunk's body.
func decodeAlpha(ctx context.Context, data []byte, width, height int, more func(int64) error) ([]byte, error) {
	if len(data) < 2 {
		return nil, refuse(damaged)
	}
	head := data[0]
	method, filter := head&3, head>>2&3
	if method > 1 || head>>4&3 > 1 || head>>6 != 0 {
		return nil, refuse(damaged)
	}
	out := make([]byte, width*height)
	if method == 0 {
		if copy(out, data[1:]) < len(out) {
			return nil, refuse(damaged)
		}
	} else {
		d := &lossless{ctx: ctx, r: bitReader{data: data[1:]}, left: tableMemory(len(data)), more: more}
		argb, err := d.picture(width, height, true)
		if err != nil {
			return nil, err
		}
		for i, v := range argb {
			out[i] = byte(v >> 8)
		}
	}
	for y := range height {
		row := out[y*width:][:width]
		var above []byte
		if y > 0 {
			above = out[(y-1)*width:][:width]
		}
		unfilter(filter, row, above)
	}
	return out, nil
}

// unfilter adds a row's prediction: from the left, from above, or from both along the gradient.
func unfilter(filter byte, row, above []byte) {
	switch {
	case filter == 0:
	case filter == 1 || above == nil:
		left := byte(0)
		if above != nil {
			left = above[0]
		}
		for x := range row {
			left += row[x]
			row[x] = left
		}
	case filter == 2:
		for x := range row {
			row[x] += above[x]
		}
	default:
		left, corner := int(above[0]), int(above[0])
		for x := range row {
			top := int(above[x])
			row[x] += clip(left + top - corner)
			left, corner = int(row[x]), top
		}
	}
}

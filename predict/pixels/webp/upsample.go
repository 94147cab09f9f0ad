package webp

import "context"

// colours converts the planes to RGB like libwebp with fancy upsampling. A chroma sample has a weight of
// 9, 3, 3 or 1 sixteenth in each pixel around it, and of 3 or 1 quarter at the picture's edges.
func (d *lossy) colours(ctx context.Context) ([]byte, error) {
	out := make([]byte, 3*d.width*d.height)
	half := (d.width + 1) / 2
	line := make([]byte, 2*d.width) // a row's upsampled chroma, u beside v
	for y := range d.height {
		if y%64 == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		near := y / 2
		far := max(0, near-1)
		if y%2 == 1 {
			far = min(near+1, (d.height-1)/2)
		}
		u, v := line[:d.width], line[d.width:]
		upsample(u, d.u[near*d.uvStride:][:half], d.u[far*d.uvStride:][:half])
		upsample(v, d.v[near*d.uvStride:][:half], d.v[far*d.uvStride:][:half])
		o, luma := out[3*d.width*y:][:3*d.width], d.y[y*d.yStride:][:d.width]
		for x, l := range luma {
			p := (*[3]byte)(o[3*x:])
			p[0], p[1], p[2] = colour(int(l), int(u[x]), int(v[x]))
		}
	}
	return out, nil
}

// upsample computes a row of chroma from the nearer row and the farther one.
func upsample(out, near, far []byte) {
	n, f := int(near[0]), int(far[0])
	out[0] = byte((3*n + f + 2) >> 2)
	for x := 1; x <= (len(out)-1)/2; x++ {
		n1, f1 := int(near[x]), int(far[x])
		sum := n + n1 + f + f1 + 8
		out[2*x-1] = byte(((sum+2*(n1+f))>>3 + n) >> 1)
		out[2*x] = byte(((sum+2*(n+f1))>>3 + n1) >> 1)
		n, f = n1, f1
	}
	if len(out)%2 == 0 {
		out[len(out)-1] = byte((3*n + f + 2) >> 2)
	}
}

// colour converts one pixel in 14-bit fixed point, and drops 8 of the bits early.
func colour(y, u, v int) (r, g, b byte) {
	y = y * 19077 >> 8
	return clip((y + v*26149>>8 - 14234) >> 6),
		clip((y - u*6419>>8 - v*13320>>8 + 8708) >> 6),
		clip((y + u*33050>>8 - 17685) >> 6)
}

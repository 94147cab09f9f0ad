package jpeg

// upsampling brings a component's rows to the picture's width and height, as libjpeg does with
// fancy upsampling on: by a triangle filter where the component has half the samples, and else by
// repeating them.
type upsampling struct {
	x, y  int // how many pixels a sample stands for
	fancy bool
}

func newUpsampling(x, y, width int) upsampling {
	u := upsampling{x: x, y: y}
	switch [2]int{x, y} {
	case [2]int{1, 2}:
		u.fancy = true
	case [2]int{2, 1}, [2]int{2, 2}:
		u.fancy = width > 2
	}
	return u
}

// row returns one row of the plane's samples, or the nearest.
func (p *plane) row(y int) []byte {
	y = max(0, min(p.height-1, y))
	return p.samples[y%p.rowsOfRing*p.stride:][:p.width]
}

// upsampled gives the samples for pixel row y, in out where they aren't the plane's own.
func (p *plane) upsampled(y int, out []byte) []byte {
	near := p.row(y / p.up.y)
	far := func() []byte { return p.row(y/p.up.y - 1 + 2*(y%2)) }
	switch {
	case p.up.x == 1 && p.up.y == 1:
		return near
	case !p.up.fancy:
		repeat(near, p.up.x, out)
	case p.up.y == 1:
		doubleWidth(near, out)
	case p.up.x == 1:
		doubleHeight(near, far(), out, 1+int32(y%2))
	default:
		doubleBoth(near, far(), out)
	}
	return out
}

func repeat(in []byte, n int, out []byte) {
	if n == 1 {
		copy(out, in)
		return
	}
	x := 0
	for _, v := range in {
		for range n {
			if x == len(out) {
				return
			}
			out[x] = v
			x++
		}
	}
}

func doubleWidth(in, out []byte) {
	last := len(in) - 1
	out = out[:2*len(in)]
	if hasVectors && len(in) >= 18 {
		vectorDouble(in, in, out, 4, 8) // 3 in + in is four times what is taken here, and so are the biases
		out[0], out[1] = in[0], byte((3*int32(in[0])+int32(in[1])+2)>>2)
		out[2*last], out[2*last+1] = byte((3*int32(in[last])+int32(in[last-1])+1)>>2), in[last]
		return
	}
	left, here := int32(in[0]), int32(in[0])
	for x := range last {
		right := int32(in[x+1])
		out[2*x], out[2*x+1] = byte((3*here+left+1)>>2), byte((3*here+right+2)>>2)
		left, here = here, right
	}
	out[2*last], out[2*last+1] = byte((3*here+left+1)>>2), byte(here)
	out[0] = in[0]
}

func doubleHeight(near, far, out []byte, bias int32) {
	out, far = out[:len(near)], far[:len(near)]
	for x, v := range near {
		out[x] = byte((3*int32(v) + int32(far[x]) + bias) >> 2)
	}
}

func doubleBoth(near, far, out []byte) {
	last := len(near) - 1
	out, far = out[:2*len(near)], far[:len(near)]
	if hasVectors && len(near) >= 18 {
		vectorDouble(near, far, out, 8, 7)
		sum := func(x int) int32 { return 3*int32(near[x]) + int32(far[x]) }
		out[0], out[1] = byte((4*sum(0)+8)>>4), byte((3*sum(0)+sum(1)+7)>>4)
		out[2*last], out[2*last+1] = byte((3*sum(last)+sum(last-1)+8)>>4), byte((4*sum(last)+7)>>4)
		return
	}
	here := 3*int32(near[0]) + int32(far[0])
	left := here
	for x := range last {
		right := 3*int32(near[x+1]) + int32(far[x+1])
		out[2*x], out[2*x+1] = byte((3*here+left+8)>>4), byte((3*here+right+7)>>4)
		left, here = here, right
	}
	out[2*last], out[2*last+1] = byte((3*here+left+8)>>4), byte((4*here+7)>>4)
}

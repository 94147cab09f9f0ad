package pixels

import (
	"bytes"
	"image"
	"image/jpeg"
)

// decodeApproximate decodes a JPEG without libjpeg-turbo: image/jpeg's planes, then the
// triangle ("fancy") chroma upsampling and the integer colour conversion of libjpeg (its
// jdsample.c and jdcolor.c). What is left of a difference comes from the inverse DCT.
func decodeApproximate(data []byte) (RGB, error) {
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return RGB{}, refuse("decode JPEG: %w", err)
	}
	b := img.Bounds()
	out := RGB{Width: b.Dx(), Height: b.Dy(), Pix: make([]byte, 3*b.Dx()*b.Dy())}
	switch m := img.(type) {
	case *image.Gray:
		for y := range out.Height {
			for x := range out.Width {
				v := m.Pix[y*m.Stride+x]
				i := 3 * (y*out.Width + x)
				out.Pix[i], out.Pix[i+1], out.Pix[i+2] = v, v, v
			}
		}
	case *image.RGBA: // a JPEG that holds RGB, not YCbCr
		for y := range out.Height {
			for x := range out.Width {
				copy(out.Pix[3*(y*out.Width+x):][:3], m.Pix[y*m.Stride+4*x:])
			}
		}
	case *image.YCbCr:
		convertYCbCr(m, out)
	default:
		return RGB{}, refuse("decode JPEG: pixels of type %T, for which no rule is stated", img)
	}
	return out, nil
}

func convertYCbCr(m *image.YCbCr, out RGB) {
	w, h := out.Width, out.Height
	cb, cr := make([]byte, w), make([]byte, w)
	up := newUpsampler(m.SubsampleRatio, w, h)
	for y := range h {
		up.row(m.Cb, m.CStride, y, cb)
		up.row(m.Cr, m.CStride, y, cr)
		luma := m.Y[y*m.YStride:]
		for x := range w {
			l, b, r := int32(luma[x]), int32(cb[x])-128, int32(cr[x])-128
			i := 3 * (y*w + x)
			out.Pix[i] = clamp(l + (91881*r+32768)>>16)
			out.Pix[i+1] = clamp(l + (-22554*b-46802*r+32768)>>16)
			out.Pix[i+2] = clamp(l + (116130*b+32768)>>16)
		}
	}
}

func clamp(v int32) byte { return byte(max(0, min(255, v))) }

// upsampler brings one row of a chroma plane to the picture's width.
type upsampler struct {
	ratioX, ratioY int
	cw, ch         int     // the plane's real size
	sums           []int32 // one row after vertical weighting
}

func newUpsampler(ratio image.YCbCrSubsampleRatio, w, h int) *upsampler {
	u := &upsampler{ratioX: 1, ratioY: 1}
	switch ratio {
	case image.YCbCrSubsampleRatio422:
		u.ratioX = 2
	case image.YCbCrSubsampleRatio420:
		u.ratioX, u.ratioY = 2, 2
	case image.YCbCrSubsampleRatio440:
		u.ratioY = 2
	case image.YCbCrSubsampleRatio411:
		u.ratioX = 4
	case image.YCbCrSubsampleRatio410:
		u.ratioX, u.ratioY = 4, 2
	}
	u.cw, u.ch = (w+u.ratioX-1)/u.ratioX, (h+u.ratioY-1)/u.ratioY
	u.sums = make([]int32, u.cw)
	return u
}

func (u *upsampler) row(plane []byte, stride, y int, out []byte) {
	triangle := u.ratioX <= 2 && (u.ratioX == 1 || u.cw > 2)
	near := y / u.ratioY
	row := plane[near*stride:][:u.cw]
	if !triangle { // libjpeg repeats samples here
		for x := range out {
			out[x] = row[x/u.ratioX]
		}
		return
	}
	scale := int32(1)
	for x, v := range row {
		u.sums[x] = int32(v)
	}
	if u.ratioY == 2 { // three quarters of the nearer row, one of the other
		far := near - 1
		if y%2 == 1 {
			far = near + 1
		}
		far = max(0, min(u.ch-1, far))
		for x, v := range plane[far*stride:][:u.cw] {
			u.sums[x] = 3*u.sums[x] + int32(v)
		}
		scale = 4
	}
	if u.ratioX == 1 {
		bias := int32(0)
		if u.ratioY == 2 {
			bias = 1 + int32(y%2)
		}
		for x := range out {
			out[x] = byte((u.sums[x] + bias) / scale)
		}
		return
	}
	shift, left, right := 2, int32(1), int32(2)
	if u.ratioY == 2 {
		shift, left, right = 4, 8, 7
	}
	last := u.cw - 1
	for x := range out {
		c := x / 2
		neighbour, bias := c-1, left
		if x%2 == 1 {
			neighbour, bias = c+1, right
		}
		neighbour = max(0, min(last, neighbour))
		out[x] = byte((3*u.sums[c] + u.sums[neighbour] + bias) >> shift)
	}
}

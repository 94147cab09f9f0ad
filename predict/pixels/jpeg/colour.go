package jpeg

import "bytes"

// colours says how components become pixels.
type colours int

const (
	grey colours = iota
	yCbCr
	rgb
	cmyk
	ycck
)

// colours are judged as libjpeg does: with three components a JFIF marker beats Adobe's, which beats
// the components' names; with four Adobe's transform counts.
func (f *File) colours() colours {
	c := &f.components
	switch {
	case f.Components == 1:
		return grey
	case f.Components == 4 && (!f.adobe || f.transform == 0):
		return cmyk
	case f.Components == 4:
		return ycck
	case f.jfif:
		return yCbCr
	case f.adobe && f.transform == 0, !f.adobe && c[0].id == 'R' && c[1].id == 'G' && c[2].id == 'B':
		return rgb
	}
	return yCbCr
}

// pixelRow writes pixel row y.
func (d *decoder) pixelRow(y int, out []byte) {
	var c [4][]byte
	for i := range d.Components {
		c[i] = d.planes[i].upsampled(y, d.rows[i])[:d.Width]
	}
	switch d.colours() {
	case grey:
		greyRow(c[0], out)
	case rgb:
		for x := range d.Width {
			o := (*[3]byte)(out[3*x:])
			o[0], o[1], o[2] = c[0][x], c[1][x], c[2][x]
		}
	case yCbCr:
		yCbCrRow(c[0], c[1], c[2], out)
	case cmyk:
		cmykRow(c[0], c[1], c[2], c[3], out)
	case ycck:
		// libjpeg makes CMYK of it by taking RGB from 255, in the order of RGB.
		yCbCrRow(c[0], c[1], c[2], out)
		for x, k := range c[3] {
			o := (*[3]byte)(out[3*x:])
			o[0], o[1], o[2] = ink(255-o[0], k), ink(255-o[1], k), ink(255-o[2], k)
		}
	}
}

// Three sums in one integer: red in bits 0 to 15, blue in 16 to 31, green with 16 bits of fraction
// above. Each is biased, so that none borrows from the next.
var (
	fromCb, fromCr = func() (b, r [256]uint64) {
		for i := range 256 {
			x := int64(i) - 128
			r[i] = uint64((91881*x+1<<15)>>16+bias) | uint64(-46802*x+bias<<16)<<32
			b[i] = uint64((116130*x+1<<15)>>16+bias)<<16 | uint64(-22554*x+1<<15)<<32
		}
		return b, r
	}()
	clamped = func() (t [1024]byte) {
		for i := range t {
			t[i] = clampByte(int32(i) - bias)
		}
		return t
	}()
)

const bias = 256

// neutral is the chroma of greys.
var neutral = bytes.Repeat([]byte{128}, 512)

func greyRow(luma, out []byte) {
	if !hasVectors {
		for x, v := range luma {
			o := (*[3]byte)(out[3*x:])
			o[0], o[1], o[2] = v, v, v
		}
		return
	}
	for len(luma) > 0 {
		n := min(len(luma), len(neutral))
		yCbCrRow(luma[:n], neutral[:n], neutral[:n], out)
		luma, out = luma[n:], out[3*n:]
	}
}

func yCbCrRow(luma, cb, cr, out []byte) {
	if hasVectors && len(luma) >= 16 {
		vectorColours(luma, cb, cr, out)
		return
	}
	cb, cr, out = cb[:len(luma)], cr[:len(luma)], out[:3*len(luma)]
	for x, l := range luma {
		sums := fromCb[cb[x]] + fromCr[cr[x]] + uint64(l)*(1+1<<16+1<<48)
		o := (*[3]byte)(out[3*x:])
		o[0] = clamped[sums&1023]
		o[1] = clamped[sums>>48&1023]
		o[2] = clamped[sums>>16&1023]
	}
}

func cmykRow(c, m, y, k, out []byte) {
	m, y, k = m[:len(c)], y[:len(c)], k[:len(c)]
	for x, v := range c {
		o := (*[3]byte)(out[3*x:])
		o[0], o[1], o[2] = ink(v, k[x]), ink(m[x], k[x]), ink(y[x], k[x])
	}
}

// ink is what Pillow makes of one ink and black: it takes both as stored inverted, as Adobe does, and
// takes the ink's share of what black leaves.
func ink(v, k byte) byte {
	white := int32(k)
	share := int32(255-v)*white + 128
	return clampByte(white - (share>>8+share)>>8)
}

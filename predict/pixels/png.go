package pixels

import (
	"bytes"
	"image"
	"image/png"
)

// decodePNG decodes a PNG whose header was accepted: grey, colour or palette, up to 8 bits,
// no transparency.
func decodePNG(data []byte) (RGB, error) {
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return RGB{}, refuse("decode PNG: %w", err)
	}
	b := img.Bounds()
	out := RGB{Width: b.Dx(), Height: b.Dy(), Pix: make([]byte, 3*b.Dx()*b.Dy())}
	i := 0
	for y := range out.Height {
		switch m := img.(type) {
		case *image.Gray:
			for _, v := range m.Pix[y*m.Stride:][:out.Width] {
				out.Pix[i], out.Pix[i+1], out.Pix[i+2] = v, v, v
				i += 3
			}
		case *image.RGBA:
			row := m.Pix[y*m.Stride:]
			for x := range out.Width {
				copy(out.Pix[i:i+3], row[4*x:])
				i += 3
			}
		case *image.Paletted:
			for _, index := range m.Pix[y*m.Stride:][:out.Width] {
				r, g, b, _ := m.Palette[index].RGBA() // 8 bits, widened to 16
				out.Pix[i], out.Pix[i+1], out.Pix[i+2] = byte(r>>8), byte(g>>8), byte(b>>8)
				i += 3
			}
		default:
			return RGB{}, refuse("decode PNG: pixels of type %T, for which no rule is stated", img)
		}
	}
	return out, nil
}

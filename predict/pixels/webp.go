package pixels

import (
	"bytes"
	"context"
	"errors"

	"github.com/forgo-ml/forgo/predict/pixels/webp"
)

// webpOrientation reads an EXIF chunk. Some writers put JPEG's prefix before its TIFF block.
func webpOrientation(exif []byte) int {
	return exifOrientation(bytes.TrimPrefix(exif, []byte("Exif\x00\x00")))
}

// decodeWebP places the frame on its canvas, which is transparent black around it.
func decodeWebP(ctx context.Context, f *webp.File, o Options) (RGB, error) {
	alpha := o.Alpha
	frame, err := f.Decode(ctx, func(bytes int64) error {
		if o.Reserve == nil {
			return nil
		}
		return o.Reserve(bytes, f.Width, f.Height)
	})
	switch {
	case errors.Is(err, webp.ErrRefused):
		return RGB{}, refuse("%w", err)
	case err != nil:
		return RGB{}, err
	}
	covered := f.FrameWidth == f.Width && f.FrameHeight == f.Height
	opaque := covered
	for i, a := range frame.Alpha {
		if a != 255 {
			opaque = false
			p := (*[3]byte)(frame.Pix[3*i:])
			p[0], p[1], p[2] = alpha.over(p[0], a), alpha.over(p[1], a), alpha.over(p[2], a)
		}
	}
	if !opaque && alpha == AlphaRefused {
		return RGB{}, refuse(transparent)
	}
	out := RGB{Width: f.Width, Height: f.Height, Pix: frame.Pix}
	if covered {
		return out, nil
	}
	out.Pix = make([]byte, 3*f.Width*f.Height)
	ground := alpha.over(0, 0)
	for i := range out.Pix {
		out.Pix[i] = ground
	}
	for y := range f.FrameHeight {
		copy(out.Pix[3*((f.Y+y)*f.Width+f.X):][:3*f.FrameWidth], frame.Pix[3*y*f.FrameWidth:])
	}
	return out, nil
}

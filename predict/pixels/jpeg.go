package pixels

import (
	"context"
	"errors"

	"github.com/forgo-ml/forgo/predict/pixels/jpeg"
)

// decodeJPEG decodes a JPEG after its header, and is where its decoder is chosen. Both give the same
// pixels, so the faster one decodes: the one in Go with vectors, else libjpeg-turbo, if this build has it
// and it takes the file.
func decodeJPEG(ctx context.Context, h header) (RGB, error) {
	if turboFirst {
		if img, ok := decodeInTurbo(h); ok {
			return img, nil
		}
	}
	return decodeInGo(ctx, h)
}

// jpegDecoder is the name of the first decoder that decodeJPEG tries.
func jpegDecoder() string {
	if turboFirst {
		return "libjpeg-turbo"
	}
	return "Go"
}

func decodeInGo(ctx context.Context, h header) (RGB, error) {
	pix := takePix(3 * h.width * h.height)
	err := h.jpeg.DecodeTo(ctx, pix)
	if errors.Is(err, jpeg.ErrRefused) {
		return RGB{}, refuse("%w", err)
	}
	if err != nil {
		return RGB{}, err
	}
	return RGB{Width: h.width, Height: h.height, Pix: pix}, nil
}

package pixels

import (
	"context"
	"errors"

	"github.com/forgo-ml/forgo/predict/pixels/jpeg"
)

// decodeInGo decodes a JPEG after its header. A build with libjpeg-turbo also uses it, for files that
// libjpeg-turbo rejects.
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

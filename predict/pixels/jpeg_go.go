//go:build !turbojpeg

package pixels

import "context"

func decodeJPEG(ctx context.Context, h header) (RGB, error) { return decodeInGo(ctx, h) }

const jpegDecoder = "Go"

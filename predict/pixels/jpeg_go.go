//go:build !turbojpeg

package pixels

const (
	jpegExact   = false
	jpegDecoder = "image/jpeg (approximate)"
)

func decodeJPEG(data []byte, _ header) (RGB, error) { return decodeApproximate(data) }

package pixels

import (
	"encoding/binary"
	"strings"

	"github.com/forgo-ml/forgo/predict/pixels/jpeg"
)

// header is what is read of a picture before any decoding. src/forgo/_picture.py reads the
// same bytes by the same rules; conformance/pictures.json holds both to it.
type header struct {
	media         string
	width, height int
	orientation   int // EXIF, 1 to 8
	jpeg          *jpeg.File
}

func readHeader(data []byte) (header, error) {
	var h header
	var err error
	switch Sniff(data) {
	case JPEG:
		h, err = readJPEGHeader(data)
	case PNG:
		h, err = readPNGHeader(data)
	default:
		if len(data) == 0 {
			return h, refuse("it is empty")
		}
		return h, refuse("it is neither a JPEG nor a PNG")
	}
	return h, err
}

// checkSize comes as soon as the size is known, so that it speaks before anything further on.
func (h header) checkSize() error {
	if h.width <= 0 || h.height <= 0 {
		return refuse("its header gives %d x %d pixels", h.width, h.height)
	}
	if h.width > MaxPixels/h.height {
		return refuse("%d x %d pixels are more than %d", h.width, h.height, MaxPixels)
	}
	return nil
}

func readJPEGHeader(data []byte) (header, error) {
	f, err := jpeg.Parse(data, MaxPixels)
	if err != nil {
		return header{}, refuse("%w", err)
	}
	return header{media: JPEG, width: f.Width, height: f.Height, orientation: exifOrientation(f.EXIF), jpeg: f}, nil
}

func readPNGHeader(data []byte) (header, error) {
	h := header{media: PNG, orientation: 1}
	const truncated = "it is a truncated PNG"
	for i := 8; ; {
		if i+12 > len(data) {
			return h, refuse(truncated)
		}
		n := binary.BigEndian.Uint32(data[i:])
		kind := string(data[i+4 : i+8])
		if kind == "IDAT" {
			if h.width == 0 {
				return h, refuse("it is a PNG without a header")
			}
			return h, nil
		}
		if uint64(n) > uint64(len(data)-i-12) {
			return h, refuse(truncated)
		}
		chunk := data[i+8 : i+8+int(n)]
		i += 12 + int(n)
		switch kind {
		case "IHDR":
			if len(chunk) < 13 {
				return h, refuse(truncated)
			}
			h.width, h.height = int(binary.BigEndian.Uint32(chunk)), int(binary.BigEndian.Uint32(chunk[4:]))
			if err := h.checkSize(); err != nil {
				return h, err
			}
			if chunk[8] == 16 {
				return h, refuse("it has 16 bits a sample; a rule is stated for up to 8")
			}
			if chunk[9] == 4 || chunk[9] == 6 {
				return h, refuse("it has an alpha channel, for which no rule is stated")
			}
		case "tRNS":
			return h, refuse("it has transparent pixels, for which no rule is stated")
		case "acTL":
			return h, refuse("it is animated, for which no rule is stated")
		case "eXIf":
			h.orientation = exifOrientation(chunk)
		case "IEND":
			return h, refuse("it is a PNG without pixels")
		}
	}
}

// exifOrientation finds tag 0x0112 in the first directory of a TIFF block. Whatever is not
// one SHORT from 1 to 8 there counts as upright.
func exifOrientation(tiff []byte) int {
	if len(tiff) < 8 {
		return 1
	}
	var order binary.ByteOrder
	switch {
	case strings.HasPrefix(string(tiff[:4]), "II*\x00"):
		order = binary.LittleEndian
	case strings.HasPrefix(string(tiff[:4]), "MM\x00*"):
		order = binary.BigEndian
	default:
		return 1
	}
	offset := uint64(order.Uint32(tiff[4:]))
	if offset+2 > uint64(len(tiff)) {
		return 1
	}
	entries := tiff[offset+2:]
	for range order.Uint16(tiff[offset:]) {
		if len(entries) < 12 {
			return 1
		}
		if order.Uint16(entries) == 0x0112 {
			value := order.Uint16(entries[8:])
			if order.Uint16(entries[2:]) == 3 && order.Uint32(entries[4:]) == 1 && value >= 1 && value <= 8 {
				return int(value)
			}
			return 1
		}
		entries = entries[12:]
	}
	return 1
}

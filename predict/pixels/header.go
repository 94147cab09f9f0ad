package pixels

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// header is what is read of a picture before any decoding. src/forgo/_picture.py reads the
// same bytes by the same rules; conformance/pictures.json holds both to it.
type header struct {
	media         string
	width, height int
	components    int // of a JPEG: 1 or 3
	orientation   int // EXIF, 1 to 8
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

const truncatedJPEG = "it is a truncated JPEG"

func readJPEGHeader(data []byte) (header, error) {
	h := header{media: JPEG, orientation: 1}
	sawExif := false
	for i := 2; ; {
		for i < len(data) && data[i] != 0xff { // bytes between segments are skipped, as libjpeg does
			i++
		}
		for i < len(data) && data[i] == 0xff {
			i++
		}
		if i >= len(data) {
			return h, refuse(truncatedJPEG)
		}
		marker := data[i]
		i++
		if marker == 0x00 || marker == 0x01 || marker >= 0xd0 && marker <= 0xd8 {
			continue // stands alone
		}
		if marker == 0xd9 || i+2 > len(data) {
			return h, refuse(truncatedJPEG)
		}
		n := int(binary.BigEndian.Uint16(data[i:]))
		if n < 2 || i+n > len(data) {
			return h, refuse(truncatedJPEG)
		}
		segment := data[i+2 : i+n]
		i += n
		switch {
		case marker == 0xda: // start of scan
			if h.components == 0 {
				return h, refuse("it is a JPEG without a frame header")
			}
			if !bytes.Contains(data[i:], []byte{0xff, 0xd9}) {
				return h, refuse(truncatedJPEG)
			}
			return h, nil
		case marker == 0xe1 && !sawExif && bytes.HasPrefix(segment, []byte("Exif\x00\x00")):
			sawExif = true
			h.orientation = exifOrientation(segment[6:])
		case marker == 0xcc || marker >= 0xc3 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8:
			return h, refuse("it is a JPEG of a kind without a stated rule (lossless, hierarchical or arithmetic)")
		case marker >= 0xc0 && marker <= 0xc2 && h.components == 0:
			if len(segment) < 6 {
				return h, refuse(truncatedJPEG)
			}
			if segment[0] != 8 {
				return h, refuse("it has %d bits a sample; a rule is stated for 8", segment[0])
			}
			h.height, h.width = int(binary.BigEndian.Uint16(segment[1:])), int(binary.BigEndian.Uint16(segment[3:]))
			h.components = int(segment[5])
			if h.components != 1 && h.components != 3 {
				return h, refuse("it is a JPEG with %d components (CMYK?); a rule is stated for grey and colour", h.components)
			}
			if err := h.checkSize(); err != nil {
				return h, err
			}
		}
	}
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

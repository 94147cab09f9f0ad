package pixels

import (
	"encoding/binary"
	"strings"

	"github.com/forgo-ml/forgo/predict/pixels/jpeg"
	"github.com/forgo-ml/forgo/predict/pixels/webp"
)

// header is the part of a picture that is read before decoding. src/forgo/_picture.py reads the same bytes
// by the same rules; conformance/pictures.json tests both.
type header struct {
	media         string
	width, height int
	orientation   int // EXIF, 1 to 8
	jpeg          *jpeg.File
	png           *pngFile
	gif           *gifFile
	bmp           *bmpFile
	tiff          *tiffFile
	webp          *webp.File
}

// memory bounds the memory that decoding takes apart from a file of the given size.
func (h header) memory(file int64) int64 {
	picture := 3 * int64(h.width) * int64(h.height)
	n := picture + 8*int64(h.width)*4 + 128<<10 // of a PNG two rows of up to eight bytes a pixel, and the inflater
	if h.jpeg != nil {
		n = h.jpeg.Memory() + file // libjpeg-turbo has a copy of the file
	}
	if h.webp != nil {
		n = h.webp.Memory()
		if h.webp.FrameWidth != h.width || h.webp.FrameHeight != h.height {
			n += picture // the frame, and the canvas around it
		}
	}
	if h.tiff != nil {
		n += h.tiff.memory()
	}
	if h.orientation > 1 {
		n += picture
	}
	return n
}

func readHeader(data []byte) (header, error) {
	var h header
	var err error
	switch Sniff(data) {
	case JPEG:
		h, err = readJPEGHeader(data)
	case PNG:
		h, err = readPNGHeader(data)
	case GIF:
		var f *gifFile
		if f, err = parseGIF(data); err == nil {
			h = header{media: GIF, width: f.width, height: f.height, orientation: 1, gif: f}
		}
	case TIFF:
		var f *tiffFile
		if f, err = parseTIFF(data); err == nil {
			h = header{media: TIFF, width: f.width, height: f.height, orientation: f.orientation, tiff: f}
		}
	case BMP:
		var f *bmpFile
		if f, err = parseBMP(data); err == nil {
			h = header{media: BMP, width: f.width, height: f.height, orientation: 1, bmp: f}
		}
	case WebP:
		var f *webp.File
		if f, err = webp.Parse(data, MaxPixels); err == nil {
			return header{media: WebP, width: f.Width, height: f.Height, orientation: webpOrientation(f.EXIF), webp: f}, nil
		}
		err = refuse("%w", err)
	default:
		err = unknown(data)
	}
	return h, err
}

func readJPEGHeader(data []byte) (header, error) {
	f, err := jpeg.Parse(data, MaxPixels)
	if err != nil {
		return header{}, refuse("%w", err)
	}
	return header{media: JPEG, width: f.Width, height: f.Height, orientation: exifOrientation(f.EXIF), jpeg: f}, nil
}

func readPNGHeader(data []byte) (header, error) {
	f, err := parsePNG(data)
	if err != nil {
		return header{}, err
	}
	return header{media: PNG, width: f.width, height: f.height, orientation: exifOrientation(f.exif), png: f}, nil
}

// exifOrientation finds tag 0x0112 in the first directory of a TIFF block. Anything but one SHORT from 1
// to 8 counts as upright.
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

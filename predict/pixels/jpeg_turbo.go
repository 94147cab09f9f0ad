//go:build turbojpeg

package pixels

/*
#cgo linux LDFLAGS: -l:libturbojpeg.a -lm
#cgo darwin pkg-config: libturbojpeg
#include <stddef.h>
#include <turbojpeg.h>

// forgo_decode opens a handle for this one picture: a handle keeps quantization and Huffman
// tables, with which the next picture that lacks its own would be decoded.
static int forgo_decode(const unsigned char *in, unsigned long size, unsigned char *out, int width, int height) {
	tjhandle h = tjInitDecompress();
	if (h == NULL)
		return -1;
	int rc = tjDecompress2(h, in, size, out, width, 0, height, TJPF_RGB, TJFLAG_ACCURATEDCT);
	tjDestroy(h);
	return rc;
}
*/
import "C"

import (
	"sync"
	"unsafe"

	"github.com/forgo-ml/forgo/predict/pixels/jpeg"
)

const hasTurbo = true

// turboFirst says that libjpeg-turbo decodes what it takes. Measured on amd64 with AVX2, it is slower than
// the decoder in Go: docs/pictures.md has the figures.
var turboFirst = !jpeg.Vectors()

// usualScans bounds the scans that libjpeg-turbo decodes, since it cannot be interrupted. Encoders write
// about ten.
const usualScans = 20

// canonicals holds memory for files as libjpeg-turbo gets them.
var canonicals = sync.Pool{New: func() any { return new([]byte) }}

// keptFile bounds the memory that is kept for the next picture.
const keptFile = 1 << 20

// decodeInTurbo decodes a file with libjpeg-turbo. It reports false if the file is damaged, or of a kind that
// not all of libjpeg-turbo's versions decode to the same pixels.
func decodeInTurbo(h header) (RGB, bool) {
	if h.jpeg.Components == 4 || h.jpeg.Scans() > usualScans {
		return RGB{}, false
	}
	file := canonicals.Get().(*[]byte)
	defer canonicals.Put(file)
	*file = h.jpeg.AppendCanonical((*file)[:0])
	data := *file
	if cap(data) > keptFile {
		*file = nil
	}
	out := RGB{Width: h.width, Height: h.height, Pix: takePix(3 * h.width * h.height)}
	rc := C.forgo_decode((*C.uchar)(unsafe.Pointer(&data[0])), C.ulong(len(data)),
		(*C.uchar)(unsafe.Pointer(&out.Pix[0])), C.int(h.width), C.int(h.height))
	if rc != 0 {
		out.Recycle()
		return RGB{}, false
	}
	return out, true
}

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
	"context"
	"sync"
	"unsafe"
)

const jpegDecoder = "libjpeg-turbo"

// usualScans bounds what libjpeg-turbo decodes, which cannot be stopped: encoders write about ten.
const usualScans = 20

// canonicals are files as libjpeg-turbo gets them, whose memory is used again.
var canonicals = sync.Pool{New: func() any { return new([]byte) }}

// keptFile bounds what is kept for the next picture.
const keptFile = 1 << 20

// decodeJPEG decodes with libjpeg-turbo what is sound and of the kinds that all its versions decode
// to the same pixels. Where it complains, the decoder in Go decides.
func decodeJPEG(ctx context.Context, h header) (RGB, error) {
	if h.jpeg.Components == 4 || h.jpeg.Scans() > usualScans {
		return decodeInGo(ctx, h)
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
		return decodeInGo(ctx, h)
	}
	return out, nil
}

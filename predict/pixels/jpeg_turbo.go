//go:build turbojpeg

package pixels

/*
#cgo linux LDFLAGS: -l:libturbojpeg.a -lm
#cgo darwin pkg-config: libturbojpeg
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

// forgo_decode opens a handle for this one picture: a handle keeps quantization and Huffman
// tables, with which the next picture that lacks its own would be decoded.
static int forgo_decode(const unsigned char *in, unsigned long size, unsigned char *out,
                        int width, int height, char *message, size_t room) {
	tjhandle h = tjInitDecompress();
	if (h == NULL) {
		strncpy(message, "libjpeg-turbo has no memory left", room - 1);
		return -1;
	}
	int rc = tjDecompress2(h, in, size, out, width, 0, height, TJPF_RGB, TJFLAG_ACCURATEDCT);
	if (rc != 0)
		strncpy(message, tjGetErrorStr2(h), room - 1);
	tjDestroy(h);
	return rc;
}
*/
import "C"

import (
	"slices"
	"strings"
	"unsafe"
)

const (
	jpegExact   = true
	jpegDecoder = "libjpeg-turbo"
)

// warnings begin the messages of libjpeg-turbo after which it goes on to the picture's end, as
// Pillow does. TJERR_WARNING doesn't tell: once warned, a handle reports fatal errors as warnings too.
var warnings = []string{
	"Corrupt JPEG data: ",
	"Inconsistent progression sequence for component ",
	"Invalid SOS parameters for sequential JPEG",
	"Unknown Adobe color transform code ",
	"Warning: unknown JFIF revision number ",
}

func decodeJPEG(data []byte, h header) (RGB, error) {
	out := RGB{Width: h.width, Height: h.height, Pix: make([]byte, 3*h.width*h.height)}
	var message [200]C.char
	rc := C.forgo_decode((*C.uchar)(unsafe.Pointer(&data[0])), C.ulong(len(data)),
		(*C.uchar)(unsafe.Pointer(&out.Pix[0])), C.int(h.width), C.int(h.height), &message[0], C.size_t(len(message)))
	text := C.GoString(&message[0])
	isWarning := func(start string) bool { return strings.HasPrefix(text, start) }
	if rc != 0 && !slices.ContainsFunc(warnings, isWarning) {
		return RGB{}, refuse("decode JPEG: %s", text)
	}
	return out, nil
}

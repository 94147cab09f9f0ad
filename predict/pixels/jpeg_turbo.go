//go:build turbojpeg

package pixels

/*
#cgo linux LDFLAGS: -l:libturbojpeg.a -lm
#cgo darwin pkg-config: libturbojpeg
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

// The error text is copied out in the same call: libjpeg-turbo keeps it with the handle,
// and a cgo call may come back on another thread.
static int forgo_decode(tjhandle h, const unsigned char *in, unsigned long size,
                        unsigned char *out, int width, int height, char *message, size_t room) {
	int rc = tjDecompress2(h, in, size, out, width, 0, height, TJPF_RGB, TJFLAG_ACCURATEDCT);
	message[0] = 0;
	if (rc != 0) {
		strncpy(message, tjGetErrorStr2(h), room - 1);
		message[room - 1] = 0;
		return tjGetErrorCode(h) == TJERR_WARNING ? 1 : 2;
	}
	return 0;
}
*/
import "C"

import (
	"strings"
	"sync"
	"unsafe"
)

const (
	jpegExact   = true
	jpegDecoder = "libjpeg-turbo"
)

// A handle serves one call at a time; idle ones wait here and are never destroyed, so there
// are as many as calls have ever overlapped.
var (
	handlesMu sync.Mutex
	handles   []C.tjhandle
)

func decodeJPEG(data []byte, h header) (RGB, error) {
	handlesMu.Lock()
	var handle C.tjhandle
	if n := len(handles); n > 0 {
		handle, handles = handles[n-1], handles[:n-1]
	}
	handlesMu.Unlock()
	if handle == nil {
		if handle = C.tjInitDecompress(); handle == nil {
			return RGB{}, refuse("decode JPEG: libjpeg-turbo has no memory left")
		}
	}
	defer func() {
		handlesMu.Lock()
		handles = append(handles, handle)
		handlesMu.Unlock()
	}()

	out := RGB{Width: h.width, Height: h.height, Pix: make([]byte, 3*h.width*h.height)}
	var message [200]C.char
	rc := C.forgo_decode(handle, (*C.uchar)(unsafe.Pointer(&data[0])), C.ulong(len(data)),
		(*C.uchar)(unsafe.Pointer(&out.Pix[0])), C.int(h.width), C.int(h.height), &message[0], C.size_t(len(message)))
	text := C.GoString(&message[0])
	// A warning is what Pillow decodes past (stray bytes before a marker, say), except for
	// data that ends too soon.
	if rc == 2 || strings.Contains(text, "Premature end of JPEG file") {
		return RGB{}, refuse("decode JPEG: %s", text)
	}
	return out, nil
}

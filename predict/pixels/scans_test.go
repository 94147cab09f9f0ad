package pixels

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict/pixels/pixelstest"
)

// As many scans as a small file can have are refused before anything is decoded or taken for it.
func TestManyScansAreRefused(t *testing.T) {
	for _, c := range []struct {
		scans int
		order bool
		says  string
	}{
		{257, true, "it has more than 256 scans"},
		{800, true, "it has more than 256 scans"},
		{2_000, false, "its scans are not in the order of the standard"},
		{19_651, false, "its scans are not in the order of the standard"},
	} {
		data := pixelstest.Scans(500, 500, c.scans, c.order)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Decode(t.Context(), data, Options{Reserve: func(int64, int, int) error {
			t.Errorf("%d scans: memory is taken", c.scans)
			return nil
		}})
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrPicture) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%d scans in %d bytes: %v, want %q", c.scans, len(data), err, c.says)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 4<<20 {
			t.Errorf("%d scans in %d bytes took %d", c.scans, len(data), took)
		}
	}
}

// The most scans that there may be are decoded in Go, which can be stopped: see TestDecodeEndsWithItsCaller.
func TestTheMostScansDecode(t *testing.T) {
	data := pixelstest.Scans(500, 300, 256, true)
	h, err := readHeader(data)
	if err != nil {
		t.Fatal(err)
	}
	if n := h.jpeg.Scans(); n != 256 {
		t.Fatalf("%d scans", n)
	}
	if _, ok := decodeInTurbo(h); ok {
		t.Error("libjpeg-turbo decodes them, which cannot be stopped")
	}
	ctx := &counting{Context: t.Context()}
	img, err := decodeJPEG(ctx, h)
	if err != nil || img.Width != 500 || img.Height != 300 || !bytes.Equal(img.Pix, bytes.Repeat([]byte{128}, 3*500*300)) {
		t.Errorf("%d x %d, %v", img.Width, img.Height, err)
	}
	if least := 256 * ((300 + 63) / 64); ctx.asked < least {
		t.Errorf("the caller was asked for %d times, want %d or more: libjpeg-turbo asks nobody", ctx.asked, least)
	}
}

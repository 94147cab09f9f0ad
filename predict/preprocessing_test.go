package predict

import (
	"math"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict/bundle"
)

// What is reserved for a large picture is far less than a float copy of it, but where the graph makes
// one, and grows with what the graph holds: it never overflows.
func TestPreprocessingIsReservedByTheHeader(t *testing.T) {
	const large, whole = 9459, 9459 * 9459 * 3
	reserved := func(resize, fit string, w, h int) int64 {
		return preprocessing{rules: &bundle.Rules{Resize: resize, Fit: fit, ShorterSide: 256}, height: 224, width: 224}.memory(w, h)
	}
	for _, resize := range Resizes() {
		n := reserved(resize, "shorter-side", large, large)
		if n <= 0 || n > 4*whole*8/10 {
			t.Errorf("%s reserves %d bytes for a picture of %d; a float copy takes %d", resize, n, whole, 4*whole)
		}
		if strings.HasPrefix(resize, "bilinear") && !strings.Contains(resize, "-antialias") && !strings.Contains(resize, "-pillow") && n > whole {
			t.Errorf("%s reserves %d bytes, more than the picture's %d", resize, n, whole)
		}
		// One pixel wide: what the filter makes of it is larger than the picture.
		if tall := reserved(resize, "shorter-side", 1, 89_478_485); tall < 224*89_478_485 || tall > math.MaxInt64/1000 {
			t.Errorf("%s reserves %d bytes for a line of pixels", resize, tall)
		}
	}
	if n := (preprocessing{height: 224, width: 224}).memory(large, large); n < 4*whole {
		t.Errorf("a bundle that does not say its rules reserves %d bytes, less than a float copy", n)
	}
}

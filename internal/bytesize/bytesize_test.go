package bytesize_test

import (
	"testing"

	"github.com/forgo-ml/forgo/internal/bytesize"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]bytesize.Size{
		"0": 0, "1048576": 1 << 20, "10MB": 10_000_000, "10mb": 10_000_000, "10 MB": 10_000_000, "1.5GB": 1_500_000_000,
		"64MiB": 64 << 20, "64Mi": 64 << 20, "512k": 512_000, "2TiB": 2 << 40, " 7 ": 7, "9223372036854775807": 1<<63 - 1, "-1": -1,
	} {
		if got, err := bytesize.Parse(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "MB", "10 parsecs", "-1MB", "1e3MB", "10MBs", "99999999999999999999", "9000000PB", "NaN", "ten"} {
		if got, err := bytesize.Parse(text); err == nil {
			t.Errorf("%q: %d, want an error", text, got)
		}
	}
}

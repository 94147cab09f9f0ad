//go:build unix

package pixels

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// BenchmarkDecodeJPEG decodes a photograph of 640 × 427 pixels with each decoder of this build;
// cpu-ns/op is processor time, which a busy machine disturbs less. FORGO_JPEG names another file.
func BenchmarkDecodeJPEG(b *testing.B) {
	file := os.Getenv("FORGO_JPEG")
	if file == "" {
		found, _ := filepath.Glob(filepath.Join(os.Getenv("VIRTUAL_ENV"), "lib/python3*/site-packages/sklearn/datasets/images/china.jpg"))
		if len(found) == 0 {
			b.Skip("no photograph: VIRTUAL_ENV is not set")
		}
		file = found[0]
	}
	data, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	for name, decode := range decoders {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			start := cpu(b)
			for b.Loop() {
				img, err := decode(b.Context(), data)
				if err != nil {
					b.Fatal(err)
				}
				img.Recycle()
			}
			b.ReportMetric(float64(cpu(b)-start)/float64(b.N), "cpu-ns/op")
		})
	}
}

func cpu(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

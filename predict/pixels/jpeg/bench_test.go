package jpeg

import (
	"os"
	"testing"
)

func BenchmarkDecode(b *testing.B) {
	data, err := os.ReadFile(os.Getenv("JPEG"))
	if err != nil {
		b.Skip(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		f, err := Parse(data, 1<<30)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := f.Decode(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

package onnx_test

import (
	"context"
	"testing"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// What a run costs besides the graph: it computes 2x + 1.
func BenchmarkRun(b *testing.B) {
	for name, rows := range map[string]int64{"1 row": 1, "64 rows": 64, "100000 rows": 100_000} {
		b.Run(name, func(b *testing.B) {
			s, err := onnx.Engine().Open(b.Context(), read(b, "affine"), predict.SessionOptions{Threads: 1})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			x := predict.Tensors{"x": {Shape: []int64{rows, 3}, Data: make([]float32, 3*rows)}}
			for ending, ctx := range map[string]context.Context{"endless": context.Background(), "cancellable": b.Context()} {
				b.Run(ending, func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						if out, err := s.Run(ctx, x, []string{"y"}); err != nil || out["y"].DType() != tensor.Float32 {
							b.Fatal(out, err)
						}
					}
				})
			}
		})
	}
}

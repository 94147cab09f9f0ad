package predict_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
)

// A served request can be cancelled, so these can: it costs the engine something.
func BenchmarkRun(b *testing.B) {
	for _, c := range []struct {
		name    string
		callers int
		options predict.Options
	}{
		{"1 caller", 1, predict.Options{}},
		{"32 callers", 32, predict.Options{}},
		{"32 callers, each alone", 32, predict.Options{MaxBatchRows: 1}},
	} {
		b.Run(c.name, func(b *testing.B) {
			m, err := c.options.Load(b.Context(), iris, onnx.Engine())
			if err != nil {
				b.Fatal(err)
			}
			defer m.Close()
			b.ReportAllocs()
			b.ResetTimer()
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			for range c.callers {
				wg.Go(func() {
					ctx, cancel := context.WithCancel(b.Context())
					defer cancel()
					in := predict.Tensors{"input": {Shape: []int64{1, 4}, Data: []float32{5.1, 3.5, 1.4, 0.2}}}
					for left.Add(-1) >= 0 {
						if _, err := m.Run(ctx, in); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

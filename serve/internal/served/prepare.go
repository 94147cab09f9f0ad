package served

// Preparing pictures, which the request is told about.

import (
	"context"
	"time"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve/internal/observe"
)

// Prepare is like that of [predict.Model], and times pictures.
func (m *Model) Prepare(ctx context.Context, raw []byte) (predict.Tensors, error) {
	if m.Manifest().Picture == nil {
		return m.Model.Prepare(ctx, raw)
	}
	r, start := observe.From(ctx), time.Now()
	defer func() { r.Pictures(time.Since(start)) }()
	return m.picture(ctx, r, raw)
}

// picture may be called from many goroutines.
func (m *Model) picture(ctx context.Context, r *observe.Request, raw []byte) (predict.Tensors, error) {
	start := time.Now()
	in, took, err := m.PrepareTimed(ctx, raw)
	r.Picture(ctx, start, took)
	return in, err
}

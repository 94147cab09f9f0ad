package native

// Tables in CSV.

import (
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// table reads a CSV with a header: see [payload.Limits.Table].
func table(m *served.Request, body []byte) (predict.Tensors, error) {
	inputs, err := m.Payload().Table(body, m.Manifest().Beside())
	if err != nil {
		return nil, served.BadInput("parse CSV: %w", err)
	}
	return inputs, nil
}

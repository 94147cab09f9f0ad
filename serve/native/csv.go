package native

// Tables in CSV.

import (
	"strings"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// table reads a CSV: see [payload.Limits.Table]. A parameter of the Content-Type may say, as in RFC 4180,
// whether there is a header. Otherwise the first line decides.
func table(m *served.Request, body []byte, parameter string) (predict.Tensors, error) {
	header := payload.Header(strings.ToLower(parameter))
	switch header {
	case "", payload.HeaderPresent, payload.HeaderAbsent:
	default:
		return nil, served.BadInput("header Content-Type: header=%q: give present or absent", parameter)
	}
	inputs, err := m.Payload().Table(body, m.Manifest().Row(), header)
	if err != nil {
		return nil, served.BadInput("parse CSV: %w", err)
	}
	return inputs, nil
}

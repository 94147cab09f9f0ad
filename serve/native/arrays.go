package native

// Arrays that NumPy saved.

import (
	"bytes"
	"errors"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// arrays reads a .npy or an .npz file: see [payload.Rows].
func arrays(m *served.Request, body []byte, zipped bool) (predict.Tensors, error) {
	specs, length := m.Manifest().Beside(), int64(len(body))
	var rows *payload.Rows
	var err error
	if zipped {
		rows, err = m.Payload().NPZ(bytes.NewReader(body), length, specs)
	} else {
		rows, err = m.Payload().NPY(bytes.NewReader(body), length, specs)
	}
	if err == nil && rows.Len() == 0 {
		err = errors.New("the file has no rows")
	}
	var inputs predict.Tensors
	if err == nil {
		inputs, err = rows.Next(rows.Len())
	}
	if err != nil {
		return nil, served.BadInput("parse NumPy file: %w", err)
	}
	return inputs, nil
}

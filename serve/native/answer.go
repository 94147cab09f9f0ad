package native

// The labelled answer, written.

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"

	"github.com/forgo-ml/forgo/internal/scan"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

func (a *answers) write(w http.ResponseWriter, m *served.Model, out predict.Tensors) error {
	rows := out[m.Manifest().Outputs[0].Name].Rows()
	b, free := reply.Buffer()
	defer free()
	dst := b.AvailableBuffer()
	if a.list {
		dst = append(dst, '[')
	}
	for i := range rows {
		answer, err := m.Label(out, i)
		if err != nil {
			return fmt.Errorf("label row %d: %w", i, err)
		}
		if a.top > 0 && a.top < len(answer.Classes) {
			answer.Classes = answer.Classes[:a.top]
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '{')
		if a.files != nil {
			dst = append(dst, `"file":`...)
			dst = scan.AppendText(dst, a.files[i])
			dst = append(dst, ',')
		}
		if dst, err = appendAnswer(dst, answer); err != nil {
			return err
		}
		dst = append(dst, '}')
	}
	if a.list {
		dst = append(dst, ']')
	}
	dst = append(dst, '\n')
	_, _ = b.Write(dst) // keeps the grown memory for the next answer
	reply.Bytes(w, http.StatusOK, dst)
	return nil
}

// appendAnswer appends the answer's field. What is not a finite number, which JSON cannot
// say, is null, as it is in outputs.
func appendAnswer(dst []byte, answer predict.Answer) ([]byte, error) {
	if answer.Outputs != nil {
		raw, err := json.Marshal(answer.Outputs)
		if err != nil {
			return nil, fmt.Errorf("write outputs: %w", err)
		}
		dst = append(dst, `"outputs":`...)
		return append(dst, raw...), nil
	}
	dst = append(dst, `"classes":[`...)
	for i, c := range answer.Classes {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"label":`...)
		dst = scan.AppendText(dst, c.Label)
		dst = append(dst, `,"score":`...)
		if s := float64(c.Score); math.IsNaN(s) || math.IsInf(s, 0) {
			dst = append(dst, "null"...)
		} else {
			dst = scan.AppendFloat(dst, s, 32)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']'), nil
}

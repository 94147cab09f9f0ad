package native

// The labelled answer, written.

import (
	"fmt"
	"net/http"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

//forgo:writer native answers
func (a *answers) write(w http.ResponseWriter, m *served.Model, out predict.Tensors) error {
	rows := out[m.Manifest().Outputs[0].Name].Rows()
	body, dst := reply.Begin(w)
	if a.list {
		dst = append(dst, '[')
	}
	for i := range rows {
		answer, err := m.Label(out, i)
		if err != nil {
			return body.Fail(fmt.Errorf("label row %d: %w", i, err))
		}
		if a.top > 0 && a.top < len(answer.Classes) {
			answer.Classes = answer.Classes[:a.top]
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		var file *string
		if a.files != nil {
			file = &a.files[i].Name
		}
		if dst, err = answer.AppendJSON(dst, file); err != nil {
			return body.Fail(err)
		}
		dst = body.Piece(dst)
	}
	if a.list {
		dst = append(dst, ']')
	}
	body.End(append(dst, '\n'))
	return nil
}

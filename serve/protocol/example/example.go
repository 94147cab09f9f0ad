// Package example is the protocol that ARCHITECTURE.md shows: a table in CSV for a line with the best
// label of each row. A test adds it to a server; forgo serve does not speak it.
package example

import (
	"net/http"
	"path"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve/internal/bodies"
	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/internal/served"
	"github.com/forgo-ml/forgo/serve/protocol"
)

// Protocol answers POST /best/NAME.
var Protocol = protocol.Protocol{HTTP: protocol.HTTP{Name: "best", Prefix: "/best", Handler: handler}}

func handler(s protocol.Server) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		m, err := s.Models.Get(path.Base(req.URL.Path), "")
		if err != nil {
			reply.Failure(w, err)
			return
		}
		defer m.Release()
		reply.Do(w, req, m, func(r *served.Request) (predict.Tensors, error) {
			body, free, err := bodies.Read(req, r)
			if err != nil {
				return nil, err
			}
			defer free()
			inputs, err := r.Payload().Table(body, m.Manifest().Beside(), "")
			if err != nil {
				return nil, served.BadInput("parse CSV: %w", err)
			}
			return inputs, nil
		}, func(out predict.Tensors) error {
			var lines []byte
			for i := range out[m.Manifest().Outputs[0].Name].Rows() {
				answer, err := m.Label(out, i)
				if err != nil {
					return err
				}
				lines = append(append(lines, answer.Classes[0].Label...), '\n')
			}
			reply.Text(w, "text/plain; charset=utf-8", lines)
			return nil
		})
	})
}

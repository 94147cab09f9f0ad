// Package example is the protocol that ARCHITECTURE.md shows: a table in CSV for a line with the best
// label of each row. A test adds it to a server; forgo serve does not speak it.
package example

import (
	"net/http"
	"path"

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
		if err := m.HTTP(w, req, func(r *served.Request) error { return best(w, req, r) }); err != nil {
			reply.Failure(w, err)
		}
	})
}

func best(w http.ResponseWriter, req *http.Request, r *served.Request) error {
	body, free, err := bodies.Read(req, r)
	if err != nil {
		return err
	}
	defer free()
	inputs, err := r.Payload().Table(body, r.Manifest().Row(), "")
	if err != nil {
		return served.BadInput("parse CSV: %w", err)
	}
	out, err := r.Run(inputs)
	if err != nil {
		return err
	}
	var lines []byte
	for i := range out[r.Manifest().Outputs[0].Name].Rows() {
		answer, err := r.Label(out, i)
		if err != nil {
			return err
		}
		lines = append(append(lines, answer.Classes[0].Label...), '\n')
	}
	reply.Text(w, "text/plain; charset=utf-8", lines)
	return nil
}

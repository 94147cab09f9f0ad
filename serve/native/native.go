// Package native is forgo's own protocol: POST the thing itself, get the labelled answer.
package native

import (
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"

	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// Models finds a model by name.
type Models interface {
	Get(name, version string) (*served.Model, error)
}

// Handler serves POST /{name}: the body is a picture or a JSON row, the answer a
// [predict.Answer]. ?top=N keeps the N best classes; 0, the default, all.
func Handler(models Models) http.Handler {
	r := chi.NewRouter()
	r.Post("/{name}", func(w http.ResponseWriter, req *http.Request) {
		model, err := models.Get(chi.URLParam(req, "name"), "")
		if err != nil {
			reply.Failure(w, err)
			return
		}
		top, err := strconv.Atoi(orZero(req.URL.Query().Get("top")))
		if err != nil || top < 0 {
			reply.Error(w, http.StatusBadRequest, fmt.Errorf("top must be a number from 0, not %q", req.URL.Query().Get("top")))
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			reply.Failure(w, err)
			return
		}
		answer, err := model.Answer(req.Context(), body)
		if err != nil {
			reply.Failure(w, err)
			return
		}
		if top > 0 && top < len(answer.Classes) {
			answer.Classes = answer.Classes[:top]
		}
		reply.JSON(w, http.StatusOK, answer)
	})
	return r
}

func orZero(s string) string {
	if s == "" {
		return "0"
	}
	return s
}

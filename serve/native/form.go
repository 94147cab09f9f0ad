package native

// Forms with files.

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/serve/internal/bodies"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// form reads the files of a form. Each is read like the body of a request.
func (a *answers) form(m *served.Request, req *http.Request, boundary string) (predict.Tensors, error) {
	most := maxRows
	if m.Manifest().Picture != nil {
		most = m.MaxPictures
	}
	files, err := m.Payload().Form(req.Body, boundary, most)
	switch {
	case errors.Is(err, payload.ErrForm):
		return nil, served.BadInput("%w", err)
	case err != nil:
		return nil, bodies.Error(err)
	}
	a.list, a.files = true, files
	data := make([][]byte, len(files))
	for i, f := range files {
		data[i] = f.Data
	}
	of := func(i int) string { return fmt.Sprintf("file %q", files[i].Name) }
	if m.Manifest().PictureAlone() {
		return m.Pictures(data, of)
	}
	return together(m, data, of)
}

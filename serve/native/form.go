package native

// Forms with files.

import (
	"fmt"
	"io"
	"mime/multipart"
	"net/http"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// form reads the files of a form; each is what a body of its own could be.
func (a *answers) form(m *served.Request, req *http.Request) (predict.Tensors, error) {
	a.list, a.files = true, []string{}
	var files [][]byte
	form, err := req.MultipartReader()
	if err != nil {
		return nil, served.BadInput("header Content-Type: %w", err)
	}
	for {
		name, data, err := nextFile(form)
		if err != nil {
			return nil, err
		}
		if data == nil {
			break
		}
		a.files, files = append(a.files, name), append(files, data)
	}
	if len(files) == 0 {
		return nil, served.BadInput("the form has no files")
	}
	of := func(i int) string { return fmt.Sprintf("file %q", a.files[i]) }
	if m.Manifest().PictureAlone() {
		return m.Pictures(files, of)
	}
	return together(m, files, of)
}

// nextFile returns the next file of a form, nil after the last.
func nextFile(form *multipart.Reader) (name string, data []byte, err error) {
	part, err := form.NextPart()
	if err == io.EOF { //nolint:errorlint // a wrapped one is a form that is cut short
		return "", nil, nil
	}
	if err != nil {
		return "", nil, reply.BodyError(err)
	}
	if part.FileName() == "" {
		return "", nil, served.BadInput("form field %q is not a file", part.FormName())
	}
	if data, err = io.ReadAll(part); err != nil {
		return "", nil, reply.BodyError(fmt.Errorf("file %q: %w", part.FileName(), err))
	}
	return part.FileName(), data, nil
}

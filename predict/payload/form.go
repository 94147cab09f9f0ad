package payload

// Forms with files, as browsers and curl send them: multipart/form-data.

import (
	"errors"
	"fmt"
	"io"
	"mime/multipart"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// File is one file of a form.
type File struct {
	Name string
	Data []byte
}

// ErrForm is wrapped by errors in a form's content. Other errors come from its reader.
var ErrForm = errors.New("bad form")

type formError struct{ error }

func (formError) Is(target error) bool { return target == ErrForm }

// partOverhead is the memory of a part apart from its data.
const partOverhead = 2 << 10

// Form reads the files of a form, at most most of them.
//
//forgo:reader forms
func (l Limits) Form(body io.Reader, boundary string, most int) ([]File, error) {
	fail := func(format string, args ...any) ([]File, error) { return nil, formError{fmt.Errorf(format, args...)} }
	grow := func(int64) error { return nil }
	if l.Memory != nil {
		grow = l.Memory.Grow
	}
	form := multipart.NewReader(body, boundary)
	var files []File
	for {
		part, err := form.NextPart()
		if err == io.EOF { //nolint:errorlint // a wrapped one is a form that is cut short
			break
		}
		if err != nil {
			return nil, err
		}
		if part.FileName() == "" {
			return fail("form field %s is not a file", tensor.Quote(part.FormName()))
		}
		if len(part.FileName()) > MaxName {
			return fail("the name of a file is longer than %d bytes", MaxName)
		}
		if len(files) == most {
			return fail("too many files in the form; send at most %d", most)
		}
		if err := grow(partOverhead); err != nil {
			return nil, err
		}
		data, err := readPart(part, grow)
		if err != nil {
			return nil, fmt.Errorf("file %s: %w", tensor.Quote(part.FileName()), err)
		}
		files = append(files, File{part.FileName(), data})
	}
	if len(files) == 0 {
		return fail("the form has no files")
	}
	return files, nil
}

// readPart reads a part, and calls grow before it allocates memory.
func readPart(part io.Reader, grow func(int64) error) ([]byte, error) {
	data := []byte{}
	for {
		if len(data) == cap(data) {
			capacity := max(4<<10, 2*cap(data))
			if err := grow(int64(capacity)); err != nil {
				return nil, err
			}
			old := cap(data)
			data = append(make([]byte, 0, capacity), data...)
			if err := grow(-int64(old)); err != nil {
				return nil, err
			}
		}
		n, err := part.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if err == io.EOF { //nolint:errorlint // as above
			return data, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

package main

// Pictures in rows of JSON, which may name a file.

import (
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
)

func (a *asker) pictureAlone() bool { return a.takes.Picture && len(a.takes.Specs) == 0 }

// withPicture returns a row as the model takes it: with the picture in place of its file's name or, if the model takes
// nothing else, the picture alone.
func (a *asker) withPicture(folder string, row []byte) ([]byte, error) {
	if !a.takes.Picture {
		return row, nil
	}
	alone := a.pictureAlone()
	if _, is, err := pictureIn(row); err == nil && is && alone {
		row = slices.Concat([]byte(`{"`+payload.Picture+`":`), row, []byte{'}'})
	}
	r := payload.New(row)
	if r.Peek() != '{' {
		return nil, fmt.Errorf(`want {"%s": {"file": "PATH"}}`, payload.Picture)
	}
	text := []byte{'{'}
	var read []byte // from the file
	err := r.Object(func(name string) error {
		value, err := r.Raw()
		if err != nil {
			return err
		}
		path, is, err := pictureIn(value)
		if err != nil {
			return fmt.Errorf("input %q: %w", name, err)
		}
		if is && !a.takesColumn(name) && (alone || path != nil) {
			name = payload.Picture
		}
		if name == payload.Picture && path != nil {
			if read, err = readPicture(folder, *path); err != nil {
				return err
			}
			value = []byte(`{"b64":""}`)
			if !alone {
				value = append(base64.StdEncoding.AppendEncode([]byte(`{"b64":"`), read), `"}`...)
			}
		}
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = append(append(tensor.AppendText(text, name), ':'), value...)
		return nil
	})
	if err == nil {
		err = r.End()
	}
	if err != nil {
		return nil, err
	}
	if text = append(text, '}'); !alone {
		return text, nil
	}
	_, given, err := payload.ParseRow(text, a.takes)
	if err == nil && read != nil {
		given = read
	}
	return given, err
}

// pictureIn reports whether a value is an object with "file", whose path it returns, or "b64".
func pictureIn(value []byte) (path *string, is bool, err error) {
	r := payload.New(value)
	if r.Peek() != '{' {
		return nil, false, nil
	}
	keys := 0
	err = r.Object(func(name string) error {
		keys++
		is = is || name == "file" || name == "b64"
		if name == "file" {
			text, err := r.Text()
			path = &text
			return err
		}
		_, err := r.Raw()
		return err
	})
	if err == nil && path != nil && keys > 1 {
		err = errors.New(`want {"file": "PATH"}, without other keys`)
	}
	return path, is, err
}

func readPicture(folder, name string) ([]byte, error) {
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(folder, path)
	}
	raw, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("picture %q: %w", name, err)
	}
	return raw, nil
}

package replay

// The native protocol of forgo's server.

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"mime/multipart"
	"net/http"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// native is the protocol at one server.
type native struct{ *server }

func (s native) forms() []form {
	if s.manifest.PictureAlone() {
		return []form{{name: "body", alone: true, ask: s.body}, {name: "form", ask: s.form}}
	}
	forms := []form{{name: "body", alone: true, ask: s.body}, {name: "rows", ask: s.rows}}
	if s.manifest.Picture != nil {
		return forms
	}
	for _, i := range s.manifest.Inputs {
		if _, err := tensor.Count(i.Spec().Shape[1:]); err != nil || i.DType == tensor.Float16 || i.DType == tensor.BFloat16 {
			return forms // it has no columns
		}
	}
	return append(forms, form{name: "csv", ask: s.csv})
}

// body sends what a client would: the picture or the row itself.
func (s native) body(ctx context.Context, cases []bundle.Recorded) ([]row, error) {
	answer, err := s.post(ctx, cases[0].ContentType, cases[0].Raw)
	if err != nil {
		return nil, err
	}
	one, _, err := s.labelled(answer)
	return []row{one}, err
}

// form sends pictures as the files of a form.
func (s native) form(ctx context.Context, cases []bundle.Recorded) ([]row, error) {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	var names []string
	for i, c := range cases {
		names = append(names, fmt.Sprintf("%d-%s", i, c.ID))
		part, err := w.CreateFormFile("file", names[i])
		if err == nil {
			_, err = part.Write(c.Raw)
		}
		if err != nil {
			return nil, fmt.Errorf("write form: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write form: %w", err)
	}
	return s.list(ctx, w.FormDataContentType(), body.Bytes(), names)
}

// rows sends a list of JSON rows.
func (s native) rows(ctx context.Context, cases []bundle.Recorded) ([]row, error) {
	raw := make([][]byte, len(cases))
	for i, c := range cases {
		raw[i] = c.Raw
	}
	body := append([]byte{'['}, bytes.Join(raw, []byte{','})...)
	return s.list(ctx, "application/json", append(body, ']'), nil)
}

// csv sends a table, a column for each element of each input.
func (s native) csv(ctx context.Context, cases []bundle.Recorded) ([]row, error) {
	var body bytes.Buffer
	w := csv.NewWriter(&body)
	for line := -1; line < len(cases); line++ {
		var record []string
		for _, info := range s.manifest.Inputs {
			x := cases[max(line, 0)].Inputs[info.Name]
			texts, isText := x.Data.([]string)
			for i := range x.Len() {
				switch {
				case line >= 0 && isText:
					record = append(record, texts[i])
				case line >= 0:
					record = append(record, string(tensor.AppendElements(nil, x, i, i+1, tensor.Bare)))
				case x.Len() == 1:
					record = append(record, info.Name)
				default:
					record = append(record, fmt.Sprintf("%s[%d]", info.Name, i))
				}
			}
		}
		if err := w.Write(record); err != nil {
			return nil, fmt.Errorf("write CSV: %w", err)
		}
	}
	w.Flush()
	return s.list(ctx, "text/csv", body.Bytes(), nil)
}

func (s native) post(ctx context.Context, contentType string, body []byte) ([]byte, error) {
	return s.plain.Call(ctx, http.MethodPost, "models/"+s.o.Model, contentType, body)
}

// list reads a list of answers, those of files with their names.
func (s native) list(ctx context.Context, contentType string, body []byte, names []string) ([]row, error) {
	answer, err := s.post(ctx, contentType, body)
	if err != nil {
		return nil, err
	}
	var list []row
	r := payload.New(answer)
	err = r.List(func(i int) error {
		raw, err := r.Raw()
		if err != nil {
			return err
		}
		one, file, err := s.labelled(raw)
		if err != nil {
			return err
		}
		if names != nil && (i >= len(names) || file != names[i]) {
			return fmt.Errorf("answer %d is that of file %s", i, tensor.Quote(file))
		}
		list = append(list, one)
		return nil
	})
	if err == nil {
		err = r.End()
	}
	if err != nil {
		return nil, fmt.Errorf("the answer is not a list of answers: %w", err)
	}
	return list, nil
}

// labelled reads one answer: classes, or outputs by name.
func (s native) labelled(raw []byte) (row, string, error) {
	a, file, err := predict.ReadAnswer(s.manifest, raw)
	if err != nil {
		return row{}, "", fmt.Errorf("the answer cannot be read: %w", err)
	}
	if s.manifest.Labelled() {
		if a.Classes == nil {
			return row{}, "", fmt.Errorf("the answer has no classes")
		}
		return row{classes: a.Classes, ordered: true, json: true}, file, nil
	}
	r := row{outputs: tensor.Map{}, json: true}
	for _, o := range s.manifest.Shown() {
		t, ok := a.Outputs[o.Name]
		if !ok {
			return row{}, "", fmt.Errorf("the answer has no output %q", o.Name)
		}
		r.outputs[o.Name] = t.Batch()
	}
	return r, file, nil
}

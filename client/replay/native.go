package replay

// The native protocol of forgo's server.

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"

	"github.com/forgo-ml/forgo/internal/scan"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
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
		if _, err := tensor.Count(i.Spec().Shape[1:]); err != nil || i.DType == tensor.String {
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
	one, err := s.labelled(answer)
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
			for i := range x.Len() {
				switch {
				case line >= 0:
					record = append(record, string(x.AppendJSON(nil, i)))
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
	var said []json.RawMessage
	if err := json.Unmarshal(answer, &said); err != nil {
		return nil, fmt.Errorf("the answer is not a list: %w", err)
	}
	list := make([]row, len(said))
	for i, raw := range said {
		if list[i], err = s.labelled(raw); err != nil {
			return nil, err
		}
		var file struct {
			File string `json:"file"`
		}
		if err := json.Unmarshal(raw, &file); err != nil || names != nil && (i >= len(names) || file.File != names[i]) {
			return nil, fmt.Errorf("answer %d is that of file %q", i, file.File)
		}
	}
	return list, nil
}

// labelled reads one answer: classes, or outputs by name.
func (s native) labelled(raw []byte) (row, error) {
	var said struct {
		Classes []predict.Class            `json:"classes"`
		Outputs map[string]json.RawMessage `json:"outputs"`
	}
	if err := json.Unmarshal(raw, &said); err != nil {
		return row{}, fmt.Errorf("the answer has neither classes nor outputs: %w", err)
	}
	if s.manifest.Task == bundle.Classification {
		if said.Classes == nil {
			return row{}, fmt.Errorf("the answer has no classes")
		}
		return row{classes: said.Classes, ordered: true}, nil
	}
	r := row{outputs: tensor.Map{}}
	for _, o := range s.manifest.Outputs {
		text, ok := said.Outputs[o.Name]
		if !ok {
			return row{}, fmt.Errorf("the answer has no output %q", o.Name)
		}
		t, err := scan.New(text).Tensor(inJSON(o.DType), 0)
		if err != nil {
			return row{}, fmt.Errorf("output %q: %w", o.Name, err)
		}
		r.outputs[o.Name] = t.Batch()
	}
	return r, nil
}

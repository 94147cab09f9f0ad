package native

// The protocol's part of verify --url. It shares no code with the server, so that a fault in one shows in
// the other.

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/forgo-ml/forgo/client/replay"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// Replay sends golden cases to a server as pictures, forms, rows, JSON lines and CSV, and checks labels too.
var Replay = replay.Protocol{Name: "native", Forms: func(_ context.Context, s *replay.Server) ([]replay.Form, error) {
	switch {
	case s.Asked:
	case !s.IsForgo():
		return nil, errors.New("the server is not forgo")
	case s.KnownErr != nil:
		return nil, s.KnownErr
	}
	return calls{s}.forms(), nil
}}

// calls are requests to one server.
type calls struct{ *replay.Server }

func (s calls) forms() []replay.Form {
	if s.Manifest.PictureAlone() {
		return []replay.Form{{Name: "body", Alone: true, Ask: s.body}, {Name: "form", Ask: s.form}}
	}
	forms := []replay.Form{{Name: "body", Alone: true, Ask: s.body}, {Name: "rows", Ask: s.rows}, {Name: "lines", Ask: s.lines}}
	if s.Manifest.Picture != nil {
		return forms
	}
	if len(s.Manifest.Columns) > 0 {
		forms = append(forms, replay.Form{Name: "lists", Ask: s.lists})
	}
	for _, i := range s.Manifest.Inputs {
		if _, err := tensor.Count(i.Spec().Shape[1:]); err != nil || i.DType == tensor.Float16 || i.DType == tensor.BFloat16 {
			return forms // it has no columns
		}
		if strings.Contains(i.Name, "\r") {
			return forms // CSV would change the name
		}
	}
	return append(forms, replay.Form{Name: "csv", Ask: s.csv})
}

// body sends what a client would: the picture or the row itself.
func (s calls) body(ctx context.Context, cases []bundle.Recorded) ([]replay.Row, error) {
	answer, err := s.post(ctx, cases[0].ContentType, cases[0].Raw)
	if err != nil {
		return nil, err
	}
	one, _, err := s.labelled(answer)
	return []replay.Row{one}, err
}

// form sends pictures as the files of a form.
func (s calls) form(ctx context.Context, cases []bundle.Recorded) ([]replay.Row, error) {
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
func (s calls) rows(ctx context.Context, cases []bundle.Recorded) ([]replay.Row, error) {
	raw := make([][]byte, len(cases))
	for i, c := range cases {
		raw[i] = c.Raw
	}
	body := append([]byte{'['}, bytes.Join(raw, []byte{','})...)
	return s.list(ctx, "application/json", append(body, ']'), nil)
}

// lines sends a JSON row on each line.
func (s calls) lines(ctx context.Context, cases []bundle.Recorded) ([]replay.Row, error) {
	var body []byte
	for _, c := range cases {
		line := bytes.ReplaceAll(c.Raw, []byte{'\n'}, []byte{' '}) // in JSON, line breaks stand only between values
		body = append(append(body, line...), '\n')
	}
	return s.list(ctx, "application/x-ndjson", body, nil)
}

// lists sends a table's rows as lists of values.
func (s calls) lists(ctx context.Context, cases []bundle.Recorded) ([]replay.Row, error) {
	body := []byte{'['}
	for i, c := range cases {
		if i > 0 {
			body = append(body, ',')
		}
		for j, info := range s.Manifest.Inputs {
			body = append(body, "[,"[min(j, 1)])
			x := c.Inputs[info.Name]
			if values, ok := x.Data.([]string); ok && tensor.CheckText(x) != nil {
				body = tensor.AppendNestedBase64(body, x.Shape[1:], values)
				continue
			}
			body = tensor.AppendNested(body, tensor.Tensor{Shape: x.Shape[1:], Data: x.Data}, tensor.Bare)
		}
		body = append(body, ']')
	}
	return s.list(ctx, "application/json", append(body, ']'), nil)
}

// csv sends a table, a column for each element of each input.
func (s calls) csv(ctx context.Context, cases []bundle.Recorded) ([]replay.Row, error) {
	var body bytes.Buffer
	w := csv.NewWriter(&body)
	for line := -1; line < len(cases); line++ {
		var record []string
		for _, info := range s.Manifest.Inputs {
			x := cases[max(line, 0)].Inputs[info.Name]
			values, isText := x.Data.([]string)
			for i := range x.Len() {
				switch {
				case line >= 0 && isText:
					record = append(record, values[i])
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

func (s calls) post(ctx context.Context, contentType string, body []byte) ([]byte, error) {
	return s.Plain.Call(ctx, http.MethodPost, "models/"+s.Model, contentType, body)
}

// list reads a list of answers. Those to files have the files' names.
func (s calls) list(ctx context.Context, contentType string, body []byte, names []string) ([]replay.Row, error) {
	answer, err := s.post(ctx, contentType, body)
	if err != nil {
		return nil, err
	}
	var list []replay.Row
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
			return fmt.Errorf("answer %d names the file %s", i, tensor.Quote(file))
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
func (s calls) labelled(raw []byte) (replay.Row, string, error) {
	a, file, err := predict.ReadAnswer(s.Manifest, raw)
	if err != nil {
		return replay.Row{}, "", fmt.Errorf("the answer is not readable: %w", err)
	}
	if s.Manifest.Labelled() {
		if a.Classes == nil {
			return replay.Row{}, "", fmt.Errorf("the answer has no classes")
		}
		return replay.Row{Classes: a.Classes, Ordered: true, JSON: true}, file, nil
	}
	r := replay.Row{Outputs: tensor.Map{}, JSON: true}
	for _, o := range s.Manifest.Shown() {
		t, ok := a.Outputs[o.Name]
		if !ok {
			return replay.Row{}, "", fmt.Errorf("the answer has no output %q", o.Name)
		}
		r.Outputs[o.Name] = t.Batch()
	}
	return r, file, nil
}

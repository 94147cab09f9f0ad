package tfserving

// The bodies of answers.

import (
	"net/http"
	"slices"
	"strings"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/bodies"
	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// format says how a verb's body is read and its answer written.
type format struct {
	verb  string
	parse func(r *served.Request, verb string, body []byte) (*request, error)
	write func(a *reply.Answer, dst []byte, q *request, results predict.Tensors) ([]byte, error)
}

var (
	predictFormat  = format{bundle.Predict, parse, appendPredictions}
	classifyFormat = format{bundle.Classify, parseExamples, appendClasses}
	regressFormat  = format{bundle.Regress, parseExamples, appendValues}
)

func answer(w http.ResponseWriter, req *http.Request, m *served.Model, f format) {
	if err := m.HTTP(w, req, func(r *served.Request) error { return f.answer(w, req, r) }); err != nil {
		reply.Failure(w, err)
	}
}

func (f format) answer(w http.ResponseWriter, req *http.Request, r *served.Request) error {
	r.Types = TypeName
	q, err := f.read(req, r)
	if err != nil {
		return err
	}
	results, err := q.run(r)
	if err != nil {
		return err
	}
	body, dst := reply.Begin(w)
	if dst, err = f.write(&body, dst, q, results); err != nil {
		return body.Fail(err)
	}
	body.End(dst)
	return nil
}

func (f format) read(req *http.Request, r *served.Request) (*request, error) {
	if len(r.Signed()) == 0 { // the body says which, otherwise
		if err := Answers(r.Model, f.verb); err != nil {
			return nil, err
		}
	}
	body, free, err := bodies.Read(req, r)
	if err != nil {
		return nil, err
	}
	defer free() // parsing copies
	if err := use(r, f.verb, body); err != nil {
		return nil, err
	}
	if err := Answers(r.Model, f.verb); err != nil {
		return nil, err
	}
	return f.parse(r, f.verb, body)
}

// appendPredictions writes rows as "predictions" and columns as "outputs". A single output has no name.
//
//forgo:writer TensorFlow REST
func appendPredictions(a *reply.Answer, dst []byte, q *request, results predict.Tensors) ([]byte, error) {
	infos := outputs(q.m)
	for _, o := range infos {
		if err := tensor.CheckText(results[o.Name]); err != nil && !hasBytes(o.Name) {
			return nil, served.BadInput("output %q: %w, and its name does not end in _bytes; request it as binary data at /v2", o.Name, err)
		}
	}
	if q.byColumn {
		dst = append(dst, `{"outputs":`...)
	} else {
		dst = append(dst, `{"predictions":`...)
	}
	switch {
	case len(infos) == 1:
		dst = appendTensor(a, dst, infos[0].Name, results[infos[0].Name])
	case q.byColumn:
		dst = appendObject(a, dst, infos, func(name string) tensor.Tensor { return results[name] })
	default:
		dst = append(dst, '[')
		for i := range results[infos[0].Name].Rows() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendObject(a, dst, infos, func(name string) tensor.Tensor {
				row := results[name].Slice(i, i+1)
				row.Shape = row.Shape[1:]
				return row
			})
		}
		dst = append(dst, ']')
	}
	return append(dst, '}'), nil
}

func appendObject(a *reply.Answer, dst []byte, infos []bundle.TensorInfo, of func(name string) tensor.Tensor) []byte {
	dst = append(dst, '{')
	for i, o := range infos {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = tensor.AppendText(dst, o.Name)
		dst = append(dst, ':')
		dst = appendTensor(a, dst, o.Name, of(o.Name))
	}
	return append(dst, '}')
}

// hasBytes reports whether an output's name says that it holds bytes rather than text.
func hasBytes(name string) bool { return strings.HasSuffix(name, "_bytes") }

// appendTensor writes binary strings as {"b64": …}.
func appendTensor(a *reply.Answer, dst []byte, name string, t tensor.Tensor) []byte {
	if values, err := tensor.Values[string](t); err == nil && hasBytes(name) {
		return tensor.AppendNestedBase64(dst, t.Shape, values)
	}
	return a.Nested(dst, t, tensor.Decimal)
}

// appendClasses writes [label, score] for every class of each example, in the model's order.
//
//forgo:writer TensorFlow REST classes
func appendClasses(a *reply.Answer, dst []byte, q *request, results predict.Tensors) ([]byte, error) {
	scored, err := q.classes(results)
	if err != nil {
		return nil, err
	}
	dst = append(dst, `{"results":[`...)
	for row := range scored.rows {
		if row > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '[')
		for i := range scored.each {
			if i > 0 {
				dst = append(dst, ',')
			}
			label, score := scored.class(row, i)
			dst = append(dst, '[')
			dst = tensor.AppendText(dst, label)
			dst = append(dst, ',')
			dst = tensor.AppendFloat(dst, score, 32, tensor.Decimal)
			dst = a.Piece(append(dst, ']'))
		}
		dst = append(dst, ']')
	}
	return append(dst, "]}"...), nil
}

// classes is the answer of classify, with the same number of classes for each row.
type classes struct {
	rows, each int
	labels     []string // each of them for every row, of a classifier; of a signature all, or none
	scores     []float64
}

func (c classes) class(row, i int) (label string, score float64) {
	at := row*c.each + i
	switch {
	case len(c.labels) == c.each:
		label = c.labels[i]
	case len(c.labels) > 0:
		label = c.labels[at]
	}
	if len(c.scores) > 0 {
		score = c.scores[at]
	}
	return label, score
}

// Outputs of a classify signature, which has one or both.
const (
	classesOutput = "classes"
	scoresOutput  = "scores"
)

func (q *request) classes(results predict.Tensors) (c classes, err error) {
	manifest := q.m.Manifest()
	if q.m.Classifier() {
		first := results[manifest.Outputs[0].Name]
		c.rows, c.each, c.labels = first.Rows(), len(manifest.Labels), manifest.Labels
		c.scores, err = first.Floats()
		return c, err
	}
	var shape []int64
	for _, name := range []string{classesOutput, scoresOutput} {
		t, ok := results[name]
		if !ok {
			continue
		}
		if len(t.Shape) != 2 || shape != nil && !slices.Equal(shape, t.Shape) {
			return c, served.BadInput("classify: the signature's output %q has shape %v, not [rows, classes]; use predict", name, t.Shape)
		}
		shape = t.Shape
		if name == classesOutput {
			c.labels, err = tensor.Values[string](t)
		} else {
			c.scores, err = t.Floats()
		}
		if err != nil {
			return c, served.BadInput("classify: the signature's output %q: %w; use predict", name, err)
		}
		if err := tensor.CheckText(t); err != nil {
			return c, served.BadInput("classify: the signature's output %q: %w", name, err)
		}
	}
	if shape == nil {
		return c, served.BadInput("classify: the signature has neither output %q nor %q; use predict", classesOutput, scoresOutput)
	}
	c.rows, c.each = int(shape[0]), int(shape[1])
	return c, nil
}

// appendValues writes one number for each example.
func appendValues(a *reply.Answer, dst []byte, q *request, results predict.Tensors) ([]byte, error) {
	t, err := q.values(results)
	if err != nil {
		return nil, err
	}
	dst = append(dst, `{"results":`...)
	dst = a.Nested(dst, t, tensor.Decimal)
	return append(dst, '}'), nil
}

func (q *request) values(results predict.Tensors) (tensor.Tensor, error) {
	t := results[q.m.Manifest().Outputs[0].Name]
	if t.Len() != t.Rows() {
		return t, served.BadInput("regress: the model's output has shape %v, not one number a row; use predict", t.Shape)
	}
	t.Shape = t.Shape[:1]
	return t, nil
}

package tfserving

// The bodies of predict requests: rows ("instances") and columns ("inputs").

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// request is a parsed body: the columns of each input that it names.
type request struct {
	m        *served.Model
	concat   func([]tensor.Tensor) (tensor.Tensor, error)
	columns  predict.Tensors
	byColumn bool // it came as "inputs"
	left     int  // how many sizes of 1 at the end of its inputs' shapes were left out
	bare     int  // how many inputs came as a value without a list around it: one row
}

// run runs the model on the columns.
func (q *request) run(r *served.Request) (predict.Tensors, error) {
	inputs, err := q.inputs(r)
	if err != nil {
		return nil, err
	}
	results, err := r.Run(inputs)
	if err != nil {
		return nil, err
	}
	return q.answered(results), nil
}

// inputs converts the columns to the model's inputs.
func (q *request) inputs(r *served.Request) (predict.Tensors, error) {
	pictures, ok := q.columns[Picture]
	picture := q.m.Manifest().Picture
	if picture == nil || !ok || picture.Input == Picture && pictures.DType() != tensor.String {
		return q.columns, nil
	}
	if q.m.Manifest().PictureAlone() && len(q.columns) != 1 {
		return nil, served.BadInput("send %q and no other input", Picture)
	}
	if _, ok := q.columns[picture.Input]; ok && picture.Input != Picture {
		return nil, served.BadInput("send %q or %q, which it becomes, not both", Picture, picture.Input)
	}
	if n := len(pictures.Shape); n == 0 || n > 2 || n == 2 && pictures.Shape[1] != 1 {
		return nil, served.BadInput("%q needs shape [N] or [N,1], one element a picture, not %v", Picture, pictures.Shape)
	}
	values, err := tensor.Values[string](pictures)
	if err != nil {
		return nil, served.BadInput("%q: %w", Picture, err)
	}
	encoded := make([][]byte, len(values))
	for i, text := range values {
		encoded[i] = unsafe.Slice(unsafe.StringData(text), len(text)) // only read
	}
	inputs, err := r.Pictures(encoded, func(i int) string { return fmt.Sprintf("%q: picture %d", Picture, i) })
	if err != nil {
		return nil, err
	}
	for name, t := range q.columns {
		if name != Picture {
			inputs[name] = t
		}
	}
	return inputs, nil
}

// parse reads the body of a predict request.
func parse(m *served.Request, verb string, body []byte) (*request, error) {
	q := &request{m: m.Model, concat: m.Concat}
	r := m.Payload().New(body)
	rows, columns := false, false
	var others []string
	err := q.fields(r, verb, func(name string) error {
		var err error
		switch name {
		case "instances":
			rows = true
			q.columns, err = q.rows(r)
		case "inputs":
			columns, q.byColumn = true, true
			q.columns, err = q.table(r)
		default:
			_, err = r.Raw() // passed over, as TensorFlow Serving does
			others = append(others, name)
		}
		return err
	})
	switch {
	case err != nil:
	case rows && columns:
		err = errors.New("it has both instances and inputs; send one of them")
	case !rows && !columns:
		err = fmt.Errorf("it has neither instances nor inputs%s", only(others))
	}
	if err != nil {
		return nil, served.BadInput("the body is not a predict request: %w", err)
	}
	return q, nil
}

// only names the fields of a body that has none of the expected ones.
func only(others []string) string {
	if len(others) == 0 {
		return ""
	}
	return fmt.Sprintf(", only %s", tensor.Cut(fmt.Appendf(nil, "%q", others)))
}

// use selects the signature that the body names, which may come after everything else. It leaves errors in
// the body to the code that reads it.
func use(r *served.Request, verb string, body []byte) error {
	if len(r.Signed()) == 0 {
		return nil
	}
	named := ""
	outer := r.Payload().New(body)
	_ = outer.Object(func(name string) (err error) {
		if name == "signature_name" {
			named, err = outer.Name()
		} else {
			_, err = outer.Raw()
		}
		return err
	})
	s, err := choose(r.Model, named, verb)
	if err != nil {
		return served.BadInput("signature_name: %w", err)
	}
	r.Use(s)
	return nil
}

// fields reads the outer object, and the fields that all verbs share.
func (q *request) fields(r *payload.Reader, verb string, field func(name string) error) error {
	err := r.Object(func(name string) error {
		var err error
		if name == "signature_name" {
			var s string
			if s, err = r.Name(); err == nil {
				_, err = choose(q.m, s, verb)
			}
		} else {
			err = field(name)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return r.End()
}

// spec returns the spec of an input that a client may name.
func (q *request) spec(name string) (tensor.Spec, error) {
	manifest := q.m.Manifest()
	if manifest.Picture != nil && name == Picture {
		return tensor.Spec{Name: Picture, DType: tensor.String, Shape: []int64{-1}}, nil
	}
	var have []string
	for _, i := range manifest.Inputs {
		if i.Name == name {
			return i.Spec(), nil
		}
		have = append(have, i.Name)
	}
	if manifest.Picture != nil {
		have = append([]string{Picture}, have...)
	}
	return tensor.Spec{}, fmt.Errorf("the model has no input %s; it takes %q", tensor.Quote(name), have)
}

// only returns the input for a value without a name: for {"b64": …}, the picture.
func (q *request) only(base64 bool) (tensor.Spec, error) {
	manifest := q.m.Manifest()
	if manifest.PictureAlone() && base64 {
		return q.spec(Picture)
	}
	if len(manifest.Inputs) != 1 {
		var names []string
		for _, i := range takes(q.m) {
			names = append(names, i.Name)
		}
		return tensor.Spec{}, fmt.Errorf("the model has the inputs %q; send each by name", names)
	}
	return manifest.Inputs[0].Spec(), nil
}

// maxRows bounds rows that are objects, since each takes far more memory than its text.
const maxRows = 1 << 16

var errTooMany = fmt.Errorf("more than %d rows; send them by column, as inputs", maxRows)

// rows reads "instances": a list of values, of objects that name values or, of a table, of lists of values.
//
//forgo:reader TensorFlow REST rows
func (q *request) rows(r *payload.Reader) (predict.Tensors, error) {
	first, in := r.PeekInto(), q.m.Manifest().Row()
	switch {
	case first == 0:
		return nil, errors.New("it is not a list")
	case first == ']':
		return nil, errors.New("it is empty")
	case in.Table && len(in.Specs) > 1:
		return q.ofTable(r, in)
	case first == '"' && q.m.Manifest().PictureAlone():
		return nil, errors.New(`send a picture as {"b64": "..."}`)
	case first != '{': // the whole list is the only input
		spec, err := q.only(false)
		if err != nil {
			return nil, err
		}
		t, err := q.input(r, spec, batch)
		columns := tensor.NewMap()
		columns[spec.Name] = t
		return columns, err
	}
	parts := map[string][]tensor.Tensor{}
	err := r.List(func(i int) error {
		if i == maxRows {
			return errTooMany
		}
		count := 0
		err := q.named(r, row, func(spec tensor.Spec, t tensor.Tensor) error {
			count++
			if len(parts[spec.Name]) != i {
				return fmt.Errorf("input %q occurs twice, or not in every instance", spec.Name)
			}
			parts[spec.Name] = append(parts[spec.Name], t)
			return nil
		})
		if err == nil && count != len(parts) {
			err = errors.New("its inputs differ from the first instance's")
		}
		if err != nil {
			return fmt.Errorf("instance %d: %w", i, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return q.join(parts)
}

// ofTable reads instances that are rows of a table: objects, or lists of values.
func (q *request) ofTable(r *payload.Reader, in payload.Inputs) (predict.Tensors, error) {
	parts := map[string][]tensor.Tensor{}
	err := r.List(func(i int) error {
		if i == maxRows {
			return errTooMany
		}
		values, _, err := r.Row(in)
		if err != nil {
			return fmt.Errorf("instance %d: %w", i, err)
		}
		for name, t := range values {
			parts[name] = append(parts[name], t)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return q.join(parts)
}

func (q *request) join(parts map[string][]tensor.Tensor) (predict.Tensors, error) {
	columns := predict.Tensors{}
	for name, rows := range parts {
		t, err := q.concat(rows)
		if err != nil {
			return nil, fmt.Errorf("input %q: the instances have different shapes: %w", name, err)
		}
		columns[name] = t
	}
	return columns, nil
}

// named reads {"NAME": value, …}, or {"b64": …} for the only input.
func (q *request) named(r *payload.Reader, n nesting, each func(tensor.Spec, tensor.Tensor) error) error {
	if r.Peek() != '{' {
		return errors.New("it is not an object, unlike the first")
	}
	return r.Object(func(name string) error {
		if _, err := q.spec(name); err != nil && name == "b64" {
			spec, err := q.only(true)
			if err != nil {
				return err
			}
			if spec.DType != tensor.String {
				return fmt.Errorf("b64: input %q is %s, not bytes", spec.Name, spec.DType)
			}
			text, err := r.Base64Text()
			if err != nil {
				return err
			}
			t := tensor.Tensor{Shape: []int64{}, Data: []string{text}}
			if n == row {
				t = t.Batch()
			}
			return each(spec, t)
		}
		spec, err := q.spec(name)
		if err != nil {
			return err
		}
		if n == batch && r.Peek() != '[' && !q.single(spec) {
			return fmt.Errorf("input %q: send a list, whose first dimension is the batch", spec.Name)
		}
		t, err := q.input(r, spec, n)
		if err != nil {
			return err
		}
		return each(spec, t)
	})
}

// table reads "inputs": the only input's batch, or an object that names batches.
//
//forgo:reader TensorFlow REST columns
func (q *request) table(r *payload.Reader) (predict.Tensors, error) {
	columns := tensor.NewMap()
	if r.Peek() != '{' { // a list, or the value of one row
		spec, err := q.only(r.PeekInto() == '{')
		if err != nil {
			return nil, err
		}
		t, err := q.input(r, spec, batch)
		columns[spec.Name] = t
		return columns, err
	}
	err := q.named(r, batch, func(spec tensor.Spec, t tensor.Tensor) error {
		if _, ok := columns[spec.Name]; ok {
			return fmt.Errorf("input %q occurs twice", spec.Name)
		}
		columns[spec.Name] = t
		return nil
	})
	if err == nil {
		err = q.allBare(columns)
	}
	return columns, err
}

package oip

// Infer over REST: the request line by line, and the answer.

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/forgo-ml/forgo/internal/wire"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/bodies"
	"github.com/forgo-ml/forgo/serve/internal/observe"
	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// direct answers the usual paths of infer as the router would, which takes a tenth of a short request's
// time. It returns false for any other path.
func direct(models Models) func(http.ResponseWriter, *http.Request) bool {
	h := handler{models: models}
	return func(w http.ResponseWriter, req *http.Request) bool {
		name, version, pattern := inferPath(req.URL.Path)
		if pattern == "" {
			return false
		}
		observe.Route(w, pattern)
		h.with(w, req, name, version, h.infer)
		return true
	}
}

// inferPath returns the model and the version in a path of infer, and the route's pattern, or "".
func inferPath(path string) (name, version, pattern string) {
	rest, ok := strings.CutPrefix(path, "/v2/models/")
	if !ok {
		return "", "", ""
	}
	if rest, ok = strings.CutSuffix(rest, "/infer"); !ok {
		return "", "", ""
	}
	if name, version, ok = served.ModelPath(rest); !ok {
		return "", "", ""
	}
	if version != "" {
		return name, version, "/v2/models/{name}/versions/{version}/infer"
	}
	return name, "", "/v2/models/{name}/infer"
}

func (h handler) infer(w http.ResponseWriter, req *http.Request, m *served.Model) {
	if err := m.HTTP(w, req, func(r *served.Request) error { return infer(w, req, r) }); err != nil {
		reply.Failure(w, err)
	}
}

func infer(w http.ResponseWriter, req *http.Request, r *served.Request) error {
	r.Types = wire.Datatype
	c, id, err := readCall(req, r)
	if err != nil {
		return err
	}
	wanted, results, err := c.run(r)
	if err != nil {
		return err
	}
	if c.free != nil {
		c.free() // the run has ended, and results share nothing with its inputs
	}
	return writeAnswer(w, r.Model, id, wanted, results)
}

// readCall reads a request in any of the three forms: JSON, JSON followed by binary data, and one input's
// raw data.
func readCall(req *http.Request, r *served.Request) (c *call, id string, err error) {
	lengths := req.Header[wire.HeaderLength]
	if len(lengths) == 0 {
		body, free, err := bodies.Read(req, r)
		if err != nil {
			return nil, "", err
		}
		defer free() // parsing JSON copies
		return parse(r.Payload(), inputsOf(r.Model), body, nil)
	}
	n, err := strconv.ParseInt(lengths[0], 10, 64)
	if err != nil || n < 0 || len(lengths) > 1 {
		return nil, "", served.BadInput("header %s is %q: send a length in bytes", wire.HeaderLength, lengths)
	}
	if n == 0 {
		c, err := rawCall(req, r)
		return c, "", err
	}
	if req.ContentLength >= 0 && n > req.ContentLength {
		return nil, "", served.BadInput("header %s is %d, but the body has %d bytes", wire.HeaderLength, n, req.ContentLength)
	}
	// Read the JSON separately, so that the first tensor starts at an aligned address.
	header, free, err := bodies.Head(req, n, r)
	if err != nil {
		return nil, "", err
	}
	defer free()
	if int64(len(header)) < n {
		return nil, "", served.BadInput("header %s is %d, but the body has %d bytes", wire.HeaderLength, n, len(header))
	}
	data, freeData, err := bodies.Own(req, r)
	if err != nil {
		return nil, "", err
	}
	if c, id, err = parse(r.Payload(), inputsOf(r.Model), header, data); err != nil {
		return nil, "", err
	}
	c.free = freeData
	return c, id, nil
}

// rawCall takes the whole body as the model's only input. The shape is the model's, with one size, the
// batch or a free one, that follows from the body's length. BYTES are one element, without its length.
func rawCall(req *http.Request, r *served.Request) (*call, error) {
	m := r.Model
	body, freeBody, err := bodies.Own(req, r)
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return nil, served.BadInput("header %s is 0 and the body is empty; send one input's data", wire.HeaderLength)
	}
	manifest := m.Manifest()
	if manifest.PictureAlone() {
		return &call{binary: true, inputs: []input{{name: Picture, tensor: oneString(body)}}}, nil
	}
	if len(manifest.Inputs) != 1 {
		return nil, served.BadInput("header %s is 0, but the model takes %s", wire.HeaderLength, described(m))
	}
	spec := manifest.Inputs[0].Spec()
	if spec.DType == tensor.String {
		t := oneString(body)
		for range spec.Shape[1:] {
			t.Shape = append(t.Shape, 1)
		}
		return &call{binary: true, inputs: []input{{name: spec.Name, tensor: t}}}, nil
	}
	shape, free, size := append([]int64{}, spec.Shape...), -1, int64(spec.DType.ElementSize())
	for i, d := range shape {
		if d >= 0 {
			size *= d
		} else if i > 0 && free > 0 {
			return nil, served.BadInput("header %s is 0, but input %q%v has more than one free size", wire.HeaderLength, spec.Name, spec.Shape)
		} else {
			free = i
		}
	}
	if free > 0 {
		shape[0] = 1 // the batch is one where another size is free
	}
	if size == 0 || int64(len(body))%size != 0 {
		return nil, served.BadInput("input %q%v takes a multiple of %d bytes, the body has %d", spec.Name, spec.Shape, size, len(body))
	}
	shape[max(free, 0)] = int64(len(body)) / size
	t, err := tensor.FromBytes(spec.DType, body, shape...)
	if err != nil {
		return nil, served.BadInput("input %q: %w", spec.Name, err)
	}
	return &call{binary: true, inputs: []input{{name: spec.Name, tensor: t}}, free: freeBody}, nil
}

func oneString(body []byte) tensor.Tensor {
	return tensor.Tensor{Shape: []int64{1}, Data: []string{string(body)}}
}

// writeAnswer writes the outputs in JSON or, if binary, behind it.
//
//forgo:writer OIP JSON
//forgo:writer OIP binary
func writeAnswer(w http.ResponseWriter, m *served.Model, id string, wanted []output, results predict.Tensors) error {
	body, dst := reply.Begin(w)
	dst = append(dst, `{"model_name":`...)
	dst = tensor.AppendText(dst, m.Name)
	dst = append(dst, `,"model_version":`...)
	dst = tensor.AppendText(dst, m.Version)
	if id != "" {
		dst = append(dst, `,"id":`...)
		dst = tensor.AppendText(dst, id)
	}
	dst = append(dst, `,"outputs":[`...)
	var few [4]tensor.Tensor
	tensors := few[:0]
	if len(wanted) > len(few) {
		tensors = make([]tensor.Tensor, 0, len(wanted))
	}
	tensors = tensors[:len(wanted)]
	anyBinary := false
	for i, o := range wanted { // before anything is sent
		anyBinary = anyBinary || o.binary
		var err error
		if tensors[i], err = o.of(m, results); err != nil {
			return body.Fail(err)
		}
		d := tensors[i].DType()
		switch {
		case o.binary:
		case d == tensor.Float16 || d == tensor.BFloat16:
			return body.Fail(served.BadInput("output %q is %s, which JSON cannot carry; request it with the parameter binary_data", o.name, wire.Datatype(d)))
		default:
			if err := tensor.CheckText(tensors[i]); err != nil {
				return body.Fail(served.BadInput("output %q: %w; request it with the parameter binary_data", o.name, err))
			}
		}
	}
	var tail [][]byte
	length := 0
	for i, o := range wanted {
		t := tensors[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"name":`...)
		dst = tensor.AppendText(dst, o.name)
		dst = append(dst, `,"datatype":"`...)
		dst = append(dst, wire.Datatype(t.DType())...)
		dst = append(dst, `","shape":`...)
		dst = tensor.AppendShape(dst, t.Shape)
		if o.binary {
			raw, err := t.Bytes()
			if err != nil {
				return body.Fail(fmt.Errorf("output %q: %w", o.name, err))
			}
			tail = append(tail, raw)
			length += len(raw)
			dst = append(dst, `,"parameters":{"binary_data_size":`...)
			dst = strconv.AppendInt(dst, int64(len(raw)), 10)
			dst = append(dst, `}}`...)
			continue
		}
		dst = append(dst, `,"data":`...)
		if anyBinary {
			dst = tensor.AppendFlat(dst, t, tensor.Bare) // the JSON's length goes before it
		} else {
			dst = body.Flat(dst, t, tensor.Bare)
		}
		dst = append(dst, '}')
	}
	dst = append(dst, ']', '}')
	if tail == nil {
		body.End(dst)
		return nil
	}
	defer body.Free()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set(wire.HeaderLength, strconv.Itoa(len(dst)))
	w.Header().Set("Content-Length", strconv.Itoa(len(dst)+length))
	// A client that has disconnected needs no answer.
	_, _ = w.Write(dst)
	for _, raw := range tail {
		_, _ = w.Write(raw)
	}
	return nil
}

package oip

// The JSON of an inference request.

import (
	"errors"
	"fmt"
	"strings"

	"github.com/forgo-ml/forgo/internal/wire"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// parse reads a request. data is the binary tensors behind the JSON, in order, or nil if there can be
// none. The call shares data, but not the JSON's memory.
func parse(l payload.Limits, m inputs, header, data []byte) (c *call, id string, err error) {
	p := parser{Reader: l.New(header), model: m, hasData: data != nil, data: data}
	c = &call{}
	err = p.Object(func(name string) error {
		if p.Null() {
			return nil
		}
		var err error
		switch name {
		case "id":
			id, err = p.Text()
		case "inputs":
			err = p.List(func(i int) error {
				if err := p.model.tooMany(i); err != nil {
					return err
				}
				in, err := p.input(i)
				c.inputs = append(c.inputs, in)
				return err
			})
		case "outputs":
			err = p.List(func(i int) error {
				if i > p.model.outputs {
					return errors.New("more outputs than the model has")
				}
				o, err := p.output()
				c.outputs = append(c.outputs, o)
				if err != nil {
					err = within(fmt.Sprintf("outputs[%d]", i), err)
				}
				return err
			})
			return err
		case "parameters":
			err = p.Object(func(name string) error {
				var err error
				switch name {
				case "binary_data_output":
					c.binary, err = p.Bool()
				case "sequence_id":
					var id []byte
					if id, err = p.Raw(); err == nil && string(id) != "0" && string(id) != `""` {
						err = errNoSequences
					}
				case "timeout":
					var n int64
					if n, err = p.Int(); err == nil {
						err = c.setTimeout(n)
					}
				default:
					_, err = p.Raw()
				}
				return within(name, err)
			})
		default:
			_, err = p.Raw()
		}
		return within(name, err)
	})
	if err == nil {
		err = p.End()
	}
	if err == nil && len(p.data) > 0 {
		err = fmt.Errorf("%d bytes of binary data are left after the inputs' binary_data_size", len(p.data))
	}
	if err != nil {
		return nil, "", served.BadInput("the body is not an inference request: %w", err)
	}
	for i := range c.outputs {
		if o := &c.outputs[i]; !p.said[i] {
			o.binary = c.binary
		}
	}
	return c, id, nil
}

// within adds the name of the field to an error, once.
func within(field string, err error) error {
	if err == nil || strings.HasPrefix(err.Error(), field) {
		return err
	}
	return fmt.Errorf("%s: %w", field, err)
}

type parser struct {
	*payload.Reader
	model   inputs
	hasData bool
	data    []byte
	said    []bool // by output, whether the request says its form
}

// input reads one element of inputs.
//
//forgo:reader OIP JSON
func (p *parser) input(i int) (input, error) {
	var in input
	var datatype string
	var shape []int64
	var later []byte // data that came before what says how to read them
	var seen bool
	size, contentType := int64(-1), ""
	err := p.Object(func(name string) error {
		var err error
		switch name {
		case "name":
			in.name, err = p.Name()
		case "datatype":
			datatype, err = p.Name()
		case "shape":
			shape = make([]int64, 0, 4)
			err = p.List(func(int) error {
				d, err := p.Int()
				if shape = append(shape, d); len(shape) > maxDimensions {
					return fmt.Errorf("more than %d dimensions", maxDimensions)
				}
				return err
			})
		case "data":
			if p.Null() {
				return nil
			}
			if seen = true; in.name == "" || datatype == "" || shape == nil {
				later, err = p.Raw()
				break
			}
			in.tensor, err = p.elements(p.Reader, in.name, datatype, shape)
		case "parameters":
			if p.Null() {
				return nil
			}
			size, contentType, err = p.inputParameters()
		default:
			_, err = p.Raw()
		}
		return within(name, err)
	})
	switch {
	case err != nil:
	case in.name == "":
		return in, fmt.Errorf("inputs[%d]: it has no name", i)
	case datatype == "":
		err = errors.New("it has no datatype")
	case shape == nil:
		err = errors.New("it has no shape")
	case seen && size >= 0:
		err = errors.New("it has both data and the parameter binary_data_size")
	case size >= 0:
		in.tensor, err = p.binary(in.name, datatype, shape, size)
	case !seen:
		err = errors.New("it has no data")
	case later != nil:
		in.tensor, err = p.elements(p.Again(later), in.name, datatype, shape)
		err = within("data", err)
	}
	in.base64 = seen
	if err == nil {
		err = in.decode(contentType, p.model.picture != "" && in.name == Picture)
	}
	if err != nil {
		err = within(fmt.Sprintf("inputs[%d] %q", i, in.name), err)
	}
	return in, err
}

// maxDimensions bounds the rank of a shape.
const maxDimensions = 64

// elements reads data that fits the model.
func (p *parser) elements(r *payload.Reader, name, datatype string, shape []int64) (tensor.Tensor, error) {
	d, err := wire.DType(datatype)
	if err == nil {
		err = p.model.takes(name, d, shape)
	}
	if err != nil {
		return tensor.Tensor{}, err
	}
	return wire.Elements(r, d, shape)
}

// inputParameters returns binary_data_size, or -1, and content_type, or "".
func (p *parser) inputParameters() (size int64, contentType string, err error) {
	size = -1
	err = p.Object(func(name string) error {
		var err error
		switch {
		case name == "binary_data_size":
			if size, err = p.Int(); err == nil && size < 0 {
				err = fmt.Errorf("%d is not a size", size)
			}
		case strings.HasPrefix(name, "shared_memory"):
			err = errors.New("shared memory is not supported; send the data")
		case name == "content_type" && p.Peek() == '"':
			contentType, err = p.Text()
		default:
			_, err = p.Raw()
		}
		return within(name, err)
	})
	return size, contentType, err
}

// binary reads the next size bytes of the binary data.
//
//forgo:reader OIP binary
func (p *parser) binary(name, datatype string, shape []int64, size int64) (tensor.Tensor, error) {
	if !p.hasData && size > 0 { // KServe's client says 0 in a body of JSON alone
		return tensor.Tensor{}, fmt.Errorf("binary_data_size needs the header %s", wire.HeaderLength)
	}
	if size > int64(len(p.data)) {
		return tensor.Tensor{}, fmt.Errorf("binary_data_size is %d, and the body has %d bytes left", size, len(p.data))
	}
	d, err := wire.DType(datatype)
	if err != nil {
		return tensor.Tensor{}, err
	}
	if err := p.model.takes(name, d, shape); err != nil {
		return tensor.Tensor{}, err
	}
	if d == tensor.String {
		if err := p.Grow(4 * size); err != nil { // 16 bytes for each of 4, a length
			return tensor.Tensor{}, err
		}
	}
	raw := p.data[:size:size]
	p.data = p.data[size:]
	return tensor.FromBytes(d, raw, shape...)
}

var errNoSequences = errors.New("sequence_id: sequences are not supported; models keep no state between requests")

// output reads one element of outputs.
func (p *parser) output() (output, error) {
	var o output
	said := false
	err := p.Object(func(name string) error {
		var err error
		switch name {
		case "name":
			o.name, err = p.Name()
		case "parameters":
			if p.Null() {
				return nil
			}
			err = p.Object(func(name string) error {
				var err error
				switch {
				case name == "binary_data":
					o.binary, err = p.Bool()
					said = true
				case name == "classification":
					var number []byte
					if number, err = p.Raw(); err == nil {
						err = o.readClasses(number)
					}
				case strings.HasPrefix(name, "shared_memory"):
					err = errors.New("shared memory is not supported")
				default:
					_, err = p.Raw()
				}
				return within(name, err)
			})
		default:
			_, err = p.Raw()
		}
		return within(name, err)
	})
	p.said = append(p.said, said)
	if err == nil && o.name == "" {
		err = errors.New("it has no name")
	}
	return o, err
}

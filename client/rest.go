package client

// The protocol over HTTP.

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/forgo-ml/forgo/internal/wire"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
)

type rest struct {
	base string // ends in a slash
	o    Options
	http *http.Client
	own  *http.Transport // nil where the caller gave the client
}

// conns is the number of connections that are kept for later calls.
const conns = 256

func newREST(u *url.URL, o Options) *rest {
	r := &rest{base: u.JoinPath("/").String(), o: o, http: o.HTTP}
	if r.http != nil {
		return r
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = o.TLS
	t.MaxIdleConns, t.MaxIdleConnsPerHost = conns, conns
	r.http, r.own = &http.Client{Transport: t}, t
	return r
}

func (r *rest) close() error {
	if r.own != nil {
		r.own.CloseIdleConnections()
	}
	return nil
}

// call sends a request and returns the body of a 2xx answer.
func (r *rest) call(ctx context.Context, method, path string, header http.Header, body []byte) (http.Header, []byte, error) {
	address := r.base + path
	call := method + " " + address
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	for _, h := range []http.Header{r.o.Header, header} {
		maps.Copy(req.Header, h)
	}
	if deadline, ok := ctx.Deadline(); ok {
		// gRPC's header, which forgo's server accepts here too. It lets the server skip work that nobody
		// waits for.
		if left := time.Until(deadline).Milliseconds(); left < 1e8 { // the header holds no more
			req.Header.Set("Grpc-Timeout", strconv.FormatInt(max(0, left), 10)+"m")
		}
	}
	resp, err := r.http.Do(req)
	if err != nil {
		// A url.Error would repeat the call.
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		if ctx.Err() != nil {
			return nil, nil, fmt.Errorf("%s: %w", call, ctx.Err())
		}
		return nil, nil, &Error{Call: call, Code: Code{text: "no answer"}, Message: err.Error(), kind: ErrUnavailable}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, r.o.MaxAnswer+1))
	if err == nil && int64(len(answer)) > r.o.MaxAnswer {
		err = fmt.Errorf("it is longer than %d bytes", r.o.MaxAnswer)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: read the answer: %w", call, err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, nil, statusError(call, resp, answer)
	}
	return resp.Header, answer, nil
}

func (r *rest) ready(ctx context.Context, m model) error {
	path := "v2/health/ready"
	if m.name != "" {
		path = "v2/models/" + m.path() + "/ready"
	}
	_, _, err := r.call(ctx, http.MethodGet, path, nil, nil)
	return err
}

func (r *rest) server(ctx context.Context) (s Server, err error) {
	_, body, err := r.call(ctx, http.MethodGet, "v2", nil, nil)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return s, fmt.Errorf("GET %sv2: the answer is not a server's metadata: %w", r.base, err)
	}
	return s, nil
}

func (r *rest) metadata(ctx context.Context, m model) (Metadata, error) {
	path := "v2/models/" + m.path()
	_, body, err := r.call(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return Metadata{}, err
	}
	type metadata struct {
		Name     string  `json:"name"`
		Datatype string  `json:"datatype"`
		Shape    []int64 `json:"shape"`
	}
	var said struct {
		Name       string     `json:"name"`
		Versions   []string   `json:"versions"`
		Platform   string     `json:"platform"`
		Inputs     []metadata `json:"inputs"`
		Outputs    []metadata `json:"outputs"`
		Parameters struct {
			Digest string   `json:"digest"`
			Labels []string `json:"labels"`
		} `json:"parameters"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return Metadata{}, fmt.Errorf("GET %s%s: the answer is not a model's metadata: %w", r.base, path, err)
	}
	specs := func(list []metadata) []tensor.Spec {
		var out []tensor.Spec
		for _, e := range list {
			out = append(out, spec(e.Name, e.Datatype, e.Shape))
		}
		return out
	}
	return Metadata{
		Name: said.Name, Versions: said.Versions, Platform: said.Platform,
		Inputs: specs(said.Inputs), Outputs: specs(said.Outputs),
		Digest: said.Parameters.Digest, Labels: said.Parameters.Labels,
	}, nil
}

func spec(name, datatype string, shape []int64) tensor.Spec {
	d, _ := wire.DType(datatype) // "" is what Metadata says it is then
	return tensor.Spec{Name: name, DType: d, Shape: shape}
}

func (r *rest) infer(ctx context.Context, m model, inputs tensor.Map) (answer, error) {
	head, tail, err := r.request(inputs)
	if err != nil {
		return answer{}, fmt.Errorf("infer: %w", err)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	if tail != nil {
		header.Set("Content-Type", "application/octet-stream")
		header.Set(wire.HeaderLength, strconv.Itoa(len(head)))
		head = slices.Concat(head, slices.Concat(tail...))
	}
	path := "v2/models/" + m.path() + "/infer"
	header, body, err := r.call(ctx, http.MethodPost, path, header, head)
	if err != nil {
		return answer{}, err
	}
	a, err := readAnswer(header.Get(wire.HeaderLength), body)
	if err != nil {
		return answer{}, fmt.Errorf("POST %s%s: the answer is not an inference response: %w", r.base, path, err)
	}
	return a, nil
}

// request writes an inference request: its JSON and the binary data that follows.
func (r *rest) request(inputs tensor.Map) (head []byte, tail [][]byte, err error) {
	head = append(head, `{"inputs":[`...)
	for i, name := range slices.Sorted(maps.Keys(inputs)) {
		t := inputs[name]
		if err := t.Check(); err != nil {
			return nil, nil, fmt.Errorf("input %q: %w", name, err)
		}
		if i > 0 {
			head = append(head, ',')
		}
		head = append(head, `{"name":`...)
		head = tensor.AppendText(head, name)
		head = append(head, `,"datatype":"`+wire.Datatype(t.DType())+`","shape":`...)
		head = tensor.AppendShape(head, t.Shape)
		if !r.o.Plain {
			raw, err := t.Bytes()
			if err != nil {
				return nil, nil, fmt.Errorf("input %q: %w", name, err)
			}
			tail = append(tail, raw)
			head = fmt.Appendf(head, `,"parameters":{"binary_data_size":%d}}`, len(raw))
			continue
		}
		if d := t.DType(); d == tensor.Float16 || d == tensor.BFloat16 {
			return nil, nil, fmt.Errorf("input %q: JSON cannot carry %s", name, wire.Datatype(d))
		}
		head = append(head, `,"data":`...)
		head = tensor.AppendFlat(head, asText(t), tensor.Bare)
		head = append(head, '}')
	}
	head = append(head, ']')
	if !r.o.Plain {
		head = append(head, `,"parameters":{"binary_data_output":true}`...)
	}
	return append(head, '}'), tail, nil
}

// asText returns strings as base64 if one of them is not UTF-8.
func asText(t tensor.Tensor) tensor.Tensor {
	values, err := tensor.Values[string](t)
	if err != nil || !slices.ContainsFunc(values, func(s string) bool { return !utf8.ValidString(s) }) {
		return t
	}
	coded := make([]string, len(values))
	for i, s := range values {
		coded[i] = base64.StdEncoding.EncodeToString([]byte(s))
	}
	return tensor.Tensor{Shape: t.Shape, Data: coded}
}

// readAnswer reads an answer. length, unless it is "", is the length of its JSON.
func readAnswer(length string, body []byte) (answer, error) {
	data := []byte(nil)
	if length != "" {
		n, err := strconv.Atoi(length)
		if err != nil || n < 0 || n > len(body) {
			return answer{}, fmt.Errorf("header %s is %q, the body has %d bytes", wire.HeaderLength, length, len(body))
		}
		body, data = body[:n], body[n:]
	}
	a := answer{outputs: tensor.Map{}}
	p := payload.New(body)
	err := p.Object(func(name string) error {
		var err error
		switch {
		case p.Null():
		case name == "model_version":
			a.version, err = p.Text()
		case name == "outputs":
			err = p.List(func(i int) error {
				o, err := readOutput(p)
				if err == nil {
					a.outputs[o.name], data, err = o.tensor(data)
				}
				if err != nil {
					return fmt.Errorf("outputs[%d] %q: %w", i, o.name, err)
				}
				return nil
			})
		default:
			_, err = p.Raw()
		}
		return err
	})
	if err == nil {
		err = p.End()
	}
	if err == nil && len(data) > 0 {
		err = fmt.Errorf("%d bytes of binary data are left after the outputs", len(data))
	}
	return a, err
}

// output is one element of outputs in the JSON.
type output struct {
	name, datatype string
	shape          []int64
	data           []byte // JSON; nil where the data are binary
	size           int64  // of binary data
}

func readOutput(p *payload.Reader) (o output, err error) {
	err = p.Object(func(name string) error {
		var err error
		switch {
		case p.Null():
		case name == "name":
			o.name, err = p.Text()
		case name == "datatype":
			o.datatype, err = p.Text()
		case name == "shape":
			o.shape = []int64{}
			err = p.List(func(int) error {
				d, err := p.Int()
				o.shape = append(o.shape, d)
				return err
			})
		case name == "data":
			o.data, err = p.Raw()
		case name == "parameters":
			err = p.Object(func(name string) error {
				var err error
				if name == "binary_data_size" {
					o.size, err = p.Int()
				} else {
					_, err = p.Raw()
				}
				return err
			})
		default:
			_, err = p.Raw()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
	return o, err
}

// tensor reads the output's part of the binary data, and returns the rest.
func (o output) tensor(data []byte) (tensor.Tensor, []byte, error) {
	if o.data != nil {
		d, err := wire.DType(o.datatype)
		if err != nil {
			return tensor.Tensor{}, data, err
		}
		t, err := wire.Elements(payload.New(o.data), d, o.shape)
		return t, data, err
	}
	if o.size < 0 || o.size > int64(len(data)) {
		return tensor.Tensor{}, data, fmt.Errorf("binary_data_size is %d, and the body has %d bytes left", o.size, len(data))
	}
	d, err := wire.DType(o.datatype)
	if err != nil {
		return tensor.Tensor{}, data, err
	}
	t, err := tensor.FromBytes(d, data[:o.size:o.size], o.shape...)
	return t, data[o.size:], err
}

func (r *rest) classify(ctx context.Context, m model, picture []byte) ([]Class, error) {
	path := "models/" + m.path()
	_, body, err := r.call(ctx, http.MethodPost, path, nil, picture)
	if err != nil {
		return nil, err
	}
	var classes []Class
	p := payload.New(body)
	err = p.Object(func(name string) error {
		if name == "classes" {
			classes = []Class{}
			return p.Classes(func(label string, score float32) {
				classes = append(classes, Class{label, score})
			})
		}
		_, err := p.Raw()
		return err
	})
	if err == nil {
		err = p.End()
	}
	if err != nil {
		return nil, fmt.Errorf("POST %s%s: the answer has no classes: %w", r.base, path, err)
	}
	if classes == nil {
		return nil, fmt.Errorf("classify: model %q is not a classifier; call Infer", m.name)
	}
	return classes, nil
}

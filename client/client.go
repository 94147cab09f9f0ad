// Package client calls the models of a server: forgo's own, or any other that speaks the Open
// Inference Protocol, such as Triton, KServe or MLServer.
//
//	c, err := client.New("http://127.0.0.1:8080")
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	classes, err := c.Classify(ctx, "digits", picture) // labels, best first
//	outputs, err := c.Infer(ctx, "iris", tensor.Map{"features": rows})
//
// A model is named as in URLs: NAME, or NAME/versions/N for one version of it. The package needs
// no inference engine and no C.
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// Options tune New. The zero value is useful.
type Options struct {
	// Header is sent with every request, over gRPC as metadata: an API key, say. Optional.
	Header http.Header
	// TLS is for https and grpcs URLs. Optional: the system's certificates are trusted.
	TLS *tls.Config
	// HTTP sends requests to http and https URLs. Its transport has its own TLS settings, and Close leaves
	// its connections open. Optional: New makes one.
	HTTP *http.Client
	// MaxAnswer bounds one answer in bytes; a longer one is an error. Optional: 1 GiB.
	MaxAnswer int64
	// Plain sends tensors in the protocol's core form, JSON over HTTP and typed contents over
	// gRPC, to servers that lack its binary forms. Optional: tensors go as binary data.
	Plain bool
}

// Client calls one server. It is safe for concurrent use. Close it when done.
//
// A call ends when its context does. Errors of the server are [*Error] and wrap [ErrBusy], [ErrNotFound],
// [ErrInput], [ErrDenied] or [ErrUnavailable]. After a deadline, the caller's or the server's, the error
// wraps [context.DeadlineExceeded].
type Client struct {
	protocol
	rest *rest // nil over gRPC
	rpc  *rpc  // nil over HTTP
}

// protocol is one of the two ways to speak the Open Inference Protocol.
type protocol interface {
	ready(ctx context.Context, m model) error
	server(ctx context.Context) (Server, error)
	metadata(ctx context.Context, m model) (Metadata, error)
	infer(ctx context.Context, m model, inputs tensor.Map) (answer, error)
	classify(ctx context.Context, m model, picture []byte) ([]Class, error)
	close() error
}

// answer is the answer to an inference.
type answer struct {
	version string // of the model that answered; "" if the server does not say
	outputs tensor.Map
}

// New returns a client of the server at a URL: http://HOST:PORT and https:// for REST,
// grpc://HOST:PORT and grpcs:// for gRPC. It does not connect yet.
func New(server string) (*Client, error) { return Options{}.New(server) }

// New is like the function New, with options.
func (o Options) New(server string) (*Client, error) {
	if o.MaxAnswer <= 0 || o.MaxAnswer > math.MaxInt32 {
		o.MaxAnswer = 1 << 30
	}
	if o.HTTP != nil && o.TLS != nil {
		return nil, errors.New("TLS is set beside HTTP: set it in the transport of HTTP")
	}
	u, err := url.Parse(server)
	if err != nil {
		return nil, fmt.Errorf("server URL: %w", err)
	}
	switch {
	case u.Host == "":
	case u.Scheme == "http" || u.Scheme == "https":
		r := newREST(u, o)
		return &Client{protocol: r, rest: r}, nil
	case (u.Scheme == "grpc" || u.Scheme == "grpcs") && strings.Trim(u.Path, "/") == "":
		p, err := newRPC(u, o)
		return &Client{protocol: p, rpc: p}, err
	}
	return nil, fmt.Errorf("server URL %q must be http://, https://, grpc:// or grpcs:// and HOST:PORT", server)
}

// Close closes the connections. gRPC calls in flight fail.
func (c *Client) Close() error { return c.close() }

// model is a model's name as callers give it, in its parts.
type model struct{ name, version string }

func parse(name string) (model, error) {
	m := model{name: name}
	if before, version, ok := strings.Cut(name, "/versions/"); ok {
		if m = (model{before, version}); version == "" {
			return m, fmt.Errorf("model %q: its version is empty", name)
		}
	}
	if m.name == "" || strings.Contains(m.name+m.version, "/") {
		return m, fmt.Errorf("model %q is neither NAME nor NAME/versions/N", name)
	}
	return m, nil
}

// path is the model's place below the protocol's.
func (m model) path() string {
	if m.version == "" {
		return url.PathEscape(m.name)
	}
	return url.PathEscape(m.name) + "/versions/" + url.PathEscape(m.version)
}

// Ready returns nil if a model or, with name "", the server takes requests.
func (c *Client) Ready(ctx context.Context, name string) error {
	if name == "" {
		return c.ready(ctx, model{})
	}
	m, err := parse(name)
	if err != nil {
		return err
	}
	return c.ready(ctx, m)
}

// Server is a server's metadata.
type Server struct {
	Name       string   `json:"name"`
	Version    string   `json:"version"`
	Extensions []string `json:"extensions"`
}

// Server asks for the server's name, version and protocol extensions.
func (c *Client) Server(ctx context.Context) (Server, error) { return c.server(ctx) }

// Metadata describes a model.
type Metadata struct {
	Name     string
	Versions []string
	Platform string
	// Inputs and Outputs have -1 for free sizes. Their types are "" if the server names an unknown type.
	Inputs, Outputs []tensor.Spec
	// Digest is the identity of the served bundle, and Labels are its classes. Only forgo's server reports
	// them, over REST.
	Digest string
	Labels []string
}

// Metadata asks for a model's inputs and outputs.
func (c *Client) Metadata(ctx context.Context, name string) (Metadata, error) {
	m, err := parse(name)
	if err != nil {
		return Metadata{}, err
	}
	return c.metadata(ctx, m)
}

// Infer runs a model on a batch and returns all outputs that the server sends. It only reads the inputs;
// the caller owns the outputs. If the server reports another version than the one that was asked for, that
// is an error.
//
// With [Options.Plain] over HTTP, strings that are not UTF-8, which JSON cannot carry, are sent as base64,
// the way forgo and KServe take pictures.
func (c *Client) Infer(ctx context.Context, name string, inputs tensor.Map) (tensor.Map, error) {
	m, err := parse(name)
	if err != nil {
		return nil, err
	}
	a, err := c.infer(ctx, m, inputs)
	if err != nil {
		return nil, err
	}
	if m.version != "" && a.version != "" && a.version != m.version {
		return nil, fmt.Errorf("infer: requested version %q of model %q, but version %q answered", m.version, m.name, a.version)
	}
	return a.outputs, nil
}

// Class is one label with its probability.
type Class struct {
	Label string  `json:"label"`
	Score float32 `json:"score"`
}

// Classify sends an encoded picture, or a JSON row, and returns every label with its probability, best
// first. Over HTTP the server must be forgo's. Over gRPC it may be any that speaks the classification
// extension, such as Triton; this takes two calls, and scores have six decimals.
func (c *Client) Classify(ctx context.Context, name string, picture []byte) ([]Class, error) {
	m, err := parse(name)
	if err != nil {
		return nil, err
	}
	return c.classify(ctx, m, picture)
}

// Call sends any other HTTP request, to a path below the server's URL, and returns the body of
// its answer. An empty content type is left out. Errors are those of the other methods.
func (c *Client) Call(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	if c.rest == nil {
		return nil, fmt.Errorf("%s %s: the client speaks gRPC: %w", method, path, errors.ErrUnsupported)
	}
	header := http.Header{}
	if contentType != "" {
		header.Set("Content-Type", contentType)
	}
	_, answer, err := c.rest.call(ctx, method, path, header, body)
	return answer, err
}

// Invoke calls any other gRPC method, "/package.Service/Method". Errors are those of the other
// methods.
func (c *Client) Invoke(ctx context.Context, method string, request, answer any) error {
	if c.rpc == nil {
		return fmt.Errorf("%s: the client speaks HTTP: %w", method, errors.ErrUnsupported)
	}
	return codeError(method, c.rpc.conn.Invoke(c.rpc.with(ctx), method, request, answer))
}

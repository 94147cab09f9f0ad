package protocol

import (
	"slices"
	"strings"

	"github.com/forgo-ml/forgo/serve/openapi"
)

// Set holds the protocols of one server.
type Set []Protocol

// OfPath returns the protocol that an HTTP path belongs to.
func (s Set) OfPath(path string) (HTTP, bool) {
	i := slices.IndexFunc(s, func(p Protocol) bool { return p.HTTP.has(path) })
	if i < 0 {
		return HTTP{}, false
	}
	return s[i].HTTP, true
}

func (h HTTP) has(path string) bool {
	rest, ok := strings.CutPrefix(path, h.Prefix)
	return ok && h.Handler != nil && (rest == "" || rest[0] == '/')
}

// PurposeOf returns the purpose of a path of the protocol.
func (h HTTP) PurposeOf(path string) Purpose {
	if h.Purpose == nil {
		return Infer
	}
	return h.Purpose(path)
}

// Compresses reports whether the answer at a path may be compressed.
func (s Set) Compresses(path string) bool {
	h, ok := s.OfPath(path)
	return !ok || h.Compress == nil || h.Compress(path)
}

// OpenAPI returns the protocols' parts of the OpenAPI document.
func (s Set) OpenAPI() []openapi.Protocol {
	var all []openapi.Protocol
	for _, p := range s {
		all = append(all, p.HTTP.OpenAPI)
	}
	return all
}

// Services returns the gRPC services of all protocols, in order.
func (s Set) Services() []Service {
	var all []Service
	for _, p := range s {
		all = append(all, p.GRPC.Services...)
	}
	return all
}

// Method returns the purpose of a full gRPC method, as in "/package.Service/Method". The default is
// Manage.
func (g GRPC) Method(method string) Purpose {
	service, name, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	for _, s := range g.Services {
		if s.Description.ServiceName == service {
			return s.Purposes[name]
		}
	}
	return Manage
}

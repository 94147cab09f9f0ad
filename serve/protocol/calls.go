package protocol

import (
	"slices"
	"strings"

	"github.com/forgo-ml/forgo/serve/openapi"
)

// Set is the protocols of one server.
type Set []Protocol

// OfPath returns the protocol that a path over HTTP belongs to.
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

// PurposeOf is what a path of the protocol is for.
func (h HTTP) PurposeOf(path string) Purpose {
	if h.Purpose == nil {
		return Infer
	}
	return h.Purpose(path)
}

// Compresses reports whether an answer at a path may be compressed.
func (s Set) Compresses(path string) bool {
	h, ok := s.OfPath(path)
	return !ok || h.Compress == nil || h.Compress(path)
}

// OpenAPI is what the protocols add to the OpenAPI document.
func (s Set) OpenAPI() []openapi.Protocol {
	var all []openapi.Protocol
	for _, p := range s {
		all = append(all, p.HTTP.OpenAPI)
	}
	return all
}

// Services are those of all protocols, in order.
func (s Set) Services() []Service {
	var all []Service
	for _, p := range s {
		all = append(all, p.GRPC.Services...)
	}
	return all
}

// Method is what a full method over gRPC, as "/package.Service/Method", is for. The default is Manage.
func (g GRPC) Method(method string) Purpose {
	service, name, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	for _, s := range g.Services {
		if s.Description.ServiceName == service {
			return s.Purposes[name]
		}
	}
	return Manage
}

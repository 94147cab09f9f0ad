// Package protocol says what a protocol of the server is: a value that the protocol's folder declares.
//
// [github.com/forgo-ml/forgo/serve.Protocols] lists them. A server makes everything that it knows of a
// protocol out of its value: routes and gRPC services, which key may call what, what is counted and
// traced, and what is compressed.
package protocol

import (
	"net/http"

	"google.golang.org/grpc"

	"github.com/forgo-ml/forgo/client/replay"
	"github.com/forgo-ml/forgo/serve/openapi"
	"github.com/forgo-ml/forgo/serve/repository"
)

// Server is what a protocol answers with.
type Server struct {
	Models *repository.Repository
	// Operators says that the port is for operators, who may load and unload models.
	Operators bool
	// MaxBody bounds a request's body in bytes.
	MaxBody int64
}

// Protocol is one way to call the server's models.
type Protocol struct {
	HTTP HTTP
	GRPC GRPC
	// Replays send golden cases to a running server in the protocol. Optional: verify --url does not know it.
	Replays []replay.Protocol
}

// HTTP is a protocol's part over HTTP. The zero value has none.
type HTTP struct {
	// Name is the protocol's in metrics, logs and traces.
	Name string
	// Prefix begins all paths of the protocol, as "/v2".
	Prefix string
	// Handler answers what lies below Prefix.
	Handler func(Server) http.Handler
	// Operators says that the protocol is also spoken on the operators' port. Optional.
	Operators bool
	// Purpose is what a path, Prefix included, is for. It is given the path that the handler routes by.
	// Optional: every path infers.
	Purpose func(path string) Purpose
	// Compress reports whether the answer at a path may be compressed. Optional: all may.
	Compress func(path string) bool
	// OpenAPI describes the protocol in /openapi.json and /docs. Optional: it is not described.
	OpenAPI openapi.Protocol
}

// GRPC is a protocol's part over gRPC. The zero value has none.
type GRPC struct {
	// Name is the protocol's in metrics, logs and traces of calls.
	Name     string
	Services []Service
}

// Service is one gRPC service. It is spoken on every port that speaks gRPC.
type Service struct {
	Description *grpc.ServiceDesc
	// New returns the service's implementation.
	New func(Server) any
	// Purposes are what methods, by their short names, are for. Optional: Manage.
	Purposes map[string]Purpose
}

// Purpose is what a call is for, which decides who may make it and whether it is traced.
type Purpose int

// The purposes.
const (
	// Manage is what neither infers nor probes. It takes the right predict on the ports for clients and
	// admin on the operators' port.
	Manage Purpose = iota
	// Infer runs a model. It takes the right predict on every port, and is traced.
	Infer
	// Probe asks whether the server or a model is live or ready. Anyone may.
	Probe
)

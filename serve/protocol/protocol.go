// Package protocol defines a protocol of the server: a value that the protocol's folder declares.
//
// [github.com/forgo-ml/forgo/serve.Protocols] lists them. From these values the server derives its routes
// and gRPC services, the rights that a call needs, metrics, traces and compression.
package protocol

import (
	"net/http"

	"google.golang.org/grpc"

	"github.com/forgo-ml/forgo/client/replay"
	"github.com/forgo-ml/forgo/serve/openapi"
	"github.com/forgo-ml/forgo/serve/repository"
)

// Server is what a protocol needs of the server.
type Server struct {
	Models *repository.Repository
	// Operators says that the port is the operators', who may load and unload models.
	Operators bool
	// MaxBody bounds a request's body in bytes.
	MaxBody int64
}

// Protocol is a way to call the server's models.
type Protocol struct {
	HTTP HTTP
	GRPC GRPC
	// Replays send golden cases to a running server in the protocol. Optional: verify --url does not know
	// the protocol.
	Replays []replay.Protocol
}

// HTTP is the HTTP part of a protocol. The zero value means that it has none.
type HTTP struct {
	// Name is the protocol's name in metrics, logs and traces.
	Name string
	// Prefix is the start of all paths of the protocol, as in "/v2".
	Prefix string
	// Handler returns the handler for the paths below Prefix.
	Handler func(Server) http.Handler
	// Direct returns a function that answers a POST as Handler does, for the protocol's most frequent paths,
	// and returns false for others. It saves those the router. It gets no path with escapes. Optional.
	Direct func(Server) func(http.ResponseWriter, *http.Request) bool
	// Operators adds the protocol to the operators' port. Optional.
	Operators bool
	// Purpose returns the purpose of a path, which includes Prefix and is the path that the handler routes
	// by. Optional: every path is for Infer.
	Purpose func(path string) Purpose
	// Compress reports whether the answer at a path may be compressed. Optional: every answer may.
	Compress func(path string) bool
	// OpenAPI describes the protocol in /openapi.json and /docs. Optional: the protocol is not described.
	OpenAPI openapi.Protocol
}

// GRPC is the gRPC part of a protocol. The zero value means that it has none.
type GRPC struct {
	// Name is the protocol's name in metrics, logs and traces.
	Name     string
	Services []Service
}

// Service is one gRPC service. Every port that speaks gRPC offers it.
type Service struct {
	Description *grpc.ServiceDesc
	// New returns the service's implementation.
	New func(Server) any
	// Purposes maps the short names of methods to their purposes. Optional: Manage.
	Purposes map[string]Purpose
}

// Purpose is the purpose of a call. It decides which right the call needs and whether it is traced.
type Purpose int

// Purposes of calls.
const (
	// Manage is any purpose but Infer and Probe. It needs the right predict on client ports, and admin on
	// the operators' port.
	Manage Purpose = iota
	// Infer runs a model. It needs the right predict on every port, and is traced.
	Infer
	// Probe asks whether the server or a model is live or ready. It needs no right.
	Probe
)

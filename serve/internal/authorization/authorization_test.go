package authorization_test

import (
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/forgo-ml/forgo/serve/access"
	"github.com/forgo-ml/forgo/serve/internal/authorization"
	"github.com/forgo-ml/forgo/serve/protocol"
)

// protocols is one that clients call on their ports alone, and one that operators call too.
var protocols = protocol.Set{
	{HTTP: protocol.HTTP{Prefix: "/models", Handler: handler}},
	{
		HTTP: protocol.HTTP{Prefix: "/v2", Handler: handler, Operators: true, Purpose: func(path string) protocol.Purpose {
			switch {
			case strings.HasSuffix(path, "/ready"):
				return protocol.Probe
			case strings.HasSuffix(path, "/infer"):
				return protocol.Infer
			}
			return protocol.Manage
		}},
		GRPC: protocol.GRPC{Services: []protocol.Service{{
			Description: &grpc.ServiceDesc{ServiceName: "inference.Service"},
			Purposes:    map[string]protocol.Purpose{"Infer": protocol.Infer, "Ready": protocol.Probe},
		}}},
	},
}

func handler(protocol.Server) http.Handler { return http.NotFoundHandler() }

// A path or method that nobody has thought of needs the strongest right of its port.
func TestRights(t *testing.T) {
	clients := authorization.Rights{Protocols: protocols, Metrics: []string{"/metrics"}}
	operators := clients
	operators.Operators = true
	for _, c := range []struct {
		call               string
		clients, operators access.Right
	}{
		{"/models/m", access.Predict, access.Admin},
		{"/v2/models/m/infer", access.Predict, access.Predict},
		{"/v2/models/m/ready", access.None, access.None},
		{"/v2/models/m/ready/", access.Predict, access.Admin},
		{"/v2/repository/models/m/load", access.Predict, access.Admin},
		{"/v2x/models/m/ready", access.Predict, access.Admin},
		{"/metrics", access.Predict, access.Metrics},
		{"/metrics/", access.Predict, access.Admin},
		{"/later", access.Predict, access.Admin},
		{"", access.Predict, access.Admin},
	} {
		if got := clients.Path(c.call); got != c.clients {
			t.Errorf("%q for clients needs %q, want %q", c.call, got, c.clients)
		}
		if got := operators.Path(c.call); got != c.operators {
			t.Errorf("%q for operators needs %q, want %q", c.call, got, c.operators)
		}
	}
	for _, c := range []struct {
		method             string
		clients, operators access.Right
	}{
		{"/inference.Service/Infer", access.Predict, access.Predict},
		{"/inference.Service/Ready", access.None, access.None},
		{"/inference.Service/Later", access.Predict, access.Admin},
		{"/other.Service/Ready", access.Predict, access.Admin},
		{"/grpc.health.v1.Health/Check", access.None, access.None},
		{"/grpc.health.v1.Health/Watch", access.None, access.None},
		{"/grpc.health.v1.Health/Later", access.Predict, access.Admin},
	} {
		if got := clients.Method(c.method); got != c.clients {
			t.Errorf("%s for clients needs %q, want %q", c.method, got, c.clients)
		}
		if got := operators.Method(c.method); got != c.operators {
			t.Errorf("%s for operators needs %q, want %q", c.method, got, c.operators)
		}
	}
}

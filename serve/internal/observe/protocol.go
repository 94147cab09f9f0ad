package observe

import (
	"slices"
	"strings"

	"google.golang.org/grpc/stats"
)

// Protocol is one way to call the server, over HTTP or over gRPC, as metrics, logs and traces tell it
// from the others. It must not change once an observer has it.
type Protocol struct {
	// Name is the metrics' label.
	Name string
	// Prefix begins the paths of the protocol over HTTP, as "/v2".
	Prefix string
	// Services are the full names of the protocol's services over gRPC.
	Services []string
	// Infers reports whether a path, or a full method, runs a model. Such requests are traced.
	Infers func(call string) bool

	key any // the name, by which counts are found without memory being taken
}

// Other is what belongs to none of the server's protocols, such as a path that does not exist.
var Other = &Protocol{Name: "other", key: "other"}

func (p *Protocol) overGRPC() bool { return len(p.Services) > 0 }

// ofPath is the protocol that a path over HTTP belongs to.
func (o *Observer) ofPath(path string) *Protocol {
	for _, p := range o.protocols {
		if rest, ok := strings.CutPrefix(path, p.Prefix); ok && !p.overGRPC() && (rest == "" || rest[0] == '/') {
			return p
		}
	}
	return Other
}

// ofMethod is the protocol that a full method over gRPC, as "/package.Service/Method", belongs to.
func (o *Observer) ofMethod(method string) *Protocol {
	if service, _, ok := strings.Cut(strings.TrimPrefix(method, "/"), "/"); ok {
		for _, p := range o.protocols {
			if slices.Contains(p.Services, service) {
				return p
			}
		}
	}
	return Other
}

// infers reports whether a call over gRPC runs a model.
func (o *Observer) infers(call *stats.RPCTagInfo) bool {
	p := o.ofMethod(call.FullMethodName)
	return p != Other && p.Infers(call.FullMethodName)
}

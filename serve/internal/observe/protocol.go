package observe

import (
	"slices"
	"strings"

	"google.golang.org/grpc/stats"
)

// Protocol is a way to call the server as metrics, logs and traces distinguish it. It must not change once
// an observer has it.
type Protocol struct {
	// Name is the protocol's label in metrics.
	Name string
	// Prefix is the start of the protocol's HTTP paths, as in "/v2".
	Prefix string
	// Services lists the full names of the protocol's gRPC services.
	Services []string
	// Infers reports whether a path or a full method runs a model. Such requests are traced.
	Infers func(call string) bool

	key any // the name, by which counts are found without memory being taken
}

// Other stands for requests that belong to no protocol, such as those for unknown paths.
var Other = &Protocol{Name: "other", key: "other"}

func (p *Protocol) overGRPC() bool { return len(p.Services) > 0 }

// ofPath returns the protocol of an HTTP path.
func (o *Observer) ofPath(path string) *Protocol {
	for _, p := range o.protocols {
		if rest, ok := strings.CutPrefix(path, p.Prefix); ok && !p.overGRPC() && (rest == "" || rest[0] == '/') {
			return p
		}
	}
	return Other
}

// ofMethod returns the protocol of a full gRPC method, as in "/package.Service/Method".
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

// infers reports whether a gRPC call runs a model.
func (o *Observer) infers(call *stats.RPCTagInfo) bool {
	p := o.ofMethod(call.FullMethodName)
	return p != Other && p.Infers(call.FullMethodName)
}

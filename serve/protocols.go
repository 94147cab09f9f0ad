package serve

import (
	"slices"

	"github.com/forgo-ml/forgo/client/replay"
	"github.com/forgo-ml/forgo/serve/internal/observe"
	"github.com/forgo-ml/forgo/serve/native"
	"github.com/forgo-ml/forgo/serve/oip"
	"github.com/forgo-ml/forgo/serve/protocol"
	"github.com/forgo-ml/forgo/serve/tfserving"
)

// Protocols returns all protocols of the server.
func Protocols() []protocol.Protocol {
	return []protocol.Protocol{
		native.Protocol,
		oip.Protocol,
		tfserving.Protocol,
	}
}

// Replays returns the ways to replay golden cases against a running server, for all protocols.
func Replays() []replay.Protocol {
	var all []replay.Protocol
	for _, p := range Protocols() {
		all = append(all, p.Replays...)
	}
	return all
}

// observed returns the server's protocols under their names in metrics, logs and traces.
func observed(protocols protocol.Set) []observe.Protocol {
	var list []observe.Protocol
	for _, p := range protocols {
		if p.HTTP.Handler != nil {
			list = append(list, observe.Protocol{Name: p.HTTP.Name, Prefix: p.HTTP.Prefix, Infers: func(path string) bool {
				return p.HTTP.PurposeOf(path) == protocol.Infer
			}})
		}
		if len(p.GRPC.Services) > 0 {
			list = append(list, observe.Protocol{Name: p.GRPC.Name, Services: names(p.GRPC.Services), Infers: func(method string) bool {
				return p.GRPC.Method(method) == protocol.Infer
			}})
		}
	}
	return list
}

func names(services []protocol.Service) []string {
	var list []string
	for _, s := range services {
		list = append(list, s.Description.ServiceName)
	}
	return list
}

// healthServices returns the names that the health service knows. "" is the server as a whole.
func healthServices(protocols protocol.Set) []string {
	return slices.Concat([]string{""}, names(protocols.Services()))
}

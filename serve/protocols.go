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

// Protocols are the ways to call a server.
func Protocols() []protocol.Protocol {
	return []protocol.Protocol{
		native.Protocol,
		oip.Protocol,
		tfserving.Protocol,
	}
}

// Replays are the ways to replay golden cases against a running server, of all protocols.
func Replays() []replay.Protocol {
	var all []replay.Protocol
	for _, p := range Protocols() {
		all = append(all, p.Replays...)
	}
	return all
}

// observed are the server's protocols as metrics, logs and traces tell them apart.
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

// healthServices are what the health service answers for, "" being the server as a whole.
func healthServices(protocols protocol.Set) []string {
	return slices.Concat([]string{""}, names(protocols.Services()))
}

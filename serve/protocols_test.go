package serve

import (
	"net/http"
	"testing"

	"google.golang.org/grpc"

	"github.com/forgo-ml/forgo/serve/protocol"
)

// A protocol is counted under the name of each transport that it has, and of no other.
func TestObservedHasTheTransportsOfAProtocol(t *testing.T) {
	web := protocol.HTTP{Name: "web", Prefix: "/web", Handler: func(protocol.Server) http.Handler { return nil }}
	rpc := protocol.GRPC{Name: "rpc", Services: []protocol.Service{{Description: &grpc.ServiceDesc{ServiceName: "a.Service"}}}}
	for name, c := range map[string]struct {
		p    protocol.Protocol
		want []string
	}{
		"both": {protocol.Protocol{HTTP: web, GRPC: rpc}, []string{"web", "rpc"}},
		"HTTP": {protocol.Protocol{HTTP: web}, []string{"web"}},
		"gRPC": {protocol.Protocol{GRPC: rpc}, []string{"rpc"}},
	} {
		got := observed(protocol.Set{c.p})
		if len(got) != len(c.want) {
			t.Fatalf("%s: got %+v, want %v", name, got, c.want)
		}
		for i, want := range c.want {
			if got[i].Name != want {
				t.Errorf("%s: got %q, want %q", name, got[i].Name, want)
			}
		}
	}
}

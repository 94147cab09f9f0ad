package native

import (
	"net/http"

	"github.com/forgo-ml/forgo/client/replay"
	"github.com/forgo-ml/forgo/serve/protocol"
)

// Protocol is forgo's own protocol, over HTTP.
var Protocol = protocol.Protocol{
	HTTP: protocol.HTTP{
		Name: "native", Prefix: "/models", OpenAPI: document,
		Handler: func(s protocol.Server) http.Handler { return Handler(s.Models) },
		Direct:  func(s protocol.Server) func(http.ResponseWriter, *http.Request) bool { return direct(s.Models) },
	},
	Replays: []replay.Protocol{Replay},
}

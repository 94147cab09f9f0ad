package serve

// What connections and calls hold, beyond what protocols count themselves.

import (
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/forgo-ml/forgo/serve/internal/connection"
	"github.com/forgo-ml/forgo/serve/internal/reply"
)

// overAdmin answers a call of gRPC on the admin port.
func (s *Server) overAdmin(rpc *grpc.Server, w http.ResponseWriter, req *http.Request) {
	r, err := connection.Begin(req)
	if err != nil {
		reply.Failure(w, err)
		return
	}
	defer r.End()
	if e := pace(w, req, s.options.ClientTimeout); e != nil {
		defer e.turn.Client()
		if f, ok := w.(http.Flusher); ok && !endless(req.URL.Path) {
			w = flushing{e, f}
		}
	}
	req.Body = r.Counted(req.Body)
	rpc.ServeHTTP(w, req)
}

// endless says which calls answer for as long as the client likes.
func endless(method string) bool {
	return strings.HasPrefix(method, "/grpc.health.") || strings.HasPrefix(method, "/grpc.reflection.")
}

// flushing is an exchange as gRPC needs it.
type flushing struct {
	*exchange
	http.Flusher
}

// connectionsAreFull says so once in a while.
func (s *Server) connectionsAreFull(closed int) {
	now := time.Now().Unix()
	if last := s.toldFull.Load(); now-last >= 60 && s.toldFull.CompareAndSwap(last, now) {
		s.options.Log.Warn("there is no room for more connections: those that ask for nothing are closed", "closed", closed)
	}
}

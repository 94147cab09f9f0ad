package drain

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"
)

// A server that stops cuts off a request that outlasts its time.
func TestShutdownCutsOffWhatOutlastsIt(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	of := new(Traffic)
	server := &http.Server{ConnState: of.Connection, ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(begun)
		<-release
	})}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(l) }()
	answered := make(chan error, 1)
	go func() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String(), nil)
		if err != nil {
			answered <- err
			return
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			err = resp.Body.Close()
		}
		answered <- err
	}()
	<-begun
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := of.Shutdown(server)(ended); err == nil {
		t.Error("no error, although a request was under way")
	}
	select {
	case err := <-answered:
		if err == nil {
			t.Error("the request was answered")
		}
	case <-time.After(time.Minute):
		t.Error("the connection stays open")
	}
}

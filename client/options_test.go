package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/forgo-ml/forgo/client"
)

type counted struct {
	http.RoundTripper
	requests int
}

func (c *counted) RoundTrip(req *http.Request) (*http.Response, error) {
	c.requests++
	return c.RoundTripper.RoundTrip(req)
}

// A client of the caller's own sends the requests, and failures have codes to compare.
func TestTheCallersHTTPClient(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer server.Close()
	transport := &counted{RoundTripper: http.DefaultTransport}
	c, err := client.Options{HTTP: &http.Client{Transport: transport}}.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Ready(t.Context(), "iris")
	failed, ok := errors.AsType[*client.Error](err)
	if !ok || failed.Code.HTTP != http.StatusTooManyRequests || failed.Code.String() != "429 Too Many Requests" || !errors.Is(err, client.ErrBusy) {
		t.Errorf("%#v", err)
	}
	if err := c.Close(); err != nil || transport.requests != 1 {
		t.Errorf("%d requests, %v", transport.requests, err)
	}
	if _, err := (client.Options{HTTP: http.DefaultClient, TLS: &tls.Config{MinVersion: tls.VersionTLS12}}).New(server.URL); err == nil {
		t.Error("TLS beside a client of the caller's own passed")
	}
}

func TestCodesOverGRPC(t *testing.T) {
	c, err := client.New("grpc://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = c.Ready(ctx, "")
	failed, ok := errors.AsType[*client.Error](err)
	if !ok || failed.Code.GRPC != codes.Canceled || failed.Code.HTTP != 0 || failed.Code.String() != "Canceled" {
		t.Errorf("%#v", err)
	}
}

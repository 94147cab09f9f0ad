package serve_test

// TLS on every port, clients' certificates, and files that change while the server runs.

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/access"
	"github.com/forgo-ml/forgo/serve/access/accesstest"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// https is a client that speaks HTTP/2 where two is set, else HTTP/1.1.
func https(t *testing.T, config *tls.Config, two bool) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: config.Clone(), ForceAttemptHTTP2: two}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// get returns the status of an answer, its protocol, and the name in the server's certificate.
func get(t *testing.T, client *http.Client, url string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	name := "nobody"
	if resp.TLS != nil {
		name = resp.TLS.PeerCertificates[0].Subject.CommonName
	}
	return fmt.Sprintf("%d %s %s", resp.StatusCode, resp.Proto, name), nil
}

func TestTLSOnEveryPort(t *testing.T) {
	models := servetest.Committed(t)
	a := accesstest.New(t)
	cert, key, _ := a.Files(t.TempDir(), "server")
	socket := filepath.Join(t.TempDir(), "forgo.sock")
	s := servetest.RunWith(t, models, serve.Options{TLS: servetest.Certificates(t, cert, key, "")},
		serve.Addresses{HTTP: servetest.AnyPort, GRPC: servetest.AnyPort, Admin: servetest.AnyPort, Socket: socket})

	if s.Addresses["url"] != "https://"+s.Addresses["http"] {
		t.Errorf("the log says %v", s.Addresses)
	}
	for _, port := range []string{"http", "admin"} {
		for two, want := range map[bool]string{false: "200 HTTP/1.1 server", true: "200 HTTP/2.0 server"} {
			if got, err := get(t, https(t, a.Client(""), two), "https://"+s.Addresses[port]+"/v2/health/ready"); got != want || err != nil {
				t.Errorf("%s: %q, %v; want %q", port, got, err, want)
			}
		}
		if got, err := get(t, http.DefaultClient, "http://"+s.Addresses[port]+"/v2/health/ready"); !strings.HasPrefix(got, "400 ") {
			t.Errorf("%s without TLS: %q, %v", port, got, err)
		}
		if _, err := get(t, https(t, accesstest.New(t).Client(""), true), "https://"+s.Addresses[port]+"/v2/health/ready"); err == nil {
			t.Errorf("%s: a client that does not trust the server's authority takes its answer", port)
		}
	}
	for _, port := range []string{"grpc", "admin"} {
		answer, err := servetest.GRPCClient(t, s.Addresses[port], credentials.NewTLS(a.Client(""))).ModelInfer(t.Context(), servetest.IrisRequest(5.1, 3.5, 1.4, 0.2))
		if err != nil || len(answer.GetOutputs()) == 0 {
			t.Errorf("gRPC on %s: %v", port, err)
		}
		if _, err := servetest.GRPCClient(t, s.Addresses[port], insecure.NewCredentials()).ServerLive(t.Context(), &pb.ServerLiveRequest{}); status.Code(err) != codes.Unavailable {
			t.Errorf("gRPC on %s without TLS: %v", port, err)
		}
	}
	if got, err := get(t, servetest.OverSocket(socket), "http://forgo/v2/health/ready"); got != "200 HTTP/1.1 nobody" {
		t.Errorf("the socket: %q, %v", got, err)
	}
}

func TestPlainAdmin(t *testing.T) {
	a := accesstest.New(t)
	cert, key, ca := a.Files(t.TempDir(), "server")
	s := servetest.RunWith(t, servetest.Committed(t), serve.Options{TLS: servetest.Certificates(t, cert, key, ca), PlainAdmin: true}, serve.Addresses{HTTP: servetest.AnyPort, Admin: servetest.AnyPort})
	if got, err := get(t, http.DefaultClient, "http://"+s.Addresses["admin"]+"/metrics"); got != "200 HTTP/1.1 nobody" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := servetest.GRPCClient(t, s.Addresses["admin"], insecure.NewCredentials()).ServerLive(t.Context(), &pb.ServerLiveRequest{}); err != nil {
		t.Error(err)
	}
	if got, err := get(t, https(t, a.Client("client"), true), "https://"+s.Addresses["http"]+"/v2/health/ready"); got != "200 HTTP/2.0 server" {
		t.Errorf("the clients' port: %q, %v", got, err)
	}
}

func TestClientsShowCertificates(t *testing.T) {
	a, other := accesstest.New(t), accesstest.New(t)
	cert, key, ca := a.Files(t.TempDir(), "server")
	s := servetest.RunWith(t, servetest.Committed(t), serve.Options{TLS: servetest.Certificates(t, cert, key, ca)}, serve.Addresses{HTTP: servetest.AnyPort, GRPC: servetest.AnyPort, Admin: servetest.AnyPort})
	stranger := a.Client("")
	stranger.Certificates = other.Client("stranger").Certificates
	for name, c := range map[string]struct {
		config *tls.Config
		in     bool
	}{"a client": {a.Client("client"), true}, "nobody": {a.Client(""), false}, "a stranger": {stranger, false}} {
		for _, port := range []string{"http", "admin"} {
			for _, two := range []bool{false, true} {
				if got, err := get(t, https(t, c.config, two), "https://"+s.Addresses[port]+"/v2/health/live"); (err == nil) != c.in {
					t.Errorf("%s on %s: %q, %v", name, port, got, err)
				}
			}
		}
		for _, port := range []string{"grpc", "admin"} {
			_, err := servetest.GRPCClient(t, s.Addresses[port], credentials.NewTLS(c.config)).ServerLive(t.Context(), &pb.ServerLiveRequest{})
			if want := map[bool]codes.Code{true: codes.OK, false: codes.Unavailable}[c.in]; status.Code(err) != want {
				t.Errorf("%s over gRPC on %s: %v", name, port, err)
			}
		}
	}
}

// TestFilesReload changes certificates and keys under a server that answers.
func TestFilesReload(t *testing.T) {
	a := accesstest.New(t)
	folder := t.TempDir()
	cert, key, _ := a.Files(folder, "first")
	var secrets []string
	keyLine := func(name string) (string, string) {
		secret, line, err := access.NewKey(name, []access.Right{access.Predict})
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, secret)
		return secret, line
	}
	alice, aliceLine := keyLine("alice")
	bob, bobLine := keyLine("bob")
	keysFile := filepath.Join(folder, "keys")
	accesstest.Replace(t, keysFile, []byte(aliceLine))
	keys, err := access.OpenKeys(keysFile)
	if err != nil {
		t.Fatal(err)
	}
	s := servetest.RunWith(t, servetest.Committed(t), serve.Options{TLS: servetest.Certificates(t, cert, key, ""), Keys: keys}, serve.Addresses{HTTP: servetest.AnyPort, GRPC: servetest.AnyPort})
	health := "https://" + s.Addresses["http"] + "/v2/health/ready"

	// What is open stays open: a connection of each kind is used throughout.
	open := https(t, a.Client(""), true)
	conn := servetest.GRPCClient(t, s.Addresses["grpc"], credentials.NewTLS(a.Client("")))
	stays := func() {
		t.Helper()
		if got, err := get(t, open, health); got != "200 HTTP/2.0 first" {
			t.Errorf("the open connection: %q, %v", got, err)
		}
		var p peer.Peer
		if _, err := conn.ServerLive(t.Context(), &pb.ServerLiveRequest{}, grpc.Peer(&p)); err != nil {
			t.Fatal(err)
		}
		if name := p.AuthInfo.(credentials.TLSInfo).State.PeerCertificates[0].Subject.CommonName; name != "first" {
			t.Errorf("the open gRPC connection is with %q", name)
		}
	}
	stays()
	shown := func() string {
		t.Helper()
		conn, err := tls.Dial("tcp", s.Addresses["http"], a.Client(""))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	}

	second, secondKey := a.Issue("second", time.Time{})
	accesstest.Replace(t, cert, second)
	if line := s.Log.Wait("certificates not reloaded; the earlier ones stay"); !strings.Contains(line, "private key does not match") || shown() != "first" {
		t.Errorf("half of a pair: %s, and %q is shown", line, shown())
	}
	stays()
	accesstest.Replace(t, key, secondKey)
	if line := s.Log.Wait("certificates reloaded"); !strings.Contains(line, "second") || shown() != "second" {
		t.Errorf("a new pair: %s, and %q is shown", line, shown())
	}
	stays()

	known := func(secret string) codes.Code {
		_, err := conn.ServerMetadata(metadata.AppendToOutgoingContext(t.Context(), "x-api-key", secret), &pb.ServerMetadataRequest{})
		return status.Code(err)
	}
	accesstest.Replace(t, keysFile, []byte(bobLine+"\nalice predict "+alice))
	if line := s.Log.Wait("keys not reloaded; the earlier ones stay"); !strings.Contains(line, "keys:2: the third word") || known(alice) != codes.OK || known(bob) != codes.Unauthenticated {
		t.Errorf("a broken file of keys: %s; alice %v, bob %v", line, known(alice), known(bob))
	}
	accesstest.Replace(t, keysFile, []byte(bobLine))
	if line := s.Log.Wait("keys reloaded"); !strings.Contains(line, "bob") || known(alice) != codes.Unauthenticated || known(bob) != codes.OK {
		t.Errorf("another file of keys: %s; alice %v, bob %v", line, known(alice), known(bob))
	}
	stays()
	s.Stop()
	if err := <-s.Ended; err != nil {
		t.Error(err)
	}
	for _, secret := range secrets {
		if strings.Contains(s.Log.String(), secret) {
			t.Error("a key is in the log")
		}
	}
	if strings.Contains(s.Log.String(), "PRIVATE") {
		t.Error("the private key is in the log")
	}
}

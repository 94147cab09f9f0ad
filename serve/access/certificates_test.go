package access

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/serve/access/accesstest"
)

// shake connects a client with a server and returns the server's name as the client saw it.
func shake(t *testing.T, server, client *tls.Config) (string, error) {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		if conn, err := listener.Accept(); err == nil {
			_, _ = conn.Write([]byte("x")) // with TLS 1.3 a client learns only now that it is refused
			_ = conn.Close()
		}
	}()
	conn, err := tls.Dial("tcp", listener.Addr().String(), client)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		return "", err
	}
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

func TestCertificatesReload(t *testing.T) {
	a, other := accesstest.New(t), accesstest.New(t)
	folder := t.TempDir()
	cert, key, ca := a.Files(folder, "first")
	c, err := OpenCertificates(cert, key, "")
	if err != nil {
		t.Fatal(err)
	}
	config := c.Config("h2")
	serving := func(want string) {
		t.Helper()
		if name, err := shake(t, config, a.Client("")); name != want || err != nil {
			t.Errorf("a client sees %q, %v; want %q", name, err, want)
		}
	}
	serving("first")
	a.Files(folder, "second")
	if changed, err := c.Reload(); !changed || err != nil {
		t.Errorf("changed %t, %v", changed, err)
	}
	serving("second")

	one, _ := a.Issue("third", time.Time{})
	accesstest.Replace(t, cert, one) // whose key is still the second's
	if changed, err := c.Reload(); changed || err == nil || !strings.Contains(err.Error(), "private key does not match") {
		t.Errorf("a pair that is none: %t, %v", changed, err)
	}
	serving("second")
	accesstest.Replace(t, cert, []byte("-----BEGIN CERT"))
	if changed, err := c.Reload(); changed || err == nil || !strings.Contains(err.Error(), cert) {
		t.Errorf("half a file: %t, %v", changed, err)
	}
	serving("second")

	old, oldKey := a.Issue("old", time.Now().Add(-time.Hour))
	accesstest.Replace(t, cert, old)
	accesstest.Replace(t, key, oldKey)
	if changed, err := c.Reload(); !changed || err != nil || !strings.Contains(strings.Join(c.warnings(), ""), "expired on") {
		t.Errorf("an expired one: %t, %v, %q", changed, err, c.warnings())
	}

	// Authorities of clients change too, and count from the next connection on.
	a.Files(folder, "fourth")
	if c, err = OpenCertificates(cert, key, ca); err != nil {
		t.Fatal(err)
	}
	config = c.Config("h2")
	client := a.Client("client")
	client.ClientSessionCache = tls.NewLRUClientSessionCache(0) // it resumes where it is let
	for range 2 {
		if _, err := shake(t, config, client); err != nil {
			t.Errorf("with a certificate: %v", err)
		}
	}
	if _, err := shake(t, config, a.Client("")); err == nil {
		t.Error("a client without a certificate is let in")
	}
	stranger := a.Client("")
	stranger.Certificates = other.Client("stranger").Certificates
	if _, err := shake(t, config, stranger); err == nil {
		t.Error("a client of another authority is let in")
	}
	accesstest.Replace(t, ca, other.PEM)
	if changed, err := c.Reload(); !changed || err != nil {
		t.Errorf("changed %t, %v", changed, err)
	}
	if _, err := shake(t, config, client); err == nil {
		t.Error("a client of the authority before is let in")
	}
	if _, err := shake(t, config, stranger); err != nil {
		t.Errorf("a client of the new authority: %v", err)
	}
}

func TestBadCertificates(t *testing.T) {
	a := accesstest.New(t)
	cert, key, ca := a.Files(t.TempDir(), "server")
	if err := os.WriteFile(ca, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, files := range map[string][3]string{
		"no such file":                    {cert + "x", key, ""},
		"certificate " + key + " and key": {key, cert, ""},
		"the file has no PEM certificate": {cert, key, ca},
	} {
		if _, err := OpenCertificates(files[0], files[1], files[2]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	a := accesstest.New(t)
	cert, key, _ := a.Files(t.TempDir(), "server")
	c, err := OpenCertificates(cert, key, "")
	if err != nil {
		t.Fatal(err)
	}
	for version, allowed := range map[uint16]bool{
		tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true,
	} {
		client := a.Client("")
		client.MinVersion, client.MaxVersion = version, version
		if _, err := shake(t, c.Config("h2"), client); (err == nil) != allowed {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
	if _, err := shake(t, c.Config("h2"), &tls.Config{RootCAs: x509.NewCertPool()}); err == nil {
		t.Error("the test's client trusts anyone")
	}
}

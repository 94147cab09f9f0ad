package access

// TLS certificates.

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"
)

// Certificates holds a server's certificate and, if clients must present one, the authorities that sign
// theirs. It is safe for concurrent use.
type Certificates struct {
	files[certificates]
}

type certificates struct {
	own     tls.Certificate
	clients *x509.CertPool // nil: clients show none
}

// OpenCertificates reads PEM files: a certificate with its chain, its key and, unless clientCA is "", the
// authorities for client certificates, which clients must then present.
func OpenCertificates(cert, key, clientCA string) (*Certificates, error) {
	paths := []string{cert, key}
	if clientCA != "" {
		paths = append(paths, clientCA)
	}
	c := &Certificates{files[certificates]{paths: paths, parse: func(contents [][]byte) (*certificates, error) {
		own, err := tls.X509KeyPair(contents[0], contents[1])
		if err != nil {
			return nil, fmt.Errorf("certificate %s and key %s: %w", cert, key, err)
		}
		out := &certificates{own: own}
		if clientCA != "" {
			if out.clients = x509.NewCertPool(); !out.clients.AppendCertsFromPEM(contents[2]) {
				return nil, fmt.Errorf("client authorities %s: the file has no PEM certificate", clientCA)
			}
		}
		return out, nil
	}}}
	if _, err := c.Reload(); err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	return c, nil
}

// AskClients reports whether clients must present a certificate.
func (c *Certificates) AskClients() bool { return c.now.Load().clients != nil }

// Config returns a TLS configuration for the protocols, given by their ALPN names. Each handshake uses the
// current certificates; open connections keep theirs.
func (c *Certificates) Config(protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: protocols,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			now := c.now.Load()
			config := &tls.Config{
				MinVersion:   tls.VersionTLS12,
				NextProtos:   protocols,
				Certificates: []tls.Certificate{now.own},
			}
			if now.clients != nil {
				config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, now.clients
			}
			return config, nil
		},
	}
}

func (c *Certificates) describe() (string, []any) {
	leaf := c.now.Load().own.Leaf
	return "certificates", []any{"file", c.paths[0], "names", leaf.DNSNames, "expires", leaf.NotAfter}
}

func (c *Certificates) warnings() []string {
	out := []string{exposed(c.paths[1])}
	if leaf := c.now.Load().own.Leaf; time.Now().After(leaf.NotAfter) {
		out = append(out, fmt.Sprintf("%s expired on %s", c.paths[0], leaf.NotAfter.Format(time.DateOnly)))
	}
	return out
}

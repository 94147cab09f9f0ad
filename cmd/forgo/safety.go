package main

// The flags of forgo serve that say who may call it.

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/access"
)

type safetyFlags struct {
	keys, cert, key, clientCA string
	profiles                  bool
}

func (f *safetyFlags) add(flags *pflag.FlagSet, o *serve.Options) {
	flags.StringVar(&f.keys, "keys", "", "`FILE` of API keys, as written by forgo key; then everything but health needs a key")
	flags.StringVar(&f.cert, "tls-cert", "", "PEM `FILE` with the server's certificate and its chain, for HTTP, gRPC and the admin port")
	flags.StringVar(&f.key, "tls-key", "", "PEM `FILE` with the certificate's key")
	flags.StringVar(&f.clientCA, "tls-client-ca", "", "PEM `FILE` of authorities; clients must show a certificate from one of them")
	flags.BoolVar(&o.PlainAdmin, "admin-plain", false, "serve the admin port without TLS")
	flags.StringArrayVar(&o.Origins, "cors", nil, "let web pages of `ORIGIN` call over HTTP, such as https://example.com (may be repeated)")
	flags.StringSliceVar(&o.Hosts, "allowed-hosts", nil, "also accept the host `NAME`, besides localhost and the server's own address; *.NAME accepts subdomains, * everything (may be repeated)")
	flags.BoolVar(&f.profiles, "pprof", true, "serve Go's profiles at /debug/pprof/ on the admin port")
	flags.DurationVar(&o.ClientTimeout, "client-timeout", 20*time.Second, "how long a client may take to send headers, to send a body, and to take the answer; body and answer get one more second for each 64 KiB")
	flags.IntVar(&o.MaxConnections, "max-connections", 8192, "connections that each listener accepts at once")
}

// read opens the files. They are read again when they change, while the server runs.
func (f *safetyFlags) read(o *serve.Options) (err error) {
	for _, origin := range o.Origins {
		if err := serve.CheckOrigin(origin); err != nil {
			return usageError{fmt.Errorf("--cors: %w", err)}
		}
	}
	for _, host := range o.Hosts {
		if err := serve.CheckHost(host); err != nil {
			return usageError{fmt.Errorf("--allowed-hosts: %w", err)}
		}
	}
	o.NoProfiles = !f.profiles
	switch {
	case (f.cert == "") != (f.key == ""):
		return usageError{errors.New("--tls-cert and --tls-key go together")}
	case f.clientCA != "" && f.cert == "":
		return usageError{errors.New("--tls-client-ca needs --tls-cert and --tls-key")}
	case o.PlainAdmin && f.cert == "":
		return usageError{errors.New("--admin-plain needs --tls-cert: without a certificate no port has TLS")}
	case o.ClientTimeout <= 0:
		return usageError{fmt.Errorf("--client-timeout must be more than 0, not %s", o.ClientTimeout)}
	case o.MaxConnections <= 0:
		return usageError{fmt.Errorf("--max-connections must be 1 or more, not %d", o.MaxConnections)}
	}
	if f.cert != "" {
		if o.TLS, err = access.OpenCertificates(f.cert, f.key, f.clientCA); err != nil {
			return err
		}
	}
	if f.keys != "" {
		o.Keys, err = access.OpenKeys(f.keys)
	}
	return err
}

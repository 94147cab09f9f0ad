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
	flags.StringVar(&f.keys, "keys", "", "`FILE` of API keys, as forgo key makes them; everything but health asks for one")
	flags.StringVar(&f.cert, "tls-cert", "", "`FILE` of the server's certificate and its chain in PEM, for HTTP, gRPC and the admin port")
	flags.StringVar(&f.key, "tls-key", "", "`FILE` of the certificate's key in PEM")
	flags.StringVar(&f.clientCA, "tls-client-ca", "", "`FILE` of authorities in PEM whose certificates clients must show")
	flags.BoolVar(&o.PlainAdmin, "admin-plain", false, "leave the admin port without TLS")
	flags.StringArrayVar(&o.Origins, "cors", nil, "`ORIGIN` of web pages that may call over HTTP, as https://example.com; may be given again")
	flags.StringSliceVar(&o.Hosts, "allowed-hosts", nil, "`NAME`s that the server is called by beside localhost and its own address, *.NAME for those below it, * for all; may be given again")
	flags.BoolVar(&f.profiles, "pprof", true, "Go's profiles at /debug/pprof/ on the admin port")
	flags.DurationVar(&o.ClientTimeout, "client-timeout", 20*time.Second, "what a client may take to send headers, to send a body, and to take the answer; longer ones have a second more for each 64 KiB")
	flags.IntVar(&o.MaxConnections, "max-connections", 8192, "connections that each address takes at once")
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
		return usageError{errors.New("--admin-plain needs --tls-cert: without it every port is plain")}
	case o.ClientTimeout <= 0:
		return usageError{fmt.Errorf("--client-timeout is more than 0, not %s", o.ClientTimeout)}
	case o.MaxConnections <= 0:
		return usageError{fmt.Errorf("--max-connections is 1 or more, not %d", o.MaxConnections)}
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

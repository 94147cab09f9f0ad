// Package hosts refuses requests for a name that is not the server's, which stops DNS rebinding. If
// evil.example comes to resolve to 127.0.0.1, a browser takes its page to have the same origin as the
// server that listens there. Only the Host header distinguishes the two.
package hosts

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/connection"
	"github.com/forgo-ml/forgo/serve/internal/reply"
)

// listening is the context key for the address that the server listens on.
type listening struct{}

// BaseContext is for http.Server.BaseContext.
func BaseContext(l net.Listener) context.Context {
	return context.WithValue(context.Background(), listening{}, l.Addr())
}

// Valid returns an error unless host is valid in [Options.Allowed]: NAME, *.NAME for all names below it,
// an address, or "*" for all.
func Valid(host string) error {
	name := strings.TrimPrefix(host, "*.")
	if host == "*" || name != "" && !strings.ContainsAny(name, "*/@ \t") && (!strings.Contains(name, ":") || isAddress(name)) {
		return nil
	}
	return fmt.Errorf("%q is not a host: give NAME, *.NAME for the names below it, an address, or * for all, without a port", host)
}

func isAddress(name string) bool {
	_, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return err == nil
}

// Options says which names a port accepts.
type Options struct {
	// Allowed lists names apart from localhost and the server's own address. If there are any, the header
	// is checked on every address. Optional.
	Allowed []string
	// Operators says that the port is the operators', where the header is checked on every address.
	Operators bool
	// Keys says that callers present a key, which no page has. The header is then checked only because of
	// Allowed or Operators.
	Keys bool
}

// HTTP returns middleware that checks the name that a request was sent to: on every address if the options
// say so, and otherwise on the loopback.
func HTTP(o Options) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			conn := connection.OfRequest(req)
			if !conn.Accepted(req.Host) { // the other things that are checked are the connection's
				if err := o.check(req); err != nil {
					reply.Forbidden(w, req, err)
					return
				}
				conn.Accept(req.Host)
			}
			next.ServeHTTP(w, req)
		})
	}
}

// check passes on requests over a Unix socket or without a connection, which no page can send.
func (o Options) check(req *http.Request) error {
	always := o.Operators || len(o.Allowed) > 0
	if o.Keys && !always {
		return nil
	}
	ctx := req.Context()
	at, listens := ctx.Value(listening{}).(net.Addr)
	own, connected := ctx.Value(http.LocalAddrContextKey).(net.Addr)
	if at == nil {
		at = own
	}
	ownIP, atIP := ip(own), ip(at)
	if !connected || !ownIP.IsValid() || !always && (!listens || !atIP.IsLoopback()) {
		return nil
	}
	name := hostname(req.Host)
	if name == "" || name == "localhost" || strings.HasSuffix(name, ".localhost") || o.allows(name) {
		return nil // a browser always names a host
	}
	// Nobody can rebind an address. One that is not the server's own reaches it through a forwarded port,
	// as is usual for servers that listen to a network.
	if asked, err := netip.ParseAddr(name); err == nil && (asked.IsLoopback() || asked.Unmap() == ownIP || !atIP.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("host %q is not a name of this server: call it by localhost or its address, or start it with --allowed-hosts %s", tensor.Cut(name), tensor.Cut(name))
}

func (o Options) allows(name string) bool {
	return slices.ContainsFunc(o.Allowed, func(allowed string) bool {
		allowed = strings.ToLower(strings.Trim(allowed, "[]"))
		below, wild := strings.CutPrefix(allowed, "*")
		return allowed == name || wild && strings.HasSuffix(name, below)
	})
}

// hostname returns a Host header without its port, in lower case.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
}

func ip(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

package serve

// DNS rebinding: a page of evil.example whose name comes to mean 127.0.0.1 is, to a browser, of
// the same origin as the server that listens there. Only the Host header tells the two apart.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// listening is in the contexts of requests: the address that the server listens on.
type listening struct{}

// listenerAddress is for http.Server.BaseContext.
func listenerAddress(l net.Listener) context.Context {
	return context.WithValue(context.Background(), listening{}, l.Addr())
}

// CheckHost refuses what is no name for [Options.Hosts]: NAME, *.NAME for the names below it, an
// address, or * for all.
func CheckHost(host string) error {
	name := strings.TrimPrefix(host, "*.")
	if host == "*" || name != "" && !strings.ContainsAny(name, "*/@ \t") && (!strings.Contains(name, ":") || isAddress(name)) {
		return nil
	}
	return fmt.Errorf("%q is no host: give NAME, *.NAME for the names below it, an address, or * for all, without a port", host)
}

func isAddress(name string) bool {
	_, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return err == nil
}

// hosts are the names that a server is called by.
type hosts struct {
	allowed []string // beyond its own
	always  bool     // check on every address, not on the loopback alone
	off     bool     // callers show a key, which no page has
}

func newHosts(o Options, admin bool) hosts {
	return hosts{allowed: o.Hosts, always: admin || len(o.Hosts) > 0}
}

// check refuses a request that was sent to a name that is not the server's: where always says so,
// and on the loopback. A Unix socket and a handler without a connection are reached by no page.
func (h hosts) check(req *http.Request) error {
	ctx := req.Context()
	at, listens := ctx.Value(listening{}).(net.Addr)
	own, connected := ctx.Value(http.LocalAddrContextKey).(net.Addr)
	if at == nil {
		at = own
	}
	ownIP, atIP := ip(own), ip(at)
	if h.off || !connected || !ownIP.IsValid() || !h.always && (!listens || !atIP.IsLoopback()) {
		return nil
	}
	name := hostname(req.Host)
	if name == "" || name == "localhost" || strings.HasSuffix(name, ".localhost") || h.allows(name) {
		return nil // a browser always names a host
	}
	// An address cannot be rebound. One that is not the server's own reaches it through a port
	// that is forwarded, which is expected of servers that listen to a network.
	if asked, err := netip.ParseAddr(name); err == nil && (asked.IsLoopback() || asked.Unmap() == ownIP || !atIP.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("host %q is not a name of this server: call it by localhost or its address, or start it with --allowed-hosts %s", tensor.Cut(name), tensor.Cut(name))
}

func (h hosts) allows(name string) bool {
	return slices.ContainsFunc(h.allowed, func(allowed string) bool {
		allowed = strings.ToLower(strings.Trim(allowed, "[]"))
		below, wild := strings.CutPrefix(allowed, "*")
		return allowed == name || wild && strings.HasSuffix(name, below)
	})
}

// hostname is a Host header without its port, in lower case.
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

// crossSite are requests that a browser sends for a page of another site.
type crossSite struct {
	trusted func(*http.Request) bool // pages that may call; nil for none
	pages   []string                 // paths that links on other sites may lead to
}

// pages are what people read, where links may lead.
var pages = []string{"/", "/docs"}

var errCrossSite = errors.New("pages of another site may not call this server; --cors ORIGIN allows one on the ports for clients")

// check goes by what browsers say and pages cannot forge. Sec-Fetch-Site comes with every request
// to https and to the loopback, Origin with every POST and with what a page would read. What comes
// with neither was not sent for a page, or is a GET over plain HTTP whose answer the page cannot read.
func (c crossSite) check(req *http.Request) error {
	site, origin := req.Header.Get("Sec-Fetch-Site"), req.Header.Get("Origin")
	switch {
	case site == "same-origin", site == "none" && origin == "", site == "" && origin == "":
		return nil
	case site == "" && ofHost(origin, req.Host):
		return nil
	case c.trusted != nil && c.trusted(req):
		return nil
	case req.Method == http.MethodGet && slices.Contains(c.pages, req.URL.Path) &&
		req.Header.Get("Sec-Fetch-Mode") == "navigate" && req.Header.Get("Sec-Fetch-Dest") == "document":
		return nil
	}
	return errCrossSite
}

// ofHost says whether an origin is the host that was asked.
func ofHost(origin, host string) bool {
	_, name, ok := strings.Cut(origin, "://")
	return ok && strings.EqualFold(name, host)
}

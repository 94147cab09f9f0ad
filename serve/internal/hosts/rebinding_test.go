package hosts_test

// What pages of other sites, and names that come to mean this machine, may do.

import (
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// asked sends a GET by a name and returns the status.
func asked(t *testing.T, client *http.Client, url, host string, headers ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	req.Close = true // a server that stops waits for the connections that clients keep
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

func TestHostsThatAreNotTheServersAreRefused(t *testing.T) {
	keys, secrets := servetest.Keyring(t)
	models := servetest.Committed(t)
	const loopback, network = "127.0.0.1:0", "0.0.0.0:0"
	for name, c := range map[string]struct {
		at      string
		o       serve.Options
		host    string
		clients int // the status on the port for clients
		admin   int
	}{
		"by localhost":                        {loopback, serve.Options{}, "localhost:8080", 200, 200},
		"by its address":                      {loopback, serve.Options{}, "127.0.0.1", 200, 200},
		"by another loopback address":         {loopback, serve.Options{}, "[::1]:80", 200, 200},
		"below localhost, with a last dot":    {loopback, serve.Options{}, "forgo.LOCALHOST.", 200, 200},
		"a rebound name":                      {loopback, serve.Options{}, "evil.example", 403, 403},
		"with a port":                         {loopback, serve.Options{}, "evil.example:8080", 403, 403},
		"one that begins like localhost":      {loopback, serve.Options{}, "localhost.evil.example", 403, 403},
		"one that ends like it":               {loopback, serve.Options{}, "evillocalhost", 403, 403},
		"one that looks like an address":      {loopback, serve.Options{}, "127.0.0.1.evil.example", 403, 403},
		"an address of another machine":       {loopback, serve.Options{}, "192.0.2.1", 403, 403},
		"a name that is allowed":              {loopback, serve.Options{Hosts: []string{"forgo.example"}}, "Forgo.Example:8080", 200, 200},
		"one below it":                        {loopback, serve.Options{Hosts: []string{"forgo.example"}}, "a.forgo.example", 403, 403},
		"one below a name of which all are":   {loopback, serve.Options{Hosts: []string{"*.forgo.example"}}, "a.forgo.example", 200, 200},
		"that name itself":                    {loopback, serve.Options{Hosts: []string{"*.forgo.example"}}, "forgo.example", 403, 403},
		"all are allowed":                     {loopback, serve.Options{Hosts: []string{"*"}}, "evil.example", 200, 200},
		"with keys, which no page has":        {loopback, serve.Options{Keys: keys}, "evil.example", 200, 403},
		"with keys and hosts":                 {loopback, serve.Options{Keys: keys, Hosts: []string{"a.example"}}, "evil.example", 403, 403},
		"on the network, by any name":         {network, serve.Options{}, "service.example", 200, 403},
		"on the network, by an address":       {network, serve.Options{}, "192.0.2.1:8080", 200, 200},
		"on the network, where hosts are set": {network, serve.Options{Hosts: []string{"a.example"}}, "service.example", 403, 403},
	} {
		s := servetest.RunWith(t, models, c.o, serve.Addresses{HTTP: c.at, Admin: c.at})
		for port, want := range map[string]int{"http": c.clients, "admin": c.admin} {
			_, number, _ := net.SplitHostPort(s.Addresses[port])
			for _, path := range []string{"/v2", "/v2/health/live"} {
				code, body := asked(t, http.DefaultClient, "http://127.0.0.1:"+number+path, c.host,
					"Authorization", "Bearer "+secrets[map[string]string{"http": "predict", "admin": "admin"}[port]])
				if code != want || want == 403 && !strings.Contains(body, "--allowed-hosts") {
					t.Errorf("%s: %s%s answers %d %s, want %d", name, port, path, code, body, want)
				}
			}
		}
		s.Stop()
		if err := <-s.Ended; err != nil {
			t.Error(err)
		}
	}
}

func TestHostsOverASocket(t *testing.T) {
	for _, allowed := range [][]string{nil, {"forgo.example"}} {
		socket := filepath.Join(t.TempDir(), "s")
		servetest.RunWith(t, servetest.Committed(t), serve.Options{Hosts: allowed}, serve.Addresses{HTTP: "127.0.0.1:0", Socket: socket})
		if code, body := asked(t, servetest.OverSocket(socket), "http://x/v2", "anything.example"); code != 200 {
			t.Errorf("over a Unix socket, which pages cannot reach, with %q allowed: %d %s", allowed, code, body)
		}
	}
}

func TestLongHostsAreNotRepeated(t *testing.T) {
	s := servetest.Run(t, servetest.Committed(t), serve.Addresses{HTTP: "127.0.0.1:0"})
	if code, body := asked(t, http.DefaultClient, s.Addresses["url"], strings.Repeat("a.", 10000)+"example"); code != 403 || len(body) > 500 {
		t.Errorf("%d, %d bytes", code, len(body))
	}
}

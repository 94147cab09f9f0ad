package serve_test

// What pages of other sites, and names that come to mean this machine, may do.

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/serve"
)

// asked sends a GET by a name and returns the status.
func asked(t *testing.T, client *http.Client, url, host string, headers ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
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
	keys, secrets := keyring(t)
	models := committed(t)
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
		s := runWith(t, models, c.o, serve.Addresses{HTTP: c.at, Admin: c.at})
		for port, want := range map[string]int{"http": c.clients, "admin": c.admin} {
			_, number, _ := net.SplitHostPort(s.places[port])
			for _, path := range []string{"/v2", "/v2/health/live"} {
				code, body := asked(t, http.DefaultClient, "http://127.0.0.1:"+number+path, c.host,
					"Authorization", "Bearer "+secrets[map[string]string{"http": "predict", "admin": "admin"}[port]])
				if code != want || want == 403 && !strings.Contains(body, "--allowed-hosts") {
					t.Errorf("%s: %s%s answers %d %s, want %d", name, port, path, code, body, want)
				}
			}
		}
		s.stop()
		if err := <-s.ended; err != nil {
			t.Error(err)
		}
	}
}

func TestHostsOverASocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	run(t, committed(t), serve.Addresses{HTTP: "127.0.0.1:0", Socket: socket})
	if code, body := asked(t, overSocket(socket), "http://x/v2", "anything.example"); code != 200 {
		t.Errorf("over a Unix socket, which pages cannot reach: %d %s", code, body)
	}
}

func TestLongHostsAreNotRepeated(t *testing.T) {
	s := run(t, committed(t), serve.Addresses{HTTP: "127.0.0.1:0"})
	if code, body := asked(t, http.DefaultClient, s.places["url"], strings.Repeat("a.", 10000)+"example"); code != 403 || len(body) > 500 {
		t.Errorf("%d, %d bytes", code, len(body))
	}
}

// TestPagesOfOtherSitesMayNotCall sends what browsers send for pages, GETs too, to both ports.
func TestPagesOfOtherSitesMayNotCall(t *testing.T) {
	clients, admin := browse(t, serve.Options{})
	allowing, stillShut := browse(t, serve.Options{Origins: []string{"https://example.com"}})
	all, _ := browse(t, serve.Options{Origins: []string{"*"}})
	const predict, profile = "/models/iris", "/debug/pprof/cmdline"
	for name, c := range map[string]struct {
		method, url string
		headers     []string
		want        int
	}{
		"a prediction for a page of another site":       {"POST", clients + predict, []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://example.com"}, 403},
		"one in an old browser":                         {"POST", clients + predict, []string{"Origin", "https://example.com"}, 403},
		"one for a page on another port":                {"POST", clients + predict, []string{"Sec-Fetch-Site", "same-site", "Origin", "http://127.0.0.1:1"}, 403},
		"one for a file":                                {"POST", clients + predict, []string{"Origin", "null"}, 403},
		"one for a page of the server's own":            {"POST", clients + predict, []string{"Sec-Fetch-Site", "same-origin", "Origin", clients}, 200},
		"one for it in an old browser":                  {"POST", clients + predict, []string{"Origin", clients}, 200},
		"one of no browser":                             {"POST", clients + predict, nil, 200},
		"one for a page that may":                       {"POST", allowing + predict, []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://example.com"}, 200},
		"one for a page that may not":                   {"POST", allowing + predict, []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://example.org"}, 403},
		"a picture in a page, which says no origin":     {"GET", allowing + "/v2", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, 403},
		"the same where all may":                        {"GET", all + "/v2", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, 200},
		"a profile in a page of another site":           {"GET", admin + profile, []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, 403},
		"a link to it":                                  {"GET", admin + profile, []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 403},
		"a profile for a page that may call clients":    {"GET", stillShut + profile, []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://example.com"}, 403},
		"a profile whose address was typed":             {"GET", admin + profile, []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate"}, 200},
		"a link to the documentation":                   {"GET", clients + "/docs", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 200},
		"a frame of it":                                 {"GET", clients + "/docs", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 403},
		"a link to what is no page":                     {"GET", clients + "/v2/models/iris", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 403},
		"a form that is sent from a page to /docs":      {"POST", clients + "/docs", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 403},
		"a model that is unloaded for a page's picture": {"GET", admin + "/v2/repository/models/iris/unload", []string{"Sec-Fetch-Site", "cross-site"}, 403},
	} {
		code, _, body := exchange(t, c.method, c.url, []byte("[5.1,3.5,1.4,0.2]"), c.headers...)
		if code != c.want || c.want == 403 && !strings.Contains(string(body), "pages of another site") {
			t.Errorf("%s: %d %s, want %d", name, code, body, c.want)
		}
	}
}

// TestReadinessTellsNoReasons asks, as anyone may, after a model that is known and does not answer.
func TestReadinessTellsNoReasons(t *testing.T) {
	root := t.TempDir()
	putVersion(t, root, "1")
	putVersion(t, root, "2")
	putVersion(t, root, "3")
	models, url, _ := watched(t, root, nil)
	for path, want := range map[string]string{
		"/versions/1": `503 {"error":"not ready"}`, "/versions/9": `404 {"error":"no such model or version"}`, "": `200 {"name":"iris","ready":true}`,
	} {
		code, _, body := exchange(t, "GET", url+"/v2/models/iris"+path+"/ready", nil)
		if got := fmt.Sprintf("%d %s", code, strings.TrimSpace(string(body))); got != want {
			t.Errorf("%q: %s, want %s", path, got, want)
		}
	}
	if err := models.Unload(context.WithoutCancel(t.Context()), "iris"); err != nil {
		t.Fatal(err)
	}
	if code, _, body := exchange(t, "GET", url+"/v2/models/iris/ready", nil); code != 503 || strings.Contains(string(body), "unloaded") {
		t.Errorf("unloaded: %d %s", code, body)
	}
}

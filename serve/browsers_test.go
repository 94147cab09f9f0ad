package serve_test

// What pages in a browser may do.

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/serve"
)

// browse serves the committed bundles to the pages of origins, and to operators.
func browse(t *testing.T, o serve.Options) (clients, admin string) {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	server := serve.New(committed(t), o)
	var urls []string
	for _, h := range []http.Handler{server.Handler(), server.Admin()} {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		urls = append(urls, s.URL)
	}
	return urls[0], urls[1]
}

func TestOtherOriginsMayNotCallUnlessToldTo(t *testing.T) {
	const predict = "/v2/models/iris/infer"
	for name, c := range map[string]struct {
		allowed []string
		origin  string
		answer  string // Access-Control-Allow-Origin
	}{
		"by default":                   {nil, "https://example.com", ""},
		"the one that may":             {[]string{"https://example.com"}, "https://example.com", "https://example.com"},
		"one of two":                   {[]string{"https://a.example", "http://b.example:8000"}, "http://b.example:8000", "http://b.example:8000"},
		"another":                      {[]string{"https://example.com"}, "https://example.org", ""},
		"one that begins like it":      {[]string{"https://example.com"}, "https://example.com.evil.example", ""},
		"another scheme":               {[]string{"https://example.com"}, "http://example.com", ""},
		"another port":                 {[]string{"https://example.com"}, "https://example.com:8443", ""},
		"a subdomain":                  {[]string{"https://*.example.com"}, "https://app.example.com", "https://app.example.com"},
		"one that ends like it":        {[]string{"https://*.example.com"}, "https://evilexample.com", ""},
		"a file, or a sandboxed frame": {[]string{"https://example.com"}, "null", ""},
		"all":                          {[]string{"*"}, "https://example.com", "*"},
	} {
		clients, admin := browse(t, serve.Options{Origins: c.allowed})
		code, h, _ := exchange(t, http.MethodOptions, clients+predict, nil, "Origin", c.origin, "Access-Control-Request-Method", "POST",
			"Access-Control-Request-Headers", "authorization,content-type")
		granted := h.Get("Access-Control-Allow-Origin")
		headers := strings.ToLower(h.Get("Access-Control-Allow-Headers"))
		if granted != c.answer || (c.answer != "") != (strings.Contains(headers, "authorization") && strings.Contains(headers, "content-type")) ||
			(c.answer != "") != (h.Get("Access-Control-Allow-Methods") == "POST") {
			t.Errorf("%s: the preflight is answered %d, %v", name, code, h)
		}
		if h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: cookies are asked for", name)
		}
		if _, h, _ := exchange(t, http.MethodPost, clients+predict, []byte("{}"), "Origin", c.origin); h.Get("Access-Control-Allow-Origin") != c.answer {
			t.Errorf("%s: the request is answered with %v", name, h)
		}
		if _, h, _ := exchange(t, http.MethodOptions, admin+predict, nil, "Origin", c.origin, "Access-Control-Request-Method", "POST"); h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: the admin port answers %v", name, h)
		}
	}
}

func TestPreflightsNeedNoKey(t *testing.T) {
	keys, secrets := keyring(t)
	clients, _ := browse(t, serve.Options{Origins: []string{"https://example.com"}, Keys: keys})
	code, h, _ := exchange(t, http.MethodOptions, clients+"/models/iris", nil, "Origin", "https://example.com",
		"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "x-api-key")
	if code != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != "https://example.com" || h.Get("Access-Control-Allow-Headers") != "x-api-key" {
		t.Errorf("the preflight: %d, %v", code, h)
	}
	// A page may read why it was refused, and is answered with a key.
	for key, want := range map[string]int{"": 401, secrets["predict"]: 200} {
		code, h, body := exchange(t, http.MethodPost, clients+"/models/iris", []byte("[5.1,3.5,1.4,0.2]"), "Origin", "https://example.com", "X-API-Key", key)
		if code != want || h.Get("Access-Control-Allow-Origin") != "https://example.com" {
			t.Errorf("%d %v %s, want %d", code, h, body, want)
		}
	}
	if code, _, _ := exchange(t, http.MethodOptions, clients+"/models/iris", nil); code != 401 {
		t.Errorf("OPTIONS that is no preflight: %d", code)
	}
}

// TestPagesMayNotCallTheAdminPort sends what browsers send for pages of other origins, which they
// do not ask about first.
func TestPagesMayNotCallTheAdminPort(t *testing.T) {
	_, admin := browse(t, serve.Options{Origins: []string{"*"}})
	for name, c := range map[string]struct {
		headers []string
		in      bool
	}{
		"no browser":                  {nil, true},
		"a page of the server's own":  {[]string{"Sec-Fetch-Site", "same-origin", "Origin", admin}, true},
		"a page of another":           {[]string{"Sec-Fetch-Site", "cross-site", "Origin", "https://example.com"}, false},
		"one on another port":         {[]string{"Sec-Fetch-Site", "same-site", "Origin", "http://127.0.0.1:1"}, false},
		"an old browser":              {[]string{"Origin", "https://example.com"}, false},
		"an old browser, from itself": {[]string{"Origin", admin}, true},
	} {
		code, _, body := exchange(t, http.MethodPost, admin+"/v2/repository/index", nil, c.headers...)
		if want := map[bool]int{true: 200, false: 403}[c.in]; code != want {
			t.Errorf("%s: %d %s, want %d", name, code, body, want)
		}
	}
}

func TestAnswersAreTakenForWhatTheySay(t *testing.T) {
	clients, admin := browse(t, serve.Options{})
	for _, url := range []string{clients + "/v2", clients + "/nowhere", clients + "/docs", admin + "/metrics", admin + "/v2"} {
		if _, h, _ := exchange(t, http.MethodGet, url, nil); h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", url, h)
		}
	}
}

package crosssite_test

// What pages in a browser may do.

import (
	"net/http"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

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
		clients, admin := servetest.Browse(t, serve.Options{Origins: c.allowed})
		code, h, _ := servetest.Exchange(t, http.MethodOptions, clients+predict, nil, "Origin", c.origin, "Access-Control-Request-Method", "POST",
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
		if _, h, _ := servetest.Exchange(t, http.MethodPost, clients+predict, []byte("{}"), "Origin", c.origin); h.Get("Access-Control-Allow-Origin") != c.answer {
			t.Errorf("%s: the request is answered with %v", name, h)
		}
		if _, h, _ := servetest.Exchange(t, http.MethodOptions, admin+predict, nil, "Origin", c.origin, "Access-Control-Request-Method", "POST"); h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: the admin port answers %v", name, h)
		}
	}
}

func TestPreflightsNeedNoKey(t *testing.T) {
	keys, secrets := servetest.Keyring(t)
	clients, _ := servetest.Browse(t, serve.Options{Origins: []string{"https://example.com"}, Keys: keys})
	code, h, _ := servetest.Exchange(t, http.MethodOptions, clients+"/models/iris", nil, "Origin", "https://example.com",
		"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "x-api-key")
	if code != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != "https://example.com" || h.Get("Access-Control-Allow-Headers") != "x-api-key" {
		t.Errorf("the preflight: %d, %v", code, h)
	}
	// A page may read why it was refused, and is answered with a key.
	for key, want := range map[string]int{"": 401, secrets["predict"]: 200} {
		code, h, body := servetest.Exchange(t, http.MethodPost, clients+"/models/iris", []byte("[5.1,3.5,1.4,0.2]"), "Origin", "https://example.com", "X-API-Key", key)
		if code != want || h.Get("Access-Control-Allow-Origin") != "https://example.com" {
			t.Errorf("%d %v %s, want %d", code, h, body, want)
		}
	}
	if code, _, _ := servetest.Exchange(t, http.MethodOptions, clients+"/models/iris", nil); code != 401 {
		t.Errorf("OPTIONS that is no preflight: %d", code)
	}
}

// TestPagesMayNotCallTheAdminPort sends what browsers send for pages of other origins, which they
// do not ask about first.
func TestPagesMayNotCallTheAdminPort(t *testing.T) {
	_, admin := servetest.Browse(t, serve.Options{Origins: []string{"*"}})
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
		code, _, body := servetest.Exchange(t, http.MethodPost, admin+"/v2/repository/index", nil, c.headers...)
		if want := map[bool]int{true: 200, false: 403}[c.in]; code != want {
			t.Errorf("%s: %d %s, want %d", name, code, body, want)
		}
	}
}

func TestAnswersAreTakenForWhatTheySay(t *testing.T) {
	clients, admin := servetest.Browse(t, serve.Options{})
	for _, url := range []string{clients + "/v2", clients + "/nowhere", clients + "/docs", admin + "/metrics", admin + "/v2"} {
		if _, h, _ := servetest.Exchange(t, http.MethodGet, url, nil); h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", url, h)
		}
	}
}

// TestPagesOfOtherSitesMayNotCall sends what browsers send for pages, GETs too, to both ports.
func TestPagesOfOtherSitesMayNotCall(t *testing.T) {
	clients, admin := servetest.Browse(t, serve.Options{})
	allowing, stillShut := servetest.Browse(t, serve.Options{Origins: []string{"https://example.com"}})
	all, _ := servetest.Browse(t, serve.Options{Origins: []string{"*"}})
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
		code, _, body := servetest.Exchange(t, c.method, c.url, []byte("[5.1,3.5,1.4,0.2]"), c.headers...)
		if code != c.want || c.want == 403 && !strings.Contains(string(body), "pages of another site") {
			t.Errorf("%s: %d %s, want %d", name, code, body, c.want)
		}
	}
}

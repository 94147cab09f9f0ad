package serve_test

// What a path does not take is 405 with what it does take; HEAD is GET without the body.

import (
	"testing"

	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

func TestMethods(t *testing.T) {
	url, _ := servetest.Start(t)
	for path, want := range map[string]string{
		"/v2": "GET, HEAD", "/v2/models/iris": "GET, HEAD", "/v2/models/iris/versions/1/ready": "GET, HEAD",
		"/v2/models/iris/infer": "POST", "/v2/repository/index": "POST", "/models/iris": "POST",
		"/v1/models/iris": "GET, HEAD", "/v1/models/iris/metadata": "GET, HEAD", "/v1/models/iris/labels/stable:predict": "POST",
		"/openapi.json": "GET, HEAD", "/docs": "GET, HEAD", "/": "GET, HEAD",
		"/models": "GET, HEAD", "/v1/models": "GET, HEAD", "/v2/models": "GET, HEAD",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "QUERY"} {
			status, header, body := servetest.Exchange(t, method, url+path, nil, "Accept-Encoding", "identity")
			switch {
			case method == "POST" && want == "POST":
				if status != 400 && status != 200 {
					t.Errorf("%s %s: %d %s", method, path, status, body)
				}
			case method == "GET" && want != "POST", method == "HEAD" && want != "POST":
				if status != 200 || header.Get("Content-Length") == "" || (method == "HEAD") != (len(body) == 0) {
					t.Errorf("%s %s: %d %v", method, path, status, header)
				}
			case status != 405 || header.Get("Allow") != want:
				t.Errorf("%s %s: %d, Allow %q, want %q", method, path, status, header.Get("Allow"), want)
			}
		}
	}
}

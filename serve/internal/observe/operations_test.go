package observe_test

// What operators are promised in docs/operations.md.

import (
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// The table of docs/operations.md is what the server says of its metrics.
func TestMetricsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(forgo_[a-z0-9_]+)` \\| (.+) \\|$").FindAllStringSubmatch(string(text), -1) {
		documented[row[1]] = row[2]
	}
	server, _, _ := folder(t)
	if w := servetest.Ask(t.Context(), server.Handler(), "/models/iris", "[5.1,3.5,1.4,0.2]"); w.Code != 200 { // histograms begin with the first request
		t.Fatal(w)
	}
	m := scrape(t, server)
	for _, name := range regexp.MustCompile(`forgo_[a-z0-9_]+`).FindAllString(string(text), -1) {
		if m[name] == nil && m[regexp.MustCompile("_(bucket|sum|count)$").ReplaceAllString(name, "")] == nil {
			t.Errorf("docs/operations.md speaks of %s, the server does not", name)
		}
	}
	for name, family := range m {
		if !strings.HasPrefix(name, "forgo_") {
			continue
		}
		labels := map[string]bool{}
		for _, metric := range family.GetMetric() {
			for _, l := range metric.GetLabel() {
				labels[l.GetName()] = true
			}
		}
		want := fmt.Sprintf("%s | %s | %s", strings.ToLower(family.GetType().String()),
			strings.Join(slices.Sorted(maps.Keys(labels)), ", "), family.GetHelp())
		if documented[name] != want {
			t.Errorf("docs/operations.md should have the row\n| `%s` | %s |", name, want)
		}
	}
}

func TestProfilesAreForOperators(t *testing.T) {
	server := serve.New(nil, serve.Options{Log: slog.New(slog.DiscardHandler)})
	for path, want := range map[string]string{"/debug/pprof/goroutine?debug=1": "goroutine profile", "/debug/pprof/": "heap", "/metrics": "forgo_build_info"} {
		for code, handler := range map[int]http.Handler{404: server.Handler(), 200: server.Admin()} {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
			if w.Code != code || strings.Contains(w.Body.String(), want) != (code == 200) {
				t.Errorf("%s: %d, want %d", path, w.Code, code)
			}
		}
	}
}

func TestProfilesCanBeSwitchedOff(t *testing.T) {
	admin := serve.New(nil, serve.Options{NoProfiles: true, Log: slog.New(slog.DiscardHandler)}).Admin()
	for path, want := range map[string]int{"/debug/pprof/": 404, "/debug/pprof/profile": 404, "/debug/vars": 404, "/metrics": 200} {
		w := httptest.NewRecorder()
		admin.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}

func TestRefusedKeysAreSeen(t *testing.T) {
	keys, secrets := servetest.Keyring(t)
	var lines logLines
	server := serve.New(servetest.Committed(t), serve.Options{Keys: keys, Log: slog.New(slog.NewJSONHandler(&lines, nil))})
	h := server.Handler()
	for name, want := range map[string]string{"": "unauthenticated", "metrics": "forbidden", "predict": "bad_input"} {
		req := httptest.NewRequestWithContext(t.Context(), "POST", "/models/iris", strings.NewReader("{"))
		if name != "" {
			req.Header.Set("X-API-Key", secrets[name])
		}
		h.ServeHTTP(httptest.NewRecorder(), req)
		var client any
		if name != "" {
			client = "the-" + name + "-key"
		}
		wantFields(t, lines.take(t)[0], map[string]any{"protocol": "native", "reason": want, "client": client})
	}
	admin := httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil)
	admin.Header.Set("Authorization", "Bearer "+secrets["metrics"])
	w := httptest.NewRecorder()
	server.Admin().ServeHTTP(w, admin)
	for _, want := range []string{
		`forgo_request_failures_total{model="",protocol="native",reason="unauthenticated",version=""} 1`,
		`forgo_request_failures_total{model="",protocol="native",reason="forbidden",version=""} 1`,
		`forgo_request_failures_total{model="iris",protocol="native",reason="bad_input",version="1"} 1`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("there is no %s", want)
		}
	}
}

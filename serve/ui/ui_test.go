package ui_test

// What people see who open the server's address, and the lists that they look for.

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
	"github.com/forgo-ml/forgo/serve/repository"
)

const html = "text/html,application/xhtml+xml,*/*;q=0.8" // as browsers accept

func TestHomePage(t *testing.T) {
	root := t.TempDir()
	servetest.PutVersion(t, root, "1")
	servetest.PutVersion(t, root, "2")
	models, url, _ := servetest.Watched(t, root, map[string]repository.Settings{"iris": {Labels: map[string]string{"stable": "1"}}})
	read := func() string {
		status, header, raw := servetest.Exchange(t, "GET", url+"/", nil, "Accept", html)
		policy := header.Get("Content-Security-Policy")
		if status != 200 || header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Fatalf("%d %v", status, header)
		}
		return string(raw)
	}
	page := read()
	for _, want := range []string{"Ready.", `href="docs"`, `href="openapi.json"`, ">iris</a>", `<span class="label">stable</span>`, "classification", "READY"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s:\n%s", want, page)
		}
	}
	anchor := regexp.MustCompile(`href="docs#([^"]+)"`).FindStringSubmatch(page)
	if anchor == nil {
		t.Fatalf("no model leads to its documentation:\n%s", page)
	}
	if _, _, docs := servetest.Exchange(t, "GET", url+"/docs", nil); !strings.Contains(string(docs), `<section id="`+anchor[1]+`"`) {
		t.Errorf("/docs has no section %s", anchor[1])
	}
	if err := models.Unload(t.Context(), "iris"); err != nil {
		t.Fatal(err)
	}
	if page := read(); !strings.Contains(page, "Not ready.") || !strings.Contains(page, "unloaded on request") || strings.Contains(page, "docs#") {
		t.Errorf("with its only model unloaded:\n%s", page)
	}
}

func TestNamesOnTheHomePageAreText(t *testing.T) {
	models := servetest.Committed(t)
	models["<b>"] = models["iris"]
	models["a\u202eb\x1b"] = models["iris"]
	_, _, raw := servetest.Exchange(t, "GET", servetest.Listen(t, models)+"/", nil)
	if page := string(raw); strings.Contains(page, "<b>") && strings.Contains(page, "href=\"docs#_b__1\"><b>") || !strings.Contains(page, "&lt;b&gt;") || strings.ContainsAny(page, "\u202e\x1b") {
		t.Errorf("%s", page)
	}
}

func TestListsOfModels(t *testing.T) {
	root := t.TempDir()
	for _, version := range []string{"1", "2", "3"} {
		servetest.PutVersion(t, root, version)
	}
	spoiled := filepath.Join(root, "bad", "1")
	if err := errors.Join(os.CopyFS(spoiled, os.DirFS(filepath.Join(root, "iris", "1"))), os.WriteFile(filepath.Join(spoiled, "model.onnx"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	_, url, admin := servetest.Watched(t, root, nil)
	for _, at := range []string{url + "/v1/models", url + "/v2/models", admin + "/v2/models"} {
		if status, _, raw := servetest.Exchange(t, "GET", at, nil); status != 200 || strings.TrimSpace(string(raw)) != `{"models":["bad","iris"]}` {
			t.Errorf("%s: %d %s", at, status, raw)
		}
	}
	var said struct {
		Models []struct {
			Name, Path string
			Ready      bool
			Versions   []struct {
				Version, State, Reason, Task, Digest string
				Labels                               []string
			}
		}
	}
	for _, path := range []string{"/models", "/models/"} {
		status, _, raw := servetest.Exchange(t, "GET", url+path, nil)
		if err := json.Unmarshal(raw, &said); err != nil || status != 200 {
			t.Fatalf("%s: %d %s", path, status, raw)
		}
	}
	if len(said.Models) != 2 || said.Models[0].Ready || !said.Models[1].Ready || said.Models[1].Path != "/models/iris" || len(said.Models[1].Versions) != 3 {
		t.Fatalf("%+v", said)
	}
	if bad := said.Models[0].Versions[0]; bad.State != "UNAVAILABLE" || bad.Reason == "" || bad.Digest != "" {
		t.Errorf("%+v", bad)
	}
	if best := said.Models[1].Versions[2]; best.Version != "3" || best.State != "READY" || best.Task != "classification" || len(best.Digest) != 64 || !slices.Equal(best.Labels, []string{"stable"}) {
		t.Errorf("%+v", best)
	}
}

// TestPagesAskForAKey as browsers do, which cannot send one: they are answered with a page that can.
func TestPagesAskForAKey(t *testing.T) {
	keys, secrets := servetest.Keyring(t)
	server := httptest.NewServer(serve.New(servetest.Committed(t), serve.Options{Keys: keys, Log: slog.New(slog.DiscardHandler)}).Handler())
	defer server.Close()
	for _, path := range []string{"/", "/docs"} {
		status, header, raw := servetest.Exchange(t, "GET", server.URL+path, nil, "Accept", html)
		if page := string(raw); status != 401 || header.Get("WWW-Authenticate") == "" || !strings.Contains(page, `type="password"`) ||
			!strings.Contains(page, "X-API-Key") || strings.Contains(page, "iris") || header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %d %v\n%s", path, status, header, raw)
		}
		if status, header, _ := servetest.Exchange(t, "GET", server.URL+path, nil); status != 401 || header.Get("Content-Type") != "application/json" {
			t.Errorf("%s, of no browser: %d %v", path, status, header)
		}
		for key, want := range map[string]int{secrets["wrong"]: 401, secrets["metrics"]: 403} {
			if status, header, _ := servetest.Exchange(t, "GET", server.URL+path, nil, "Accept", html, "X-API-Key", key); status != want || header.Get("Content-Type") != "application/json" {
				t.Errorf("%s with another key: %d %v, want %d and an error that the page shows", path, status, header, want)
			}
		}
		if status, _, raw := servetest.Exchange(t, "GET", server.URL+path, nil, "Accept", html, "X-API-Key", secrets["predict"]); status != 200 || !strings.Contains(string(raw), "iris") {
			t.Errorf("%s with a key: %d", path, status)
		}
	}
	if status, header, _ := servetest.Exchange(t, "GET", server.URL+"/models", nil, "Accept", html); status != 401 || header.Get("Content-Type") != "application/json" {
		t.Errorf("what is no page: %d %v", status, header)
	}
}

package oip_test

// What anyone may hear of a model that does not answer.

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// TestReadinessTellsNoReasons asks, as anyone may, after a model that is known and does not answer.
func TestReadinessTellsNoReasons(t *testing.T) {
	root := t.TempDir()
	servetest.PutVersion(t, root, "1")
	servetest.PutVersion(t, root, "2")
	servetest.PutVersion(t, root, "3")
	models, url, _ := servetest.Watched(t, root, nil)
	for path, want := range map[string]string{
		"/versions/1": `503 {"error":"not ready"}`, "/versions/9": `404 {"error":"no such model or version"}`, "": `200 {"name":"iris","ready":true}`,
	} {
		code, _, body := servetest.Exchange(t, "GET", url+"/v2/models/iris"+path+"/ready", nil)
		if got := fmt.Sprintf("%d %s", code, strings.TrimSpace(string(body))); got != want {
			t.Errorf("%q: %s, want %s", path, got, want)
		}
	}
	if err := models.Unload(context.WithoutCancel(t.Context()), "iris"); err != nil {
		t.Fatal(err)
	}
	if code, _, body := servetest.Exchange(t, "GET", url+"/v2/models/iris/ready", nil); code != 503 || strings.Contains(string(body), "unloaded") {
		t.Errorf("unloaded: %d %s", code, body)
	}
}

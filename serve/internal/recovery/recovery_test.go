package recovery

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A panic is a 500 whose log line has the stack; the next request is answered.
func TestPanicsAreA500(t *testing.T) {
	var lines bytes.Buffer
	h := HTTP(slog.New(slog.NewTextHandler(&lines, nil)))(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/panic" {
			panic("planted")
		}
	}))
	for path, want := range map[string]int{"/panic": 500, "/": 200} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Code != want || strings.Contains(w.Body.String(), "planted") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if got := lines.String(); !strings.Contains(got, "panic=planted") || !strings.Contains(got, "recovery_test.go") {
		t.Errorf("the log has %q", got)
	}
}

// An answer that breaks off must not look whole: net/http closes the connection.
func TestAbortedAnswersAreNotRecovered(t *testing.T) {
	var lines bytes.Buffer
	s := httptest.NewServer(HTTP(slog.New(slog.NewTextHandler(&lines, nil)))(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "a part")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})))
	defer s.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil || string(body) != "a part" {
		t.Errorf("the client read %q, %v", body, err)
	}
	if lines.Len() > 0 {
		t.Errorf("the log has %q", lines.String())
	}
}

func TestPanicsAreInternal(t *testing.T) {
	_, err := Unary(slog.New(slog.DiscardHandler))(t.Context(), nil, nil, func(context.Context, any) (any, error) { panic("planted") })
	if status.Code(err) != codes.Internal || strings.Contains(err.Error(), "planted") {
		t.Error(err)
	}
}

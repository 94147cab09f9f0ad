package serve_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/observe"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
	protocols "github.com/forgo-ml/forgo/serve/protocol"
	"github.com/forgo-ml/forgo/serve/repository"
)

// What a protocol answers without the router is what it answers with it.
func TestDirectAnswersAreTheRouters(t *testing.T) {
	const row = "[[5.1,3.5,1.4,0.2]]"
	bodies := map[string]string{
		"/models": row, "/v1": `{"instances":` + row + `}`,
		"/v2": `{"inputs":[{"name":"input","shape":[1,4],"datatype":"FP32","data":` + row + `}]}`,
	}
	s := protocols.Server{Models: repository.Fixed(servetest.Committed(t), serve.DefaultLimits), MaxBody: servetest.MaxBody}
	observer := observe.New(slog.New(slog.DiscardHandler), nil, nil, func() observe.State { return observe.State{} })
	answer := func(h http.Handler, path, body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		observer.HTTP(h).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body)))
		return w
	}
	for _, p := range serve.Protocols() {
		direct := p.HTTP.Direct(s)
		router := chi.NewRouter()
		router.Mount(p.HTTP.Prefix, p.HTTP.Handler(s))
		models, verb := map[string]string{"/models": "/models/", "/v1": "/v1/models/", "/v2": "/v2/models/"}[p.HTTP.Prefix], map[string]string{"/v1": ":predict", "/v2": "/infer"}[p.HTTP.Prefix]
		usual := []string{models + "iris" + verb, models + "iris/versions/1" + verb, models + "iris/versions/9" + verb, models + "none" + verb}
		for _, path := range append(usual,
			models, models+verb, models+"/"+verb, models+"iris", models+"iris/", models+"iris/versions", models+"iris/versions/"+verb, models+"iris/versions/1",
			models+"iris/versions/1/"+verb, models+"iris/versions/1/2"+verb, models+"a/iris"+verb, models+"versions/1"+verb, models+"iris/labels/stable"+verb,
			models+"iris"+verb+verb, models+"iris"+verb+"/", models+"iris:explain", models+"iris:", p.HTTP.Prefix+verb, p.HTTP.Prefix+"/", "/", models+"stats"+verb,
		) {
			reached := false
			got := answer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { reached = direct(w, req) }), path, bodies[p.HTTP.Prefix])
			if !reached {
				if got.Body.Len() > 0 || got.Flushed || len(got.Header()) > 0 {
					t.Errorf("%s: it is left to the router, and answered", path)
				}
				continue
			}
			want := answer(router, path, bodies[p.HTTP.Prefix])
			if got.Code != want.Code || got.Body.String() != want.Body.String() {
				t.Errorf("%s: %d %s, the router answers %d %s", path, got.Code, got.Body, want.Code, want.Body)
			}
		}
		for _, path := range usual[:2] {
			if got := answer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { direct(w, req) }), path, bodies[p.HTTP.Prefix]); got.Code != http.StatusOK || got.Body.Len() == 0 {
				t.Errorf("%s: %d %s", path, got.Code, got.Body)
			}
		}
	}
}

package native

// The list of models at GET /models.

import (
	"net/http"
	"net/url"

	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/repository"
)

type listed struct {
	Name string `json:"name"`
	Path string `json:"path"` // the path to POST to
	// Ready says that the version answers requests without a version.
	Ready    bool            `json:"ready"`
	Versions []listedVersion `json:"versions"`
}

type listedVersion struct {
	Version string           `json:"version"`
	State   repository.State `json:"state"`
	Reason  string           `json:"reason,omitempty"`
	Labels  []string         `json:"labels,omitempty"`
	Task    string           `json:"task,omitempty"`   // of one that answers
	Digest  string           `json:"digest,omitempty"` // of its bundle
	Engine  string           `json:"engine,omitempty"` // the engine that runs its graph
}

// list answers with every known model, by name, and its versions.
func list(models Models) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		all := []listed{}
		for _, s := range models.Status() {
			if n := len(all); n == 0 || all[n-1].Name != s.Name {
				all = append(all, listed{Name: s.Name, Path: "/models/" + url.PathEscape(s.Name)})
			}
			m := &all[len(all)-1]
			v := listedVersion{Version: s.Version, State: s.State, Reason: s.Reason, Labels: s.Labels}
			if s.Model != nil {
				v.Task, v.Digest, v.Engine = s.Model.Manifest().Task, s.Model.Digest(), s.Model.Engine().Info.Name
				m.Ready = m.Ready || s.Stable()
			}
			m.Versions = append(m.Versions, v)
		}
		reply.JSON(w, http.StatusOK, map[string]any{"models": all})
	}
}

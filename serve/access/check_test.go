package access

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/serve/access/accesstest"
)

func TestCheck(t *testing.T) {
	alice, aliceLine := newKey(t, "alice", Predict)
	root, rootLine := newKey(t, "root", Admin)
	path := filepath.Join(t.TempDir(), "keys")
	accesstest.Replace(t, path, []byte(aliceLine+"\n"+rootLine))
	keys, err := OpenKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		authorization, apiKey string
		need                  Right
		name, err             string
	}{
		"bearer":                            {"Bearer " + alice, "", Predict, "alice", ""},
		"in other letters, with blanks":     {"bEARER   " + alice + " ", "", Predict, "alice", ""},
		"a header of its own":               {"", alice, Predict, "alice", ""},
		"beside a gateway's own":            {"Bearer of.something.else", alice, Predict, "alice", ""},
		"a wrong one beside a right one":    {"Bearer " + alice, "wrong", Predict, "", "unknown key"},
		"nothing":                           {"", "", Predict, "", "this call needs a key"},
		"a password":                        {"Basic " + alice, "", Predict, "", "this call needs a key"},
		"without its scheme":                {alice, "", Predict, "", "this call needs a key"},
		"a scheme alone":                    {"Bearer ", "", Predict, "", "this call needs a key"},
		"a longer one":                      {"Bearer " + alice + "A", "", Predict, "", "unknown key"},
		"another right":                     {"", alice, Admin, "alice", `the key "alice" does not have the right "admin"`},
		"admin does not mean predict":       {"", root, Predict, "root", `the key "root" does not have the right "predict"`},
		"admin reads metrics":               {"", root, Metrics, "root", ""},
		"predict does not read metrics":     {"", alice, Metrics, "alice", `does not have the right "metrics"`},
		"the digest of one":                 {"", strings.Fields(aliceLine)[2], Predict, "", "unknown key"},
		"the digest of one, without sha256": {"", strings.TrimPrefix(strings.Fields(aliceLine)[2], "sha256:"), Predict, "", "unknown key"},
	} {
		name, err := keys.Check(c.authorization, c.apiKey, c.need)
		if name != c.name || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %q, %v; want %q, %q", what, name, err, c.name, c.err)
		}
		if _, right := errors.AsType[*RightError](err); right != (c.name != "" && c.err != "") {
			t.Errorf("%s: %T", what, err)
		}
	}
}

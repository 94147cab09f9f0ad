package access

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/internal/fifotest"
	"github.com/forgo-ml/forgo/serve/access/accesstest"
)

func newKey(t *testing.T, name string, rights ...Right) (key, line string) {
	t.Helper()
	key, line, err := NewKey(name, rights)
	if err != nil {
		t.Fatal(err)
	}
	return key, line
}

func TestKeysFile(t *testing.T) {
	alice, aliceLine := newKey(t, "alice", Predict)
	bob, bobLine := newKey(t, "bob", Predict, Admin)
	path := filepath.Join(t.TempDir(), "keys")
	accesstest.Replace(t, path, []byte("# who may call\n\n"+aliceLine+" # the phone app\r\n  "+bobLine))
	keys, err := OpenKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	for presented, want := range map[string]string{
		alice: "alice", bob: "bob",
		"": "", alice + "x": "", alice[:len(alice)-1]: "", strings.ToLower(alice): "",
		fmt.Sprintf("%x", sha256.Sum256([]byte(alice))): "", // the digest is no key
	} {
		if found, ok := keys.find(presented); found.name != want || ok != (want != "") {
			t.Errorf("%q finds %q, want %q", presented, found.name, want)
		}
	}
	if found, _ := keys.find(bob); !slices.Equal(found.rights, []Right{Predict, Admin}) {
		t.Errorf("bob's rights are %v", found.rights)
	}
}

func TestBadKeysFiles(t *testing.T) {
	key, line := newKey(t, "alice", Predict)
	_, other := newKey(t, "alice", Predict)
	for want, text := range map[string]string{
		"keys:1: a line needs NAME RIGHTS sha256:HEX":                    "alice " + key,
		"keys:2: a line needs NAME RIGHTS sha256:HEX":                    "\n" + key,
		"keys:1: the third word must be sha256:":                         "alice predict " + key,
		"keys:1: the third word must be sha256: and":                     "alice predict sha256:" + key,
		"keys:1: the third word must be sha256: and 64":                  line[:len(line)-2],
		"keys:1: the first word is a key":                                strings.Replace(line, "alice", key, 1),
		"keys:1: give rights from predict, admin and metrics":            strings.Replace(line, "predict", key, 1),
		"keys:1: the right predict occurs twice":                         strings.Replace(line, "predict", "predict,predict", 1),
		"keys:3: two keys have the name alice":                           line + "\n\n" + other,
		"keys:2: alice and bob are the same key":                         line + "\n" + strings.Replace(line, "alice", "bob", 1),
		"keys:1: give rights from predict, admin and metrics, separated": strings.Replace(line, "predict", ",", 1),
	} {
		path := filepath.Join(t.TempDir(), "keys")
		accesstest.Replace(t, path, []byte(text))
		_, err := OpenKeys(path)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if err != nil && strings.Contains(err.Error(), key) {
			t.Errorf("the key is in the message: %v", err)
		}
	}
	if _, err := OpenKeys(filepath.Join(t.TempDir(), "none")); !os.IsNotExist(unwrap(err)) {
		t.Errorf("no file: %v", err)
	}
}

func unwrap(err error) error {
	if u, ok := err.(interface{ Unwrap() error }); ok {
		return u.Unwrap()
	}
	return err
}

func TestNewKeyRefuses(t *testing.T) {
	for _, name := range []string{"", "two words", "a#b", "tab\t", "forgo_ABC", "bell\a", "line\nbreak"} {
		if _, _, err := NewKey(name, []Right{Predict}); err == nil {
			t.Errorf("%q is taken for a name", name)
		}
	}
	if _, _, err := NewKey("alice", nil); err == nil {
		t.Error("a key without a right is made")
	}
	one, _ := newKey(t, "alice", Predict)
	two, _ := newKey(t, "alice", Predict)
	if one == two || len(one) != len("forgo_")+26 { // base32: 5 bits each
		t.Errorf("%s, %s", one, two)
	}
}

func TestKeysReload(t *testing.T) {
	alice, aliceLine := newKey(t, "alice", Predict)
	bob, bobLine := newKey(t, "bob", Predict)
	path := filepath.Join(t.TempDir(), "keys")
	accesstest.Replace(t, path, []byte(aliceLine))
	keys, err := OpenKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	known := func() string {
		_, a := keys.find(alice)
		_, b := keys.find(bob)
		return fmt.Sprint(a, b)
	}
	for _, step := range []struct {
		name, content string // "": the file is taken away
		changed       bool
		err           string
		known         string
	}{
		{"the same", aliceLine, false, "", "true false"},
		{"another", bobLine, true, "", "false true"},
		{"cut off", aliceLine[:30], false, "keys:1:", "false true"},
		{"still cut off, said already", aliceLine[:30], false, "", "false true"},
		{"gone", "", false, "no such file", "false true"},
		{"still gone", "", false, "", "false true"},
		{"both", aliceLine + "\n" + bobLine, true, "", "true true"},
		{"none left", "# nobody", true, "", "false false"},
	} {
		if step.content == "" {
			_ = os.Remove(path)
		} else {
			accesstest.Replace(t, path, []byte(step.content))
		}
		changed, err := keys.Reload()
		if changed != step.changed || (err != nil) != (step.err != "") || err != nil && !strings.Contains(err.Error(), step.err) {
			t.Errorf("%s: changed %t, error %v; want %t, %q", step.name, changed, err, step.changed, step.err)
		}
		if known() != step.known {
			t.Errorf("%s: alice and bob are known: %s, want %s", step.name, known(), step.known)
		}
	}
	if w := keys.warnings(); !strings.Contains(strings.Join(w, ""), "has no key") {
		t.Errorf("no warning of a file without keys: %q", w)
	}
}

func TestExposedFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	accesstest.Replace(t, path, nil)
	for mode, want := range map[os.FileMode]string{
		0o600: "", 0o640: "", 0o400: "", 0o644: "others can read", 0o660: "others can change", 0o602: "others can change",
	} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if got := exposed(path); !strings.HasPrefix(got, want) || (got == "") != (want == "") {
			t.Errorf("%o: %q, want %q", mode, got, want)
		}
	}
}

// TestFIFOsAreNotWaitedFor puts a FIFO where a file was. Keys and certificates stay as they are, the
// log says why once, later changes count, and the watch ends when it is told to.
func TestFIFOsAreNotWaitedFor(t *testing.T) {
	alice, aliceLine := newKey(t, "alice", Predict)
	_, bobLine := newKey(t, "bob", Predict)
	folder := t.TempDir()
	path := filepath.Join(folder, "keys")
	accesstest.Replace(t, path, []byte(aliceLine))
	keys, err := OpenKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	authority := accesstest.New(t)
	cert, key, ca := authority.Files(folder, "server")
	certificates, err := OpenCertificates(cert, key, ca)
	if err != nil {
		t.Fatal(err)
	}
	stop := Watch(t.Context(), slog.New(slog.DiscardHandler), keys, certificates)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, copied := range []string{path, cert, key, ca} {
			old, _ := os.ReadFile(copied)
			fifotest.Make(t, copied)
			for _, r := range []Reloader{keys, certificates} {
				_, _ = r.Reload() // it, or the watch, says what is wrong
				if changed, err := r.Reload(); changed || err != nil {
					t.Errorf("%s: %t, %v", copied, changed, err)
				}
			}
			if _, err := OpenKeys(copied); err == nil || !strings.Contains(err.Error(), "it is a FIFO") {
				t.Errorf("%s: %v", copied, err)
			}
			_ = os.Remove(copied)
			accesstest.Replace(t, copied, old)
		}
		accesstest.Replace(t, path, []byte(bobLine))
		_, _ = keys.Reload()
		if _, known := keys.find(alice); known {
			t.Error("a key that was withdrawn after its file was a FIFO is known still")
		}
		stop()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("somebody waits for a FIFO")
	}
}

package repository_test

// Folders that go away, by a rollback or because a disk is unmounted, and names that are no versions.

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve/repository"
)

// TestRollbackByDeleting deletes the folder of the version that answers. It answers until the one
// before is ready: every question asked while that loads is answered.
func TestRollbackByDeleting(t *testing.T) {
	root := t.TempDir()
	put(t, bundle(t, "-1"), root, "iris", "1")
	put(t, bundle(t, "-2"), root, "iris", "2")
	o := options(&log{})
	var r *repository.Repository
	asked := 0
	load := o.Load
	o.Load = func(ctx context.Context, path string, s repository.Settings) (*predict.Model, error) {
		if r != nil {
			answers(t, r, "", "-2")
			asked++
		}
		return load(ctx, path, s)
	}
	r = open(t, o, root)
	if err := os.RemoveAll(filepath.Join(root, "iris", "2")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		r.Refresh(t.Context())
	}
	answers(t, r, "", "-1")
	wantStates(t, r, "iris/1=READY")
	if asked != 1 {
		t.Errorf("asked %d times while the version before was loaded", asked)
	}
}

// Where all versions answer, one whose folder is deleted is one no more; the last one answers on.
func TestRollbackByDeletingOneOfAll(t *testing.T) {
	root := t.TempDir()
	for _, version := range []string{"1", "2"} {
		put(t, bundle(t, "-"+version), root, "iris", version)
	}
	o := options(&log{})
	o.Defaults.Versions = policy(t, "all")
	r := open(t, o, root)
	for _, c := range []struct{ deleted, mark string }{{"2", "-1"}, {"1", "-1"}} {
		if err := os.RemoveAll(filepath.Join(root, "iris", c.deleted)); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			r.Refresh(t.Context())
		}
		answers(t, r, "", c.mark)
		wantStates(t, r, "iris/1=READY")
	}
}

// TestRollbackToABadVersion deletes what answers where nothing else does.
func TestRollbackToABadVersion(t *testing.T) {
	root, l := t.TempDir(), &log{}
	spoiled := put(t, bundle(t, "-1"), root, "iris", "1")
	put(t, bundle(t, "-2"), root, "iris", "2")
	r := open(t, options(l), root)
	if err := errors.Join(os.WriteFile(filepath.Join(spoiled, "model.onnx"), nil, 0o644), os.RemoveAll(filepath.Join(root, "iris", "2"))); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		r.Refresh(t.Context())
	}
	answers(t, r, "", "-2")
	wantStates(t, r, "iris/1=UNAVAILABLE iris/2=READY")
	if err := os.RemoveAll(spoiled); err != nil {
		t.Fatal(err)
	}
	put(t, bundle(t, "-mended"), spoiled)
	r.Refresh(t.Context())
	answers(t, r, "", "-mended")
	wantStates(t, r, "iris/1=READY")
}

// TestAFolderThatVanishes takes a whole folder of models away, as an unmounted disk does: empty, and
// then gone. All that was loaded answers, labels and all; another folder goes on being updated.
func TestAFolderThatVanishes(t *testing.T) {
	root, other, l := t.TempDir(), t.TempDir(), &log{}
	folder := filepath.Join(root, "models")
	for _, version := range []string{"1", "2", "3"} {
		put(t, bundle(t, "-"+version), folder, "iris", version)
	}
	put(t, bundle(t, "-1"), other, "flowers", "1")
	o := options(l)
	o.Models = map[string]repository.Settings{"iris": {Labels: map[string]string{"stable": "2"}, Versions: policy(t, "1,3")}}
	r := open(t, o, folder, other)
	const all = "flowers/1=READY iris/1=READY iris/2=READY iris/3=READY"
	wantStates(t, r, all)

	away := filepath.Join(root, "away")
	if err := errors.Join(os.Rename(folder, away), os.Mkdir(folder, 0o755)); err != nil {
		t.Fatal(err)
	}
	look := func() {
		for range 4 {
			r.Refresh(t.Context())
		}
		wantStates(t, r, all)
		answers(t, r, "", "-2")
		answers(t, r, "3", "-3")
	}
	look()
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	look()
	if err := r.Load(t.Context(), "iris"); err == nil || !strings.Contains(err.Error(), "its folder is gone") {
		t.Errorf("loaded from a folder that is gone: %v", err)
	}
	look()
	for _, s := range r.Status() {
		if s.Gone != (s.Name == "iris") || s.Gone != strings.Contains(s.Reason, "its folder is gone") {
			t.Errorf("the status says %+v", s)
		}
	}
	if !r.Ready() {
		t.Error("it is not ready, though all models answer")
	}
	for message, want := range map[string]int{"folder is gone": 3, "folder is not readable": 1} {
		if n := strings.Count(l.String(), `msg="`+message); n != want {
			t.Errorf("%q is logged %d times, want %d: %s", message, n, want, l)
		}
	}

	put(t, bundle(t, "-2"), other, "flowers", "2")
	r.Refresh(t.Context())
	if got := states(r); !strings.Contains(got, "flowers/2=READY") {
		t.Errorf("the other folder is not updated: %s", got)
	}

	if err := os.Rename(away, folder); err != nil {
		t.Fatal(err)
	}
	before := r.Counts()["iris"].Loaded
	r.Refresh(t.Context())
	r.Refresh(t.Context())
	if now := r.Counts()["iris"].Loaded; now != before || !strings.Contains(l.String(), `msg="folder is readable again"`) || strings.Count(l.String(), `msg="folder is back"`) != 3 {
		t.Errorf("back again: loaded %d times, before %d: %s", now, before, l)
	}
	for _, s := range r.Status() {
		if s.Gone || s.Reason != "" && s.Name == "iris" {
			t.Errorf("back again: %+v", s)
		}
	}
}

func TestABundleThatVanishes(t *testing.T) {
	root := t.TempDir()
	path := put(t, bundle(t, "-1"), root, "iris.forgo")
	r := open(t, options(&log{}), path)
	for range 2 { // an empty folder, and none
		_ = os.RemoveAll(path)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			r.Refresh(t.Context())
		}
		answers(t, r, "", "-1")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			r.Refresh(t.Context())
		}
		answers(t, r, "", "-1")
	}
	put(t, bundle(t, "-2"), path)
	r.Refresh(t.Context())
	answers(t, r, "", "-2")
}

func TestWhatIsPassedOverIsLogged(t *testing.T) {
	root, l := t.TempDir(), &log{}
	put(t, bundle(t, "-1"), root, "iris", "1")
	put(t, bundle(t, "-5"), root, "iris", "v5")
	put(t, bundle(t, "-6"), root, "roses", "latest")
	if err := errors.Join(os.Mkdir(filepath.Join(root, "empty"), 0o755), os.Mkdir(filepath.Join(root, ".git"), 0o755),
		os.WriteFile(filepath.Join(root, "README"), nil, 0o644), os.WriteFile(filepath.Join(root, "iris", "notes"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	o := options(l)
	o.Models = map[string]repository.Settings{
		"iris":  {Labels: map[string]string{"canary": "7"}, Versions: policy(t, "1,9")},
		"tulip": {Threads: 1},
	}
	r := open(t, o, root)
	for range 3 {
		r.Refresh(t.Context())
	}
	for want, times := range map[string]int{
		"msg=ignored path=" + filepath.Join(root, "iris", "v5"):      1,
		"msg=ignored path=" + filepath.Join(root, "roses", "latest"): 1,
		"msg=ignored path=" + filepath.Join(root, "roses") + " ":     1,
		"msg=ignored path=" + filepath.Join(root, "empty"):           1,
		"msg=ignored": 4,
		`msg="no such version" model=iris label=canary version=7`:     1,
		`msg="no such version" model=iris policy=1,9 version=9`:       1,
		`msg="settings for a model that does not exist" model=tulip`:  1,
		"msg=loading model=iris version=1 path=" + root + "/iris/1\n": 1,
	} {
		if n := strings.Count(l.String(), want); n != times {
			t.Errorf("%q is logged %d times, want %d, in\n%s", want, n, times, l)
		}
	}
	// What is mended is not said, and what comes back is said again.
	if err := os.Rename(filepath.Join(root, "iris", "v5"), filepath.Join(root, "iris", "9")); err != nil {
		t.Fatal(err)
	}
	r.Refresh(t.Context())
	answers(t, r, "9", "-5")
	if err := os.Rename(filepath.Join(root, "iris", "9"), filepath.Join(root, "iris", "v5")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		r.Refresh(t.Context())
	}
	if n := strings.Count(l.String(), "msg=ignored"); n != 5 {
		t.Errorf("ignored %d times, want 5: %s", n, l)
	}
}

// TestBehindALinkThatHasNoName serves a bundle as KServe's modelcars mount it, by a link through
// /proc/PID/root, and changes the settings and then the bundle.
func TestBehindALinkThatHasNoName(t *testing.T) {
	root := t.TempDir()
	put(t, bundle(t, "-1"), root, "iris", "1")
	link := filepath.Join(t.TempDir(), "models")
	if err := os.Symlink("/proc/self/root"+root, link); err != nil {
		t.Fatal(err)
	}
	o := options(&log{})
	var batches []int
	load := o.Load
	o.Load = func(ctx context.Context, path string, s repository.Settings) (*predict.Model, error) {
		batches = append(batches, s.MaxBatchRows)
		return load(ctx, path, s)
	}
	r := open(t, o, link)
	r.Refresh(t.Context())
	r.Configure(t.Context(), map[string]repository.Settings{"iris": {MaxBatchRows: 4}})
	if err := os.RemoveAll(filepath.Join(root, "iris", "1")); err != nil {
		t.Fatal(err)
	}
	put(t, bundle(t, "-2"), root, "iris", "1")
	r.Refresh(t.Context())
	answers(t, r, "", "-2")
	if !slices.Equal(batches, []int{0, 4, 4}) {
		t.Errorf("loaded with batches of %v", batches)
	}
}

// TestALinkThatMovesToAnotherBundle has files of the same sizes and times.
func TestALinkThatMovesToAnotherBundle(t *testing.T) {
	root := t.TempDir()
	when := time.Now().Add(-time.Hour)
	for mark, name := range map[string]string{"-1": "a", "-2": "b"} {
		path := put(t, bundle(t, mark), root, "bundles", name)
		for _, file := range []string{"forgo.json", "forgo.sha256", "model.onnx"} {
			if err := os.Chtimes(filepath.Join(path, file), when, when); err != nil {
				t.Fatal(err)
			}
		}
	}
	link := filepath.Join(root, "iris.forgo")
	if err := os.Symlink(filepath.Join(root, "bundles", "a"), link); err != nil {
		t.Fatal(err)
	}
	r := open(t, options(&log{}), link)
	answers(t, r, "", "-1")
	if err := errors.Join(os.Remove(link), os.Symlink(filepath.Join(root, "bundles", "b"), link)); err != nil {
		t.Fatal(err)
	}
	r.Refresh(t.Context())
	answers(t, r, "", "-2")
}

// TestAFullDiskIsTriedAgain refuses a load for want of room, as a full TMPDIR does, until there is some.
func TestAFullDiskIsTriedAgain(t *testing.T) {
	root, l := t.TempDir(), &log{}
	put(t, bundle(t, "-1"), root, "iris", "1")
	o := options(l)
	full := false
	load := o.Load
	o.Load = func(ctx context.Context, path string, s repository.Settings) (*predict.Model, error) {
		if full {
			return nil, &os.PathError{Op: "write", Path: "/tmp/forgo", Err: syscall.ENOSPC}
		}
		return load(ctx, path, s)
	}
	r := open(t, o, root)
	full = true
	put(t, bundle(t, "-2"), root, "iris", "2")
	r.Refresh(t.Context())
	r.Refresh(t.Context())
	answers(t, r, "", "-1")
	if !strings.Contains(r.Status()[1].Reason, "no space left") {
		t.Errorf("the status says %q", r.Status()[1].Reason)
	}
	full = false
	deadline := time.Now().Add(10 * time.Second)
	for r.Status()[1].State != repository.Ready && time.Now().Before(deadline) {
		r.Refresh(t.Context())
		time.Sleep(20 * time.Millisecond)
	}
	answers(t, r, "", "-2")
	if n := strings.Count(l.String(), "msg=refused"); n != 1 {
		t.Errorf("refused %d times: %s", n, l)
	}
}

// TestReloadTriesAgain what was refused, though its folder is as it was.
func TestReloadTriesAgain(t *testing.T) {
	root := t.TempDir()
	put(t, bundle(t, "-1"), root, "iris", "1")
	put(t, bundle(t, "-2"), root, "iris", "2")
	o := options(&log{})
	bad := true
	load := o.Load
	o.Load = func(ctx context.Context, path string, s repository.Settings) (*predict.Model, error) {
		if bad && filepath.Base(path) == "2" {
			return nil, errors.New("the library is missing")
		}
		return load(ctx, path, s)
	}
	r := open(t, o, root)
	bad = false
	r.Refresh(t.Context())
	answers(t, r, "", "-1")
	r.Reload(t.Context())
	answers(t, r, "", "-2")
}

func TestOneBadModel(t *testing.T) {
	root, l := t.TempDir(), &log{}
	for _, name := range []string{"a", "b", "c", "d"} {
		put(t, bundle(t, ""), root, name, "1")
	}
	spoiled := put(t, bundle(t, ""), root, "bad", "1")
	if err := os.WriteFile(filepath.Join(spoiled, "model.onnx"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	o := options(l)
	o.Strict = true
	if r, err := repository.Open(t.Context(), []string{root}, "", o); err == nil || !strings.Contains(err.Error(), `version 1 of model "bad"`) {
		t.Errorf("strict: %v", err)
		r.Close()
	}
	for readiness, want := range map[repository.Readiness]bool{"": true, repository.ReadyAny: true, repository.ReadyAll: false} {
		l := &log{}
		o := options(l)
		o.Readiness = readiness
		r := open(t, o, root)
		wantStates(t, r, "a/1=READY b/1=READY bad/1=UNAVAILABLE c/1=READY d/1=READY")
		if r.Ready() != want {
			t.Errorf("readiness %q: ready %t", readiness, r.Ready())
		}
		if c := r.Counts()["bad"]; c.Refused != 1 || strings.Count(l.String(), "msg=refused model=bad") != 1 {
			t.Errorf("counts %+v; %s", c, l)
		}
	}
}

func TestReadiness(t *testing.T) {
	root := t.TempDir()
	put(t, bundle(t, ""), root, "iris", "1")
	put(t, bundle(t, ""), root, "flowers", "1")
	for readiness, want := range map[repository.Readiness][3]bool{
		repository.ReadyAny: {true, true, false},
		repository.ReadyAll: {true, false, false},
	} {
		o := options(&log{})
		o.Readiness = readiness
		r, err := repository.New([]string{root}, "", o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		if r.Ready() {
			t.Errorf("%s: ready before its models are loaded", readiness)
		}
		wantStates(t, r, "flowers/1=LOADING iris/1=LOADING")
		changes := 0
		r.Notify(func() { changes++ })
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, unloaded := range []string{"", "iris", "flowers"} {
			before := changes
			if unloaded != "" {
				if err := r.Unload(t.Context(), unloaded); err != nil {
					t.Fatal(err)
				}
			}
			if r.Ready() != want[i] || unloaded != "" && changes == before {
				t.Errorf("%s with %q unloaded: ready %t, said %d times", readiness, unloaded, r.Ready(), changes)
			}
		}
		if err := r.Load(t.Context(), "iris"); err != nil || r.Ready() != want[1] {
			t.Errorf("%s: loaded again: %v, ready %t", readiness, err, r.Ready())
		}
	}
}

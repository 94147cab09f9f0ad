package repository_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/forgo-ml/forgo/internal/waittest"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle/bundletest"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/serve/internal/served"
	"github.com/forgo-ml/forgo/serve/repository"
)

const iris = "../../conformance/bundles/iris.forgo"

// bundle makes a copy of iris whose labels end in mark, so that its answers tell it from others.
func bundle(t *testing.T, mark string) string {
	t.Helper()
	path := bundletest.Copy(t, iris)
	bundletest.Edit(t, path, func(m map[string]any) {
		for i, label := range m["labels"].([]any) {
			m["labels"].([]any)[i] = label.(string) + mark
		}
		for _, c := range m["golden"].(map[string]any)["cases"].([]any) {
			c.(map[string]any)["label"] = c.(map[string]any)["label"].(string) + mark
		}
	})
	return path
}

// put moves a bundle into a repository.
func put(t *testing.T, bundle string, to ...string) string {
	t.Helper()
	path := filepath.Join(to...)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(bundle, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// log is what a repository wrote.
type log struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(b)
}

func options(l *log) repository.Options {
	return repository.Options{
		Log: slog.New(slog.NewTextHandler(l, nil)),
		Load: func(ctx context.Context, path string, s repository.Settings) (*predict.Model, error) {
			return predict.Options{Threads: 1, MaxBatchRows: s.MaxBatchRows}.Load(ctx, path, onnx.Engine())
		},
	}
}

func open(t *testing.T, o repository.Options, paths ...string) *repository.Repository {
	t.Helper()
	r, err := repository.Open(t.Context(), paths, "", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// states lists the versions of all models as NAME/VERSION=STATE.
func states(r *repository.Repository) string {
	var list []string
	for _, s := range r.Status() {
		list = append(list, s.Name+"/"+s.Version+"="+string(s.State))
	}
	return strings.Join(list, " ")
}

func wantStates(t *testing.T, r *repository.Repository, want string) {
	t.Helper()
	if got := states(r); got != want {
		t.Fatalf("the versions are %s, want %s", got, want)
	}
}

// ask predicts with the first golden row, which is a virginica, and returns the label.
func ask(ctx context.Context, m *served.Model) (string, error) {
	classes, err := m.Classify(ctx, []byte(`{"input":[5.9,3.2,4.8,1.8]}`))
	if err != nil {
		return "", err
	}
	return classes[0].Label, nil
}

func answers(t *testing.T, r *repository.Repository, version, mark string) {
	t.Helper()
	m, err := r.Get("iris", version)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Release()
	if label, err := ask(t.Context(), m); err != nil || !strings.HasSuffix(label, mark) {
		t.Errorf("version %q answers %q, %v; want a label that ends in %s", version, label, err, mark)
	}
}

func TestPolicies(t *testing.T) {
	root := t.TempDir()
	for _, version := range []string{"1", "2", "10"} {
		put(t, bundle(t, "-"+version), root, "iris", version)
	}
	for _, other := range []string{"010", "0", "-1", "draft", ".3"} { // no versions
		if err := os.MkdirAll(filepath.Join(root, "iris", other), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for policy, want := range map[string]string{
		"latest":   "iris/1=UNAVAILABLE iris/2=UNAVAILABLE iris/10=READY",
		"latest:2": "iris/1=UNAVAILABLE iris/2=READY iris/10=READY",
		"latest:9": "iris/1=READY iris/2=READY iris/10=READY",
		"all":      "iris/1=READY iris/2=READY iris/10=READY",
		"1, 2":     "iris/1=READY iris/2=READY iris/10=UNAVAILABLE",
	} {
		t.Run(policy, func(t *testing.T) {
			o := options(&log{})
			if err := o.Defaults.Versions.Set(policy); err != nil {
				t.Fatal(err)
			}
			r := open(t, o, root)
			wantStates(t, r, want)
			highest := "-10"
			if policy == "1, 2" {
				highest = "-2"
			}
			answers(t, r, "", highest)
			if _, err := r.Get("iris", "7"); !errors.Is(err, served.ErrNotFound) {
				t.Errorf("version 7: %v", err)
			}
			if policy == "latest" {
				if _, err := r.Get("iris", "2"); !errors.Is(err, served.ErrNotReady) || !strings.Contains(err.Error(), "policy latest") {
					t.Errorf("version 2: %v", err)
				}
			}
		})
	}
}

func TestPolicyText(t *testing.T) {
	for in, want := range map[string]string{
		"latest": "latest", "latest:1": "latest", "latest:3": "latest:3", "all": "all", "3, 1": "3,1",
		"latest:0": "!", "latest:x": "!", "": "!", "one": "!", "1,,2": "!", "-1": "!", "01": "!",
	} {
		var p repository.Policy
		err := p.Set(in)
		if got := p.String(); err == nil && got != want || err != nil && want != "!" {
			t.Errorf("%q: %s, %v; want %s", in, got, err, want)
		}
	}
}

// While versions come, each is swapped in, no request fails, every answer is one version's, and
// what was replaced is closed.
func TestSwapUnderLoad(t *testing.T) {
	root := t.TempDir()
	put(t, bundle(t, "-1"), root, "iris", "1")
	r := open(t, options(&log{}), root)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var callers sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]int{}
	for range 8 {
		callers.Go(func() {
			for ctx.Err() == nil {
				m, err := r.Get("iris", "")
				if err != nil {
					t.Error(err)
					return
				}
				label, err := ask(t.Context(), m)
				if err != nil || !strings.HasSuffix(label, "-"+m.Version) {
					t.Errorf("version %s answers %q, %v", m.Version, label, err)
				}
				mu.Lock()
				seen[m.Version]++
				mu.Unlock()
				m.Release()
			}
		})
	}
	for _, version := range []string{"2", "3", "4", "5"} {
		old := r.Status()[len(r.Status())-1].Model
		put(t, bundle(t, "-"+version), root, "iris", version)
		r.Refresh(t.Context())
		answers(t, r, "", "-"+version)
		old.Wait()
		if _, err := ask(t.Context(), old); !errors.Is(err, predict.ErrClosed) {
			t.Errorf("the replaced version is not closed: %v", err)
		}
	}
	stop()
	callers.Wait()
	wantStates(t, r, "iris/1=UNAVAILABLE iris/2=UNAVAILABLE iris/3=UNAVAILABLE iris/4=UNAVAILABLE iris/5=READY")
	if c := r.Counts()["iris"]; c.Loaded != 5 || c.Refused != 0 {
		t.Errorf("counts %+v", c)
	}
	t.Logf("answers by version: %v", seen)
}

// However a new version is bad, the old one answers, and status, log and count say why.
func TestBadVersionLeavesTheOld(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, path string)
		why   string
	}{
		"a changed file": {func(t *testing.T, path string) {
			if err := os.WriteFile(filepath.Join(path, "model.onnx"), []byte("no graph"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, "model.onnx"},
		"a missing file": {func(t *testing.T, path string) {
			if err := os.Remove(filepath.Join(path, "golden", "000.json")); err != nil {
				t.Fatal(err)
			}
		}, "golden/000.json"},
		"other answers": {func(t *testing.T, path string) {
			bundletest.Edit(t, path, func(m map[string]any) { slices.Reverse(m["labels"].([]any)) })
		}, "stage label"},
	} {
		t.Run(name, func(t *testing.T) {
			root, l := t.TempDir(), &log{}
			put(t, bundle(t, "-1"), root, "iris", "1")
			r := open(t, options(l), root)
			path := put(t, bundle(t, "-2"), root, "iris", "2")
			c.spoil(t, path)
			r.Refresh(t.Context())
			r.Refresh(t.Context())
			r.Refresh(t.Context())
			wantStates(t, r, "iris/1=READY iris/2=UNAVAILABLE")
			answers(t, r, "", "-1")
			if reason := r.Status()[1].Reason; !strings.Contains(reason, c.why) {
				t.Errorf("the status says %q, not %q", reason, c.why)
			}
			if n := strings.Count(l.String(), "msg=refused model=iris version=2"); n != 1 || !strings.Contains(l.String(), c.why) {
				t.Errorf("logged %d times: %s", n, l)
			}
			if c := r.Counts()["iris"]; c.Loaded != 1 || c.Refused != 1 {
				t.Errorf("counts %+v", c)
			}
			if _, err := r.Get("iris", "2"); !errors.Is(err, served.ErrNotReady) || !strings.Contains(err.Error(), c.why) {
				t.Errorf("asked for by number: %v", err)
			}
			if err := r.Load(t.Context(), "iris"); err == nil || !strings.Contains(err.Error(), c.why) {
				t.Errorf("loaded on request: %v", err)
			}
			answers(t, r, "", "-1")
		})
	}
}

// A bundle that is copied file by file is taken when it is whole, and nothing is said before.
func TestCopyUnderWay(t *testing.T) {
	root, l := t.TempDir(), &log{}
	put(t, bundle(t, "-1"), root, "iris", "1")
	r := open(t, options(l), root)
	source, folder := bundle(t, "-2"), filepath.Join(root, "iris", "2")
	err := filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, _ := filepath.Rel(source, path)
		to := filepath.Join(folder, relative)
		if relative == "report.html" {
			return nil // the last one, and a bundle is whole without it
		}
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		answers(t, r, "", "-1")
		for _, part := range [][]byte{data[:len(data)/2], data} {
			if err := os.WriteFile(to, part, 0o644); err != nil {
				return err
			}
			r.Refresh(t.Context())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	answers(t, r, "", "-2")
	if strings.Contains(l.String(), "refused") {
		t.Errorf("the copy was refused on its way: %s", l)
	}
}

func TestReplacedInPlace(t *testing.T) {
	root := t.TempDir()
	path := put(t, bundle(t, "-old"), root, "iris", "1")
	r := open(t, options(&log{}), root)
	r.Refresh(t.Context())
	if n := r.Counts()["iris"].Loaded; n != 1 {
		t.Errorf("loaded %d times, with nothing changed", n)
	}
	if err := os.Rename(path, filepath.Join(root, "away")); err != nil {
		t.Fatal(err)
	}
	r.Refresh(t.Context())
	answers(t, r, "", "-old") // for a moment only, it may be
	put(t, bundle(t, "-new"), path)
	r.Refresh(t.Context())
	answers(t, r, "1", "-new")
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	r.Refresh(t.Context())
	answers(t, r, "", "-new")
	r.Refresh(t.Context())
	answers(t, r, "", "-new") // which is the last that can
	if s := r.Status()[1]; !s.Gone || !strings.Contains(s.Reason, "its folder is gone") {
		t.Errorf("its folder is gone: %+v", s)
	}
	if err := r.Unload(t.Context(), "iris"); err != nil {
		t.Fatal(err)
	}
	r.Refresh(t.Context())
	if _, err := r.Get("iris", ""); !errors.Is(err, served.ErrNotFound) {
		t.Errorf("unloaded, its folder gone: %v, %s", err, states(r))
	}
	put(t, bundle(t, "-6"), root, "iris", "6")
	r.Refresh(t.Context())
	if _, err := r.Get("iris", ""); !errors.Is(err, served.ErrNotReady) {
		t.Errorf("unloaded, and another folder in its place: %v, %s", err, states(r))
	}
	if err := r.Load(t.Context(), "iris"); err != nil {
		t.Fatal(err)
	}
	answers(t, r, "", "-6")
}

// A bundle that is given as a relative path has its folder's name all the same.
func TestABundleIsNamedByItsFolder(t *testing.T) {
	t.Chdir(bundle(t, ""))
	wantStates(t, open(t, options(&log{}), "."), "iris/1=READY")
}

// Settings that name versions which do not answer take no traffic from the one that does.
func TestSettingsTakeEffectWhenTheVersionAnswers(t *testing.T) {
	for name, s := range map[string]repository.Settings{
		"a policy": {Versions: policy(t, "2")},
		"stable":   {Labels: map[string]string{"stable": "2"}},
		"both":     {Versions: policy(t, "2"), Labels: map[string]string{"stable": "2"}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			put(t, bundle(t, "-1"), root, "iris", "1")
			o := options(&log{})
			var r *repository.Repository
			load := o.Load
			o.Load = func(ctx context.Context, path string, s repository.Settings) (*predict.Model, error) {
				if r != nil {
					answers(t, r, "", "-1") // while the other is loaded
				}
				return load(ctx, path, s)
			}
			r = open(t, o, root)
			r.Configure(t.Context(), map[string]repository.Settings{"iris": s})
			answers(t, r, "", "-1")
			damaged := put(t, bundle(t, "-2"), root, "iris", "2")
			model, err := os.ReadFile(filepath.Join(damaged, "model.onnx"))
			if err != nil {
				t.Fatal(err)
			}
			bundletest.Write(t, damaged, "model.onnx", model[1:])
			r.Refresh(t.Context())
			answers(t, r, "", "-1")
			bundletest.Write(t, damaged, "model.onnx", model)
			r.Refresh(t.Context())
			answers(t, r, "", "-2")
			if name != "stable" {
				wantStates(t, r, "iris/1=UNAVAILABLE iris/2=READY")
			}
		})
	}
}

func TestLabels(t *testing.T) {
	root := t.TempDir()
	for _, version := range []string{"1", "2", "3"} {
		put(t, bundle(t, "-"+version), root, "iris", version)
	}
	o := options(&log{})
	o.Models = map[string]repository.Settings{"iris": {Labels: map[string]string{"stable": "1", "canary": "2"}}}
	r := open(t, o, root)
	labelled := func(label, mark string) {
		t.Helper()
		m, err := r.Labelled("iris", label)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Release()
		if got, err := ask(t.Context(), m); err != nil || !strings.HasSuffix(got, mark) {
			t.Errorf("label %s answers %q, %v", label, got, err)
		}
	}
	wantStates(t, r, "iris/1=READY iris/2=READY iris/3=READY")
	labelled("stable", "-1")
	labelled("canary", "-2")
	answers(t, r, "", "-1") // not the canary, and not the highest
	if _, err := r.Labelled("iris", "next"); !errors.Is(err, served.ErrNotFound) {
		t.Errorf("label next: %v", err)
	}

	r.Configure(t.Context(), map[string]repository.Settings{"iris": {Labels: map[string]string{"stable": "2"}}})
	labelled("stable", "-2")
	answers(t, r, "", "-2")

	if err := os.WriteFile(filepath.Join(put(t, bundle(t, "-4"), root, "iris", "4"), "model.onnx"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r.Configure(t.Context(), map[string]repository.Settings{"iris": {Labels: map[string]string{"stable": "4"}}})
	labelled("stable", "-2") // where it was
	wantStates(t, r, "iris/1=UNAVAILABLE iris/2=READY iris/3=READY iris/4=UNAVAILABLE")

	r.Configure(t.Context(), nil)
	answers(t, r, "", "-3")
	labelled("stable", "-3")
}

// A version that the policy and several labels want is loaded and replayed once.
func TestEachVersionIsLoadedOnce(t *testing.T) {
	root := t.TempDir()
	for _, version := range []string{"1", "2"} {
		put(t, bundle(t, "-"+version), root, "iris", version)
	}
	o := options(&log{})
	var loads []string
	load := o.Load
	o.Load = func(ctx context.Context, path string, s repository.Settings) (*predict.Model, error) {
		loads = append(loads, filepath.Base(path))
		return load(ctx, path, s)
	}
	o.Models = map[string]repository.Settings{"iris": {Labels: map[string]string{"stable": "2", "canary": "2", "old": "1", "oldest": "1"}}}
	r := open(t, o, root)
	for _, when := range []string{"at the start", "on request"} {
		if slices.Sort(loads); !slices.Equal(loads, []string{"1", "2"}) {
			t.Errorf("%s the versions %v were loaded", when, loads)
		}
		loads = nil
		if err := r.Load(t.Context(), "iris"); err != nil {
			t.Fatal(err)
		}
	}
	if c := r.Counts()["iris"]; c.Loaded != 6 {
		t.Errorf("counts %+v after two versions were loaded three times", c)
	}

	// The label that stays on version 2, because 3 is refused, does not keep 2 from being loaded again.
	if err := os.WriteFile(filepath.Join(put(t, bundle(t, "-3"), root, "iris", "3"), "model.onnx"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r.Configure(t.Context(), map[string]repository.Settings{"iris": {
		Versions: policy(t, "1"), Labels: map[string]string{"stable": "3", "canary": "2"},
	}})
	loads = nil
	if err := r.Load(t.Context(), "iris"); err == nil {
		t.Error("version 3 is no graph, and was not refused")
	}
	if slices.Sort(loads); !slices.Equal(loads, []string{"1", "2", "3"}) {
		t.Errorf("the versions %v were loaded", loads)
	}
}

func policy(t *testing.T, text string) (p repository.Policy) {
	t.Helper()
	if err := p.Set(text); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestOtherSettingsLoadAgain(t *testing.T) {
	root := t.TempDir()
	put(t, bundle(t, ""), root, "iris", "1")
	o := options(&log{})
	var batches []int
	load := o.Load
	o.Load = func(ctx context.Context, path string, s repository.Settings) (*predict.Model, error) {
		batches = append(batches, s.MaxBatchRows)
		return load(ctx, path, s)
	}
	o.Defaults.MaxBatchRows = 8
	r := open(t, o, root)
	r.Configure(t.Context(), map[string]repository.Settings{"iris": {MaxBatchRows: 4}})
	r.Configure(t.Context(), map[string]repository.Settings{"iris": {MaxBatchRows: 4, Labels: map[string]string{"canary": "1"}}})
	if !slices.Equal(batches, []int{8, 4}) {
		t.Errorf("loaded with batches of %v", batches)
	}
}

func TestLoadAndUnload(t *testing.T) {
	root := t.TempDir()
	put(t, bundle(t, "-1"), root, "iris", "1")
	r := open(t, options(&log{}), root)
	if err := r.Unload(t.Context(), "iris"); err != nil {
		t.Fatal(err)
	}
	r.Refresh(t.Context()) // which leaves it unloaded
	wantStates(t, r, "iris/1=UNAVAILABLE")
	if _, err := r.Get("iris", ""); !errors.Is(err, served.ErrNotReady) || !strings.Contains(err.Error(), "unloaded on request") {
		t.Errorf("unloaded: %v", err)
	}
	put(t, bundle(t, "-2"), root, "iris", "2")
	if err := r.Load(t.Context(), "iris"); err != nil {
		t.Fatal(err)
	}
	answers(t, r, "", "-2")
	for name, change := range map[string]func(context.Context, string) error{"load": r.Load, "unload": r.Unload} {
		for _, model := range []string{"other", "../iris", ""} {
			if err := change(t.Context(), model); !errors.Is(err, served.ErrNotFound) {
				t.Errorf("%s %q: %v", name, model, err)
			}
		}
	}
	put(t, bundle(t, ""), root, "flowers", "1") // a model that was not there at the start
	if err := r.Load(t.Context(), "flowers"); err != nil {
		t.Fatal(err)
	}
	wantStates(t, r, "flowers/1=READY iris/1=UNAVAILABLE iris/2=READY")
}

func TestSources(t *testing.T) {
	root := t.TempDir()
	alone := put(t, bundle(t, ""), root, "alone.forgo")
	folder := filepath.Join(root, "models")
	put(t, bundle(t, ""), folder, "versions", "3")
	put(t, bundle(t, ""), folder, "direct.forgo")
	put(t, bundle(t, ""), folder, ".hidden", "1")
	apart := put(t, bundle(t, ""), root, "apart", "v", "5")
	o := options(&log{})
	o.Models = map[string]repository.Settings{"apart": {Path: filepath.Dir(apart)}}
	wantStates(t, open(t, o, alone, folder), "alone/1=READY apart/5=READY direct/1=READY versions/3=READY")

	r, err := repository.Open(t.Context(), []string{alone}, "named", options(&log{}))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	wantStates(t, r, "named/1=READY")
}

func TestOpenRefuses(t *testing.T) {
	root := t.TempDir()
	good := put(t, bundle(t, ""), root, "good.forgo")
	folder := filepath.Join(root, "models")
	put(t, bundle(t, ""), folder, "good", "1")
	bad := filepath.Join(root, "bad")
	spoiled := put(t, bundle(t, ""), bad, "iris", "1")
	if err := os.WriteFile(filepath.Join(spoiled, "model.onnx"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]struct {
		paths []string
		name  string
	}{
		"no models in":                     {[]string{t.TempDir()}, ""},
		"no such file":                     {[]string{filepath.Join(root, "nothing")}, ""},
		"are both named \"good\"":          {[]string{good, good}, ""},
		"a name needs one bundle, got 2":   {[]string{good, good}, "x"},
		"is a folder of models":            {[]string{folder}, "x"},
		"cannot name a model":              {[]string{good}, "a/b"},
		"version 1 of model \"iris\" is r": {[]string{bad}, ""},
	} {
		r, err := repository.Open(t.Context(), c.paths, c.name, options(&log{}))
		if err == nil {
			r.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v %q: %v, want %q", c.paths, c.name, err, want)
		}
	}
}

func TestCloseWaitsForRequests(t *testing.T) {
	root := t.TempDir()
	put(t, bundle(t, "-1"), root, "iris", "1")
	r := open(t, options(&log{}), root)
	m, err := r.Get("iris", "")
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		r.Close()
	}()
	waittest.Until(t, "the repository gives no models", func() bool {
		other, err := r.Get("iris", "")
		if err == nil {
			other.Release()
		}
		return err != nil
	})
	if _, err := ask(t.Context(), m); err != nil {
		t.Errorf("the request under way: %v", err)
	}
	select {
	case <-closed:
		t.Error("closed under a request")
	default:
	}
	m.Release()
	<-closed
}

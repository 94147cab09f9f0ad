//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/internal/racetest"
)

const root = "../.."

// build builds the forgo command.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "forgo")
	if out, err := exec.CommandContext(t.Context(), root+"/scripts/go.sh", "build", "-o", path, root+"/cmd/forgo").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// TestHistory runs a short history; make history runs long ones from other seeds.
func TestHistory(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the binary and runs it for 20 s")
	}
	const seed = 7
	seconds := float64(racetest.Some(20, 5))
	var out bytes.Buffer
	keep := t.TempDir()
	binary := build(t)
	err := run(t.Context(), &out, binaries{binary, binary}, root, keep, seed, seconds)
	t.Logf("%s", &out)
	if err != nil {
		files, _ := filepath.Glob(filepath.Join(keep, "*"))
		for _, f := range files {
			text, _ := os.ReadFile(f)
			t.Logf("%s", text[:min(len(text), 20_000)])
		}
		t.Fatal(err)
	}
}

// What is drawn depends on the seed alone, whatever the server does: a history can be run again.
func TestASeedGivesTheSameFolder(t *testing.T) {
	folder := func() map[string]string {
		copied := t.TempDir()
		d, err := newDriver(copied, binaries{}, root, 42)
		if err != nil {
			t.Fatal(err)
		}
		for range 30 {
			for _, o := range operations {
				switch o.name {
				case "copy", "copy what is not proven", "truncate", "change a bit", "remove a file", "delete a version", "delete a model":
				default:
					continue
				}
				if d.chance.IntN(3) == 0 {
					if err := o.do(d, t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := d.writeConfig("", true); err != nil {
				t.Fatal(err)
			}
			if err := d.configure(d.settings(true), true); err != nil {
				t.Fatal(err)
			}
		}
		files := map[string]string{}
		err = filepath.WalkDir(copied, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			files[strings.TrimPrefix(path, copied)] = string(data)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	one, _ := json.Marshal(folder())
	other, _ := json.Marshal(folder())
	if len(one) < 1000 || !bytes.Equal(one, other) {
		t.Error("two runs of a seed left different folders")
	}
}

func TestSavedHistoriesAreCheckedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.jsonl")
	events := []Event{{Kind: Answer, Start: 1, End: 2, Model: "m", Status: 500, Protocol: "native", Versions: map[string]int{"1": 2}}}
	if err := save(path, header{Seed: 5, Seconds: 1, Watch: time.Second}, events); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := command(t.Context(), []string{"-check", path}, &out); err == nil || !strings.Contains(out.String(), "nothing explains") {
		t.Errorf("%v, %s", err, &out)
	}
	if h, again, err := open(path); err != nil || h.Seed != 5 || len(again) != 1 || again[0].Versions["1"] != 2 {
		t.Errorf("%v %v %v", h, again, err)
	}
	if _, _, err := open(filepath.Join(t.TempDir(), "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// An answer tells its content, and no other answer does.
func TestTell(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 1))
	for range 1000 {
		q := newQuestion(chance, models, versions)
		k := 1 + chance.IntN(1<<20)
		var got []float32
		for _, x := range flat(q.rows) {
			got = append(got, answer(k, x))
		}
		if tell(q, got) != k {
			t.Fatalf("%v tells %d, not %d", got, tell(q, got), k)
		}
		got[chance.IntN(len(got))] += float32(1 + chance.IntN(5))
		if len(got) > 1 && tell(q, got) != wrong {
			t.Fatalf("%v, in which one is wrong, tells %d", got, tell(q, got))
		}
		if tell(q, got[1:]) != wrong {
			t.Fatal("an answer that is too short tells something")
		}
	}
	if math.Abs(float64(answer(3, 4))-11) > 0 {
		t.Error("2×4+3 is 11")
	}
}

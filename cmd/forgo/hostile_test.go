package main

// Bundles that would hold up the command.

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/internal/fifotest"
	"github.com/forgo-ml/forgo/predict/bundle/bundletest"
)

// A terabyte is hashed for an hour; whoever stops the process does not wait for it.
func TestSIGTERMEndsHashing(t *testing.T) {
	folder := bundletest.Copy(t, iris)
	path := filepath.Join(folder, "card.md")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	bundletest.Edit(t, folder, func(manifest map[string]any) {
		manifest["files"].(map[string]any)["card.md"] = map[string]any{"size": 1 << 40, "sha256": strings.Repeat("0", 64)}
	})
	if made, err := os.Create(path); err != nil || errors.Join(made.Truncate(1<<40), made.Close()) != nil {
		t.Skipf("no sparse files here: %v", err)
	}
	command := binary(t)
	for _, args := range [][]string{{"verify", folder}, {"serve", folder, "--http", "127.0.0.1:0", "--grpc", "off", "--admin", "off"}} {
		cmd := exec.CommandContext(t.Context(), command, args...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		open := func() bool {
			links, _ := filepath.Glob("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/fd/*")
			for _, link := range links {
				if to, _ := os.Readlink(link); to == path {
					return true
				}
			}
			return false
		}
		for deadline := time.Now().Add(30 * time.Second); !open(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				_ = cmd.Process.Kill()
				t.Fatalf("%s never came to the file: %s", args[0], &stderr)
			}
		}
		start := time.Now()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		select {
		case <-done:
			t.Logf("%s ended after %v: %s", args[0], time.Since(start), &stderr)
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			t.Errorf("%s goes on hashing", args[0])
		}
	}
}

// A pipe in a model's folder is refused at once, and named.
func TestAPipeHoldsNobodyUp(t *testing.T) {
	models := t.TempDir()
	for _, name := range []string{"a.forgo", "b.forgo"} {
		if err := os.Rename(bundletest.Copy(t, iris), filepath.Join(models, name)); err != nil {
			t.Fatal(err)
		}
	}
	pipe := filepath.Join(models, "a.forgo", "model.onnx")
	fifotest.Make(t, pipe)
	for _, args := range [][]string{
		{"verify", filepath.Join(models, "a.forgo")},
		{"inspect", filepath.Join(models, "a.forgo")},
		{"inspect", pipe},
		{"inspect", "--check", pipe},
		{"predict", pipe, "row.json"},
	} {
		type result struct {
			code int
			said string
		}
		done := make(chan result, 1)
		go func() {
			var stderr bytes.Buffer
			code := run(t.Context(), args, io.Discard, &stderr)
			done <- result{code, stderr.String()}
		}()
		select {
		case r := <-done:
			if r.code != exitRefused || !strings.Contains(r.said, "FIFO") {
				t.Errorf("%v: exit code %d, %s", args, r.code, r.said)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%v waits for somebody to write into the pipe", args)
		}
	}
}

// The other models of a folder are loaded and answer.
func TestAPipeStopsNoOtherModel(t *testing.T) {
	models := t.TempDir()
	for _, name := range []string{"a.forgo", "b.forgo"} {
		if err := os.Rename(bundletest.Copy(t, iris), filepath.Join(models, name)); err != nil {
			t.Fatal(err)
		}
	}
	pipe := filepath.Join(models, "a.forgo", "card.md")
	fifotest.Make(t, pipe)
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	log := &seen{stop: stop, want: []string{"msg=refused model=a", "it is a FIFO", "msg=loaded model=b"}}
	code := run(ctx, []string{"serve", models, "--verify", "quick", "--log-format", "text", "--http", "127.0.0.1:0", "--grpc", "off", "--admin", "off"}, io.Discard, log)
	if missing := log.missing(); len(missing) > 0 {
		t.Errorf("exit code %d; the log does not say %q: %s", code, missing, log)
	}
}

// seen is a log that ends the command once it says all that is wanted.
type seen struct {
	mu   sync.Mutex
	text strings.Builder
	want []string
	stop func()
}

func (s *seen) Write(p []byte) (int, error) {
	s.mu.Lock()
	s.text.Write(p)
	s.mu.Unlock()
	if len(s.missing()) == 0 {
		s.stop()
	}
	return len(p), nil
}

func (s *seen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *seen) missing() (missing []string) {
	for _, part := range s.want {
		if !strings.Contains(s.String(), part) {
			missing = append(missing, part)
		}
	}
	return missing
}

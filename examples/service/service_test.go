//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The service is one static file: it answers in a root with nothing else in it, as it was trained.
func TestEmptyRoot(t *testing.T) {
	root := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s", "-o", filepath.Join(root, "service"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_ = free.Close()
	cmd := exec.CommandContext(t.Context(), "/service", address)
	cmd.Dir, cmd.Env = "/", []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		if os.IsPermission(err) {
			t.Skip("this machine lets nobody but root have a root of its own: ", err)
		}
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	lines := bufio.NewScanner(stderr)
	if !lines.Scan() || !strings.Contains(lines.Text(), "parity proven: 16 of 16 cases") || !strings.HasSuffix(lines.Text(), "listening on "+address) {
		t.Fatalf("it said: %s", lines.Text())
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	manifest, err := os.ReadFile("digits.forgo/forgo.json")
	if err != nil {
		t.Fatal(err)
	}
	var bundle struct {
		Golden struct {
			Cases []struct{ Input, Label string }
		}
	}
	if err := json.Unmarshal(manifest, &bundle); err != nil || len(bundle.Golden.Cases) == 0 {
		t.Fatal(err, "no cases")
	}
	for _, c := range bundle.Golden.Cases {
		picture, err := os.ReadFile(filepath.Join("digits.forgo", c.Input))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.Post("http://"+address, "", bytes.NewReader(picture))
		if err != nil {
			t.Fatal(err)
		}
		var best struct{ Label string }
		err = json.NewDecoder(answer.Body).Decode(&best)
		_ = answer.Body.Close()
		if err != nil || best.Label != c.Label {
			t.Errorf("%s: %q, %v; want %q", c.Input, best.Label, err, c.Label)
		}
	}
	answer, err := http.Post("http://"+address, "", strings.NewReader("no picture"))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusBadRequest {
		t.Error(answer.Status)
	}
}

package main

// The real binary in a cgroup with little memory.

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// memoryCgroup makes a cgroup with a memory limit in bytes, in version 1 or 2 as the system has it.
func memoryCgroup(t *testing.T, bytes int64) (folder string) {
	t.Helper()
	for root, file := range map[string]string{"/sys/fs/cgroup/memory": "memory.limit_in_bytes", "/sys/fs/cgroup": "memory.max"} {
		folder := filepath.Join(root, fmt.Sprintf("forgo-test-%d", os.Getpid()))
		if err := os.Mkdir(folder, 0o755); err != nil {
			continue
		}
		t.Cleanup(func() { _ = os.Remove(folder) })
		limit, err := os.OpenFile(filepath.Join(folder, file), os.O_WRONLY, 0) // the kernel's, or it is no cgroup
		if err != nil {
			continue
		}
		_, err = fmt.Fprint(limit, bytes)
		if err := errors.Join(err, limit.Close()); err == nil {
			return folder
		}
	}
	t.Skip("this machine lets nobody make a cgroup with a memory limit; TestMemoryFollowsTheCgroup reads recorded ones")
	return ""
}

// Requests' memory and Go's limit follow the limit of the cgroup that the server runs in.
func TestMemoryOfARealCgroup(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the binary")
	}
	const limit = 512 << 20
	command := binary(t)
	folder := memoryCgroup(t, limit)
	inside := filepath.Join(t.TempDir(), "inside")
	script := fmt.Sprintf("#!/bin/sh\necho $$ > %s/cgroup.procs && exec %s \"$@\"\n", folder, command)
	if err := os.WriteFile(inside, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), inside, "version").CombinedOutput(); err != nil {
		t.Skipf("this machine lets nobody enter a cgroup: %v %s", err, out)
	}
	for _, c := range []struct {
		variable string
		want     int64
	}{{"", limit/2 + gcHeadroom + ownMemory}, {"300MiB", 300 << 20}} {
		t.Setenv("GOMEMLIMIT", c.variable)
		p := launch(t, inside, iris, "--name", "iris")
		_, text := get(t, fmt.Sprintf("http://%v/metrics", p.addresses["admin"]))
		if line := fmt.Sprintf("\ngo_gc_gomemlimit_bytes %v\n", float64(c.want)); !strings.Contains(text, line) {
			at := strings.Index(text, "\ngo_gc_gomemlimit_bytes")
			t.Errorf("GOMEMLIMIT=%q: want%s, got%.60s", c.variable, line, text[max(0, at):])
		}
		ask(t, p.url("/models/iris"), "[5.9,3.2,4.8,1.8]")
		if err := p.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_, _ = p.Process.Wait()
	}
}

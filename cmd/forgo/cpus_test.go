package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// cgroup makes one with so many microseconds of each 100 ms, in whichever version the machine
// has, and returns its folder.
func cgroup(t *testing.T, quota int) string {
	t.Helper()
	for _, v := range []struct{ root, has, file, text string }{
		{"/sys/fs/cgroup", "cgroup.controllers", "cpu.max", "%d 100000"},
		{"/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "cpu.cfs_quota_us", "%d"},
	} {
		if _, err := os.Stat(filepath.Join(v.root, v.has)); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		path, err := os.MkdirTemp(v.root, "forgo-test-")
		if err != nil {
			t.Skipf("cgroups cannot be made here: %v", err)
		}
		t.Cleanup(func() {
			if err := os.Remove(path); err != nil { // a folder of the kernel's, which has no files to remove
				t.Error(err)
			}
		})
		if err := os.WriteFile(filepath.Join(path, v.file), fmt.Appendf(nil, v.text, quota), 0o600); err != nil {
			t.Skipf("cgroups here have no CPU limit: %v", err)
		}
		return path
	}
	t.Skip("there are no cgroups")
	return ""
}

// The threads follow the CPU limit that the process is started under.
func TestThreadsFollowTheCPULimit(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the binary")
	}
	if runtime.NumCPU() < 2 {
		t.Skip("it needs two cores")
	}
	command := binary(t)
	for quota, want := range map[int]int{50_000: 1, 100_000: 1, 150_000: 2, 100_000 * 4 * runtime.NumCPU(): runtime.NumCPU()} {
		path := cgroup(t, quota)
		cmd := exec.CommandContext(t.Context(), "sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$1" doctor --json`, path, command)
		cmd.Env = append(os.Environ(), "FORGO_ONNXRUNTIME=none", "FORGO_TENSORFLOW=none") // which are slow to load
		out, _ := cmd.Output()                                                            // and it misses them
		var report struct{ Threads int }
		if err := json.Unmarshal(out, &report); err != nil || report.Threads != want {
			t.Errorf("%d of 100000 µs: %d threads, want %d: %s", quota, report.Threads, want, out)
		}
	}
}

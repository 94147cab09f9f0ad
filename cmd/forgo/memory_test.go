package main

import (
	"io/fs"
	"math"
	"testing"
)

func TestMemoryFollowsTheCgroup(t *testing.T) {
	const host = "MemTotal:       16384 kB\nMemFree: 1 kB\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"no Linux":                  {nil, math.MaxInt64},
		"no limit":                  {map[string]string{"/proc/meminfo": host, "/proc/self/cgroup": "0::/a\n", "/sys/fs/cgroup/a/memory.max": "max\n"}, 16 << 20},
		"version 2":                 {map[string]string{"/proc/meminfo": host, "/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/memory.max": "4194304\n"}, 4 << 20},
		"a limit around it":         {map[string]string{"/proc/meminfo": host, "/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/memory.max": "8388608\n", "/sys/fs/cgroup/a/memory.max": "2097152\n"}, 2 << 20},
		"a container's own root":    {map[string]string{"/proc/meminfo": host, "/proc/self/cgroup": "0::/docker/1\n", "/sys/fs/cgroup/memory.max": "1048576\n"}, 1 << 20},
		"version 1":                 {map[string]string{"/proc/meminfo": host, "/proc/self/cgroup": "5:cpu:/a\n9:memory:/a\n", "/sys/fs/cgroup/memory/a/memory.limit_in_bytes": "3145728\n"}, 3 << 20},
		"version 1 without a bound": {map[string]string{"/proc/meminfo": host, "/proc/self/cgroup": "9:memory:/a\n", "/sys/fs/cgroup/memory/a/memory.limit_in_bytes": "9223372036854771712\n"}, 16 << 20},
	} {
		got := availableMemory(func(name string) ([]byte, error) {
			if text, ok := c.files[name]; ok {
				return []byte(text), nil
			}
			return nil, fs.ErrNotExist
		})
		if got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

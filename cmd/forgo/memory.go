package main

// How much of the machine's memory a server's requests may take.

import (
	"bytes"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/forgo-ml/forgo/predict"
)

const (
	mostMemory  = 2 << 30  // that requests take unless they are allowed more
	leastMemory = 64 << 20 // enough for a few requests
	ownMemory   = 48 << 20 // of the server itself, beside requests and models
)

// limitMemory gives requests their memory, and has Go collect its garbage before the heap is larger
// than that. Models are the engine's memory, which Go does not count. GOMEMLIMIT stands where it is set.
func (s *server) limitMemory() {
	most := s.maxMemory
	if most <= 0 {
		most = max(leastMemory, min(mostMemory, availableMemory(os.ReadFile)/2))
	}
	budget := predict.NewBudget(most)
	s.load.Options.Budget, s.options.Memory = budget, budget
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(most + gcHeadroom + ownMemory)
	}
}

// availableMemory is the least of the machine's memory and the limits of the process's cgroup and
// those around it.
func availableMemory(read func(string) ([]byte, error)) int64 {
	available := int64(math.MaxInt64)
	if info, err := read("/proc/meminfo"); err == nil {
		if fields := strings.Fields(string(info)); len(fields) > 1 && fields[0] == "MemTotal:" {
			if kb, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
				available = kb << 10
			}
		}
	}
	groups, err := read("/proc/self/cgroup")
	if err != nil {
		return available
	}
	for line := range bytes.Lines(groups) {
		parts := strings.SplitN(strings.TrimSpace(string(line)), ":", 3)
		if len(parts) != 3 {
			continue
		}
		root, file := "/sys/fs/cgroup", "memory.max"
		switch {
		case parts[0] == "0" && parts[1] == "":
		case strings.Contains(","+parts[1]+",", ",memory,"): // version 1
			root, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		// In a container the path may be the host's, and the limit lies at the root.
		for group := path.Clean("/" + parts[2]); ; group = path.Dir(group) {
			if text, err := read(path.Join(root, group, file)); err == nil {
				if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 {
					available = min(available, n)
				}
			}
			if group == "/" {
				break
			}
		}
	}
	return available
}

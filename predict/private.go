package predict

// Private copies of graphs, for engines that open by path.

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// privatePrefix begins the names of private folders in TMPDIR.
const privatePrefix = "forgo-graph-"

// privateFolder makes a folder for this process alone. It holds a lock on it until free removes it:
// what a process that was killed left behind has none, and is removed by the next that needs one.
func privateFolder() (path string, free func(), err error) {
	sweep()
	path, err = os.MkdirTemp("", privatePrefix)
	if err != nil {
		return "", nil, err
	}
	lock, err := lockFolder(path)
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), os.RemoveAll(path))
	}
	return path, func() {
		_ = os.RemoveAll(path)
		_ = lock.Close()
	}, nil
}

// unlocked is the age below which a folder may not have been locked yet.
const unlocked = time.Minute

var sweeping sync.Mutex

// sweep removes the private folders of processes that are no more.
func sweep() {
	sweeping.Lock()
	defer sweeping.Unlock()
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), privatePrefix+"*")) // the pattern is a valid one
	for _, path := range left {
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() || time.Since(info.ModTime()) < unlocked {
			continue
		}
		if !ownedByUser(info) {
			continue
		}
		if lock, err := lockFolder(path); err == nil {
			_ = os.RemoveAll(path)
			_ = lock.Close()
		}
	}
}

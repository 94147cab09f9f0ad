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

// privateFolder makes a folder for this process alone, and locks it until free removes it. A folder
// without a lock belongs to a process that was killed; the next call removes it.
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

// unlocked is the age below which a folder may not have its lock yet.
const unlocked = time.Minute

var sweeping sync.Mutex

// sweep removes the private folders of processes that have ended.
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

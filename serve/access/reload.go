package access

// Files that are reloaded when their contents change.

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forgo-ml/forgo/internal/regular"
)

// every is the interval between checks. They compare the contents of the files, a few kilobytes, because
// times and sizes can miss a change: a Kubernetes volume swaps a link, and a file may be written twice in
// one tick of the clock.
const every = time.Second

// longest bounds a file, in bytes: some 10,000 keys.
const longest = 1 << 20

// files is a value that is made from files. It is safe for concurrent use.
type files[T any] struct {
	paths []string
	parse func(contents [][]byte) (*T, error)
	now   atomic.Pointer[T]

	mu   sync.Mutex
	seen string // digest of what was last read, or the error that there was
}

// Reload reads the files again if they have changed. After an error, the previous value stays in force.
// Reload returns the same error only once.
func (f *files[T]) Reload() (changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	contents := make([][]byte, len(f.paths))
	digest := sha256.New()
	for i, path := range f.paths {
		if contents[i], err = regular.Read(path, longest); err != nil {
			if f.seen == err.Error() {
				return false, nil
			}
			f.seen = err.Error()
			return false, err
		}
		sum := sha256.Sum256(contents[i])
		digest.Write(sum[:])
	}
	seen := string(digest.Sum(nil))
	if seen == f.seen {
		return false, nil
	}
	f.seen = seen
	value, err := f.parse(contents)
	if err != nil {
		return false, err
	}
	f.now.Store(value)
	return true, nil
}

// exposed returns a warning if others can read a file of secrets.
func exposed(path string) string {
	info, err := os.Stat(path)
	switch {
	case err != nil:
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Sprintf("others can change %s: chmod 600 it", path)
	case info.Mode().Perm()&0o004 != 0:
		return fmt.Sprintf("others can read %s: chmod 600 it", path)
	}
	return ""
}

// Reloader is something that [Watch] keeps up to date: [Keys] or [Certificates].
type Reloader interface {
	// Reload reads the files again if they have changed.
	Reload() (changed bool, err error)
	// describe returns a description of the value for the log.
	describe() (kind string, attributes []any)
	warnings() []string
}

// Watch reloads files as they change, until ctx ends or stop is called. It logs every reload and every
// error, but never a key. It logs nothing after stop returns.
func Watch(ctx context.Context, log *slog.Logger, reloaders ...Reloader) (stop func()) {
	for _, r := range reloaders {
		warn(log, r)
	}
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			Reload(log, reloaders...)
		}
	})
	return func() {
		cancel()
		group.Wait()
	}
}

// Reload reloads files that have changed, and logs as [Watch] does.
func Reload(log *slog.Logger, reloaders ...Reloader) {
	for _, r := range reloaders {
		reload(log, r)
	}
}

func reload(log *slog.Logger, r Reloader) {
	changed, err := r.Reload()
	kind, attributes := r.describe()
	if err != nil {
		log.Error(kind+" not reloaded; the earlier ones stay", "error", err)
	} else if changed {
		log.Info(kind+" reloaded", attributes...)
		warn(log, r)
	}
}

func warn(log *slog.Logger, r Reloader) {
	kind, _ := r.describe()
	for _, w := range r.warnings() {
		if w != "" {
			log.Warn(kind, "warning", w)
		}
	}
}

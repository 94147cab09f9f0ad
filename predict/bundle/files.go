package bundle

// Where a bundle's files come from.

import (
	"io/fs"
	"os"
	"path"

	"github.com/forgo-ml/forgo/internal/regular"
)

// files are those of one folder, by names with slashes. Files that are not regular are refused without
// waiting for anyone.
type files interface {
	open(name string) (fs.File, error)
	Close() error
}

// folder is one on disk, which nothing leads out of.
type folder struct{ *os.Root }

func (f folder) open(name string) (fs.File, error) {
	file, err := regular.OpenIn(f.Root, name)
	if err != nil {
		return nil, err
	}
	return file, nil
}

// below is a folder of another file system.
type below struct {
	fsys fs.FS
	name string
}

func (b below) open(name string) (fs.File, error) {
	return regular.OpenFS(b.fsys, path.Join(b.name, name))
}
func (below) Close() error { return nil }

package bundle

// Sources of a bundle's files.

import (
	"io/fs"
	"os"
	"path"

	"github.com/forgo-ml/forgo/internal/regular"
)

// files are the files of one folder, by slash-separated names. It refuses files that are not regular
// without waiting for them.
type files interface {
	open(name string) (fs.File, error)
	Close() error
}

// folder is a folder on disk, which no link leads out of.
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

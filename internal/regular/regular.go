// Package regular opens files that others have named or made. It opens only regular files, and never
// blocks. A pipe in a model's folder would otherwise block its reader for ever, and a device would have no
// end.
package regular

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// ErrIrregular matches errors about pipes, sockets, devices and folders.
var ErrIrregular = errors.New("it is not a regular file")

type irregular struct{ kind string }

func (e irregular) Error() string {
	return fmt.Sprintf("it is %s, where a regular file is needed", e.kind)
}
func (e irregular) Is(target error) bool { return target == ErrIrregular }

func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a folder"
	case m&fs.ModeNamedPipe != 0:
		return "a FIFO"
	case m&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

// Open opens a regular file for reading. Other kinds of files fail with [ErrIrregular].
func Open(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	return checked(path, file, err)
}

// OpenIn is like Open for a file below a root.
func OpenIn(root *os.Root, path string) (*os.File, error) {
	file, err := root.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	return checked(path, file, err)
}

// OpenFS is like Open for a file in any file system. It checks the kind of a file before it opens it,
// since opening a pipe would block until somebody writes.
func OpenFS(fsys fs.FS, name string) (fs.File, error) {
	info, err := stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: irregular{kind(info.Mode())}}
	}
	file, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	if info, err = file.Stat(); err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: irregular{kind(info.Mode())}}
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// stat returns a file's information without opening the file. fs.Stat would open it if the file system
// cannot tell.
func stat(fsys fs.FS, name string) (fs.FileInfo, error) {
	if s, ok := fsys.(fs.StatFS); ok {
		return s.Stat(name)
	}
	entries, err := fs.ReadDir(fsys, path.Dir(name))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Name() == path.Base(name) {
			return e.Info()
		}
	}
	return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
}

func checked(path string, file *os.File, err error) (*os.File, error) {
	if err != nil {
		if errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.EOPNOTSUPP) { // a socket, or a device without a driver
			err = &fs.PathError{Op: "open", Path: path, Err: irregular{"a socket or a device"}}
		}
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: irregular{kind(info.Mode())}}
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// Read reads a whole regular file. It fails if the file is longer than limit.
func Read(path string, limit int64) ([]byte, error) {
	file, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := All(file, limit)
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		p.Path = path
	}
	return data, err
}

// All reads the rest of a file from Open or OpenFS. It fails if that is longer than limit.
func All(file fs.File, limit int64) ([]byte, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	tooLong := &fs.PathError{Op: "read", Path: info.Name(), Err: fmt.Errorf("it is longer than %d bytes", limit)}
	if info.Size() > limit {
		return nil, tooLong
	}
	data := make([]byte, 0, info.Size()+1)
	for {
		n, err := file.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if errors.Is(err, io.EOF) {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
		if int64(len(data)) > limit {
			return nil, tooLong
		}
		if len(data) == cap(data) { // the file grows
			data = append(data, 0)[:len(data)]
		}
	}
}

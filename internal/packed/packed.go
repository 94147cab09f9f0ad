// Package packed keeps files in a program's own file, behind the program, as forgo pack writes them. They
// form a ZIP archive. A trailer holds the archive's length and digest, so that a truncated or changed
// program says so instead of running.
package packed

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/forgo-ml/forgo/internal/regular"
)

const (
	// head begins what is behind a program, and tail its trailer, which is
	//
	//	tail | length of head and archive, 8 bytes, little-endian | their SHA-256 | the first 8 bytes of the SHA-256 of all that
	head        = "forgo packed 1>\n"
	tail        = "<forgo packed 1\n"
	trailerSize = len(tail) + 8 + sha256.Size + 8
)

// ErrDamaged is wrapped by errors about packed files that are not what was packed.
var ErrDamaged = errors.New("the bundle packed in this program is damaged: copy or pack it again")

// Archive is the files behind a program. They can be read until it is closed.
type Archive struct {
	*zip.Reader
	// Program is the length of the program itself in bytes.
	Program int64

	file *os.File
}

// Close closes the program's file.
func (a *Archive) Close() error { return a.file.Close() }

// Open opens the files behind the program at path. It returns nil if there are none.
func Open(path string) (_ *Archive, err error) {
	f, err := regular.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	length, digest, err := readTrailer(f, info.Size())
	if err != nil {
		return nil, err
	}
	if length == 0 {
		// The program has an archive whose end is lost.
		if begun(f) {
			return nil, ErrDamaged
		}
		return nil, f.Close()
	}
	start := info.Size() - int64(trailerSize) - length
	behind := io.NewSectionReader(f, start, length)
	h := sha256.New()
	if n, err := io.Copy(h, behind); err != nil || n != length {
		return nil, errors.Join(ErrDamaged, err)
	}
	if !bytes.Equal(h.Sum(nil), digest) {
		return nil, ErrDamaged
	}
	archive, err := zip.NewReader(io.NewSectionReader(f, start+int64(len(head)), length-int64(len(head))), length-int64(len(head)))
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrDamaged, err)
	}
	return &Archive{Reader: archive, Program: start, file: f}, nil
}

// readTrailer returns the length and the digest of what precedes the trailer, or 0 if there is no trailer.
func readTrailer(f io.ReaderAt, size int64) (length int64, digest []byte, err error) {
	if size < int64(trailerSize) {
		return 0, nil, nil
	}
	t := make([]byte, trailerSize)
	if _, err := f.ReadAt(t, size-int64(trailerSize)); err != nil {
		return 0, nil, err
	}
	if string(t[:len(tail)]) != tail {
		return 0, nil, nil
	}
	checked := len(t) - 8
	if sum := sha256.Sum256(t[:checked]); !bytes.Equal(sum[:8], t[checked:]) {
		return 0, nil, ErrDamaged
	}
	n := binary.LittleEndian.Uint64(t[len(tail):])
	if n < uint64(len(head)) || n > uint64(size)-uint64(trailerSize) {
		return 0, nil, ErrDamaged
	}
	return int64(n), t[len(tail)+8 : checked], nil
}

// begun reports whether an archive starts where an ELF program ends.
func begun(f io.ReaderAt) bool {
	end := programEnd(f)
	if end == 0 {
		return false
	}
	start := make([]byte, len(head))
	n, _ := f.ReadAt(start, end)
	return n == len(start) && string(start) == head
}

// programEnd returns where an ELF program ends, including its section table, or 0 for other files.
func programEnd(f io.ReaderAt) int64 {
	var h elf.Header64
	b := make([]byte, binary.Size(h))
	if _, err := f.ReadAt(b, 0); err != nil || string(b[:4]) != elf.ELFMAG || elf.Class(b[elf.EI_CLASS]) != elf.ELFCLASS64 || elf.Data(b[elf.EI_DATA]) != elf.ELFDATA2LSB {
		return 0
	}
	if err := binary.Read(bytes.NewReader(b), binary.LittleEndian, &h); err != nil {
		return 0
	}
	file, err := elf.NewFile(f)
	if err != nil {
		return 0
	}
	end := int64(h.Shoff) + int64(h.Shnum)*int64(h.Shentsize)
	for _, s := range file.Sections {
		if s.Type != elf.SHT_NOBITS {
			end = max(end, int64(s.Offset+s.FileSize))
		}
	}
	for _, p := range file.Progs {
		end = max(end, int64(p.Off+p.Filesz))
	}
	return end
}

// Write writes a program and the files behind it. It calls add with a function that adds a file.
func Write(to io.Writer, program io.Reader, add func(file func(name string) (io.Writer, error)) error) error {
	if _, err := io.Copy(to, program); err != nil {
		return err
	}
	h := sha256.New()
	counted := &counter{to: io.MultiWriter(to, h)}
	if _, err := io.WriteString(counted, head); err != nil {
		return err
	}
	archive := zip.NewWriter(counted)
	err := add(func(name string) (io.Writer, error) {
		if !fs.ValidPath(name) {
			return nil, &fs.PathError{Op: "pack", Path: name, Err: fs.ErrInvalid}
		}
		// Not compressed: weights would not shrink, and every start reads them.
		return archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
	})
	if err != nil {
		return err
	}
	if err := archive.Close(); err != nil {
		return err
	}
	t := append([]byte(tail), binary.LittleEndian.AppendUint64(nil, uint64(counted.n))...)
	t = h.Sum(t)
	sum := sha256.Sum256(t)
	_, err = to.Write(append(t, sum[:8]...))
	return err
}

type counter struct {
	to io.Writer
	n  int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}

package packed_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/internal/packed"
)

// program is the one that runs this test: a real one.
func program(t *testing.T) []byte {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func pack(t *testing.T, program []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	err := packed.Write(&b, bytes.NewReader(program), func(file func(string) (io.Writer, error)) error {
		for _, name := range []string{"digits.forgo/forgo.json", "notices.txt"} {
			w, err := file(name)
			if err != nil {
				return err
			}
			if _, err := io.WriteString(w, strings.Repeat(name, 1000)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPacked(t *testing.T) {
	own := program(t)
	if a, err := packed.Open(write(t, own)); a != nil || err != nil {
		t.Errorf("a program alone: %v, %v", a, err)
	}
	whole := pack(t, own)
	a, err := packed.Open(write(t, whole))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if a.Program != int64(len(own)) {
		t.Errorf("the program has %d bytes, want %d", a.Program, len(own))
	}
	got, err := fs.ReadFile(a, "digits.forgo/forgo.json")
	if want := strings.Repeat("digits.forgo/forgo.json", 1000); err != nil || string(got) != want {
		t.Errorf("%.40q, %v", got, err)
	}

	behind := len(own)
	for name, change := range map[string]func([]byte) []byte{
		"a byte of a file":      func(b []byte) []byte { b[behind+200] ^= 1; return b },
		"the archive's head":    func(b []byte) []byte { b[behind] ^= 1; return b },
		"the digest":            func(b []byte) []byte { b[len(b)-20] ^= 1; return b },
		"the length":            func(b []byte) []byte { b[len(b)-48] ^= 1; return b },
		"the trailer cut off":   func(b []byte) []byte { return b[:len(b)-64] },
		"the last byte cut off": func(b []byte) []byte { return b[:len(b)-1] },
		"half of it cut off":    func(b []byte) []byte { return b[:behind+(len(b)-behind)/2] },
		"a byte too many":       func(b []byte) []byte { return append(b, 0) },
		"the program shorter":   func(b []byte) []byte { return b[len(b)-64:] },
		"the trailer alone, of more than there is": func(b []byte) []byte {
			return append(append([]byte{}, b[len(b)-300:len(b)-64]...), b[len(b)-64:]...)
		},
	} {
		_, err := packed.Open(write(t, change(bytes.Clone(whole))))
		if !errors.Is(err, packed.ErrDamaged) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// Whatever is in a file, it is opened, or refused as damaged, and nothing beyond it is read.
func FuzzOpen(f *testing.F) {
	var small bytes.Buffer
	_ = packed.Write(&small, strings.NewReader("program"), func(file func(string) (io.Writer, error)) error {
		w, err := file("a")
		if err == nil {
			_, err = io.WriteString(w, "content")
		}
		return err
	})
	f.Add(small.Bytes())
	f.Add(small.Bytes()[:small.Len()-3])
	f.Add([]byte("\x7fELF\x02\x01"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, "app")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := packed.Open(path)
		if err != nil && !errors.Is(err, packed.ErrDamaged) {
			t.Fatal(err)
		}
		if a != nil {
			if a.Program < 0 || a.Program > int64(len(data)) {
				t.Fatal(a.Program)
			}
			_ = a.Close()
		}
	})
}

package regular_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/internal/fifotest"
	"github.com/forgo-ml/forgo/internal/regular"
)

func TestOnlyRegularFilesAreOpened(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	fifotest.Make(t, filepath.Join(dir, "pipe"))
	socket, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pipe", "socket", "folder"} {
		if _, err := regular.Open(filepath.Join(dir, name)); !errors.Is(err, regular.ErrIrregular) {
			t.Errorf("open %s: %v", name, err)
		}
		if _, err := regular.OpenIn(root, name); !errors.Is(err, regular.ErrIrregular) {
			t.Errorf("open %s in a root: %v", name, err)
		}
	}
	if _, err := regular.Read("/dev/zero", 10); !errors.Is(err, regular.ErrIrregular) {
		t.Errorf("read a device: %v", err)
	}
	if _, err := regular.Open(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("open nothing: %v", err)
	}
}

func TestReadIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := regular.Read(path, 10); string(data) != "0123456789" || err != nil {
		t.Errorf("got %q, %v", data, err)
	}
	if _, err := regular.Read(path, 9); err == nil || !strings.Contains(err.Error(), "longer than 9 bytes") {
		t.Errorf("got %v", err)
	}
	sparse := filepath.Join(t.TempDir(), "sparse")
	if file, err := os.Create(sparse); err != nil || errors.Join(file.Truncate(1<<42), file.Close()) != nil {
		t.Skip("no sparse files here")
	}
	if _, err := regular.Read(sparse, 1<<20); err == nil {
		t.Error("terabytes were read")
	}
	if data, err := regular.Read("/proc/self/status", 1<<20); len(data) == 0 && err == nil { // whose size is said to be 0
		t.Errorf("got %q, %v", data, err)
	}
}

package listener

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Open takes the place of a socket that was left behind, and of nothing else.
func TestOpenClearsDeadSockets(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	left, err := net.Listen("unix", path("left"))
	if err != nil {
		t.Fatal(err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = left.Close()
	if err := os.WriteFile(path("file"), []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	used, err := net.Listen("unix", path("used"))
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()
	for name, want := range map[string]string{"left": "", "new": "", "file": "not a socket", "used": "another server", "gone/new": "no such file"} {
		l, err := Open(t.Context(), "unix", path(name))
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if info, err := os.Stat(path(name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
		_ = l.Close()
	}
	if kept, err := os.ReadFile(path("file")); err != nil || string(kept) != "kept" {
		t.Errorf("the file: %q, %v", kept, err)
	}
}

// A listener that ends accepts the connections that clients made before, and then closes.
func TestEndAcceptsWhatWasMade(t *testing.T) {
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "s")} {
		l, err := Open(t.Context(), network, address)
		if err != nil {
			t.Fatal(err)
		}
		const made = 20
		for range made {
			c, err := net.Dial(network, l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := io.WriteString(c, "x"); err != nil {
				t.Fatal(err)
			}
		}
		l.End()
		for i := range made {
			c, err := l.Accept()
			if err != nil {
				t.Fatalf("%s: connection %d: %v", network, i, err)
			}
			_ = c.Close()
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", network, err)
		}
		if c, err := net.Dial(network, l.Addr().String()); err == nil {
			_ = c.Close()
			t.Errorf("%s: a client connects after the end", network)
		}
	}
}

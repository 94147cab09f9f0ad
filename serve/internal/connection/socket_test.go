package connection

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// sockets returns both ends of a connection, the first as the server uses it.
func sockets(t *testing.T, network, address string) (served, peer net.Conn) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err = net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = peer.Close()
		_ = conn.Close()
	})
	return quickly(conn), peer
}

func TestSockets(t *testing.T) {
	for network, address := range map[string]func(*testing.T) string{
		"tcp":  func(*testing.T) string { return "127.0.0.1:0" },
		"unix": func(t *testing.T) string { return filepath.Join(t.TempDir(), "s") },
	} {
		for name, holds := range map[string]func(t *testing.T, served, peer net.Conn){
			"every size, both ways": everySize,
			"its end": func(t *testing.T, served, peer net.Conn) {
				_ = peer.Close()
				if n, err := served.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Errorf("%d, %v; want the end", n, err)
				}
				if n, err := served.Read(nil); n != 0 || err != nil {
					t.Errorf("%d, %v of nothing", n, err)
				}
			},
			"deadlines": func(t *testing.T, served, _ net.Conn) {
				_ = served.SetDeadline(time.Now().Add(10 * time.Millisecond))
				_, err := served.Read(make([]byte, 1))
				wantOp(t, err, "read", os.ErrDeadlineExceeded)
				_ = served.SetDeadline(time.Now().Add(10 * time.Millisecond))
				for err = nil; err == nil; {
					_, err = served.Write(make([]byte, 10_000))
				}
				wantOp(t, err, "write", os.ErrDeadlineExceeded)
			},
			"closed while it is read": func(t *testing.T, served, _ net.Conn) {
				failed := make(chan error)
				go func() {
					_, err := served.Read(make([]byte, 1))
					failed <- err
				}()
				_ = served.Close()
				wantOp(t, <-failed, "read", net.ErrClosed)
				_, err := served.Write([]byte("x"))
				wantOp(t, err, "write", net.ErrClosed)
			},
			"broken": func(t *testing.T, served, peer net.Conn) {
				_ = peer.Close()
				var err error
				for range 1000 {
					if _, err = served.Write([]byte("x")); err != nil {
						break
					}
					time.Sleep(time.Millisecond)
				}
				wantOp(t, err, "write", nil)
			},
		} {
			t.Run(network+", "+name, func(t *testing.T) {
				served, peer := sockets(t, network, address(t))
				holds(t, served, peer)
			})
		}
	}
}

func everySize(t *testing.T, served, peer net.Conn) {
	for _, size := range []int{1, 100, 32 << 10, 32<<10 + 1, 1 << 20} {
		sent := make([]byte, 5*size)
		for i := range sent {
			sent[i] = byte(i >> 7)
		}
		for _, c := range [][2]net.Conn{{served, peer}, {peer, served}} {
			from, to := c[0], c[1]
			go func() {
				for part := range slices.Chunk(sent, size) {
					if n, err := from.Write(part); err != nil || n != size {
						t.Errorf("write %d bytes: %d, %v", size, n, err)
						return
					}
				}
			}()
			var got []byte
			for part := make([]byte, size); len(got) < len(sent); {
				n, err := to.Read(part)
				if got = append(got, part[:n]...); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(got, sent) {
				t.Fatalf("in parts of %d, other bytes came", size)
			}
		}
	}
}

// wantOp checks the error as net/http does.
func wantOp(t *testing.T, err error, name string, want error) {
	t.Helper()
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != name || want != nil && !errors.Is(err, want) || op.Source == nil {
		t.Errorf("%#v, want %v of %s", err, want, name)
	}
	if want == os.ErrDeadlineExceeded && !op.Timeout() {
		t.Errorf("%v is no timeout", err)
	}
}

func TestSocketsAllocateNothing(t *testing.T) {
	served, peer := sockets(t, "tcp", "127.0.0.1:0")
	in, out := make([]byte, 64), []byte("request")
	n := testing.AllocsPerRun(100, func() {
		_, _ = peer.Write(out)
		_, _ = served.Read(in)
		_, _ = served.Write(out)
		_, _ = peer.Read(in)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Package listener opens the addresses on which a server accepts connections. A listener that ends first
// accepts the connections that clients have already made, instead of resetting them.
package listener

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// Listener is an open address.
type Listener struct {
	net.Listener
	ending atomic.Bool
	last   bool // used by Accept alone
}

// Open listens on network "tcp" at HOST:PORT, or on "unix" at a path to which only this user may connect.
// It removes a socket that another server left behind.
func Open(ctx context.Context, network, address string) (*Listener, error) {
	if network == "unix" {
		if err := clearSocket(ctx, address); err != nil {
			return nil, err
		}
	}
	var config net.ListenConfig
	config.SetMultipathTCP(false) // such listeners take no socket filter: see refuse
	l, err := config.Listen(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if network == "unix" {
		if err := os.Chmod(address, 0o600); err != nil {
			_ = l.Close()
			return nil, err
		}
	}
	return &Listener{Listener: l}, nil
}

// clearSocket removes a socket that a server left behind, and nothing else.
func clearSocket(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("the path is a file, not a socket")
	}
	if conn, err := new(net.Dialer).DialContext(ctx, "unix", path); err == nil {
		_ = conn.Close()
		return errors.New("another server listens on it")
	}
	return os.Remove(path)
}

// backlog is how long an ending listener waits for one more connection that was made before.
const backlog = 20 * time.Millisecond

type deadliner interface{ SetDeadline(time.Time) error }

// Accept must be called by one goroutine. The listener is closed after its first error.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err == nil {
			l.last = false
			return c, nil
		}
		if !l.ending.Load() {
			return nil, err
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && !l.last {
			l.last = true
			_ = l.Listener.(deadliner).SetDeadline(time.Now().Add(backlog))
			continue
		}
		_ = l.Close()
		return nil, net.ErrClosed
	}
}

// End makes Accept fail once it has returned the connections that clients made before.
func (l *Listener) End() {
	l.ending.Store(true)
	if unix, ok := l.Listener.(*net.UnixListener); ok {
		_ = os.Remove(unix.Addr().String())
		unix.SetUnlinkOnClose(false)
	} else {
		refuse(l.Listener)
	}
	_ = l.Listener.(deadliner).SetDeadline(time.Now().Add(backlog))
}

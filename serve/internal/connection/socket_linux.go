//go:build !race && !asan && !msan

package connection

// Reads and writes of little, which cannot take long on a socket that does not block. The runtime makes
// every system call so that another thread takes over the processor if it lasts; where calls are short and
// frequent, that costs a tenth of a small request's time. The race detector has to see the usual calls.

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// socket is the socket of a connection, which has its deadlines.
type socket struct {
	net.Conn
	in, out transfer
}

// transfer is the system call of one direction.
type transfer struct {
	sync.Mutex
	name   string
	number uintptr
	ready  func(func(fd uintptr) (done bool)) error
	rest   []byte // to read into, or to write
	done   int
	err    error
	try    func(fd uintptr) (done bool) // makes the call
}

// quickly returns a connection whose small reads and writes take less time, or the connection itself.
func quickly(conn net.Conn) net.Conn {
	var from syscall.Conn
	switch c := conn.(type) {
	case *net.TCPConn:
		from = c
	case *net.UnixConn:
		from = c
	default:
		return conn
	}
	raw, err := from.SyscallConn()
	if err != nil {
		return conn
	}
	s := &socket{Conn: conn}
	s.in = transfer{name: "read", number: syscall.SYS_READ, ready: raw.Read, try: s.in.call}
	s.out = transfer{name: "write", number: syscall.SYS_WRITE, ready: raw.Write, try: s.out.whole}
	return s
}

// call makes the system call, and reports whether it could be made without waiting.
func (t *transfer) call(fd uintptr) bool {
	for {
		n, _, err := syscall.RawSyscall(t.number, fd, uintptr(unsafe.Pointer(&t.rest[0])), uintptr(len(t.rest)))
		switch err {
		case 0:
			t.done += int(n)
			t.rest = t.rest[n:]
			return true
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			t.err = err
			return true
		}
	}
}

// whole makes it until everything is written.
func (t *transfer) whole(fd uintptr) bool {
	for len(t.rest) > 0 && t.err == nil {
		if !t.call(fd) {
			return false
		}
	}
	return true
}

// Read implements [net.Conn].
func (s *socket) Read(p []byte) (int, error) {
	if len(p) == 0 || len(p) > little {
		return s.Conn.Read(p)
	}
	n, err := s.transfer(&s.in, p)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// Write implements [net.Conn].
func (s *socket) Write(p []byte) (int, error) {
	if len(p) > little {
		return s.Conn.Write(p)
	}
	return s.transfer(&s.out, p)
}

// transfer waits until the socket is ready, or its deadline is over, or it is closed.
func (s *socket) transfer(t *transfer, p []byte) (int, error) {
	t.Lock()
	defer t.Unlock()
	t.rest, t.done, t.err = p, 0, nil
	err := t.ready(t.try)
	t.rest = nil
	if err != nil || t.err != nil {
		return t.done, s.failed(t, err)
	}
	return t.done, nil
}

// failed returns the error as net does, since net/http looks at it.
func (s *socket) failed(t *transfer, waited error) error {
	var op *net.OpError
	switch {
	case waited == nil:
		return &net.OpError{Op: t.name, Net: s.LocalAddr().Network(), Source: s.LocalAddr(), Addr: s.RemoteAddr(), Err: os.NewSyscallError(t.name, t.err)}
	case errors.As(waited, &op):
		op.Op = t.name
	}
	return waited
}

package connection

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// Waiting is tried where it lets others go first, and seldom where it does not.
func TestAnswersWaitWhereThatHelps(t *testing.T) {
	var g gathering
	for _, step := range []struct {
		took time.Duration
		skip int64
	}{
		{nobody / 2, few},
		{nobody / 2, 2 * few},
		{nobody / 2, 4 * few},
		{2 * nobody, 0},
		{nobody / 2, few},
		{2 * tooLong, after},
		{nobody / 2, few},
	} {
		g.skip.Store(0)
		if g.waited(step.took); g.skip.Load() != step.skip {
			t.Errorf("after %v, %d answers leave at once, want %d", step.took, g.skip.Load(), step.skip)
		}
	}
	for range 100 {
		g.waited(0)
	}
	if g.skip.Load() != many {
		t.Errorf("at most %d answers leave at once, want %d", g.skip.Load(), many)
	}
	c, _, _ := pair(t)
	if g.gather(&c.reads); g.skip.Load() != many-1 {
		t.Errorf("%d answers leave at once after one has left", g.skip.Load())
	}
}

// A client on the same machine is one that a write wakes.
func TestOnlyAnswersToTheSameMachineWait(t *testing.T) {
	for address, want := range map[net.Addr]bool{
		&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}:     true,
		&net.TCPAddr{IP: net.IPv6loopback}:           true,
		&net.UnixAddr{Net: "unix"}:                   true,
		&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}:     false,
		&net.TCPAddr{IP: net.ParseIP("2001:db8::1")}: false,
	} {
		if got := gathers(from{remote: address}); got != want {
			t.Errorf("%v: %v, want %v", address, got, want)
		}
	}
}

type from struct {
	net.Conn
	remote net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.remote }

// reading counts reads of the socket.
type reading struct {
	net.Conn
	n atomic.Int64
}

func (r *reading) Read(p []byte) (int, error) {
	r.n.Add(1)
	return r.Conn.Read(p)
}

// A read that begins while an answer waits makes no system call if it is ended before the answer leaves.
func TestReadsAreHeldWhileAnAnswerWaits(t *testing.T) {
	for name, test := range map[string]struct {
		then func(c *Conn)
		want error
		read int64
	}{
		"and ended":    {func(c *Conn) { _ = c.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded, 0},
		"and released": {func(c *Conn) { c.reads.release() }, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c, _, peer := pair(t)
			under := &reading{Conn: c.io}
			c.io = under
			if _, err := peer.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			c.reads.hold()
			done := make(chan error)
			go func() {
				_, err := c.Read(make([]byte, 1))
				done <- err
			}()
			select {
			case err := <-done:
				t.Fatalf("a held read ended: %v", err)
			case <-time.After(20 * time.Millisecond):
			}
			test.then(c)
			if err := <-done; !errors.Is(err, test.want) || under.n.Load() != test.read {
				t.Errorf("%v after %d reads, want %v after %d", err, under.n.Load(), test.want, test.read)
			}
		})
	}
}

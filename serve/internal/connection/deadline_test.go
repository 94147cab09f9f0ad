package connection

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"
)

// moves counts how often the runtime is asked.
type moves struct {
	net.Conn
	n int
}

func (m *moves) SetReadDeadline(t time.Time) error {
	m.n++
	return m.Conn.SetReadDeadline(t)
}

func pair(t *testing.T) (c *Conn, under *moves, peer net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	table := New(nil, slog.New(slog.DiscardHandler)).Listen(l, 8, false)
	peer, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := table.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = peer.Close()
		_ = accepted.Close()
		_ = table.Close()
	})
	c = accepted.(*Conn)
	under = &moves{Conn: c.Conn}
	c.reads.arm = under.SetReadDeadline
	return c, under, peer
}

func wantTimeout(t *testing.T, c net.Conn, after, before time.Duration) {
	t.Helper()
	start := time.Now()
	_, err := c.Read(make([]byte, 1))
	if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took < after || took > before {
		t.Errorf("%v after %v, want a deadline after %v", err, took, after)
	}
}

func TestDeadlines(t *testing.T) {
	const short, long = 50 * time.Millisecond, 10 * time.Second
	ago := time.Unix(1, 0)
	t.Run("a later one counts", func(t *testing.T) {
		c, _, _ := pair(t)
		_ = c.SetReadDeadline(time.Now().Add(short / 2))
		_ = c.SetReadDeadline(time.Now().Add(2 * short))
		wantTimeout(t, c, 2*short-short/10, long)
	})
	t.Run("an earlier one counts", func(t *testing.T) {
		c, _, _ := pair(t)
		_ = c.SetReadDeadline(time.Now().Add(time.Hour))
		_ = c.SetReadDeadline(time.Now().Add(short))
		wantTimeout(t, c, short/2, long)
	})
	t.Run("an earlier one counts for a read that waits", func(t *testing.T) {
		c, _, _ := pair(t)
		_ = c.SetReadDeadline(time.Now().Add(time.Hour))
		time.AfterFunc(short, func() { _ = c.SetReadDeadline(ago) })
		wantTimeout(t, c, short/2, long)
	})
	t.Run("one in the distant past counts, and the runtime need not know", func(t *testing.T) {
		c, under, peer := pair(t)
		_ = c.SetReadDeadline(ago)
		wantTimeout(t, c, 0, long)
		if under.n != 0 {
			t.Errorf("the runtime was asked %d times", under.n)
		}
		_ = c.SetReadDeadline(time.Time{})
		if _, err := peer.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("afterwards: %d, %v", n, err)
		}
	})
	t.Run("none counts", func(t *testing.T) {
		c, _, peer := pair(t)
		_ = c.SetReadDeadline(time.Now().Add(short))
		_ = c.SetReadDeadline(time.Time{})
		time.AfterFunc(3*short, func() { _, _ = peer.Write([]byte{7}) })
		if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
	t.Run("one that is over ends with the next", func(t *testing.T) {
		c, _, peer := pair(t)
		_ = c.SetReadDeadline(ago)
		wantTimeout(t, c, 0, long)
		_ = c.SetReadDeadline(time.Time{})
		_, _ = peer.Write([]byte{7})
		if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		_ = c.SetReadDeadline(time.Now().Add(short))
		wantTimeout(t, c, short/2, long)
	})
	t.Run("a write goes on where it was", func(t *testing.T) {
		c, _, peer := pair(t)
		sent := make([]byte, 32<<20)
		for i := range sent {
			sent[i] = byte(i >> 8)
		}
		_ = c.SetWriteDeadline(time.Now().Add(short))
		_ = c.SetWriteDeadline(time.Now().Add(time.Hour))
		got := make(chan []byte)
		go func() {
			time.Sleep(3 * short) // the buffers are full, and the first deadline is over
			read := make([]byte, len(sent))
			_, _ = io.ReadFull(peer, read)
			got <- read
		}()
		if n, err := c.Write(sent); n != len(sent) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		if string(<-got) != string(sent) {
			t.Error("another sequence came")
		}
	})
	t.Run("moving one to a later time asks nothing of the runtime", func(t *testing.T) {
		c, under, _ := pair(t)
		for i := range 100 {
			_ = c.SetReadDeadline(time.Now().Add(time.Minute + time.Duration(i)))
			_ = c.SetReadDeadline(time.Time{})
		}
		if under.n != 1 {
			t.Errorf("it was asked %d times", under.n)
		}
	})
}

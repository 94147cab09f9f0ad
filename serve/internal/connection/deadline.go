package connection

// Deadlines. Every request moves its connection's deadlines several times, nearly always to a later time,
// and setting one in the runtime takes as long as a read.

import (
	"errors"
	"os"
	"sync"
	"time"
)

// deadline is a connection's deadline for reads or for writes. The runtime has this deadline or an earlier
// one, which is moved when it ends too early.
type deadline struct {
	mu     sync.Mutex
	want   time.Time // zero for none
	armed  time.Time // that the runtime has; zero for none
	arm    func(time.Time) error
	since  time.Time // when the connection began
	over   bool      // want is before that
	inside int       // reads or writes under way
	held   bool      // they begin later
	change sync.Cond // of held, or of over while held
}

// soon is when the runtime's deadline ends if none is set. The next one is usually later, so that nothing
// has to move then.
const soon = 10 * time.Second

// set sets the deadline. After every request net/http ends a read that has mostly not begun, by a deadline
// in the distant past. The runtime need not know of it.
func (d *deadline) set(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.want, d.over = t, !t.IsZero() && t.Before(d.since)
	if d.held {
		d.change.Broadcast()
	}
	if d.over && d.inside == 0 {
		return nil
	}
	if t.IsZero() && !d.armed.IsZero() || !t.IsZero() && !d.armed.IsZero() && !d.armed.After(t) {
		return nil
	}
	return d.move(t)
}

func (d *deadline) move(t time.Time) error {
	err := d.arm(t)
	if d.armed = t; err != nil {
		d.armed = time.Time{}
	}
	return err
}

// hold makes reads or writes wait that have not begun, until release or until their deadline is over.
func (d *deadline) hold() {
	d.mu.Lock()
	d.held = true
	d.mu.Unlock()
}

func (d *deadline) release() {
	d.mu.Lock()
	d.held = false
	d.change.Broadcast()
	d.mu.Unlock()
}

// begin says that a read or write begins. It fails if the deadline was over from the start.
func (d *deadline) begin() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.held && !d.over {
		d.change.Wait()
	}
	if d.over {
		return os.ErrDeadlineExceeded
	}
	d.inside++
	return nil
}

// end says that a read or write is over.
func (d *deadline) end() {
	d.mu.Lock()
	d.inside--
	d.mu.Unlock()
}

// early reports whether an error comes from a runtime deadline before the one that was set, and moves it.
func (d *deadline) early(err error) bool {
	if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	switch {
	case d.want.IsZero():
		return d.move(now.Add(soon)) == nil
	case !d.want.After(now):
		return false
	case d.armed.Equal(d.want):
		return true // it has just moved
	}
	return d.move(d.want) == nil
}

// SetDeadline, SetReadDeadline and SetWriteDeadline implement [net.Conn].
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.reads.set(t), c.writes.set(t))
}

func (c *Conn) SetReadDeadline(t time.Time) error  { return c.reads.set(t) }
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.writes.set(t) }

// read and write use the connection until the deadline that was set.
func (c *Conn) read(p []byte) (int, error) {
	for {
		if err := c.reads.begin(); err != nil {
			return 0, err
		}
		n, err := c.io.Read(p)
		c.reads.end()
		if n > 0 || !c.reads.early(err) {
			return n, err
		}
	}
}

func (c *Conn) write(p []byte) (int, error) {
	written := 0
	for {
		if err := c.writes.begin(); err != nil {
			return written, err
		}
		n, err := c.io.Write(p[written:])
		c.writes.end()
		if written += n; !c.writes.early(err) {
			return written, err
		}
	}
}

// Package connection tracks a server's connections and their memory, and decides which one to close for
// another. While there is room, it closes none, however many a client has, since a proxy's address may
// stand for many callers. Without room, it closes connections without requests first, then those that are
// slowest to send a request or read an answer, starting with the client that has the most connections.
package connection

import (
	"cmp"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve/internal/shed"
)

// The memory of a connection: buffers, its goroutines, and what the kernel reports.
const (
	plainBytes = 24 << 10
	tlsBytes   = 48 << 10
)

// Table holds the connections of a server. It is safe for concurrent use.
type Table struct {
	budget     *predict.Budget
	share      int64 // bytes that connections may take together
	log        *slog.Logger
	gone       atomic.Uint64 // connections that were closed for others
	lastLogged atomic.Int64  // when the log last said that connections are at their limit, in Unix seconds
	gathering

	mu      sync.Mutex
	all     map[*Conn]struct{}
	clients map[netip.Addr]int // connections of each
	bytes   int64
	freed   chan struct{} // receives when a connection closes
}

// New returns a table whose connections take at most a quarter of a budget, which may be nil. At most once
// a minute, it logs that connections were closed for want of room.
func New(budget *predict.Budget, log *slog.Logger) *Table {
	t := &Table{budget: budget, log: log, all: map[*Conn]struct{}{}, clients: map[netip.Addr]int{}, freed: make(chan struct{}, 1)}
	if budget != nil {
		t.share = budget.Max() / 4
	}
	return t
}

// Closed returns the number of connections that were closed to make room for others.
func (t *Table) Closed() uint64 { return t.gone.Load() }

// Listen returns a listener with at most most connections. Beyond that, old ones make room for new ones.
func (t *Table) Listen(l net.Listener, most int, tls bool) *Listener {
	bytes, first := int64(plainBytes), int64(headers)
	if tls {
		bytes, first = tlsBytes, records+headers
	}
	return &Listener{Listener: l, table: t, most: most, bytes: bytes, first: first, tls: tls, closed: make(chan struct{})}
}

// Listener is a listener of a table.
type Listener struct {
	net.Listener
	table  *Table
	most   int
	bytes  int64 // of each connection
	first  int64 // bytes that may arrive before their client is known
	tls    bool
	count  int // of connections; guarded by table.mu
	once   sync.Once
	closed chan struct{}
}

// Close ends Accept, even while it waits for room.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// again is how long a new connection waits for others to close before it looks again for one to close.
const again = 20 * time.Millisecond

// Accept returns the next connection once there is room for it.
func (l *Listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &Conn{Conn: conn, io: quickly(conn), of: l, client: clientOf(conn)}
	c.reads.arm, c.writes.arm = conn.SetReadDeadline, conn.SetWriteDeadline
	c.reads.change.L, c.writes.change.L = &c.reads.mu, &c.writes.mu
	c.gathers = !l.tls && gathers(conn)
	c.reads.since = time.Now()
	c.writes.since = c.reads.since
	for {
		err := l.table.add(c)
		if err == nil {
			return c, nil
		}
		if l.table.makeRoom(l, c.client, errors.Is(err, errMost)) {
			continue
		}
		select {
		case <-l.table.freed:
		case <-time.After(again):
		case <-l.closed:
			_ = conn.Close()
			return nil, net.ErrClosed
		}
	}
}

// clientOf returns the client's address without its port. For IPv6, it is the first 64 bits, which belong
// to one client.
func clientOf(c net.Conn) netip.Addr {
	address, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	ip := address.AddrPort().Addr().Unmap()
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return ip
}

var (
	errMost   = errors.New("the listener has reached its limit of connections")
	errMemory = errors.New("no memory for a connection")
)

func (t *Table) add(c *Conn) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := c.of
	if l.count >= l.most {
		return errMost
	}
	if t.share > 0 && len(t.all) > 0 && t.bytes+l.bytes > t.share {
		return errMemory
	}
	if t.budget.Take(l.bytes) != nil {
		return errMemory
	}
	l.count++
	t.bytes += l.bytes
	t.all[c] = struct{}{}
	t.clients[c.client]++
	c.turn(time.Now())
	return nil
}

func (t *Table) remove(c *Conn) {
	t.mu.Lock()
	delete(t.all, c)
	c.of.count--
	t.bytes -= c.of.bytes
	if t.clients[c.client]--; t.clients[c.client] == 0 {
		delete(t.clients, c.client)
	}
	t.mu.Unlock()
	t.budget.Give(c.of.bytes)
	select {
	case t.freed <- struct{}{}:
	default:
	}
}

// kind is the kind of a connection. The first kind is closed first.
type kind int

const (
	waiting kind = iota // it sends no request, or sends one slowly
	recent              // it has not had the time to ask
	sending             // a request is on its way, or an answer is taken
	working             // the server works on a request: never closed
)

type candidate struct {
	*Conn
	kind   kind
	others int // connections of its client
	rate   float64
	since  int64
}

// makeRoom closes connections, only those of l if l is full, and reports whether it closed any.
func (t *Table) makeRoom(l *Listener, newcomer netip.Addr, alone bool) bool {
	now := time.Now().UnixNano()
	t.mu.Lock()
	list := make([]candidate, 0, len(t.all))
	for c := range t.all {
		if alone && c.of != l {
			continue
		}
		k := candidate{Conn: c, others: t.clients[c.client], since: c.since.Load()}
		if k.kind = c.kind(now - k.since); k.kind == working {
			continue
		}
		// Of the recent ones the oldest goes: a new one has had no time to send.
		if k.kind != recent {
			k.rate = float64(c.moved.Load()) / float64(max(1, now-k.since))
		}
		list = append(list, k)
	}
	own := t.clients[newcomer]
	t.mu.Unlock()
	slices.SortFunc(list, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(b.others, a.others), cmp.Compare(a.rate, b.rate), cmp.Compare(a.since, b.since))
	})
	n := 0
	for _, k := range list {
		// A connection that has just begun makes room only for clients with fewer connections.
		if k.kind == recent && k.others < own {
			break
		}
		if n > 0 && (n >= len(list)/64 || k.kind == sending || k.kind != list[0].kind) {
			break
		}
		_ = k.Close()
		n++
	}
	if n > 0 {
		t.full(n)
	}
	return n > 0
}

func (t *Table) full(closed int) {
	t.gone.Add(uint64(closed))
	now := time.Now().Unix()
	if last := t.lastLogged.Load(); now-last >= 60 && t.lastLogged.CompareAndSwap(last, now) {
		t.log.Warn("no room for more connections: idle ones are closed", "closed", closed)
	}
}

// little is the size in bytes up to which a copy takes a few microseconds.
const little = 32 << 10

// Conn is a connection in a [Table].
type Conn struct {
	net.Conn
	io      net.Conn // which reads and writes
	of      *Listener
	client  netip.Addr
	gathers bool         // answers may wait for others
	since   atomic.Int64 // when its turn began, in Unix nanoseconds
	moved   atomic.Int64 // bytes since then, both ways
	came    atomic.Int64 // requests from the client: an answer may still be on its way
	open    atomic.Int32 // requests under way
	busy    atomic.Int32 // requests that were read whole and whose answer has not begun
	extra   atomic.Int64 // bytes of the budget that headers take
	once    sync.Once
	closed  atomic.Bool
	host    atomic.Pointer[string] // see Accept
	// counted says that others count what arrives.
	counted atomic.Bool
	err     error                  // of Close
	ended   atomic.Pointer[func()] // called once it is closed; nil for most

	reads, writes deadline
}

// turn starts the count of bytes again.
func (c *Conn) turn(now time.Time) {
	c.moved.Store(0)
	c.came.Store(0)
	c.since.Store(now.UnixNano())
}

func (c *Conn) kind(age int64) kind {
	switch {
	case c.busy.Load() > 0:
		return working
	case c.open.Load() > 0 && age < int64(shed.Patient):
		// It may have sent the whole request.
		return working
	case c.open.Load() > 0:
		return sending
	case age < int64(shed.Patient):
		return recent
	}
	return waiting
}

// headers is the number of header bytes that every connection may send without asking: what net/http reads
// at once. With TLS, a whole record is read at once, after a handshake.
const (
	headers = 4 << 10
	records = 16<<10 + 4<<10
)

// Read counts what arrives, and the memory of headers before their owner is known.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.read(p)
	if n > 0 {
		c.moved.Add(int64(n))
		if came := c.came.Add(int64(n)); came > c.of.first && c.open.Load() == 0 && !c.counted.Load() {
			if err := c.hold(2 * came); err != nil {
				return 0, err
			}
		}
	}
	return n, err
}

// hold reserves memory for headers.
func (c *Conn) hold(bytes int64) error {
	have := c.extra.Load()
	if bytes <= have {
		return nil
	}
	budget := c.of.table.budget
	// Headers must not use what is reserved for small requests.
	take := func() error {
		return shed.Within(nil, func() error { return budget.More(shed.Worthwhile, bytes-have) })
	}
	if err := take(); err != nil {
		c.of.table.makeRoom(c.of, c.client, false)
		if err := take(); err != nil {
			return err
		}
	}
	c.extra.Add(bytes - have)
	if c.closed.Load() {
		budget.Give(c.extra.Swap(0))
	}
	return nil
}

func (c *Conn) Write(p []byte) (int, error) {
	// The end of an answer over HTTP/1, which net/http sends once its handler has returned.
	if c.gathers && len(p) <= little && c.open.Load() == 0 && !c.counted.Load() {
		c.of.table.gather(&c.reads)
	}
	n, err := c.write(p)
	c.moved.Add(int64(n))
	return n, err
}

// CloseWrite tells the client that nothing more will arrive, so that it reads a last answer before it
// learns that the connection is gone.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Moved returns the number of bytes sent and received since the connection's turn last changed.
func (c *Conn) Moved() int64 { return c.moved.Load() }

// begin says that a request has begun; end says that it is over.
func (c *Conn) begin() {
	if c.open.Add(1) == 1 {
		c.turn(time.Now())
	}
}

func (c *Conn) end() {
	if c.open.Add(-1) == 0 {
		c.turn(time.Now())
		c.of.table.budget.Give(c.extra.Swap(0))
	}
}

// work says that the server has a request; rest says that its answer begins or is not needed.
func (c *Conn) work() { c.busy.Add(1) }

func (c *Conn) rest(now time.Time) {
	if c.busy.Add(-1) == 0 {
		c.turn(now)
	}
}

// Close returns the connection's memory.
func (c *Conn) Close() error {
	c.once.Do(func() {
		c.closed.Store(true)
		c.err = c.Conn.Close()
		c.of.table.remove(c)
		c.of.table.budget.Give(c.extra.Swap(0))
		if ended := c.ended.Load(); ended != nil {
			(*ended)()
		}
	})
	return c.err
}

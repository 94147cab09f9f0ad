package connection

// Connections of gRPC, whose server reads messages into memory without asking. This counts frames as they
// pass, and those of a stream until the server has ended the stream.

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"

	"github.com/forgo-ml/forgo/serve/internal/shed"
)

// frameBytes is the memory of a frame apart from its contents.
const frameBytes = 128

// Credentials returns credentials for a gRPC server with a [Listener]. inner may be nil for none.
func Credentials(inner credentials.TransportCredentials, patience time.Duration) credentials.TransportCredentials {
	if inner == nil {
		inner = insecure.NewCredentials()
	}
	return &counting{inner, patience}
}

type counting struct {
	credentials.TransportCredentials
	patience time.Duration // for memory, after which a connection is closed that waits for it
}

func (c *counting) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ServerHandshake(raw)
	under, ok := raw.(*Conn)
	if err != nil || !ok {
		return conn, info, err
	}
	f := &framed{Conn: conn, under: under, patience: c.patience, held: map[uint32]stream{}}
	f.in.skip = len(http2.ClientPreface)
	release := f.release
	under.ended.Store(&release)
	if under.closed.Load() { // meanwhile, to make room: Close may not have seen it
		f.release()
	}
	under.counted.Store(true)
	return f, authenticated{info, under}, nil
}

func (c *counting) Clone() credentials.TransportCredentials {
	return &counting{c.TransportCredentials.Clone(), c.patience}
}

// authenticated is how calls find their connection.
type authenticated struct {
	credentials.AuthInfo
	conn *Conn
}

// Of returns the connection of a call, or nil if it is unknown.
func Of(ctx context.Context) *Conn {
	if p, ok := peer.FromContext(ctx); ok {
		if a, ok := p.AuthInfo.(authenticated); ok {
			return a.conn
		}
	}
	return nil
}

// Busy says that the server works on a call's request, until end is called. It does nothing for nil.
func (c *Conn) Busy() (end func()) {
	if c == nil {
		return func() {}
	}
	c.work()
	return func() { c.rest(time.Now()) }
}

// framed is an HTTP/2 connection after its handshake.
type framed struct {
	net.Conn
	under    *Conn
	patience time.Duration
	in, out  scanner // each used by one goroutine

	mu      sync.Mutex
	held    map[uint32]stream // what open streams hold
	sum     int64             // of held
	partial int64             // of those that the client has not ended
	taken   int64             // of the budget
	came    atomic.Int64      // bytes since client
	client  *shed.Client      // while much is partial
	over    bool
}

type stream struct {
	bytes int64
	whole bool
}

var errNoMemory = errors.New("no memory for what the connection sends")

func (f *framed) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	if n > 0 {
		f.in.scan(p[:n], f.arrive)
		if !f.settle(int64(n)) {
			return 0, errNoMemory
		}
	}
	return n, err
}

func (f *framed) Write(p []byte) (int, error) {
	f.out.scan(p, f.leave) // before: the client may answer while the call returns
	return f.Conn.Write(p)
}

// arrive counts a frame from the client.
func (f *framed) arrive(h frame) {
	f.mu.Lock()
	defer f.mu.Unlock()
	has, open := f.held[h.stream]
	bytes := h.length + frameBytes
	switch {
	case h.kind == http2.FrameRSTStream && open:
		f.drop(h.stream)
		return
	case h.kind == http2.FrameHeaders && !open && h.stream != 0 && !f.over:
		f.under.begin()
		bytes += streamBytes
	case open && (h.kind == http2.FrameData || h.kind == http2.FrameHeaders || h.kind == http2.FrameContinuation):
	default:
		return
	}
	has.bytes += bytes
	f.sum += bytes
	f.partial += bytes
	if h.kind != http2.FrameContinuation && h.flags.Has(http2.FlagDataEndStream) && !has.whole {
		has.whole = true
		f.partial -= has.bytes
	} else if has.whole {
		f.partial -= bytes
	}
	f.held[h.stream] = has
}

// leave counts a frame from the server.
func (f *framed) leave(h frame) {
	last := h.kind == http2.FrameRSTStream ||
		(h.kind == http2.FrameHeaders || h.kind == http2.FrameData) && h.flags.Has(http2.FlagDataEndStream) // one bit for both
	if !last {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, open := f.held[h.stream]; open {
		f.drop(h.stream)
		f.give()
	}
}

// drop forgets a stream. The caller holds the lock.
func (f *framed) drop(stream uint32) {
	has := f.held[stream]
	if f.sum -= has.bytes; !has.whole {
		f.partial -= has.bytes
	}
	delete(f.held, stream)
	f.under.end()
}

// give returns memory that is no longer held. The caller holds the lock.
func (f *framed) give() {
	if f.taken > f.sum {
		f.under.of.table.budget.Give(f.taken - f.sum)
		f.taken = f.sum
	}
	if f.client != nil && f.partial < shed.Worthwhile {
		f.client.End()
		f.client = nil
	}
}

// settle reserves memory for what has arrived. Nothing more is read while it waits. It returns false if
// there is no memory in time.
func (f *framed) settle(came int64) bool {
	budget := f.under.of.table.budget
	take := func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.over || f.sum <= f.taken {
			return nil
		}
		if err := budget.More(f.taken, f.sum-f.taken); err != nil {
			return err
		}
		f.taken = f.sum
		return nil
	}
	f.mu.Lock()
	f.came.Add(came)
	if f.client == nil && f.partial >= shed.Worthwhile && !f.over {
		f.came.Store(f.partial)
		f.client = shed.Begin(f.came.Load, func() { _ = f.under.Close() })
	}
	client := f.client
	f.give()
	f.mu.Unlock()
	for end := time.Now().Add(f.patience); ; {
		err := shed.Within(client, take)
		if err == nil {
			return true
		}
		if time.Now().After(end) {
			return false
		}
		time.Sleep(again)
	}
}

// release returns all memory once the connection is closed.
func (f *framed) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over, f.sum, f.partial = true, 0, 0
	f.give()
	for range f.held {
		f.under.end()
	}
	clear(f.held)
}

// Close also closes the connection below, which returns its own memory.
func (f *framed) Close() error {
	err := f.Conn.Close()
	return errors.Join(err, f.under.Close())
}

// frame is the head of a frame.
type frame struct {
	length int64
	kind   http2.FrameType
	flags  http2.Flags
	stream uint32
}

// scanner finds the heads of frames in a stream of bytes.
type scanner struct {
	head [9]byte
	have int // bytes of head
	skip int // bytes that are no head
}

func (s *scanner) scan(p []byte, each func(frame)) {
	for len(p) > 0 {
		if s.skip > 0 {
			n := min(s.skip, len(p))
			s.skip -= n
			p = p[n:]
			continue
		}
		n := copy(s.head[s.have:], p)
		s.have += n
		p = p[n:]
		if s.have < len(s.head) {
			return
		}
		h := s.head
		length := int(h[0])<<16 | int(h[1])<<8 | int(h[2])
		s.have, s.skip = 0, length
		each(frame{int64(length), http2.FrameType(h[3]), http2.Flags(h[4]), binary.BigEndian.Uint32(h[5:]) & (1<<31 - 1)})
	}
}

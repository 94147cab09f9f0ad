package connection

// Answers to clients on the same machine. A write wakes a client that waits, which takes a third of a short
// request's time, and a client that is woken for each answer soon waits again. So the end of an answer lets
// the requests that have arrived go first. Their answers then leave together, and wake the client once.
// grpc-go's writer yields for the same reason.

import (
	"net"
	"runtime"
	"sync/atomic"
	"time"
)

const (
	// An answer that waited less let nobody go first. The next few leave at once, and twice as many each time that
	// this repeats.
	nobody = 8 * time.Microsecond
	few    = 4
	many   = 4096
	// One that waited longer let something go first that is not short. The next answers leave at once.
	tooLong = 4 * time.Millisecond
	after   = 64
	// mostProcessors bounds where answers wait: each wait takes the lock of Go's scheduler.
	mostProcessors = 8
)

// gathering says which answers wait. The zero value is ready to use.
type gathering struct {
	skip atomic.Int64 // answers that leave at once
	last atomic.Int64 // how many those were, since an answer last waited for others
}

// gathers reports whether answers to a client may wait for others.
func gathers(c net.Conn) bool {
	if runtime.GOMAXPROCS(0) > mostProcessors {
		return false
	}
	switch address := c.RemoteAddr().(type) {
	case *net.TCPAddr:
		return address.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}

// gather lets other requests go before the end of an answer is sent. Meanwhile net/http's own read, which
// finds out whether the client has gone and is about to be ended, is held.
func (g *gathering) gather(reads *deadline) {
	if g.skip.Load() > 0 {
		g.skip.Add(-1)
		return
	}
	reads.hold()
	start := time.Now()
	runtime.Gosched()
	g.waited(time.Since(start))
	reads.release()
}

// waited decides about the next answers from how long one has waited.
func (g *gathering) waited(took time.Duration) {
	last := g.last.Load()
	switch {
	case took < nobody:
		next := min(max(2*last, few), many)
		g.last.Store(next)
		g.skip.Store(next)
		return
	case took > tooLong:
		g.skip.Store(after)
	}
	if last != 0 {
		g.last.Store(0)
	}
}

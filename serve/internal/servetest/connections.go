package servetest

// Connections that a test controls byte by byte, and their memory.

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/forgo-ml/forgo/internal/waittest"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
)

const (
	FloodMemory = 48 << 20 // for all requests
	FloodBody   = 8 << 20
)

// AConnection is what one takes while it is open.
const AConnection = 24 << 10

// Returned waits until all memory is given back but that of so many connections.
func Returned(t *testing.T, name string, budget *predict.Budget, connections int64) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); budget.Used() > connections*AConnection; time.Sleep(10 * time.Millisecond) {
		http.DefaultClient.CloseIdleConnections()
		if time.Now().After(end) {
			t.Fatalf("%s: %d bytes are never given back", name, budget.Used())
		}
	}
}

// Shown is an engine that shows the inputs of each run.
type Shown struct {
	predict.Engine
	Saw func(predict.Tensors)
}

// Open opens a graph whose runs are shown.
func (w Shown) Open(ctx context.Context, g predict.Graph, o predict.SessionOptions) (engines.Session, error) {
	s, err := w.Engine.Open(ctx, g, o)
	return shownSession{s, w.Saw}, err
}

type shownSession struct {
	engines.Session
	saw func(predict.Tensors)
}

func (w shownSession) Run(ctx context.Context, inputs predict.Tensors, outputs []string) (predict.Tensors, error) {
	w.saw(inputs)
	return w.Session.Run(ctx, inputs, outputs)
}

// Dial connects to an address. The connection closes with the test.
func Dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Frames is an HTTP/2 client that a test controls frame by frame.
type Frames struct {
	*http2.Framer
	conn net.Conn
	t    *testing.T
}

// NewFrames begins a connection.
func NewFrames(t *testing.T, conn net.Conn, settings ...http2.Setting) *Frames {
	t.Helper()
	f := &Frames{http2.NewFramer(conn, conn), conn, t}
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteSettings(settings...); err != nil {
		t.Fatal(err)
	}
	return f
}

// Headers begins the first request.
func (f *Frames) Headers(namesAndValues ...string) {
	f.t.Helper()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := 0; i < len(namesAndValues); i += 2 {
		if err := encoder.WriteField(hpack.HeaderField{Name: namesAndValues[i], Value: namesAndValues[i+1]}); err != nil {
			f.t.Fatal(err)
		}
	}
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: namesAndValues[1] == "GET"}); err != nil {
		f.t.Fatal(err)
	}
}

// Read reads the next frame.
func (f *Frames) Read() http2.Frame {
	f.t.Helper()
	err := f.conn.SetReadDeadline(time.Now().Add(waittest.Long))
	if err != nil {
		f.t.Fatal(err)
	}
	frame, err := f.ReadFrame()
	if err != nil {
		f.t.Fatal(err)
	}
	return frame
}

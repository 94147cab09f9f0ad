package isolated

// The child process: it loads the library, drops privileges, opens the graph and runs it.

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// opening is the first message to the child.
type opening struct {
	Engine      string
	environment []string // that the engine reads; the child has it already
	Graph       bool     // false: only the library is asked for

	Path            string // as in predict.Graph
	Data            int64  // bytes of the file, which follow; -1 for a folder
	Tags            []string
	Signature       string
	Inputs, Outputs []string
	Signatures      []engines.GraphSignature

	Threads        int
	MaxOutputBytes int64
	Memory         int64
	Available      bool
}

// opened is the answer to opening.
type opened struct {
	Library engines.Library
	Sandbox Sandbox
	face
	Signed []face // of the other signatures, in the order that they were asked for
}

// face holds the inputs and outputs of a signature.
type face struct{ Inputs, Outputs []tensor.Spec }

// child serves one graph.
type child struct {
	conn    net.Conn
	r       *bufio.Reader
	session engines.Session
	signed  []engines.Session // of each signature, the session's own first
	faces   []face            // of these
	most    int64             // bytes of outputs

	writing sync.Mutex

	mu      sync.Mutex
	cancels map[uint64]context.CancelFunc
	left    []uint64 // runs that were answered and may not have ended
}

// lefts is a Session that may leave abandoned runs behind.
type lefts interface {
	// Left returns the number of abandoned runs that have not ended.
	Left() int
}

// serve runs the child and returns its exit code.
func serve(offered []predict.Engine) int {
	// Ignore signals to the whole process group: the parent drains and then ends its children.
	signal.Ignore(fromTerminal...)
	debug.SetGCPercent(400)
	closeInherited()
	file := os.NewFile(socketFD, "parent")
	if file == nil {
		return 1
	}
	conn, err := net.FileConn(file)
	_ = file.Close()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s is set, and descriptor %d is no socket: %v\n", envChild, socketFD, err)
		return 1
	}
	c := &child{conn: conn, r: bufio.NewReaderSize(conn, 64<<10), cancels: map[uint64]context.CancelFunc{}}
	first, err := readFrame(c.r)
	if err != nil || first.kind != kindOpen {
		fmt.Fprintf(os.Stderr, "the parent says nothing: %v\n", err)
		return 1
	}
	answer, err := c.open(first.meta, offered)
	if err != nil {
		return c.refuse(err)
	}
	meta, err := json.Marshal(answer)
	if err == nil && len(meta) > maxMeta {
		err = fmt.Errorf("the names of the graph's inputs and outputs take more than %d bytes", maxMeta)
	}
	if err != nil {
		return c.refuse(err)
	}
	c.send(frame{kind: kindOpened, meta: meta}, nil)
	debug.FreeOSMemory() // what the file took
	for {
		f, err := readFrame(c.r)
		if err == nil {
			err = c.handle(f)
		}
		if err != nil {
			return 0 // the parent has gone, or closed the session; what runs ends with the process
		}
	}
}

// refuse tells the parent why nothing was opened. It waits until the parent closes the connection, since
// what a process has sent may be lost when the process ends.
func (c *child) refuse(err error) int {
	c.fail(0, false, err)
	_, _ = io.Copy(io.Discard, c.r)
	return 1
}

func (c *child) open(meta []byte, offered []predict.Engine) (opened, error) {
	var o opening
	if err := json.Unmarshal(meta, &o); err != nil {
		return opened{}, fmt.Errorf("read the request to open: %w", err)
	}
	i := slices.IndexFunc(offered, func(e predict.Engine) bool { return e.Info().Name == o.Engine })
	if i < 0 {
		return opened{}, fmt.Errorf("start an engine's process: isolated.Main was not called with the engine %s", o.Engine)
	}
	var answer opened
	var err error
	// Load the library while files can be opened. Nothing of the graph has been read yet.
	if answer.Library, err = offered[i].Library(); err != nil || !o.Graph {
		return answer, err
	}
	if err := os.Chdir("/"); err != nil { // paths of libraries may have been relative
		return answer, err
	}
	folder := ""
	if o.Data < 0 {
		folder = o.Path
	}
	if answer.Sandbox, err = confine(folder, o); err != nil {
		return answer, err
	}
	g := predict.Graph{Path: o.Path, Tags: o.Tags, Signature: o.Signature, Inputs: o.Inputs, Outputs: o.Outputs, Signatures: o.Signatures}
	if o.Data >= 0 {
		if g.Data, err = readData(c.r, o.Data); err != nil {
			return answer, err
		}
	}
	if c.session, err = offered[i].Open(context.Background(), g, predict.SessionOptions{Threads: o.Threads}); err != nil {
		return answer, err
	}
	c.signed, c.most = []engines.Session{c.session}, o.MaxOutputBytes
	for _, s := range o.Signatures {
		graph, ok := c.session.(engines.Signed)
		if !ok {
			return answer, fmt.Errorf("the engine %s opens one signature of a graph, not %d", o.Engine, 1+len(o.Signatures))
		}
		one := graph.Signed(s.Name)
		if one == nil {
			return answer, fmt.Errorf("the engine did not open signature %q", s.Name)
		}
		c.signed = append(c.signed, one)
	}
	for _, s := range c.signed {
		c.faces = append(c.faces, face{s.Inputs(), s.Outputs()})
	}
	answer.face, answer.Signed = c.faces[0], c.faces[1:]
	return answer, nil
}

func (c *child) handle(f frame) error {
	switch f.kind {
	case kindCancel:
		c.mu.Lock()
		defer c.mu.Unlock()
		if cancel := c.cancels[f.id]; cancel != nil {
			cancel()
		}
		return nil
	case kindRun:
	default:
		return fmt.Errorf("unknown message kind %d", f.kind)
	}
	m := reader{b: f.meta}
	signature := int(m.number(2))
	if signature >= len(c.signed) {
		return fmt.Errorf("no signature %d: the graph has %d", signature, len(c.signed))
	}
	in, rest, err := readIndexed(m.b, c.r, limits{specs: c.faces[signature].Inputs, bytes: 1 << 62}) // the parent is trusted
	if err != nil {
		return err
	}
	m = reader{b: rest}
	limit := time.Duration(m.number(8))
	wanted := make([]int, m.number(2))
	for i := range wanted {
		wanted[i] = int(m.number(2))
	}
	ctx, cancel := context.WithCancel(context.Background())
	if limit > 0 {
		ctx, cancel = context.WithTimeout(context.Background(), limit)
	}
	c.mu.Lock()
	c.cancels[f.id] = cancel
	c.mu.Unlock()
	go c.run(ctx, f.id, signature, in, wanted)
	return nil
}

func (c *child) run(ctx context.Context, id uint64, signature int, in indexed, wanted []int) {
	session, face := c.signed[signature], c.faces[signature]
	inputs, names := make(predict.Tensors, len(in.at)), make([]string, len(wanted))
	for i, at := range in.at {
		inputs[face.Inputs[at].Name] = in.tensors[i]
	}
	for i, at := range wanted {
		names[i] = face.Outputs[at].Name
	}
	err := engines.CheckOutputs(session, inputs, names, c.most)
	var results predict.Tensors
	if err == nil {
		results, err = session.Run(ctx, inputs, names)
	}
	c.mu.Lock()
	c.cancels[id]()
	delete(c.cancels, id)
	c.mu.Unlock()
	if err != nil {
		s, ok := c.session.(lefts)
		// This run may be the one that goes on. The parent hears when none does.
		more := ok && s.Left() > 0
		c.fail(id, more, err)
		if more {
			c.leave(s, id)
		}
		return
	}
	out := indexed{at: wanted}
	for _, name := range names {
		out.tensors = append(out.tensors, results[name])
	}
	meta, data, err := out.append(nil)
	if err != nil {
		c.fail(id, false, err)
		return
	}
	c.send(frame{kind: kindResult, id: id, meta: meta}, data)
}

// leave tells the parent when runs that were answered early have ended.
func (c *child) leave(s lefts, id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left = append(c.left, id); len(c.left) > 1 {
		return // somebody watches already
	}
	go func() {
		for s.Left() > 0 {
			time.Sleep(10 * time.Millisecond)
		}
		c.mu.Lock()
		ended := c.left
		c.left = nil
		c.mu.Unlock()
		for _, id := range ended {
			c.send(frame{kind: kindEnded, id: id}, nil)
		}
	}()
}

// fail sends an error.
func (c *child) fail(id uint64, more bool, err error) {
	f := faultOther
	switch {
	case errors.Is(err, predict.ErrInput):
		f = faultInput
	case errors.Is(err, engines.ErrUnsupported):
		f = faultUnsupported
	case errors.Is(err, context.DeadlineExceeded):
		f = faultDeadline
	case errors.Is(err, context.Canceled):
		f = faultCanceled
	case noMemory.MatchString(err.Error()):
		f = faultMemory
	}
	c.send(frame{kind: kindFailed, more: more, id: id, meta: appendFault(nil, f, err.Error())}, nil)
}

// noMemory matches the messages of ONNX Runtime and TensorFlow about failed allocations.
var noMemory = regexp.MustCompile(`(?i)bad_?alloc|bad allocation|failed to allocate|OOM when allocating|out of memory|cannot allocate`)

// send writes a whole message. A parent that does not read ends the child by closing its socket.
func (c *child) send(f frame, data [][]byte) {
	c.writing.Lock()
	defer c.writing.Unlock()
	_ = write(c.conn, f, data) // if the parent has gone, reading ends the child
}

func write(w io.Writer, f frame, data [][]byte) error {
	buffers := make(net.Buffers, 0, 1+len(data))
	buffers = append(buffers, f.head())
	for _, d := range data {
		if len(d) > 0 {
			buffers = append(buffers, d)
		}
	}
	_, err := buffers.WriteTo(w)
	return err
}

package isolated

// The parent's side of a child process: starting it, reading from it, and ending it.

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/forgo-ml/forgo/internal/printable"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// process is a child. The parent does not trust its messages.
type process struct {
	conn    net.Conn
	cmd     *exec.Cmd
	said    tail
	writing sync.Mutex

	mu    sync.Mutex
	cause error         // why it was ended; nil where it ended by itself
	gone  chan struct{} // closed once it has ended
	err   error         // why; only to be read after that
}

const (
	// stall is how long a child may go without reading what is written to it.
	stall = 30 * time.Second
	// patience is how long a run may exceed its bound before the parent ends the child.
	patience   = 2 * time.Second
	maxTensors = 1 << 12 // inputs, and outputs, that a graph may have
)

var errClosed = fmt.Errorf("the session is closed: %w", predict.ErrClosed)

// unavailable is the error of a run whose process has ended.
type unavailable struct{ reason error }

func (u unavailable) Error() string        { return fmt.Sprintf("the model's engine has ended: %v", u.reason) }
func (u unavailable) Unwrap() error        { return u.reason }
func (u unavailable) Is(target error) bool { return target == predict.ErrUnavailable }

// starter runs functions on one thread that lives as long as the program, since a child ends with the
// thread that started it.
var starter = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// start runs a child and makes it open what o says. If ctx ends first, start ends the child.
func start(ctx context.Context, o opening, data []byte) (_ *process, _ opened, err error) {
	if err := errors.Join(ctx.Err(), ready()); err != nil {
		return nil, opened{}, err
	}
	p, err := spawn(o.Engine, o.environment)
	if err != nil {
		return nil, opened{}, fmt.Errorf("start an engine's process: %w", err)
	}
	meta, err := json.Marshal(o)
	if err != nil || len(meta) > maxMeta {
		p.kill(errClosed)
		return nil, opened{}, fmt.Errorf("start an engine's process: the request to open takes %d bytes: %w", len(meta), err)
	}
	// The first write may be gigabytes, which the child reads only after loading the library. ctx bounds
	// it.
	stop := context.AfterFunc(ctx, func() { p.kill(context.Cause(ctx)) })
	defer stop()
	answer, err := p.hello(frame{kind: kindOpen, meta: meta}, data)
	if err == nil && len(answer.Signed) != len(o.Signatures) {
		err = fmt.Errorf("it opened %d signatures, want %d", 1+len(answer.Signed), 1+len(o.Signatures))
	}
	if err != nil {
		remote := refusal{}
		if errors.As(err, &remote) {
			p.kill(err)
			<-p.gone
			return nil, opened{}, err
		}
		p.fail(err)
		if ctx.Err() != nil {
			return nil, opened{}, ctx.Err()
		}
		return nil, opened{}, unavailable{p.err}
	}
	return p, answer, nil
}

// refusal is a child's report of what it could not do.
type refusal struct {
	kind fault
	text string
}

func (r refusal) Error() string { return r.text }

func (r refusal) Is(target error) bool {
	switch r.kind {
	case faultInput:
		return target == predict.ErrInput
	case faultDeadline:
		return target == context.DeadlineExceeded
	case faultCanceled:
		return target == context.Canceled
	case faultUnsupported:
		return target == engines.ErrUnsupported
	case faultMemory:
		return target == predict.ErrUnavailable
	}
	return false
}

func spawn(name string, variables []string) (*process, error) {
	ours, theirs, err := pair()
	if err != nil {
		return nil, err
	}
	defer ours.Close()
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, err
	}
	path, err := program()
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	p := &process{conn: conn, gone: make(chan struct{})}
	p.cmd = exec.Command(path)
	p.cmd.Args = []string{"forgo-engine", name}
	p.cmd.Env = environment(os.Environ(), variables)
	p.cmd.ExtraFiles = []*os.File{theirs} // descriptor 3
	p.cmd.Stderr = &p.said
	p.cmd.WaitDelay = time.Second
	p.cmd.SysProcAttr = attributes()
	started := make(chan error, 1)
	starter() <- func() { started <- p.cmd.Start() }
	if err := <-started; err != nil {
		_ = conn.Close()
		return nil, err
	}
	go p.wait()
	return p, nil
}

// passedOn lists the variables that the search for a library, an engine's dependencies and the C library
// read. A name that ends in _ is a prefix.
var passedOn = []string{
	"PATH", "HOME", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "FORGO_PYTHON",
	"GODEBUG", "LANG", "LC_", "TZ", "TMPDIR",
	"OMP_", "KMP_", "MKL_", "ONEDNN_", "DNNL_", "OPENBLAS_", "MALLOC_", "GLIBC_",
}

// environment returns the child's variables out of all. engine lists those that its engine reads.
func environment(all, engine []string) []string {
	out := []string{envChild + "=1", "GOMAXPROCS=" + strconv.Itoa(runtime.GOMAXPROCS(0))}
	for _, entry := range all {
		name, _, _ := strings.Cut(entry, "=")
		if slices.ContainsFunc(slices.Concat(passedOn, engine), func(p string) bool {
			return name == p || strings.HasSuffix(p, "_") && strings.HasPrefix(name, p)
		}) {
			out = append(out, entry)
		}
	}
	return out
}

// kill ends the child. The first cause counts.
func (p *process) kill(cause error) {
	p.mu.Lock()
	if p.cause == nil {
		p.cause = cause
	}
	p.mu.Unlock()
	_ = p.conn.Close()
	_ = p.cmd.Process.Kill() // fails if it has ended
}

// fail ends the child after a failed read or write, and waits for its end. If the error is that of the
// connection, the child's exit says more.
func (p *process) fail(err error) {
	if broken := new(net.OpError); errors.As(err, &broken) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		_ = p.conn.Close() // ends the process if it still runs
		select {
		case <-p.gone:
			return
		case <-time.After(patience):
			err = errors.New("it closed its connection")
		}
	} else {
		err = fmt.Errorf("it sent a malformed message: %w", err)
	}
	p.kill(err)
	<-p.gone
}

// wait waits for the child and closes gone. It is called once.
func (p *process) wait() {
	err := p.cmd.Wait()
	_ = p.conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err = p.cause; p.err == nil {
		if err == nil {
			err = errors.New("it closed its connection")
		}
		p.err = err
		if line := p.said.last(); line != "" {
			p.err = fmt.Errorf("%w: %s", err, line)
		}
	}
	close(p.gone)
}

// write sends a whole message. It ends a child that does not read for a long time.
func (p *process) write(f frame, data [][]byte) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	watch := time.AfterFunc(stall, func() { p.kill(fmt.Errorf("it read nothing for %v", stall)) })
	defer watch.Stop()
	return write(p.conn, f, data)
}

// hello tells the child what to open, and reads its answer.
func (p *process) hello(f frame, data []byte) (o opened, err error) {
	sent := make(chan error, 1)
	go func() { sent <- write(p.conn, f, [][]byte{data}) }()
	answer, err := readFrame(p.conn)
	if err != nil {
		return o, err
	}
	switch answer.kind {
	case kindFailed:
		f, text, err := readFault(answer.meta)
		if err != nil {
			return o, err
		}
		return o, refusal{f, text}
	case kindOpened:
	default:
		return o, fmt.Errorf("unexpected message kind %d", answer.kind)
	}
	if err := <-sent; err != nil {
		return o, err
	}
	if err := json.Unmarshal(answer.meta, &o); err != nil {
		return o, err
	}
	for _, f := range append([]face{o.face}, o.Signed...) {
		for _, list := range [][]tensor.Spec{f.Inputs, f.Outputs} {
			if err := plausible(list); err != nil {
				return o, err
			}
		}
	}
	return o, nil
}

// plausible refuses inputs or outputs that no real graph has.
func plausible(specs []tensor.Spec) error {
	if len(specs) > maxTensors {
		return fmt.Errorf("the graph has %d inputs or outputs (limit %d)", len(specs), maxTensors)
	}
	names := map[string]bool{}
	for _, s := range specs {
		if names[s.Name] || len(s.Shape) > maxRank || tensor.Empty(s.DType) == nil ||
			slices.ContainsFunc(s.Shape, func(d int64) bool { return d < -1 }) {
			return fmt.Errorf("unsupported input or output %q: type %q, shape %v", s.Name, s.DType, s.Shape)
		}
		names[s.Name] = true
	}
	return nil
}

func (e engine) opening() opening {
	return opening{Engine: e.info.Name, environment: e.info.Environment, Data: -1, Available: e.options.Available}
}

func (e engine) open(ctx context.Context, g predict.Graph, so predict.SessionOptions) (*session, error) {
	o := e.opening()
	o.Graph, o.Path, o.Tags, o.Signature, o.Inputs, o.Outputs = true, g.Path, g.Tags, g.Signature, g.Inputs, g.Outputs
	o.Signatures = g.Signatures
	o.Memory, o.MaxOutputBytes = e.options.Memory, so.MaxOutputBytes
	if o.Threads = so.Threads; o.Threads <= 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	if g.Data != nil {
		o.Data = int64(len(g.Data))
	} else if path, err := filepath.Abs(g.Path); err == nil { // the child has another working directory
		o.Path = path
	}
	p, answer, err := start(ctx, o, g.Data)
	if remote := (refusal{}); errors.As(err, &remote) {
		return nil, err // the child chose its words
	}
	if err != nil {
		return nil, fmt.Errorf("open graph in a process of its own: %w", err)
	}
	s := &session{process: p, face: answer.face, sandbox: answer.Sandbox, runTimeout: so.RunTimeout}
	if s.most = so.MaxOutputBytes; s.most <= 0 {
		s.most = e.options.Memory // it has no more to send
	}
	for i, f := range answer.Signed {
		s.others = append(s.others, &signed{face: f, session: s, name: g.Signatures[i].Name, number: 1 + i})
	}
	s.pending = map[uint64]*pending{}
	go s.hear(bufio.NewReaderSize(p.conn, 64<<10))
	return s, nil
}

// tail keeps the beginning and the end of a child's standard error.
type tail struct {
	mu         sync.Mutex
	begin, end []byte
}

const maxTail = 2 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(b)
	first := min(n, maxTail-len(t.begin))
	t.begin, b = append(t.begin, b[:first]...), b[first:]
	t.end = append(t.end, b[max(0, len(b)-maxTail):]...)
	t.end = slices.Delete(t.end, 0, max(0, len(t.end)-maxTail))
	return n, nil
}

// last returns the most informative line: one that begins like a crash of Go or C++, or the last one.
func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	line := ""
	for l := range bytes.Lines(slices.Concat(t.begin, t.end)) {
		l = bytes.TrimSpace(l)
		if len(l) == 0 {
			continue
		}
		line = string(l)
		if slices.ContainsFunc(lastWords, func(w string) bool { return strings.HasPrefix(line, w) }) {
			break
		}
	}
	return printable.Text(tensor.Cut(line))
}

var lastWords = []string{"fatal error:", "panic:", "terminate called", "what():", "SIG"}

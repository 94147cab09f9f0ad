package isolated

// A session whose runs are in a child.

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/tensor"
)

type session struct {
	*process
	face
	others     []*signed // of other signatures
	sandbox    Sandbox
	most       int64 // bytes of the outputs of one run
	runTimeout time.Duration

	// closing waits for runs. Each run holds the lock for reading.
	closing sync.RWMutex
	closed  bool

	waiting sync.Mutex
	pending map[uint64]*pending // runs that have not ended
	last    uint64
}

// signed is a session of another signature of the same graph.
type signed struct {
	face
	*session
	name   string
	number int // 0 is the graph's own
}

// pending is a run under way.
type pending struct {
	outputs  []tensor.Spec // of its signature
	want     []int         // of these
	answered bool
	answer   chan answer // buffered, for one answer
	late     *time.Timer // ends the child; nil without a bound
}

type answer struct {
	out indexed
	err error
}

func (s *session) Inputs() []tensor.Spec  { return slices.Clone(s.face.Inputs) }
func (s *session) Outputs() []tensor.Spec { return slices.Clone(s.face.Outputs) }
func (s *signed) Inputs() []tensor.Spec   { return slices.Clone(s.face.Inputs) }
func (s *signed) Outputs() []tensor.Spec  { return slices.Clone(s.face.Outputs) }

// Signed implements [engines.Signed].
func (s *session) Signed(name string) engines.Session {
	for _, other := range s.others {
		if other.name == name {
			return other
		}
	}
	return nil
}

// Close does nothing: the original session owns the child.
func (s *signed) Close() error { return nil }

// Run is like the Run of the original session.
func (s *signed) Run(ctx context.Context, inputs predict.Tensors, outputs []string) (predict.Tensors, error) {
	return s.run(ctx, s.number, s.face, inputs, outputs)
}

// Gone and Err implement [engines.Mortal].
func (s *session) Gone() <-chan struct{} { return s.gone }

// Err must only be called after Gone is closed.
func (s *session) Err() error { return s.err }

// Close waits for the runs under way to be answered and for the child to end.
func (s *session) Close() error {
	s.closing.Lock()
	defer s.closing.Unlock()
	s.closed = true
	s.kill(errClosed)
	<-s.gone
	return nil
}

// Run asks the child to abandon the run when ctx ends. If ctx's deadline passes and the operation
// continues, Run returns without waiting for it. A run that exceeds the session's bound ends the child.
func (s *session) Run(ctx context.Context, inputs predict.Tensors, outputs []string) (predict.Tensors, error) {
	return s.run(ctx, 0, s.face, inputs, outputs)
}

func (s *session) run(ctx context.Context, signature int, f face, inputs predict.Tensors, outputs []string) (predict.Tensors, error) {
	fail := func(err error) (predict.Tensors, error) { return nil, fmt.Errorf("run graph: %w", err) }
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	meta, data, want, err := f.request(ctx, signature, inputs, outputs)
	if err != nil {
		return fail(err)
	}
	s.closing.RLock()
	defer s.closing.RUnlock()
	if s.closed {
		return fail(errClosed)
	}
	id, p := s.begin(f.Outputs, want)
	if err := s.write(frame{kind: kindRun, id: id, meta: meta}, data); err != nil {
		s.fail(err)
		return fail(s.ended())
	}
	var got answer
	select {
	case got = <-p.answer:
	case <-s.gone:
		return fail(s.ended())
	case <-ctx.Done():
		if got, err = s.giveUp(ctx, id, p); err != nil {
			return fail(err)
		}
	}
	if got.err != nil {
		if cause := ctx.Err(); cause != nil && (errors.Is(got.err, context.Canceled) || errors.Is(got.err, context.DeadlineExceeded)) {
			return fail(cause)
		}
		return fail(got.err)
	}
	out := make(predict.Tensors, len(want))
	for i, at := range want {
		out[f.Outputs[at].Name] = got.out.tensors[i]
	}
	return out, nil
}

// giveUp waits for the engine to notice that a run's caller has left.
func (s *session) giveUp(ctx context.Context, id uint64, p *pending) (answer, error) {
	if err := s.write(frame{kind: kindCancel, id: id}, nil); err != nil {
		s.fail(err)
	}
	var over <-chan time.Time // never, without a deadline: then the run's bound ends it
	if deadline, ok := ctx.Deadline(); ok {
		over = time.After(max(0, time.Until(deadline)) + patience)
	}
	select {
	case got := <-p.answer:
		return got, nil
	case <-s.gone:
		return answer{}, s.ended()
	case <-over:
		return answer{}, ctx.Err()
	}
}

// ended returns the error of runs after the child has ended.
func (s *session) ended() error {
	<-s.gone
	return unavailable{s.err}
}

// request checks a call against the signature and writes it.
func (f face) request(ctx context.Context, signature int, inputs predict.Tensors, outputs []string) (meta []byte, data [][]byte, want []int, err error) {
	in := indexed{}
	for i, spec := range f.Inputs {
		t, ok := inputs[spec.Name]
		if !ok {
			return nil, nil, nil, fmt.Errorf("input %q is missing", spec.Name)
		}
		if err := spec.Match(t); err != nil {
			return nil, nil, nil, err
		}
		in.at, in.tensors = append(in.at, i), append(in.tensors, t)
	}
	if len(inputs) > len(f.Inputs) {
		return nil, nil, nil, fmt.Errorf("%d inputs given, the graph has %d", len(inputs), len(f.Inputs))
	}
	for _, name := range outputs {
		i := slices.IndexFunc(f.Outputs, func(o tensor.Spec) bool { return o.Name == name })
		if i < 0 {
			return nil, nil, nil, fmt.Errorf("the graph has no output %q", name)
		}
		if !slices.Contains(want, i) {
			want = append(want, i)
		}
	}
	if len(want) == 0 {
		return nil, nil, nil, errors.New("no outputs requested")
	}
	if meta, data, err = in.append(binary.LittleEndian.AppendUint16(nil, uint16(signature))); err != nil {
		return nil, nil, nil, err
	}
	var limit int64
	if deadline, ok := ctx.Deadline(); ok {
		limit = max(1, int64(time.Until(deadline)))
	}
	meta = binary.LittleEndian.AppendUint64(meta, uint64(limit))
	meta = binary.LittleEndian.AppendUint16(meta, uint16(len(want)))
	for _, at := range want {
		meta = binary.LittleEndian.AppendUint16(meta, uint16(at))
	}
	return meta, data, want, nil
}

func (s *session) begin(outputs []tensor.Spec, want []int) (uint64, *pending) {
	p := &pending{outputs: outputs, want: want, answer: make(chan answer, 1)}
	if s.runTimeout > 0 {
		p.late = time.AfterFunc(s.runTimeout+patience, func() {
			s.kill(fmt.Errorf("a run went on for %v beyond its limit of %v", patience, s.runTimeout))
		})
	}
	s.waiting.Lock()
	defer s.waiting.Unlock()
	s.last++
	s.pending[s.last] = p
	return s.last, p
}

// find returns the run of a message, and forgets a run that has ended.
func (s *session) find(f frame) (*pending, error) {
	s.waiting.Lock()
	defer s.waiting.Unlock()
	p := s.pending[f.id]
	switch {
	case p == nil:
		return nil, fmt.Errorf("it answered run %d, which does not exist", f.id)
	case p.answered != (f.kind == kindEnded):
		return nil, fmt.Errorf("it answered run %d twice, or ended it without an answer", f.id)
	}
	p.answered = true
	if !f.more {
		delete(s.pending, f.id)
		if p.late != nil {
			p.late.Stop()
		}
	}
	return p, nil
}

// hear reads the child's messages until it ends. An invalid message ends the child.
func (s *session) hear(r *bufio.Reader) {
	err := s.next(r)
	for err == nil {
		err = s.next(r)
	}
	s.fail(err)
	s.waiting.Lock()
	defer s.waiting.Unlock()
	for _, p := range s.pending {
		if p.late != nil {
			p.late.Stop()
		}
	}
}

func (s *session) next(r io.Reader) error {
	f, err := readFrame(r)
	if err != nil {
		return err
	}
	if f.kind != kindResult && f.kind != kindFailed && f.kind != kindEnded {
		return fmt.Errorf("unknown message kind %d", f.kind)
	}
	p, err := s.find(f)
	if err != nil {
		return err
	}
	switch f.kind {
	case kindResult:
		out, rest, err := readIndexed(f.meta, r, limits{specs: p.outputs, want: p.want, bytes: s.most})
		if err != nil {
			return err
		}
		if len(rest) > 0 {
			return fmt.Errorf("%d bytes follow the tensors' headers", len(rest))
		}
		p.answer <- answer{out: out}
	case kindFailed:
		kind, text, err := readFault(f.meta)
		if err != nil {
			return err
		}
		p.answer <- answer{err: refusal{kind, text}}
	default:
		if len(f.meta) > 0 {
			return errors.New("data follows the end of a run")
		}
	}
	return nil
}

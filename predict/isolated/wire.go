package isolated

// The messages between parent and child on their socket. Neither side allocates memory on the other's
// word: it checks lengths against bounds first, and large tensors grow as their data arrive.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// kind is the kind of a frame.
type kind uint8

const (
	kindOpen   kind = 1 + iota // parent: JSON of opening, then the graph's file
	kindRun                    // parent: what to run
	kindCancel                 // parent: the run's caller has gone
	kindOpened                 // child: JSON of opened
	kindResult                 // child: the outputs of a run
	kindFailed                 // child: the error of opening or of a run
	kindEnded                  // child: a run that was answered before it ended has ended
)

// frame is the head of a message: kind, flags, two zero bytes, the length of meta, and the id of the run.
// meta follows, and then the data that meta describes.
type frame struct {
	kind kind
	more bool // of an answer: the run goes on, and kindEnded comes later
	id   uint64
	meta []byte
}

const (
	headSize   = 16
	maxMeta    = 1 << 20
	maxRank    = 64
	firstPiece = 1 << 20 // bytes of a tensor that are set aside before they arrive
)

func (f frame) head() []byte {
	head := make([]byte, headSize, headSize+len(f.meta))
	head[0] = byte(f.kind)
	if f.more {
		head[1] = 1
	}
	binary.LittleEndian.PutUint32(head[4:], uint32(len(f.meta)))
	binary.LittleEndian.PutUint64(head[8:], f.id)
	return append(head, f.meta...)
}

// readFrame reads a frame and its meta. The error is io.EOF if the other side has closed.
func readFrame(r io.Reader) (f frame, err error) {
	var head [headSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return f, err
	}
	f = frame{kind: kind(head[0]), more: head[1] == 1, id: binary.LittleEndian.Uint64(head[8:])}
	n := binary.LittleEndian.Uint32(head[4:])
	if head[1] > 1 || head[2] != 0 || head[3] != 0 || f.kind < kindOpen || f.kind > kindEnded || n > maxMeta {
		return f, fmt.Errorf("unknown message header % x", head)
	}
	f.meta = make([]byte, n)
	_, err = io.ReadFull(r, f.meta)
	return f, unexpected(err)
}

// unexpected turns io.EOF into io.ErrUnexpectedEOF.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// dtypes lists the element types by their number on the wire.
var dtypes = []tensor.DType{
	tensor.Bool, tensor.Int8, tensor.Int16, tensor.Int32, tensor.Int64, tensor.Uint8, tensor.Uint16, tensor.Uint32,
	tensor.Uint64, tensor.Float16, tensor.BFloat16, tensor.Float32, tensor.Float64, tensor.String,
}

// indexed maps indexes of a graph's inputs or outputs to tensors.
type indexed struct {
	at      []int
	tensors []tensor.Tensor
}

// append adds the heads of the tensors to meta: their number and, for each, its index, type, rank, sizes
// and data length. It returns the data, which share the tensors' memory.
//
//forgo:writer isolated tensors
func (e indexed) append(meta []byte) (_ []byte, data [][]byte, err error) {
	meta = binary.LittleEndian.AppendUint16(meta, uint16(len(e.at)))
	for i, at := range e.at {
		t := e.tensors[i]
		if len(t.Shape) > maxRank {
			return nil, nil, fmt.Errorf("a tensor has %d dimensions (limit %d)", len(t.Shape), maxRank)
		}
		raw, err := t.Bytes()
		if err != nil {
			return nil, nil, err
		}
		meta = binary.LittleEndian.AppendUint16(meta, uint16(at))
		meta = append(meta, byte(slices.Index(dtypes, t.DType())), byte(len(t.Shape)))
		for _, d := range t.Shape {
			meta = binary.LittleEndian.AppendUint64(meta, uint64(d))
		}
		meta = binary.LittleEndian.AppendUint64(meta, uint64(len(raw)))
		data = append(data, raw)
	}
	if len(meta) > maxMeta {
		return nil, nil, fmt.Errorf("the headers of %d tensors take more than %d bytes", len(e.at), maxMeta)
	}
	return meta, data, nil
}

// limits check received tensors against what was asked for.
type limits struct {
	specs []tensor.Spec
	want  []int // of the specs, in this order; nil for any
	bytes int64 // of all data together
}

// readIndexed reads tensors with heads in meta and data from r. rest is what follows them in meta.
//
//forgo:reader isolated tensors
func readIndexed(meta []byte, r io.Reader, l limits) (_ indexed, rest []byte, err error) {
	m := reader{b: meta}
	n := int(m.number(2))
	if l.want != nil && n != len(l.want) && !m.failed {
		return indexed{}, nil, fmt.Errorf("got %d tensors, want %d", n, len(l.want))
	}
	type head struct {
		dtype tensor.DType
		shape []int64
		bytes int64
	}
	var e indexed
	var heads []head
	total := int64(0)
	for i := range n {
		at, number, rank := int(m.number(2)), int(m.number(1)), int(m.number(1))
		if m.failed || at >= len(l.specs) || l.want != nil && at != l.want[i] || slices.Contains(e.at, at) {
			return indexed{}, nil, fmt.Errorf("tensor %d of %d is unexpected", i, n)
		}
		if number >= len(dtypes) || dtypes[number] != l.specs[at].DType || rank > maxRank {
			return indexed{}, nil, fmt.Errorf("tensor %q has type number %d and %d dimensions, want %s", l.specs[at].Name, number, rank, l.specs[at].DType)
		}
		h := head{dtype: dtypes[number], shape: make([]int64, rank)}
		for d := range h.shape {
			h.shape[d] = int64(m.number(8))
		}
		size := m.number(8)
		count, err := tensor.Count(h.shape)
		if err != nil || m.failed || size > math.MaxInt64/2 {
			return indexed{}, nil, fmt.Errorf("tensor %q has shape %v and %d bytes, which do not fit", l.specs[at].Name, h.shape, size)
		}
		h.bytes = int64(size)
		if each := int64(h.dtype.ElementSize()); each > 0 && count*each != h.bytes || each == 0 && count > h.bytes/4 {
			return indexed{}, nil, fmt.Errorf("tensor %q has shape %v and %d bytes, which do not fit", l.specs[at].Name, h.shape, size)
		}
		if h.bytes > l.bytes-total {
			return indexed{}, nil, fmt.Errorf("tensor %q exceeds the message's limit of %d bytes", l.specs[at].Name, l.bytes)
		}
		total += h.bytes
		e.at, heads = append(e.at, at), append(heads, h)
	}
	if m.failed {
		return indexed{}, nil, errors.New("a message ends inside its tensors' headers")
	}
	for i, h := range heads {
		raw, err := readData(r, h.bytes)
		if err != nil {
			return indexed{}, nil, err
		}
		t, err := tensor.FromBytes(h.dtype, raw, h.shape...)
		if err != nil {
			return indexed{}, nil, fmt.Errorf("tensor %q: %w", l.specs[e.at[i]].Name, err)
		}
		e.tensors = append(e.tensors, t)
	}
	return e, m.b, nil
}

// readData reads n bytes. It allocates at most twice what has arrived, plus the first piece.
func readData(r io.Reader, n int64) ([]byte, error) {
	data := make([]byte, min(n, firstPiece))
	for got := 0; ; {
		if _, err := io.ReadFull(r, data[got:]); err != nil {
			return nil, unexpected(err)
		}
		got = len(data)
		if int64(got) == n {
			return data, nil
		}
		grown := make([]byte, min(n, 2*int64(got)))
		copy(grown, data)
		data = grown
	}
}

// reader reads numbers from a meta.
type reader struct {
	b      []byte
	failed bool // it was too short
}

func (m *reader) number(bytes int) uint64 {
	if len(m.b) < bytes {
		m.b, m.failed = nil, true
		return 0
	}
	var wide [8]byte
	copy(wide[:], m.b[:bytes])
	m.b = m.b[bytes:]
	return binary.LittleEndian.Uint64(wide[:])
}

// fault is the kind of an error in the child.
type fault uint8

const (
	faultOther       fault = iota
	faultInput             // the caller's
	faultDeadline          // the run was given up at its deadline
	faultCanceled          // or because its caller had left
	faultMemory            // the engine had no memory for it
	faultUnsupported       // another engine may open the graph
)

const maxErrorText = 4 << 10

func appendFault(meta []byte, f fault, text string) []byte {
	return append(append(meta, byte(f)), text[:min(len(text), maxErrorText)]...)
}

func readFault(meta []byte) (fault, string, error) {
	if len(meta) == 0 || len(meta) > 1+maxErrorText || meta[0] > byte(faultUnsupported) {
		return 0, "", errors.New("malformed error message")
	}
	return fault(meta[0]), string(meta[1:]), nil
}

package reply

// Answers that may be long.

import (
	"bytes"
	"net/http"

	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/bodies"
	"github.com/forgo-ml/forgo/serve/internal/observe"
)

// piece is about how much of an answer is in memory at once.
const piece = 64 << 10

// short bounds an answer that fits net/http's buffer, so that net/http sends its length itself.
const short = 1 << 10

// pieceElements is the number of elements that are written between checks of the piece's length.
const pieceElements = 2 << 10

// Answer is a JSON answer that is sent while it is written. A short one is sent whole, with its length. Of
// a long one, at most a piece is in memory. Check for errors first: nothing may fail once the first piece
// is sent.
type Answer struct {
	w    http.ResponseWriter
	b    *bytes.Buffer
	sent bool
	gone bool // the client is: nothing more is sent
}

// Begin returns an answer and its buffer. Call End or Free.
func Begin(w http.ResponseWriter) (Answer, []byte) {
	a := Answer{w: w}
	a.b = bodies.Buffer()
	return a, a.b.AvailableBuffer()
}

// Piece sends what is written so far if that is long, and returns the buffer for what follows.
func (a *Answer) Piece(dst []byte) []byte {
	if len(dst) < piece {
		return dst
	}
	if !a.sent {
		a.sent = true
		a.w.Header().Set("Content-Type", "application/json")
		for w := a.w; w != nil; {
			if l, ok := w.(interface{ Long() }); ok {
				l.Long()
			}
			u, ok := w.(interface{ Unwrap() http.ResponseWriter })
			if !ok {
				break
			}
			w = u.Unwrap()
		}
		a.w.WriteHeader(http.StatusOK)
	}
	a.write(dst)
	return dst[:0]
}

func (a *Answer) write(dst []byte) {
	if !a.gone {
		_, err := a.w.Write(dst)
		a.gone = err != nil
	}
}

// Free ends an answer before anything was sent.
func (a *Answer) Free() { bodies.Free(a.b) }

// Fail ends an answer that cannot be written. If a part of it was sent, Fail closes the connection, so
// that the client does not take the part for the whole.
func (a *Answer) Fail(err error) error {
	bodies.Free(a.b)
	if a.sent {
		observe.Failed(a.w, http.StatusInternalServerError, err)
		panic(http.ErrAbortHandler)
	}
	return err
}

// End sends the rest.
func (a *Answer) End(dst []byte) {
	*a.b = *bytes.NewBuffer(dst) // keeps the grown memory for the next answer
	switch {
	case a.sent:
		a.write(dst)
	case len(dst) <= short:
		a.w.Header()["Content-Type"] = jsonType
		a.write(dst)
	default:
		Bytes(a.w, http.StatusOK, dst)
	}
	bodies.Free(a.b)
}

// Nested appends a tensor's elements as lists nested by its shape.
func (a *Answer) Nested(dst []byte, t tensor.Tensor, n tensor.Floats) []byte {
	if t.Len() <= pieceElements || len(t.Shape) == 0 {
		return a.Piece(tensor.AppendNested(dst, t, n))
	}
	if len(t.Shape) == 1 {
		dst = append(dst, '[')
		return append(a.elements(dst, t, n), ']')
	}
	dst = append(dst, '[')
	for i := range t.Rows() {
		if i > 0 {
			dst = append(dst, ',')
		}
		row := t.Slice(i, i+1)
		row.Shape = row.Shape[1:]
		dst = a.Nested(dst, row, n)
	}
	return append(dst, ']')
}

// Flat appends a tensor's elements as one list.
func (a *Answer) Flat(dst []byte, t tensor.Tensor, n tensor.Floats) []byte {
	dst = append(dst, '[')
	return append(a.elements(dst, t, n), ']')
}

func (a *Answer) elements(dst []byte, t tensor.Tensor, n tensor.Floats) []byte {
	for from := 0; from < t.Len(); from += pieceElements {
		if from > 0 {
			dst = append(dst, ',')
		}
		dst = a.Piece(tensor.AppendElements(dst, t, from, min(from+pieceElements, t.Len()), n))
	}
	return dst
}

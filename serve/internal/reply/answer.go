package reply

// Answers that may be long.

import (
	"bytes"
	"net/http"

	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/bodies"
	"github.com/forgo-ml/forgo/serve/internal/observe"
)

// piece is how much of an answer is in memory at once, about.
const piece = 64 << 10

// short is an answer whose length net/http finds itself, and sends: one that is in its buffer when the
// handler returns.
const short = 1 << 10

// pieceElements is how many elements are written between two looks at how long the piece is.
const pieceElements = 2 << 10

// Answer is an answer in JSON, written as it is made: one that is short goes whole, with its
// length, and of a long one there is never more than a piece in memory. Nothing may fail once the
// first piece is sent: check before.
type Answer struct {
	w    http.ResponseWriter
	b    *bytes.Buffer
	sent bool
	gone bool // the client is: nothing more is sent
}

// Begin returns an answer and where it begins. End it, or Free it.
func Begin(w http.ResponseWriter) (Answer, []byte) {
	a := Answer{w: w}
	a.b = bodies.Buffer()
	return a, a.b.AvailableBuffer()
}

// Piece sends what is written so far where that is long, and returns where to write on.
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

// Free ends an answer of which nothing is sent.
func (a *Answer) Free() { bodies.Free(a.b) }

// Fail ends an answer that cannot be written: of one of which a part is sent the connection is
// closed, so that its client does not take it for the whole.
func (a *Answer) Fail(err error) error {
	bodies.Free(a.b)
	if a.sent {
		observe.Failed(a.w, http.StatusInternalServerError, err)
		panic(http.ErrAbortHandler)
	}
	return err
}

// End sends what is left. It returns an error where the client did not take it.
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

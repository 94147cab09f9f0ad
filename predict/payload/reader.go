// Package payload reads what clients send: JSON requests and rows, CSV tables and the files of forms. The
// library, the replay at load and every protocol of the server use it, so that each value has one rule.
// spec/rows.md states the rules.
//
// It reads JSON without reflection, and lists of numbers directly into typed slices. Unlike encoding/json,
// it accepts null and the bare words NaN, Infinity and -Infinity as floats, and refuses an object with a
// repeated key. Package tensor writes.
package payload

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"unsafe"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// Limits bound what a reader accepts. Exceeding them is an error. The zero value is useful.
type Limits struct {
	// Depth bounds the nesting of lists and objects, so that no text exhausts the stack. Optional: 64.
	Depth int
	// Elements bounds the elements of all tensors together. Optional: no bound but the text.
	Elements int
	// Memory is asked before the reader allocates memory. Optional: it allocates without asking.
	Memory Memory
	// Words lists names that are likely to occur. Reading one of them allocates nothing. Optional.
	Words []string
}

// Memory is a source of memory for readers.
type Memory interface {
	// Grow reserves bytes before they are used. A negative number returns them. An error ends the reading.
	Grow(bytes int64) error
}

// longestEscape is the most characters that JSON takes for one byte: \u0041.
const longestEscape = 6

// Bounds on one request, whatever its length.
const (
	// MaxFields bounds the number of keys of one object.
	MaxFields = 1 << 16
	// MaxName bounds the length of a key in bytes, without its escapes.
	MaxName = 1 << 10
)

// Reader reads one JSON text from start to end. Each method reads the next value. A Reader is not safe for
// concurrent use.
type Reader struct {
	data     []byte
	at       int
	depth    int
	elements int
	pending  int   // bytes that are taken and not yet asked for
	refused  error // what Limits.Memory said
	limits   Limits
}

// New returns a reader of data with the default limits. data must not change while it is read.
func New(data []byte) *Reader { return Limits{}.New(data) }

// New returns a reader of data within the limits. data must not change while it is read.
func (l Limits) New(data []byte) *Reader {
	if l.Depth <= 0 {
		l.Depth = 64
	}
	if l.Elements <= 0 {
		l.Elements = math.MaxInt
	}
	return &Reader{data: data, limits: l}
}

// Again returns a reader of a part of the text that Raw returned. It shares what is left of the limits.
func (r *Reader) Again(part []byte) *Reader {
	return &Reader{data: part, depth: r.depth, elements: r.elements, limits: r.limits}
}

// Grow reserves memory for a caller that allocates for what it reads.
func (r *Reader) Grow(bytes int64) error { return r.grow(int(bytes)) }

// askEvery is the number of bytes that the reader allocates between two calls of Memory.
const askEvery = 4 << 10

// grow reserves memory.
func (r *Reader) grow(bytes int) error {
	if r.limits.Memory == nil {
		return nil
	}
	if r.pending += bytes; r.pending > -askEvery && r.pending < askEvery {
		return nil
	}
	asked := r.pending
	r.pending = 0
	r.refused = r.limits.Memory.Grow(int64(asked))
	return r.refused
}

func (r *Reader) fail(format string, args ...any) error {
	return fmt.Errorf("not JSON at byte %d: %s", r.at, fmt.Sprintf(format, args...))
}

// Peek returns the first byte of the next value or sign, or 0 at the end.
func (r *Reader) Peek() byte {
	for ; r.at < len(r.data); r.at++ {
		switch c := r.data[r.at]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// PeekInto returns the first byte inside the next list, or 0 if a list is not next.
func (r *Reader) PeekInto() byte {
	if r.Peek() != '[' {
		return 0
	}
	inner := Reader{data: r.data, at: r.at + 1}
	return inner.Peek()
}

// Lists returns the number of nested lists that the next value begins with.
func (r *Reader) Lists() int {
	inner := Reader{data: r.data, at: r.at}
	n := 0
	for n <= r.limits.Depth && inner.Peek() == '[' {
		inner.at++
		n++
	}
	return n
}

// Whole reports whether the next value is a number without point or exponent, or a list of such numbers.
func (r *Reader) Whole() bool {
	inner := Reader{data: r.data, at: r.at, limits: r.limits}
	value, err := inner.Raw()
	return err == nil && !bytes.ContainsAny(value, ".eEaIl") // NaN, Infinity, null and true are none
}

// End returns an error unless only white space is left.
func (r *Reader) End() error {
	if r.Peek() != 0 || r.at < len(r.data) {
		return fmt.Errorf("data follows the JSON value: byte %d", r.at)
	}
	return nil
}

func (r *Reader) expect(c byte) error {
	if r.Peek() != c {
		return r.unexpected(fmt.Sprintf("want %q", c))
	}
	r.at++
	return nil
}

func (r *Reader) unexpected(want string) error {
	if r.Peek() == 0 && r.at >= len(r.data) {
		return r.fail("%s, the text ends", want)
	}
	if kind := r.kind(); kind != "" && want != "want "+kind && !strings.HasPrefix(want, "want '") {
		return fmt.Errorf("at byte %d: %s, got %s", r.at, want, kind)
	}
	return r.fail("%s, got %q", want, r.data[r.at])
}

// kind returns the kind of the next value, or "" if there is none.
func (r *Reader) kind() string {
	peek := *r
	switch c := r.data[r.at]; {
	case c == '{':
		return "an object"
	case c == '[':
		return "a list"
	case c == '"':
		return "a string"
	case peek.word("true"), peek.word("false"):
		return "a boolean"
	case peek.word("null"):
		return "null"
	case c == '-' || c-'0' <= 9 || peek.word("NaN") || peek.word("Infinity"):
		return "a number"
	}
	return ""
}

func (r *Reader) enter() error {
	if r.depth++; r.depth > r.limits.Depth {
		return fmt.Errorf("at byte %d: lists and objects are nested deeper than %d", r.at, r.limits.Depth)
	}
	r.at++
	return nil
}

// Object reads an object. It calls field for each name, and field must read the value. A repeated name is
// an error.
func (r *Reader) Object(field func(name string) error) error {
	var seen names
	return r.object(func() error {
		name, err := r.Name()
		if err == nil {
			err = seen.add(r, name)
		}
		if err != nil {
			return err
		}
		if err := r.expect(':'); err != nil {
			return err
		}
		return field(name)
	})
}

// object reads an object. pair must read each name and its value.
func (r *Reader) object(pair func() error) error {
	if r.Peek() != '{' {
		return r.unexpected("want an object")
	}
	if err := r.enter(); err != nil {
		return err
	}
	for first := true; ; first = false {
		if r.Peek() == '}' && first {
			break
		}
		if err := pair(); err != nil {
			return err
		}
		if r.Peek() != ',' {
			break
		}
		r.at++
	}
	r.depth--
	return r.expect('}')
}

// names holds the keys of an object that have been read.
type names struct {
	few  [8]string
	n    int
	many map[string]struct{}
}

func (s *names) add(r *Reader, name string) error {
	if s.n < len(s.few) {
		for _, other := range s.few[:s.n] {
			if other == name {
				return fmt.Errorf("key %s occurs twice", tensor.Quote(name))
			}
		}
		s.few[s.n] = name
		s.n++
		return nil
	}
	if s.many == nil {
		s.many = map[string]struct{}{}
		for _, other := range s.few {
			s.many[other] = struct{}{}
		}
	}
	if _, ok := s.many[name]; ok {
		return fmt.Errorf("key %s occurs twice", tensor.Quote(name))
	}
	if len(s.many) == MaxFields {
		return fmt.Errorf("an object has more than %d keys", MaxFields)
	}
	if err := r.grow(len(name) + 64); err != nil {
		return err
	}
	s.many[name] = struct{}{}
	return nil
}

// Name reads a string of at most [MaxName] bytes that is a name.
func (r *Reader) Name() (string, error) {
	start := r.at
	token, plain, err := r.quoted()
	if err != nil {
		return "", err
	}
	if plain {
		for _, word := range r.limits.Words {
			if word == text(token[1:len(token)-1]) {
				return word, nil
			}
		}
	}
	var name string
	if len(token) <= longestEscape*MaxName+2 {
		if name, err = r.unquote(token, plain); err != nil {
			return "", err
		}
	}
	if len(token) > longestEscape*MaxName+2 || len(name) > MaxName {
		r.at = start
		return "", r.fail("a name is longer than %d bytes", MaxName)
	}
	return name, nil
}

// List reads a list. It calls item for each index, and item must read the value.
func (r *Reader) List(item func(i int) error) error {
	if r.Peek() != '[' {
		return r.unexpected("want a list")
	}
	if err := r.enter(); err != nil {
		return err
	}
	for i := 0; ; i++ {
		if r.Peek() == ']' && i == 0 {
			break
		}
		if err := item(i); err != nil {
			return err
		}
		if r.Peek() != ',' {
			break
		}
		r.at++
	}
	r.depth--
	return r.expect(']')
}

// Null reads the word null and reports whether it was next.
func (r *Reader) Null() bool {
	return r.Peek() == 'n' && r.word("null")
}

func (r *Reader) word(w string) bool {
	if end := r.at + len(w); end <= len(r.data) && string(r.data[r.at:end]) == w {
		r.at = end
		return true
	}
	return false
}

// Bool reads true or false.
func (r *Reader) Bool() (bool, error) {
	switch {
	case r.Peek() == 't' && r.word("true"):
		return true, nil
	case r.Peek() == 'f' && r.word("false"):
		return false, nil
	}
	return false, r.unexpected("want true or false")
}

func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Raw reads the next value of any kind and returns it as written.
func (r *Reader) Raw() ([]byte, error) {
	c := r.Peek()
	start := r.at
	var err error
	switch {
	case c == '{':
		err = r.object(func() error {
			token, plain, err := r.quoted()
			if err == nil && !plain {
				err = r.escapes(token)
			}
			if err != nil {
				return err
			}
			if err := r.expect(':'); err != nil {
				return err
			}
			_, err = r.Raw()
			return err
		})
	case c == '[':
		err = r.List(func(int) error { _, err := r.Raw(); return err })
	case c == '"':
		var token []byte
		var plain bool
		if token, plain, err = r.quoted(); err == nil && !plain {
			err = r.escapes(token)
		}
	case c == 't' || c == 'f':
		_, err = r.Bool()
	case c == 'n':
		if !r.Null() {
			err = r.unexpected("want a value")
		}
	case c == '-' || c == 'N' || c == 'I' || c-'0' <= 9:
		_, err = r.number()
	default:
		err = r.unexpected("want a value")
	}
	return r.data[start:r.at], err
}

// Package printable makes strings from outside (labels, names, reasons, paths, a server's answers) safe to
// print. It escapes what is not printable, as in \u001b, so that such a string cannot control a terminal
// or disguise itself. The escapes are JSON's, so that JSON keeps its meaning.
package printable

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Text escapes line breaks, tabs and everything else in s that is not printable. Use it for parts of a
// line or of a table's cell.
func Text(s string) string {
	if clean(s, "") {
		return s
	}
	return string(escape(nil, s, ""))
}

// Fprintf is [fmt.Fprintf] with [Text] applied to each string in args, including Errors, Stringers and
// slices of strings.
func Fprintf(w io.Writer, format string, args ...any) (int, error) {
	shown := make([]any, len(args))
	for i, arg := range args {
		shown[i] = text(arg)
	}
	return fmt.Fprintf(w, format, shown...)
}

func text(arg any) any {
	switch a := arg.(type) {
	case error:
		return Text(a.Error())
	case fmt.Stringer:
		return Text(a.String())
	}
	switch v := reflect.ValueOf(arg); {
	case v.Kind() == reflect.String:
		return Text(v.String())
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.String:
		list := make([]string, v.Len())
		for i := range list {
			list[i] = Text(v.Index(i).String())
		}
		return list
	}
	return arg
}

// Bytes escapes what is not printable in text of several lines, but keeps line breaks and tabs.
func Bytes(b []byte) []byte {
	if clean(b, layout) {
		return b
	}
	return escape(nil, b, layout)
}

// layout holds the characters that lay out a program's own text.
const layout = "\n\t"

// Writer applies [Bytes] to what is written to it. It is safe for concurrent use. Each Write makes one
// Write to the writer below, which includes the start of a character left from the previous one.
type Writer struct {
	w    io.Writer
	mu   sync.Mutex
	rest []byte // the beginning of a character whose end has not been written yet
}

// NewWriter returns a writer to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Unwrap returns the writer below.
func (w *Writer) Unwrap() io.Writer { return w.w }

// Write returns len(b), or the error of the writer below.
func (w *Writer) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	whole := b
	if len(w.rest) > 0 {
		whole = append(w.rest, b...)
		w.rest = nil
	}
	if n := partial(whole); n > 0 {
		w.rest = append([]byte(nil), whole[len(whole)-n:]...)
		whole = whole[:len(whole)-n]
	}
	if len(whole) > 0 {
		if _, err := w.w.Write(Bytes(whole)); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// Close writes the start of a character that never ended. It does not close the writer below, and does not
// wait for a Write that is blocked there.
func (w *Writer) Close() error {
	if !w.mu.TryLock() {
		return nil
	}
	defer w.mu.Unlock()
	if len(w.rest) == 0 {
		return nil
	}
	_, err := w.w.Write(escape(nil, w.rest, layout))
	w.rest = nil
	return err
}

// partial returns the number of bytes at the end of b that start an incomplete character.
func partial(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if c := b[len(b)-n]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(b[len(b)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}

// shown reports whether a character is printed unchanged. The joiners are parts of words and of emoji.
func shown(r rune) bool { return unicode.IsGraphic(r) || r == '\u200c' || r == '\u200d' }

func clean[T string | []byte](s T, allowed string) bool {
	ascii := true
	for i := range len(s) {
		c := s[i]
		if c >= utf8.RuneSelf {
			ascii = false
			break
		}
		if (c < ' ' || c == 0x7f) && strings.IndexByte(allowed, c) < 0 {
			return false
		}
	}
	if ascii {
		return true
	}
	for rest := string(s); rest != ""; {
		r, n := utf8.DecodeRuneInString(rest)
		if r == utf8.RuneError && n == 1 || !shown(r) && !strings.ContainsRune(allowed, r) {
			return false
		}
		rest = rest[n:]
	}
	return true
}

func escape[T string | []byte](to []byte, s T, allowed string) []byte {
	for rest := string(s); rest != ""; {
		r, n := utf8.DecodeRuneInString(rest)
		switch {
		case r == utf8.RuneError && n == 1:
			to = fmt.Appendf(to, `\x%02x`, rest[0])
		case shown(r) || strings.ContainsRune(allowed, r):
			to = append(to, rest[:n]...)
		case r == '\n':
			to = append(to, `\n`...)
		case r == '\t':
			to = append(to, `\t`...)
		case r == '\r':
			to = append(to, `\r`...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			to = fmt.Appendf(to, `\u%04x\u%04x`, high, low)
		default:
			to = fmt.Appendf(to, `\u%04x`, r)
		}
		rest = rest[n:]
	}
	return to
}

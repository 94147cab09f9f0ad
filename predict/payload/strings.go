package payload

// JSON strings, with their escapes.

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Text reads a string.
func (r *Reader) Text() (string, error) {
	token, plain, err := r.quoted()
	if err != nil {
		return "", err
	}
	if err := r.grow(len(token) - 2); err != nil {
		return "", err
	}
	return r.unquote(token, plain)
}

func (r *Reader) unquote(token []byte, plain bool) (string, error) {
	if plain {
		return string(token[1 : len(token)-1]), nil
	}
	var s string
	if err := json.Unmarshal(token, &s); err != nil {
		return "", r.fail("broken string: %v", err)
	}
	if strings.Contains(s, "\uFFFD") { // encoding/json makes this of an unpaired surrogate
		if half := half(token); half != "" {
			return "", fmt.Errorf("a string has the unpaired surrogate %s", half)
		}
	}
	return s, nil
}

// half returns the first escape of a surrogate without its pair.
func half(token []byte) string {
	for i := 0; i+5 < len(token); i++ {
		if token[i] != '\\' {
			continue
		}
		if token[i+1] != 'u' {
			i++ // skip the escaped byte
			continue
		}
		first, _ := strconv.ParseUint(string(token[i+2:i+6]), 16, 16)
		switch {
		case !utf16.IsSurrogate(rune(first)):
		case i+11 < len(token) && token[i+6] == '\\' && token[i+7] == 'u' && isPair(rune(first), token[i+8:i+12]):
			i += 6
		default:
			return string(token[i : i+6])
		}
		i += 5
	}
	return ""
}

func isPair(first rune, hex []byte) bool {
	second, _ := strconv.ParseUint(string(hex), 16, 16)
	return utf16.DecodeRune(first, rune(second)) != utf8.RuneError
}

// quoted reads a string with its quotes. plain says that it has no escapes.
func (r *Reader) quoted() (token []byte, plain bool, err error) {
	if r.Peek() != '"' {
		return nil, false, r.unexpected("want a string")
	}
	start := r.at
	plain = true
	ascii := true
	for i := start + 1; i < len(r.data); i++ {
		switch c := r.data[i]; {
		case c == '"':
			r.at = i + 1
			token = r.data[start:r.at]
			if !ascii && !utf8.Valid(token) { // encoding/json would take it for other text
				return nil, false, r.fail("a string is not UTF-8")
			}
			return token, plain, nil
		case c == '\\':
			plain = false
			i++
		case c < ' ':
			r.at = i
			return nil, false, r.fail("a string holds the control character %q", c)
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	r.at = len(r.data)
	return nil, false, r.fail("a string is not closed")
}

// escapes checks the escapes of a string that is skipped.
func (r *Reader) escapes(token []byte) error {
	for i := 1; i < len(token)-1; i++ {
		if token[i] != '\\' {
			continue
		}
		i++
		switch token[i] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		case 'u':
			for range 4 {
				if i++; i >= len(token)-1 || !isHex(token[i]) {
					return r.fail("broken string: an escape is not \\uXXXX")
				}
			}
		default:
			return r.fail("broken string: unknown escape %q", token[i])
		}
	}
	return nil
}

func isHex(c byte) bool { return c-'0' <= 9 || c|0x20-'a' <= 5 }

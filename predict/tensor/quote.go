package tensor

import (
	"fmt"
	"unicode/utf8"
)

// shown bounds the characters that an error quotes.
const shown = 100

// Cut returns at most 100 characters of s, with the full length if s is longer. Errors use it to quote
// what a client sent, so that neither answers nor log lines grow with requests.
func Cut[T ~string | ~[]byte](s T) string {
	if len(s) <= shown {
		return string(s)
	}
	return fmt.Sprintf("%s... (%d bytes)", head(s), len(s))
}

// Quote is Cut with the quotes of a Go string.
func Quote[T ~string | ~[]byte](s T) string {
	if len(s) <= shown {
		return fmt.Sprintf("%q", string(s))
	}
	return fmt.Sprintf("%q... (%d bytes)", head(s), len(s))
}

// head returns the part of s to show, without part of a character at its end.
func head[T ~string | ~[]byte](s T) string {
	head := string(s[:shown])
	for len(head) > shown-utf8.UTFMax && !utf8.ValidString(head) {
		head = head[:len(head)-1]
	}
	return head
}

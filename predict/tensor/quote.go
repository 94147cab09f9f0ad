package tensor

import (
	"fmt"
	"unicode/utf8"
)

// shown is how many characters of what somebody sent an error quotes.
const shown = 100

// Cut returns at most 100 characters of s, with the length of the whole where it is longer.
// Errors quote what a client sent through it: neither an answer nor a log line grows with a request.
func Cut[T ~string | ~[]byte](s T) string {
	if len(s) <= shown {
		return string(s)
	}
	return fmt.Sprintf("%s... (%d bytes)", head(s), len(s))
}

// Quote is Cut, quoted as Go quotes strings.
func Quote[T ~string | ~[]byte](s T) string {
	if len(s) <= shown {
		return fmt.Sprintf("%q", string(s))
	}
	return fmt.Sprintf("%q... (%d bytes)", head(s), len(s))
}

// head is what is shown of a longer s, without a part of a character at its end.
func head[T ~string | ~[]byte](s T) string {
	head := string(s[:shown])
	for len(head) > shown-utf8.UTFMax && !utf8.ValidString(head) {
		head = head[:len(head)-1]
	}
	return head
}

package printable_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/forgo-ml/forgo/internal/printable"
)

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"":      "",
		"plain": "plain",
		"Käse, 猫, नमस्ते, 👩‍🔬":            "Käse, 猫, नमस्ते, 👩‍🔬",
		"\r\x1b[2Kparity proven":          `\r\u001b[2Kparity proven`,
		"a\nb\tc":                         `a\nb\tc`,
		"csi \u009b2K":                    `csi \u009b2K`,
		"\u202egnp.exe":                   `\u202egnp.exe`,
		"\u2066x\u2069":                   `\u2066x\u2069`,
		"line\u2028end":                   `line\u2028end`,
		"tag \U000e0041":                  `tag \udb40\udc41`,
		"del \x7f":                        `del \u007f`,
		"latin-1 \xe9":                    `latin-1 \xe9`,
		"no-break\u00a0and wide\u3000one": "no-break\u00a0and wide\u3000one",
	} {
		if got := printable.Text(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

type name string

func TestFprintfEscapesEveryString(t *testing.T) {
	var out bytes.Buffer
	_, err := printable.Fprintf(&out, "%s\t%v\t%s\t%d\t%s\n", "a\tb", errors.New("c\n\x1b"), name("d\r"), 7, []string{"e\n"})
	if want := "a\\tb\tc\\n\\u001b\td\\r\t7\t[e\\n]\n"; err != nil || out.String() != want {
		t.Errorf("%v, %q, want %q", err, &out, want)
	}
}

func TestWriterKeepsJSON(t *testing.T) {
	const text = "\u009b\u202e\U000e0041 é 猫 \x7f"
	raw, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1; size <= len(raw); size++ {
		var out bytes.Buffer
		w := printable.NewWriter(&out)
		for rest := raw; len(rest) > 0; {
			n := min(size, len(rest))
			if wrote, err := w.Write(rest[:n]); wrote != n || err != nil {
				t.Fatal(wrote, err)
			}
			rest = rest[n:]
		}
		var back string
		if err := json.Unmarshal(out.Bytes(), &back); err != nil || back != text || bytes.ContainsAny(out.Bytes(), "\u009b\u202e\x7f") {
			t.Errorf("in pieces of %d: %v, %q", size, err, &out)
		}
	}
}

func TestWriterEndsWithHalfACharacter(t *testing.T) {
	var out bytes.Buffer
	w := printable.NewWriter(&out)
	_, _ = w.Write([]byte("a\xe7\x8c"))
	if err := w.Close(); err != nil || out.String() != `a\xe7\x8c` {
		t.Errorf("%v, %q", err, &out)
	}
}

func FuzzText(f *testing.F) {
	f.Add("\x1b[2K\xff猫\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		got := printable.Text(s)
		if !utf8.ValidString(got) || printable.Text(got) != got {
			t.Errorf("%q: %q", s, got)
		}
	})
}

func TestCloseDoesNotWaitForAStuckWrite(t *testing.T) {
	reader, writer := io.Pipe()
	w := printable.NewWriter(writer)
	wrote := make(chan struct{})
	go func() {
		_, _ = w.Write([]byte("ab")) // of which one byte is read
		close(wrote)
	}()
	if _, err := reader.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error)
	go func() { closed <- w.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("Close waits")
	}
	_ = reader.Close()
	<-wrote
}

// Package corpus gives fuzz targets the inputs that earlier fuzzing has found. Each target has one
// archive, testdata/corpus/TARGET.zip, which make fuzz writes.
package corpus

import (
	"archive/zip"
	"fmt"
	"go/ast"
	"go/parser"
	"io"
	"strconv"
	"strings"
	"testing"
)

const header = "go test fuzz v1"

// Add adds the archived inputs to a fuzz target. A missing or damaged archive fails the test.
func Add(f *testing.F) {
	f.Helper()
	archive, err := zip.OpenReader("testdata/corpus/" + f.Name() + ".zip")
	if err != nil {
		f.Fatal(err)
	}
	defer archive.Close()
	for _, entry := range archive.File {
		values, err := read(entry)
		if err != nil {
			f.Fatalf("%s: %v", entry.Name, err)
		}
		f.Add(values...)
	}
}

func read(entry *zip.File) ([]any, error) {
	r, err := entry.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return parse(string(text))
}

// parse parses the format of go test -fuzz: a header, then a line for each argument.
func parse(text string) ([]any, error) {
	first, rest, _ := strings.Cut(text, "\n")
	if first != header {
		return nil, fmt.Errorf("the first line is %q, not %q", first, header)
	}
	var values []any
	for line := range strings.Lines(rest) {
		value, err := argument(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
}

// argument parses TYPE(LITERAL), for the types in forgo's targets.
func argument(line string) (any, error) {
	expr, err := parser.ParseExpr(line)
	if err != nil {
		return nil, err
	}
	call, ok := expr.(*ast.CallExpr)
	if !ok || len(call.Args) != 1 {
		return nil, fmt.Errorf("%s is not a value", line)
	}
	kind, literal := line[:call.Lparen-1], line[call.Lparen:call.Rparen-1]
	switch kind {
	case "[]byte":
		s, err := strconv.Unquote(literal)
		return []byte(s), err
	case "string":
		return strconv.Unquote(literal)
	case "bool":
		return strconv.ParseBool(literal)
	case "int":
		return strconv.Atoi(literal)
	case "uint16":
		n, err := strconv.ParseUint(literal, 0, 16)
		return uint16(n), err
	case "byte", "uint8":
		return octet(literal)
	}
	return nil, fmt.Errorf("%s: arguments of type %s are not read", line, kind)
}

func octet(literal string) (byte, error) {
	if strings.HasPrefix(literal, "'") {
		r, _, rest, err := strconv.UnquoteChar(strings.Trim(literal, "'"), '\'')
		if err != nil || rest != "" || r > 255 {
			return 0, fmt.Errorf("%s is not a byte", literal)
		}
		return byte(r), nil
	}
	n, err := strconv.ParseUint(literal, 0, 8)
	return byte(n), err
}

package serve_test

// Every row of the tables in docs/protocols.md names tests, and those that there are.

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestTheTableNamesRealTests(t *testing.T) {
	table, err := os.ReadFile("../docs/protocols.md")
	if err != nil {
		t.Fatal(err)
	}
	var sources strings.Builder
	for _, pattern := range []string{"*_test.go", "*/*_test.go", "internal/*/*_test.go", "../internal/*/*_test.go", "../cmd/*/*_test.go", "../client/*_test.go", "../client/*/*_test.go", "../predict/tensor/*_test.go", "../predict/payload/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sources.Write(source)
		}
	}
	names := regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+`).FindAllString(string(table), -1)
	for _, name := range names {
		if !strings.Contains(sources.String(), "func "+name+"(") {
			t.Errorf("the table names %s, which there is not", name)
		}
	}
	for _, test := range regexp.MustCompile(`(tests/\S+\.py)::(test_\w+)`).FindAllStringSubmatch(string(table), -1) {
		if source, err := os.ReadFile("../" + test[1]); err != nil || !strings.Contains(string(source), "def "+test[2]+"(") {
			t.Errorf("the table names %s, which there is not", test[0])
		}
	}
	rows, inTable := 0, false
	for line := range strings.Lines(string(table)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		switch {
		case !strings.HasPrefix(line, "|"):
			inTable = false
		case !inTable: // its head
			inTable = true
		case strings.HasPrefix(line, "| ---"):
		default:
			rows++
			if test := cells[len(cells)-1]; !regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+|tests/\S+\.py::test_\w+`).MatchString(test) {
				t.Errorf("a row of docs/protocols.md names no test: %s", line)
			}
		}
	}
	if rows < 100 {
		t.Errorf("docs/protocols.md has %d rows only", rows)
	}
	if len(names) < 50 {
		t.Errorf("the table names %d tests only", len(names))
	}
}

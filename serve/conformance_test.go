package serve_test

// The table in docs/protocols.md names tests that there are.

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
	for _, pattern := range []string{"*_test.go", "*/*_test.go", "internal/*/*_test.go", "../internal/*/*_test.go", "../cmd/*/*_test.go", "../client/*_test.go", "../client/*/*_test.go", "../predict/tensor/*_test.go"} {
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
	if len(names) < 50 {
		t.Errorf("the table names %d tests only", len(names))
	}
}

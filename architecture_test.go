package forgo_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var (
	answerRow = regexp.MustCompile("(?m)^\\| (.+) \\| \\[([^]]+)\\]\\(([^)]+)\\) \\| `([^`]+)` \\|$")
	link      = regexp.MustCompile(`\]\(([^):#]+)\)`)
)

// The map in ARCHITECTURE.md names files that exist, each of which defines what the map says.
func TestTheMapIsTrue(t *testing.T) {
	raw, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	for _, m := range link.FindAllStringSubmatch(page, -1) {
		if _, err := os.Stat(m[1]); err != nil {
			t.Errorf("a link leads nowhere: %v", err)
		}
	}
	found := map[string]bool{}
	for _, m := range answerRow.FindAllStringSubmatch(page, -1) {
		question, shown, file, name := m[1], m[2], m[3], m[4]
		found[question] = true
		if shown != file {
			t.Errorf("%s: the link shows %s and leads to %s", question, shown, file)
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Errorf("%s: %v", question, err)
			continue
		}
		receiver, method, ok := strings.Cut(name, ".")
		pattern := `(?m)^(func|def) ` + regexp.QuoteMeta(name) + `\(`
		if ok {
			pattern = `(?m)^func \(\w+ \*?` + regexp.QuoteMeta(receiver) + `\) ` + regexp.QuoteMeta(method) + `\(`
		}
		if !regexp.MustCompile(pattern).Match(source) {
			t.Errorf("%s: %s does not define %s", question, file, name)
		}
	}
	for _, question := range []string{
		"a JPEG is decoded", "a batch is formed", "parity is decided", "a TensorFlow row is parsed", "the 429 is decided",
		"pictures are augmented", "golden cases are chosen", "a right is checked", "a metric is counted",
	} {
		if !found[question] {
			t.Errorf("the map does not say where %s", question)
		}
	}
}

// ARCHITECTURE.md shows the examples of an engine and a protocol as they are.
func TestTheDocumentShowsTheExamples(t *testing.T) {
	page, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, example := range []string{"predict/engines/example/example.go", "serve/protocol/example/example.go"} {
		source, err := os.ReadFile(example)
		if err != nil {
			t.Fatal(err)
		}
		_, code, ok := strings.Cut(string(source), ")\n\n")
		if !ok || !strings.Contains(string(page), "```go\n"+code+"```\n") {
			t.Errorf("ARCHITECTURE.md does not show %s\n%s", example, code)
		}
	}
}

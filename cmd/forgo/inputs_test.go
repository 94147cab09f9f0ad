package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

const shapes = conformance + "bundles/shapes.forgo"

type answered struct {
	File    string
	Row     int
	Classes []struct {
		Label string
		Score float64
	}
	Outputs map[string]any
}

// asked runs predict --json and returns the lines.
func asked(t *testing.T, args ...string) (lines []answered, code int, errs string) {
	t.Helper()
	code, out, errs := command(t, append([]string{"predict", "--json", "--top", "0"}, args...)...)
	for line := range strings.Lines(out) {
		var a answered
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		lines = append(lines, a)
	}
	return lines, code, errs
}

// withStdin gives the command a standard input, as a shell does.
func withStdin(t *testing.T, content []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stdin")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stdin
	os.Stdin = file
	t.Cleanup(func() { os.Stdin = before; _ = file.Close() })
}

func pythonOf(t *testing.T) string {
	t.Helper()
	python := filepath.Join(os.Getenv("VIRTUAL_ENV"), "bin/python")
	if _, err := os.Stat(python); err != nil {
		t.Skip("there is no Python environment")
	}
	return python
}

const irisRows = `[5.9, 3.2, 4.8, 1.8]
{"input": [5.1, 3.5, 1.4, 0.2]}

[6.3, 3.3, 6, 2.5]
`

func irisInput(t *testing.T) string {
	t.Helper()
	return inspected(t, iris).Inputs[0].Name
}

// Every form of the same rows is answered the same.
func TestPredictRowsInEveryForm(t *testing.T) {
	t.Setenv("FORGO_ENGINE", "onnx") // answers are compared to the last bit
	dir := t.TempDir()
	name := irisInput(t)
	write := func(file, text string) string {
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	jsonl := write("rows.jsonl", strings.ReplaceAll(irisRows, "input", name))
	want, code, errs := asked(t, iris, jsonl)
	if code != exitDone || len(want) != 3 || want[2].Row != 4 || want[2].File != jsonl || want[0].Row != 1 {
		t.Fatalf("exit code %d, %s, %+v", code, errs, want)
	}
	one, code, errs := asked(t, iris, write("row.json", "[5.9, 3.2, 4.8, 1.8]"))
	if code != exitDone || fmt.Sprint(one[0].Classes) != fmt.Sprint(want[0].Classes) || one[0].Row != 0 {
		t.Errorf("one row: %s, %+v, want %+v", errs, one, want[0])
	}
	header := fmt.Sprintf("%s[3],%s[0],%s[1],%s[2]\n", name, name, name, name)
	same := map[string]string{
		"bare.csv":    "5.9,3.2,4.8,1.8\n5.1,3.5,1.4,0.2\n6.3,3.3,6,2.5\n",
		"no-end.csv":  "5.9,3.2,4.8,1.8\r\n5.1,3.5,1.4,0.2\r\n6.3,3.3,6,2.5",
		"header.csv":  header + "1.8,5.9,3.2,4.8\n0.2,5.1,3.5,1.4\n2.5,6.3,3.3,6\n",
		"quoted.csv":  "\ufeff" + header + "\"1.8\",5.9,3.2,4.8\n0.2,5.1,3.5,1.4\n2.5,6.3,3.3,6\n",
		"again.jsonl": "[5.9, 3.2, 4.8, 1.8]\n[5.1, 3.5, 1.4, 0.2]\n[6.3, 3.3, 6, 2.5]",
	}
	for file, text := range same {
		path := write(file, text)
		withStdin(t, []byte(text))
		for _, source := range []string{path, "-"} {
			got, code, errs := asked(t, iris, source)
			if code != exitDone || len(got) != 3 {
				t.Errorf("%s as %s: exit code %d, %s, %+v", file, source, code, errs, got)
				continue
			}
			for i := range got {
				if fmt.Sprint(got[i].Classes) != fmt.Sprint(want[i].Classes) || got[i].File != source || got[i].Row != i+1 {
					t.Errorf("%s as %s: %+v, want %+v", file, source, got[i], want[i])
				}
			}
			withStdin(t, []byte(text))
		}
	}
	// On the table a row is named by its file and number.
	if _, out, _ := command(t, "predict", iris, jsonl); !strings.Contains(out, jsonl+":4") {
		t.Errorf("the table has no row 4: %s", out)
	}
}

func TestPredictArrays(t *testing.T) {
	t.Setenv("FORGO_ENGINE", "onnx") // answers are compared to the last bit
	python := pythonOf(t)
	dir := t.TempDir()
	const program = `
import numpy as np, sys
rows = np.array([[5.9, 3.2, 4.8, 1.8], [5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6, 2.5]])
np.save("f8.npy", rows); np.save("f4.npy", rows.astype("f4")); np.save("big.npy", rows.astype(">f4"))
np.save("f2.npy", rows.astype("f2")); np.save("i4.npy", rows.astype("i4"))
np.save("fortran.npy", np.asfortranarray(rows)); np.save("scalar.npy", np.float32(1)); np.save("none.npy", rows[:0])
np.save("objects.npy", np.array([{}]), allow_pickle=True)
np.save("strings.npy", np.array([["a", "käse"], ["", "猫"]])); np.save("bytes.npy", np.array([[b"a", b"bcd"]]))
np.save("nan.npy", np.array([[np.nan, np.inf]], "f4"))
open("cut.npy", "wb").write(open("f8.npy", "rb").read()[:-5])
`
	run := exec.Command(python, "-c", program)
	run.Dir = dir
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	want, _, _ := asked(t, iris, at("f8.npy"))
	if len(want) != 3 || want[2].Row != 3 {
		t.Fatalf("%+v", want)
	}
	for _, name := range []string{"f4.npy", "big.npy", "fortran.npy"} {
		if got, code, errs := asked(t, iris, at(name)); code != exitDone || fmt.Sprint(got[1].Classes) != fmt.Sprint(want[1].Classes) {
			t.Errorf("%s: %s, %+v, want %+v", name, errs, got, want)
		}
	}
	for _, name := range []string{"f2.npy", "i4.npy"} {
		if got, code, errs := asked(t, iris, at(name)); code != exitDone || len(got) != 3 {
			t.Errorf("%s: %s, %+v", name, errs, got)
		}
	}
	if got, code, errs := asked(t, conformance+"graphs/same-string.onnx", at("strings.npy"), at("bytes.npy")); code != exitDone ||
		fmt.Sprint(got[0].Outputs, got[1].Outputs, got[2].Outputs) != "map[y:[a käse]] map[y:[ 猫]] map[y:[a bcd]]" {
		t.Errorf("strings: %s, %+v", errs, got)
	}
	if got, code, errs := asked(t, conformance+"graphs/same-float32.onnx", at("nan.npy")); code != exitDone || fmt.Sprint(got[0].Outputs) != "map[y:[<nil> <nil>]]" {
		t.Errorf("NaN: %s, %+v", errs, got)
	}
	for name, says := range map[string]string{
		"scalar.npy": "first dimension", "none.npy": "no rows", "objects.npy": "objects", "cut.npy": "row 3: the array ends too soon",
	} {
		if _, code, errs := asked(t, iris, at(name)); code != exitRefused || !strings.Contains(errs, says) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: exit code %d, %q, want %q", name, code, errs, says)
		}
	}
	withStdin(t, must(os.ReadFile(at("f8.npy"))))
	if got, code, errs := asked(t, iris, "-"); code != exitDone || len(got) != 3 {
		t.Errorf("stdin: %s, %+v", errs, got)
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func TestPredictFoldersAndPicturesInRows(t *testing.T) {
	dir := t.TempDir()
	picture := must(os.ReadFile(filepath.Join(shapes, "golden/000.jpg")))
	for _, name := range []string{"b/2.JPG", "a.jpeg", "b/c/3.jpg", "d.TIF", ".hidden/x.jpg", "__MACOSX/y.jpg", "notes.txt", ".z.jpg"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		content := picture
		if name == "notes.txt" {
			content = []byte("of the pictures")
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// In one engine: the last bit of an answer may be another in the next.
	got, code, errs := asked(t, "--engine", "pure", shapes, dir)
	if want := dir + ": 4 of 8 files are left out: hidden, or left by an archiver: 3 (.hidden); no picture: 1 (notes.txt)\n"; !strings.HasSuffix(errs, want) || strings.Count(errs, "\n") != 1 {
		t.Errorf("%q is said, want %q", errs, want)
	}
	var names []string
	for _, a := range got {
		names = append(names, strings.TrimPrefix(a.File, dir+"/"))
	}
	if code != exitDone || strings.Join(names, " ") != "a.jpeg b/2.JPG b/c/3.jpg d.TIF" {
		t.Errorf("exit code %d, %s, %v", code, errs, names)
	}
	want := fmt.Sprint(got[0].Classes)

	rows := filepath.Join(dir, "rows.jsonl")
	lines := `{"image": {"file": "a.jpeg"}}` + "\n" + `{"file": "b/2.JPG"}` + "\n" + `{"photo": {"file": "` + dir + `/a.jpeg"}}` + "\n" +
		fmt.Sprintf(`{"image": {"b64": %s}}`, must(json.Marshal(picture))) + "\n" + `{"image": {"file": "nowhere.jpg"}}` + "\n" + `[1]` + "\n"
	if err := os.WriteFile(rows, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	got, code, errs = asked(t, "--engine", "pure", shapes, rows)
	if code != exitRefused || len(got) != 4 || !strings.Contains(errs, rows+":5: picture \"nowhere.jpg\"") || !strings.Contains(errs, rows+":6: want") {
		t.Errorf("exit code %d, %s, %d answers", code, errs, len(got))
	}
	for _, a := range got {
		if fmt.Sprint(a.Classes) != want {
			t.Errorf("row %d: %+v, want %s", a.Row, a, want)
		}
	}
	row := filepath.Join(dir, "row.json")
	if err := os.WriteFile(row, []byte(`{"image": {"file": "a.jpeg"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, code, errs = asked(t, "--engine", "pure", shapes, row); code != exitDone || got[0].Row != 0 || fmt.Sprint(got[0].Classes) != want {
		t.Errorf("a row in a file of its own: %s, %+v", errs, got)
	}
	withStdin(t, picture)
	if got, code, errs = asked(t, "--engine", "pure", shapes, "-"); code != exitDone || len(got) != 1 || got[0].File != "-" || fmt.Sprint(got[0].Classes) != want {
		t.Errorf("stdin: %s, %+v", errs, got)
	}
	for what, c := range map[string]struct{ args, says []string }{
		"an empty folder":      {[]string{shapes, t.TempDir()}, []string{"no pictures", "folder"}},
		"a folder without row": {[]string{iris, t.TempDir()}, []string{"no rows (.json)"}},
		"a table of pictures":  {[]string{shapes, csvOf(t, "a,b\n")}, []string{"CSV", ".jsonl"}},
	} {
		_, code, errs := asked(t, c.args...)
		for _, part := range c.says {
			if code != exitRefused || !strings.Contains(errs, part) || strings.Count(errs, "\n") != 1 {
				t.Errorf("%s: exit code %d, %q, want %q", what, code, errs, part)
			}
		}
	}
}

func csvOf(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPredictTablesThatAreWrong(t *testing.T) {
	for text, says := range map[string]string{
		"1,2,3\n":                           "rows.csv:1: the number of cells is not the header's 4",
		"1,2,3,4\n1,2,3,x\n":                `rows.csv:2: `,
		"1,2,3,4\n1,2,3,4,5\n":              "rows.csv:2: ",
		"":                                  "no rows",
		"sepal,petal\n1,2\n":                "rows.csv: header: ",
		irisHeader(t) + ",extra\n1,2,3,4\n": "no column",
	} {
		_, code, errs := asked(t, iris, csvOf(t, text))
		if code != exitRefused || !strings.Contains(errs, says) {
			t.Errorf("%q: exit code %d, %q, want %q", text, code, errs, says)
		}
	}
}

func irisHeader(t *testing.T) string {
	t.Helper()
	name := irisInput(t)
	return fmt.Sprintf("%s[0],%s[1],%s[2],%s[3]", name, name, name, name)
}

// A header that does not fit is one error of the file, not one of each row.
func TestPredictSaysOnceThatAHeaderDoesNotFit(t *testing.T) {
	path := put(t, filepath.Join(t.TempDir(), "rows.csv"), ","+irisHeader(t)+"\n0,5.9,3.2,4.8,1.8\n1,5.1,3.5,1.4,0.2\n")
	lines, code, errs := asked(t, iris, path)
	if code != exitRefused || len(lines) != 0 || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, path+`: header: the model has no column ""`) || !strings.Contains(errs, "to_csv(index=False)") {
		t.Errorf("exit code %d, %v, %s", code, lines, errs)
	}
}

// Rows are streamed: a file of them takes no memory for its length.
func TestPredictStreamsRows(t *testing.T) {
	before := os.Stdin
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	os.Stdin = read
	t.Cleanup(func() { os.Stdin = before })
	const rows = 20_000
	go func() {
		for range rows {
			_, _ = write.WriteString("[5.9,3.2,4.8,1.8]" + strings.Repeat(" ", 2000) + "\n")
		}
		_ = write.Close()
	}()
	var peak uint64
	lines := &counter{every: 1000, do: func() {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapAlloc)
	}}
	var errs bytes.Buffer
	var start runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&start)
	if code := run(t.Context(), []string{"predict", "--json", iris, "-"}, lines, &errs); code != exitDone || lines.n != rows {
		t.Errorf("exit code %d, %d lines, %s", code, lines.n, &errs)
	}
	if grown := int64(peak) - int64(start.HeapAlloc); grown > 16<<20 { // the rows are 40 MB
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

type counter struct {
	n, every int
	do       func()
}

func (c *counter) Write(b []byte) (int, error) {
	c.n += bytes.Count(b, []byte("\n"))
	if c.n%c.every == 0 {
		c.do()
	}
	return len(b), nil
}

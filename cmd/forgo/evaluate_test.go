package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict/bundle"
)

// sorted copies the golden pictures of shapes.forgo into class folders, and returns how many each class has.
func sorted(t *testing.T) (folder string, counts map[string]int) {
	t.Helper()
	b, err := bundle.Open(shapes)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	folder, counts = t.TempDir(), map[string]int{}
	for _, c := range b.Manifest.Golden.Cases {
		raw, err := os.ReadFile(filepath.Join(shapes, c.Input))
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(folder, c.Label, "deeper", filepath.Base(c.Input)), string(raw))
		counts[c.Label]++
	}
	return folder, counts
}

func put(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func evaluated(t *testing.T, args ...string) (e evaluation, code int, errs string) {
	t.Helper()
	code, out, errs := command(t, append([]string{"evaluate", "--json"}, args...)...)
	if out != "" {
		if err := json.Unmarshal([]byte(out), &e); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return e, code, errs
}

func TestEvaluateClassFolders(t *testing.T) {
	folder, counts := sorted(t)
	e, code, errs := evaluated(t, "--fail-under", "1", shapes, folder)
	if code != exitDone || *e.Accuracy != 1 || e.Examples != 16 || e.Failed != 0 || e.Top5 != nil || len(e.Confusions) != 0 || errs != "" {
		t.Fatalf("exit code %d, %s, %+v", code, errs, e)
	}
	for _, c := range e.Classes {
		if c.Count != int64(counts[c.Label]) || *c.Precision != 1 || *c.Recall != 1 {
			t.Errorf("%+v, want %d examples", c, counts[c.Label])
		}
	}
	// A blue one among the red, and one in a folder of no label.
	blue, err := filepath.Glob(filepath.Join(folder, "blue", "deeper", "*"))
	if err != nil || len(blue) == 0 {
		t.Fatal(err)
	}
	if err := os.Rename(blue[0], filepath.Join(folder, "red", "wrong.jpg")); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(folder, "red", "empty.jpg"), "")
	put(t, filepath.Join(folder, "purple", "p.jpg"), "")
	e, code, errs = evaluated(t, "--fail-under", "0.9", shapes, folder)
	if code != exitRefused || *e.Accuracy != 15./16 || e.Failed != 2 || len(e.Failures) != 2 || !strings.HasSuffix(e.Failures[1].File, "empty.jpg") {
		t.Errorf("exit code %d, %s, %+v", code, errs, e)
	}
	if len(e.Confusions) != 1 || e.Confusions[0].Expected != "red" || e.Confusions[0].Got != "blue" || e.Confusions[0].Count != 1 {
		t.Errorf("confusions %+v", e.Confusions)
	}
	for _, want := range []string{"p.jpg: picture refused", "empty.jpg: picture refused: it is empty", "2 of 18 examples could not be measured"} {
		if !strings.Contains(errs, want) {
			t.Errorf("%q is not in %s", want, errs)
		}
	}
	if _, code, errs = evaluated(t, "--fail-under", "0.95", shapes, folder); code != exitRefused || !strings.Contains(errs, "the accuracy, 93.75%, is below --fail-under 0.95") {
		t.Errorf("exit code %d, %s", code, errs)
	}
	code, out, errs := command(t, "evaluate", shapes, folder)
	for _, want := range []string{"accuracy 93.75% on 16 examples", "; 2 not measured\n", "label  examples  precision  recall\n", "expected  got   examples\nred       blue  1\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("exit code %d, %q is not in %s%s", code, want, out, errs)
		}
	}
}

// A folder without a label's name is reported, not skipped.
func TestEvaluateNamesFoldersOfNoLabel(t *testing.T) {
	folder, _ := sorted(t)
	if err := os.Rename(filepath.Join(folder, "blue"), filepath.Join(folder, "bleu")); err != nil {
		t.Fatal(err)
	}
	e, code, errs := evaluated(t, shapes, folder)
	if code != exitRefused || e.Failed == 0 || e.Failed+e.Examples != 16 ||
		!strings.Contains(errs, `no folder above it is named after a label; the labels are "blue" "green" "red"`) {
		t.Errorf("exit code %d, %s, %+v", code, errs, e)
	}
}

func TestEvaluateNamesTheFirstFailures(t *testing.T) {
	folder, _ := sorted(t)
	for i := range 30 {
		put(t, filepath.Join(folder, "red", fmt.Sprintf("%d.jpg", i)), "")
	}
	e, code, errs := evaluated(t, shapes, folder)
	if code != exitRefused || e.Failed != 30 || len(e.Failures) != maxFailures || strings.Count(errs, "picture refused") != maxFailures || !strings.Contains(errs, "and 10 more") {
		t.Errorf("exit code %d, %s, %+v", code, errs, e)
	}
}

func TestEvaluateRowsInEveryForm(t *testing.T) {
	dir, name := t.TempDir(), irisInput(t)
	file := func(name, text string) string { return put(t, filepath.Join(dir, name), text) }
	rows := []string{"5.9,3.2,4.8,1.8", "5.1,3.5,1.4,0.2", "6.3,3.3,6,2.5", "6.3,3.3,6,2.5"}
	kinds := []string{"virginica", "setosa", "virginica", ""}
	table := irisHeader(t) + ",kind\n"
	first := "kind," + irisHeader(t) + "\n"
	numbers := table
	var lines []string
	for i, row := range rows {
		table += row + "," + kinds[i] + "\n"
		first += kinds[i] + "," + row + "\n"
		numbers += row + "," + []string{"2", "0", "2.0", ""}[i] + "\n"
		lines = append(lines, fmt.Sprintf(`{"kind": %q, %q: [%s]}`, kinds[i], name, row))
	}
	lines[3] = strings.Replace(lines[3], `""`, "null", 1)
	plain := strings.Join(rows, "\n")
	for form, args := range map[string][]string{
		"last column":  {file("last.csv", table), "--expected-column", "kind"},
		"first column": {file("first.csv", first), "--expected-column", "kind"},
		"class number": {file("numbers.csv", numbers), "--expected-column", "kind"},
		"JSON lines":   {file("rows.jsonl", strings.Join(lines, "\n")), "--expected-column", "kind"},
		"a JSON list":  {file("rows.json", "["+strings.Join(lines, ",")+"]"), "--expected-column", "kind"},
		"labels":       {file("plain.csv", plain), "--expected-labels", file("labels.txt", strings.Join(kinds[:3], "\n")+"\nnull\n")},
		"labels, bare": {file("plain.csv", plain), "--expected-labels", file("bare.txt", strings.Join(kinds[:3], "\r\n")+"\r\nnull")},
		"a pattern":    {filepath.Join(dir, "las*.csv"), "--expected-column", "kind"},
	} {
		e, code, errs := evaluated(t, append([]string{iris}, args...)...)
		if code != exitDone || e.Examples != 3 || e.Unlabelled != 1 || *e.Accuracy != 1 {
			t.Errorf("%s: exit code %d, %s, %+v", form, code, errs, e)
		}
	}
}

func TestEvaluateRefusals(t *testing.T) {
	dir, name := t.TempDir(), irisInput(t)
	file := func(name, text string) string { return put(t, filepath.Join(dir, name), text) }
	rows := file("rows.csv", irisHeader(t)+",kind\n5.9,3.2,4.8,1.8,virginica\n5.1,3.5,1.4,0.2,rose\n")
	plain := file("plain.csv", "5.9,3.2,4.8,1.8\n5.1,3.5,1.4,0.2\n")
	for want, c := range map[string]struct {
		args []string
		code int
	}{
		`rows.csv:2: the expected label "rose" is not among the labels "setosa" "versicolor" "virginica"`: {[]string{iris, rows, "--expected-column", "kind"}, exitRefused},
		`the file has no column "species"; it has`:                                                        {[]string{iris, rows, "--expected-column", "species"}, exitRefused},
		`the file has no header, and so no column "kind"`:                                                 {[]string{iris, plain, "--expected-column", "kind"}, exitRefused},
		"the model takes this column":                                                                     {[]string{iris, rows, "--expected-column", name + "[0]"}, exitRefused},
		"has 1 lines, but there are more examples":                                                        {[]string{iris, plain, "--expected-labels", file("one.txt", "setosa\n")}, exitRefused},
		"has more lines than the 2 examples":                                                              {[]string{iris, plain, "--expected-labels", file("three.txt", "setosa\nsetosa\nsetosa\n")}, exitRefused},
		"no such file":                                                                                    {[]string{iris, plain, "--expected-labels", filepath.Join(dir, "none.txt")}, exitRefused},
		"give the right answers":                                                                          {[]string{iris, plain}, exitUsage},
		"not both":                                                                                        {[]string{iris, plain, "--expected-column", "a", "--expected-labels", "b"}, exitUsage},
		"--fail-under must be a share of at most 1":                                                       {[]string{iris, plain, "--fail-under", "90"}, exitUsage},
		"not NaN":                       {[]string{iris, plain, "--fail-under", "nan"}, exitUsage},
		"the model's task is tensors":   {[]string{conformance + "bundles/half_plus_two.forgo", plain, "--expected-column", "a"}, exitRefused},
		"no example has a right answer": {[]string{iris, plain, "--expected-labels", file("null.txt", "null\nnull\n")}, exitRefused},
		`the row has no column "kind": it must be an object`: {[]string{iris, file("bare.jsonl", "[5.9,3.2,4.8,1.8]"), "--expected-column", "kind"}, exitRefused},
		`the example has no column "kind"`:                   {[]string{iris, file("without.jsonl", fmt.Sprintf(`{%q: [5.9,3.2,4.8,1.8]}`, name)), "--expected-column", "kind"}, exitRefused},
		"nowhere: no such file or directory":                 {[]string{shapes, filepath.Join(dir, "nowhere")}, exitRefused},
		"the number of cells is not the header's 4":          {[]string{iris, file("short.csv", irisHeader(t)+",kind\n5.9,3.2,virginica\n"), "--expected-column", "kind"}, exitRefused},
		"an array has no columns to keep":                    {[]string{iris, file("rows.npy", "\x93NUMPY"), "--expected-column", "kind"}, exitRefused},
		"the model has no column \"id\"":                     {[]string{iris, file("id.csv", "id,"+irisHeader(t)+",kind\n1,5.9,3.2,4.8,1.8,virginica\n"), "--expected-column", "kind"}, exitRefused},
	} {
		_, code, errs := evaluated(t, c.args...)
		if code != c.code || strings.Count(errs, "\n") > 2 || !strings.Contains(errs, want) || strings.Contains(errs, "goroutine") {
			t.Errorf("%q: exit code %d, %s", c.args[1:], code, errs)
		}
	}
}

// What programs need: the failures in the order of the rows, and columns that the model does not take.
func TestPredictKeepsColumnsAndErrors(t *testing.T) {
	dir, name := t.TempDir(), irisInput(t)
	header := irisHeader(t)
	table := put(t, filepath.Join(dir, "rows.csv"), "id,"+header+"\n7,5.9,3.2,4.8,1.8\n8,many,3.5,1.4,0.2\n9,6.3,3.3,6,2.5\n")
	lines := put(t, filepath.Join(dir, "rows.jsonl"), fmt.Sprintf("{\"id\": \"7\", %q: [5.9,3.2,4.8,1.8]}\n{%q: \"many\", \"id\": \"8\"}\n{%q: [6.3,3.3,6,2.5], \"id\": \"9\"}", name, name, name))
	for _, path := range []string{table, lines} {
		code, out, errs := command(t, "predict", "--json", "--errors", "--keep", "id", "--keep", name+"[3]", iris, path)
		if path == lines {
			code, out, errs = command(t, "predict", "--json", "--errors", "--keep", "id", "--keep", name, iris, path)
		}
		answers := strings.Split(strings.TrimSpace(out), "\n")
		if code != exitDone || errs != "" || len(answers) != 3 {
			t.Fatalf("exit code %d, %s%s", code, out, errs)
		}
		for i, want := range []string{`"classes":[{"label":"virginica"`, `"error":"`, `"classes":[{"label":"virginica"`} {
			var got struct {
				Row  int
				Kept map[string]any
			}
			if err := json.Unmarshal([]byte(answers[i]), &got); err != nil {
				t.Fatalf("%v: %s", err, answers[i])
			}
			if !strings.Contains(answers[i], want) || got.Row != i+1 || got.Kept["id"] != fmt.Sprint(7+i) || len(got.Kept) != 2 {
				t.Errorf("%s, want %s", answers[i], want)
			}
		}
	}
	for _, args := range [][]string{{"--keep", "id"}, {"--errors"}, {"--json", "--keep", "id", "--keep", "id"}} {
		if code, _, errs := command(t, append([]string{"predict", iris, table}, args...)...); code != exitUsage {
			t.Errorf("%q: exit code %d, %s", args, code, errs)
		}
	}
}

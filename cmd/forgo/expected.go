package main

// Where forgo evaluate reads the right answers, and how it compares them with the model's.

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/forgo-ml/forgo/internal/metrics"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
)

// rightAnswers gives the right answer to each example, as text.
type rightAnswers interface {
	next(r result) (string, error)
	end() error // after the last example
	close()
}

// answersError is one of the right answers as a whole, not of one example.
type answersError struct{ error }

// answers opens the right answers to examples.
func (f *evaluateFlags) answers(m *bundle.Manifest, examples string) (rightAnswers, error) {
	switch {
	case f.column != "":
		return byColumn(f.column), nil
	case f.labels != "":
		file, err := os.Open(f.labels)
		if err != nil {
			return nil, fmt.Errorf("read expected labels: %w", err)
		}
		return &byLine{file: file, lines: bufio.NewReader(file)}, nil
	}
	if info, err := os.Stat(examples); err == nil && !info.IsDir() || m.Task == bundle.Regression {
		return nil, usageError{errors.New("give the right answers: --expected-column COLUMN or --expected-labels FILE")}
	}
	return byFolder{examples, m.Labels}, nil
}

// byColumn is the column that has the right answers.
type byColumn string

func (c byColumn) end() error { return nil }
func (c byColumn) close()     {}

func (c byColumn) next(r result) (text string, err error) {
	if len(r.kept) == 0 || r.kept[0] == nil {
		return "", fmt.Errorf("the example has no column %q", string(c))
	}
	value := r.kept[0]
	if value[0] != '"' {
		return string(value), nil
	}
	err = json.Unmarshal(value, &text)
	return text, err
}

// byLine reads the right answers from a file with a line for each example.
type byLine struct {
	file  *os.File
	lines *bufio.Reader
	read  int64
}

func (l *byLine) close() { _ = l.file.Close() }

func (l *byLine) line() (string, error) {
	line, err := readLine(l.lines)
	if errors.Is(err, io.EOF) && len(line) > 0 {
		err = nil
	}
	if err == nil {
		l.read++
	}
	return strings.TrimPrefix(string(line), "\ufeff"), err
}

func (l *byLine) next(result) (string, error) {
	line, err := l.line()
	switch {
	case errors.Is(err, io.EOF):
		return "", answersError{fmt.Errorf("%s has %d lines, but there are more examples", l.file.Name(), l.read)}
	case err != nil:
		return "", answersError{fmt.Errorf("read expected labels: %s: %w", l.file.Name(), reason(err))}
	}
	return line, nil
}

func (l *byLine) end() error {
	examples := l.read
	if _, err := l.line(); err == nil {
		return fmt.Errorf("%s has more lines than the %d examples", l.file.Name(), examples)
	}
	return nil
}

// byFolder takes the nearest folder above a file, below the root, that is named after a label.
type byFolder struct {
	root   string
	labels []string
}

func (f byFolder) end() error { return nil }
func (f byFolder) close()     {}

func (f byFolder) next(r result) (string, error) {
	rel, err := filepath.Rel(f.root, r.file)
	if err != nil {
		return "", err
	}
	folders := strings.Split(filepath.ToSlash(filepath.Dir(rel)), "/")
	for _, name := range slices.Backward(folders) {
		if slices.Contains(f.labels, name) {
			return name, nil
		}
	}
	return "", fmt.Errorf("no folder above it is named after a label; the labels are %s", someOf(f.labels))
}

// grader compares answers with the right ones.
type grader interface {
	// add counts an answer. known is false if the text says that the right answer is not known.
	add(text string, a predict.Answer) (known bool, err error)
	// scores sets those of its task, and returns the one for --fail-under.
	scores(e *evaluation) score
}

func graderOf(m *bundle.Manifest) (grader, error) {
	n := labelNumbers{labels: m.Labels, number: map[string]int{}}
	for i, label := range m.Labels {
		n.number[label] = i
		_, err := strconv.Atoi(label)
		n.numeric = n.numeric || err == nil
	}
	switch m.Task {
	case bundle.Classification:
		return &gradeClasses{n, metrics.NewClasses(m.Labels)}, nil
	case bundle.MultiLabel:
		return &gradeLabels{n, metrics.NewLabels(m.Labels)}, nil
	case bundle.Regression:
		return &gradeValues{output: m.Outputs[0].Name}, nil
	}
	return nil, fmt.Errorf("the model's task is %s: evaluate measures classification, multi-label and regression", m.Task)
}

// labelNumbers finds the number of a label.
type labelNumbers struct {
	labels  []string
	number  map[string]int
	numeric bool // a label is a number
}

// of takes a label as it is written or, if no label is a number, its number from 0 on.
func (n *labelNumbers) of(text string) (int, error) {
	trimmed := strings.TrimSpace(text)
	whole := strings.TrimSuffix(trimmed, ".0") // as pandas writes numbers beside missing ones
	for _, name := range []string{text, trimmed, whole} {
		if i, ok := n.number[name]; ok {
			return i, nil
		}
	}
	if i, ok := n.number[map[string]string{"true": "True", "false": "False"}[trimmed]]; ok { // Python's, written as JSON
		return i, nil
	}
	if i, err := strconv.Atoi(whole); err == nil && !n.numeric && 0 <= i && i < len(n.labels) {
		return i, nil
	}
	return 0, fmt.Errorf("the expected label %q is not among the labels %s", text, someOf(n.labels))
}

func unknown(text string) bool {
	text = strings.TrimSpace(text)
	return text == "" || text == "null"
}

type gradeClasses struct {
	labelNumbers
	counts *metrics.Classes
}

func (g *gradeClasses) add(text string, a predict.Answer) (bool, error) {
	expected, err := g.of(text)
	if err != nil {
		if unknown(text) {
			err = nil
		}
		return false, err
	}
	const best = 5
	var got []int
	for _, c := range a.Classes[:min(best, len(a.Classes))] {
		got = append(got, g.number[c.Label])
	}
	g.counts.Add(expected, got)
	return true, nil
}

func (g *gradeClasses) scores(e *evaluation) score {
	e.Accuracy, e.Top5, e.Classes, e.Confusions = g.counts.Accuracy(), g.counts.Top5(), g.counts.Each(), g.counts.Confusions(maxConfusions)
	return score{"accuracy", e.Accuracy, true}
}

type gradeLabels struct {
	labelNumbers
	counts *metrics.Labels
}

func (g *gradeLabels) add(text string, a predict.Answer) (bool, error) {
	expected, known, err := g.several(text)
	if err != nil || !known {
		return false, err
	}
	var got []int
	for _, c := range a.Classes {
		got = append(got, g.number[c.Label])
	}
	g.counts.Add(expected, got)
	return true, nil
}

// several reads labels as forgo export does: separated by commas or as a JSON list. Nothing is no label.
func (g *gradeLabels) several(text string) (numbers []int, known bool, err error) {
	names := strings.Split(text, ",")
	switch _, one := g.number[text]; {
	case one:
		names = []string{text}
	case strings.TrimSpace(text) == "null":
		return nil, false, nil
	case strings.TrimSpace(text) == "":
		return nil, true, nil
	case strings.HasPrefix(strings.TrimSpace(text), "["):
		var values []any
		if err := json.Unmarshal([]byte(text), &values); err != nil {
			return nil, false, fmt.Errorf("the expected labels %q are not a JSON list of labels", text)
		}
		names = nil
		for _, v := range values {
			names = append(names, fmt.Sprint(v))
		}
	}
	for _, name := range names {
		i, err := g.of(name)
		if err != nil {
			return nil, false, err
		}
		if slices.Contains(numbers, i) {
			return nil, false, fmt.Errorf("the expected labels %q name %q twice", text, g.labels[i])
		}
		numbers = append(numbers, i)
	}
	return numbers, true, nil
}

func (g *gradeLabels) scores(e *evaluation) score {
	e.ExactMatch, e.Classes = g.counts.ExactMatch(), g.counts.Each()
	return score{"exact match", e.ExactMatch, true}
}

// gradeValues compares the values of a regression's first output, one by one.
type gradeValues struct {
	output string
	values []metrics.Values
}

func (g *gradeValues) add(text string, a predict.Answer) (bool, error) {
	if unknown(text) || strings.EqualFold(strings.TrimSpace(text), "nan") {
		return false, nil
	}
	var expected []float64
	for part := range strings.SplitSeq(strings.Trim(strings.TrimSpace(text), "[]"), ",") {
		x, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return false, fmt.Errorf("the expected value %q is not a number", text)
		}
		expected = append(expected, x)
	}
	got, err := a.Outputs[g.output].Floats()
	if err != nil {
		return false, err
	}
	if len(got) != len(expected) {
		return false, fmt.Errorf("the expected value %q is %d numbers, but the model answers %d", text, len(expected), len(got))
	}
	if slices.ContainsFunc(got, func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) }) {
		return false, fmt.Errorf("the answer is %v, not a finite number", got)
	}
	if g.values == nil {
		g.values = make([]metrics.Values, len(got))
	}
	if len(got) != len(g.values) {
		return false, fmt.Errorf("the answer has %d numbers, others %d", len(got), len(g.values))
	}
	for i := range got {
		g.values[i].Add(expected[i], got[i])
	}
	return true, nil
}

// scores has the mean R² of several values for --fail-under, as scikit-learn's r2_score.
func (g *gradeValues) scores(e *evaluation) score {
	mean := 0.0
	whole := &mean
	for i := range g.values {
		v := &g.values[i]
		name := g.output
		if len(g.values) > 1 {
			name = fmt.Sprintf("%s[%d]", name, i)
		}
		r2 := v.R2()
		e.Values = append(e.Values, valueScores{name, v.MeanAbsoluteError(), v.RootMeanSquaredError(), r2})
		if r2 == nil {
			whole = nil
			continue
		}
		mean += *r2 / float64(len(g.values))
	}
	return score{"R²", whole, false}
}

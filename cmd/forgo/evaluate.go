package main

// How good a bundle's answers are, on examples whose right answers are known.

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/forgo-ml/forgo/internal/metrics"
	"github.com/forgo-ml/forgo/internal/printable"
)

const (
	maxFailures   = 20 // named one by one
	maxConfusions = 10
)

type evaluateFlags struct {
	load    loadFlags
	labels  string
	column  string
	atLeast float64
	limited bool // atLeast
	asJSON  bool
}

func evaluateCommand() *cobra.Command {
	var f evaluateFlags
	cmd := &cobra.Command{
		Use:   "evaluate BUNDLE EXAMPLES",
		Short: "Measure how good a bundle's answers are on labelled examples",
		Long: "Evaluate answers EXAMPLES as forgo predict does, and compares the answers with the right ones. EXAMPLES is\n" +
			"a folder or a file in any form that predict takes. The right answers come from\n\n" +
			"  class folders, EXAMPLES/LABEL/*.jpg: the nearest folder that is named after a label;\n" +
			"  --expected-column, a column of the rows: a label, or for a regression a value;\n" +
			"  --expected-labels, a file with a line for each example, in order.\n\n" +
			"For a classifier it reports the accuracy, with more than five classes also the top-5 accuracy, each class's\n" +
			"precision and recall, and the most frequent confusions; for a multi-label model the share of examples that\n" +
			"get exactly their labels (exact match), and each label's precision and recall; for a regression the mean\n" +
			"absolute error, the root mean squared error and R². Several labels of an example are separated by commas,\n" +
			"or are a JSON list. An empty or null label counts the example as unlabelled. Evaluate reports examples that\n" +
			"cannot be read or have a label that the model lacks, measures the others, and exits with code 1.",
		Example: "  forgo evaluate digits.forgo digits/test\n" +
			"  forgo evaluate prices.forgo houses.csv --expected-column price\n" +
			"  forgo evaluate --json --fail-under 0.9 digits.forgo digits/test",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.limited = cmd.Flags().Changed("fail-under")
			if f.atLeast > 1 || f.atLeast-f.atLeast != 0 {
				return usageError{fmt.Errorf("--fail-under must be a share of at most 1, such as 0.9, not %v", f.atLeast)}
			}
			if f.labels != "" && f.column != "" {
				return usageError{errors.New("give --expected-column or --expected-labels, not both")}
			}
			return f.run(cmd, args[0], args[1])
		},
	}
	cmd.Flags().StringVar(&f.column, "expected-column", "", "the `COLUMN` of the rows with the right answers, which the model does not take")
	cmd.Flags().StringVar(&f.labels, "expected-labels", "", "a `FILE` with the right label (or value) of each example, one per line, null if unknown; for multi-label, all labels, separated by commas")
	cmd.Flags().Float64Var(&f.atLeast, "fail-under", 0, "exit with code 1 if the score is below `SHARE`: accuracy, for multi-label exact match, for regression R²")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print one JSON object")
	for _, flag := range []string{"expected-column", "expected-labels", "fail-under"} {
		commandLineOnly(cmd.Flags(), flag)
	}
	f.load.add(cmd.Flags())
	return cmd
}

// evaluation is what evaluate measured, as --json prints it.
type evaluation struct {
	Bundle     string  `json:"bundle"`
	Digest     string  `json:"digest"`
	Task       string  `json:"task"`
	Examples   int64   `json:"examples"` // measured
	Unlabelled int64   `json:"unlabelled"`
	Failed     int64   `json:"failed"`
	Seconds    float64 `json:"seconds"`
	PerSecond  float64 `json:"rows_per_second"`
	// Those of the model's task follow; the others are left out.
	Accuracy   *float64            `json:"accuracy,omitempty"`
	Top5       *float64            `json:"top5_accuracy,omitempty"`
	ExactMatch *float64            `json:"exact_match,omitempty"`
	Classes    []metrics.Class     `json:"classes,omitempty"`
	Confusions []metrics.Confusion `json:"confusions,omitzero"`
	Values     []valueScores       `json:"values,omitempty"`
	Failures   []failure           `json:"failures"` // the first of them
}

type failure struct {
	File  string `json:"file"`
	Row   int    `json:"row,omitempty"`
	Error string `json:"error"`
}

// valueScores are those of one value of a regression; null where they are undefined.
type valueScores struct {
	Name                 string   `json:"name"`
	MeanAbsoluteError    *float64 `json:"mean_absolute_error"`
	RootMeanSquaredError *float64 `json:"root_mean_squared_error"`
	R2                   *float64 `json:"r2"`
}

func (f *evaluateFlags) run(cmd *cobra.Command, path, examples string) error {
	model, err := f.load.load(cmd.Context(), path)
	if err != nil {
		return err
	}
	defer model.Close()
	warnOfEngines(cmd, model)
	if !f.asJSON {
		printable.Fprintf(cmd.ErrOrStderr(), "%s\n", model.Parity())
	}
	manifest := model.Manifest()
	grader, err := graderOf(manifest)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	expected, err := f.answers(manifest, examples)
	if err != nil {
		return err
	}
	defer expected.close()
	asking := &asker{takes: manifest.Row()}
	if f.column != "" {
		asking.keep = []string{f.column}
		if asking.takesColumn(f.column) {
			return fmt.Errorf("--expected-column %s: the model takes this column, so it is not the right answer", f.column)
		}
	}
	e := evaluation{Bundle: path, Digest: model.Digest(), Task: manifest.Task, Failures: []failure{}}
	start := time.Now()
	err = answerAll(cmd, ofBundle{model, model}, asking, []string{examples}, func(r result) error {
		failed := r.err
		if r.question.err == nil { // it is an example, and not the end of a file that cannot be read
			text, err := expected.next(r)
			if errors.As(err, new(answersError)) {
				return err
			}
			if failed = cmp.Or(failed, err); failed == nil {
				known, err := grader.add(text, r.answer)
				if failed = err; known {
					e.Examples++
				} else if failed == nil {
					e.Unlabelled++
				}
			}
		}
		if failed != nil {
			e.fail(cmd, r.question, failed)
		}
		return nil
	})
	if err == nil {
		err = expected.end()
	}
	if err != nil {
		return err
	}
	if more := e.Failed - maxFailures; more > 0 {
		printable.Fprintf(cmd.ErrOrStderr(), "forgo: and %d more\n", more)
	}
	if e.Examples == 0 && e.Failed > 0 {
		return errShown
	}
	if e.Examples == 0 {
		return fmt.Errorf("%s: no example has a right answer: give class folders, EXAMPLES/LABEL/*.jpg, --expected-column or --expected-labels", examples)
	}
	e.Seconds = time.Since(start).Seconds()
	e.PerSecond = float64(e.Examples+e.Unlabelled+e.Failed) / e.Seconds
	main := grader.scores(&e)
	if err := f.print(cmd.OutOrStdout(), e, main); err != nil {
		return fmt.Errorf("write scores: %w", err)
	}
	return f.verdict(e, main)
}

// fail counts an example that cannot be measured, and names the first of them.
func (e *evaluation) fail(cmd *cobra.Command, q question, err error) {
	if e.Failed++; e.Failed > maxFailures {
		return
	}
	e.Failures = append(e.Failures, failure{q.file, q.row, oneLine(err)})
	printable.Fprintf(cmd.ErrOrStderr(), "forgo: %s: %s\n", q, oneLine(err))
}

// verdict says whether the examples, or --fail-under, refuse the bundle.
func (f *evaluateFlags) verdict(e evaluation, main score) error {
	if f.limited && (main.value == nil || *main.value < f.atLeast) {
		return fmt.Errorf("%s: the %s, %s, is below --fail-under %v", e.Bundle, main.name, main.text(), f.atLeast)
	}
	if e.Failed > 0 {
		return fmt.Errorf("%s: %d of %d examples could not be measured", e.Bundle, e.Failed, e.Failed+e.Examples+e.Unlabelled)
	}
	return nil
}

func (f *evaluateFlags) print(w io.Writer, e evaluation, main score) error {
	if f.asJSON {
		return json.NewEncoder(w).Encode(e)
	}
	printable.Fprintf(w, "%s %s", main.name, main.text())
	if e.Top5 != nil {
		printable.Fprintf(w, ", among the best five %s", percent(e.Top5))
	}
	printable.Fprintf(w, " on %d examples; %.0f rows/s", e.Examples, e.PerSecond)
	if e.Unlabelled > 0 {
		printable.Fprintf(w, "; %d unlabelled", e.Unlabelled)
	}
	if e.Failed > 0 {
		printable.Fprintf(w, "; %d not measured", e.Failed)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(e.Values) > 0 {
		printable.Fprintf(t, "\n\nvalue\tmean absolute error\troot mean squared error\tR²\n")
	}
	for _, v := range e.Values {
		printable.Fprintf(t, "%s\t%s\t%s\t%s\n", v.Name, number(v.MeanAbsoluteError), number(v.RootMeanSquaredError), number(v.R2))
	}
	if len(e.Classes) > 0 {
		printable.Fprintf(t, "\n\nlabel\texamples\tprecision\trecall\n")
	}
	for _, c := range e.Classes {
		printable.Fprintf(t, "%s\t%d\t%s\t%s\n", c.Label, c.Count, percent(c.Precision), percent(c.Recall))
	}
	if len(e.Confusions) > 0 {
		printable.Fprintf(t, "\nexpected\tgot\texamples\n")
	}
	for _, c := range e.Confusions {
		printable.Fprintf(t, "%s\t%s\t%d\n", c.Expected, c.Got, c.Count)
	}
	return t.Flush()
}

// score is what --fail-under looks at.
type score struct {
	name  string
	value *float64
	share bool
}

func (s score) text() string {
	if s.share {
		return percent(s.value)
	}
	return number(s.value)
}

func percent(share *float64) string {
	if share == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f%%", 100**share)
}

func number(x *float64) string {
	if x == nil {
		return "undefined"
	}
	return fmt.Sprintf("%.6g", *x)
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/forgo-ml/forgo/internal/printable"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
)

func predictCommand() *cobra.Command {
	var load loadFlags
	var bare bareFlags
	var top int
	var asJSON, errorsToo bool
	var keep []string
	cmd := &cobra.Command{
		Use:   "predict MODEL FILE...",
		Short: "Label pictures or JSON rows with a bundle, a SavedModel or an ONNX file",
		Long: "Predict answers each FILE: a JPEG, PNG, GIF, BMP, TIFF or WebP picture, or a JSON row if the model takes\n" +
			"tensors. It also takes folders, with everything in them, and files of rows: .jsonl with a JSON row per\n" +
			"line, pictures as {\"file\": \"PATH\"}; .json with a row or a list of rows; .npy; .npz with an array for each\n" +
			"input; .csv with a header or without; with the Python package, .parquet. - is standard input, in any of\n" +
			"these forms except the last. Predict reports the files in a folder that it skips. If a file cannot be\n" +
			"read, it reports that file, answers the others, and exits with code 1.\n\n" +
			"MODEL is a bundle, a SavedModel's folder or an ONNX file. Predict first replays a bundle's golden cases,\n" +
			"and predicts nothing if an answer differs. For other models, flags say what a bundle would: the graph, input\n" +
			"and output, if the model leaves a choice, and how training prepared pictures. forgo inspect lists the\n" +
			"names. Nothing proves such answers.",
		Example: "  forgo predict digits.forgo seven.png\n" +
			"  forgo predict --json prices.forgo rows.csv\n" +
			"  forgo predict --json --top 0 digits.forgo photos/*.jpg\n" +
			"  forgo predict forGo --tag tags --input input_1 --output inferenceLayer/Softmax photo.jpg",
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if top < 0 {
				return usageError{fmt.Errorf("--top must be 0 (all classes) or more, not %d", top)}
			}
			if (errorsToo || len(keep) > 0) && !asJSON {
				return usageError{errors.New("--errors and --keep need --json")}
			}
			for i, name := range keep {
				if slices.Contains(keep[:i], name) {
					return usageError{fmt.Errorf("--keep names %q twice", name)}
				}
			}
			model, takes, err := openModel(cmd, args[0], &load, &bare, asJSON)
			if err != nil {
				return err
			}
			defer model.Close()
			show := showTable(cmd.OutOrStdout(), top)
			if asJSON {
				show = showJSON(cmd.OutOrStdout(), top, keep)
			}
			return predictAll(cmd, model, &asker{takes: takes, keep: keep}, args[1:], show, errorsToo)
		},
	}
	cmd.Flags().IntVar(&top, "top", 1, "show the `N` best classes; 0 shows all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	cmd.Flags().StringArrayVar(&keep, "keep", nil, "with --json: print the value of `COLUMN` of each row beside its answer; the model need not take the column (may be repeated)")
	cmd.Flags().BoolVar(&errorsToo, "errors", false, "with --json: print {\"file\": …, \"error\": …} in place of an answer that fails, and exit with code 0")
	load.add(cmd.Flags())
	bare.add(cmd.Flags())
	return cmd
}

// answerer is a model that answers, from a bundle or bare.
type answerer interface {
	Answer(ctx context.Context, raw []byte) (predict.Answer, error)
	// AnswerInputs answers a batch of one.
	AnswerInputs(ctx context.Context, in predict.Tensors) (predict.Answer, error)
	Close() error
}

// openModel opens the model at a path, returns what its rows hold, and prints on stderr whether its answers are
// proven.
func openModel(cmd *cobra.Command, path string, load *loadFlags, bare *bareFlags, quiet bool) (answerer, payload.Inputs, error) {
	var takes payload.Inputs
	kind, err := kindOf(path)
	switch {
	case err != nil:
		return nil, takes, err
	case kind == kindKeras:
		return nil, takes, fmt.Errorf("%s: a Keras file runs only in Python; export it first: forgo export %s -o NAME.forgo", path, path)
	case kind != kindBundle:
		model, picture, err := bare.open(cmd, path, kind, load, quiet)
		if err != nil {
			return nil, takes, err
		}
		if takes.Picture = picture; !picture {
			takes.Specs = model.Inputs()
		}
		return withoutBundle{model}, takes, nil
	}
	if err := bare.refuse(cmd, path); err != nil {
		return nil, takes, err
	}
	loaded, err := load.load(cmd.Context(), path)
	if err != nil {
		return nil, takes, err
	}
	model, ok := loaded.Signature(bare.graph.Signature)
	if !ok {
		_ = loaded.Close()
		return nil, takes, fmt.Errorf("%s: no signature %q; the bundle has %s", path, bare.graph.Signature,
			cmp.Or(strings.Join(loaded.Signatures(), ", "), "none with a name"))
	}
	warnOfEngines(cmd, loaded)
	if !quiet {
		printable.Fprintf(cmd.ErrOrStderr(), "%s\n", model.Parity())
	}
	return ofBundle{model, loaded}, model.Manifest().Row(), nil
}

// ofBundle is one signature of a bundle, which Close closes.
type ofBundle struct {
	*predict.Model
	whole *predict.Model
}

func (b ofBundle) Close() error { return b.whole.Close() }

func (b ofBundle) AnswerInputs(ctx context.Context, in predict.Tensors) (predict.Answer, error) {
	out, err := b.Run(ctx, in)
	if err != nil {
		return predict.Answer{}, err
	}
	return b.Label(out, 0)
}

type withoutBundle struct{ *predict.Bare }

func (b withoutBundle) AnswerInputs(ctx context.Context, in predict.Tensors) (predict.Answer, error) {
	out, err := b.Run(ctx, in)
	if err != nil {
		return predict.Answer{}, err
	}
	return b.Label(out)
}

type result struct {
	question
	answer predict.Answer
	kept   [][]byte
	err    error
}

// answerAll answers files concurrently and gives the results to each, in order. It bounds the number in flight.
// Asking says what the files hold and what to keep of it.
func answerAll(cmd *cobra.Command, model answerer, asking *asker, files []string, each func(result) error) error {
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	width := runtime.GOMAXPROCS(0)
	slots, results := make(chan struct{}, width), make(chan chan result, 4*width)
	go func() {
		defer close(results)
		asking.stdin = cmd.InOrStdin()
		asking.ask = func(q question) bool {
			r := make(chan result, 1)
			select {
			case results <- r:
			case <-ctx.Done():
				return false
			}
			if q.err != nil {
				r <- result{question: q, err: q.err}
				return true
			}
			slots <- struct{}{}
			go func() {
				a, kept, err := answerOne(ctx, model, q)
				r <- result{q, a, kept, err}
				<-slots
			}()
			return true
		}
		for _, file := range files {
			if err := asking.file(file); err != nil {
				asking.fail(file, err)
			}
		}
	}()
	for next := range results {
		if ctx.Err() != nil {
			break
		}
		if err := each(<-next); err != nil {
			return err
		}
	}
	if err := cmd.Context().Err(); err != nil {
		return err
	}
	for _, note := range asking.notes {
		printable.Fprintf(cmd.ErrOrStderr(), "forgo: %s\n", note)
	}
	return nil
}

// predictAll shows the answers to files on stdout and failures on stderr or, with errorsToo, in their place.
func predictAll(cmd *cobra.Command, model answerer, asking *asker, files []string, show func(result) error, errorsToo bool) error {
	failed := false
	err := answerAll(cmd, model, asking, files, func(r result) error {
		if r.err != nil && !errorsToo {
			failed = true
			printable.Fprintf(cmd.ErrOrStderr(), "forgo: %s: %s\n", r.question, oneLine(r.err))
			return nil
		}
		if err := show(r); err != nil {
			return fmt.Errorf("write answer: %w", err)
		}
		return nil
	})
	if err == nil && failed {
		return errShown
	}
	return err
}

func best(a predict.Answer, top int) predict.Answer {
	if top > 0 && top < len(a.Classes) {
		a.Classes = a.Classes[:top]
	}
	return a
}

func showJSON(w io.Writer, top int, keep []string) func(result) error {
	return func(r result) error {
		var line []byte
		var err error
		if r.err != nil {
			line = append(tensor.AppendText([]byte(`{"file":`), r.file), `,"error":`...)
			line = append(tensor.AppendText(line, oneLine(r.err)), '}')
		} else if line, err = best(r.answer, top).AppendJSON(nil, &r.file); err != nil {
			return err
		}
		if r.row > 0 {
			line = fmt.Appendf(line[:len(line)-1], `,"row":%d}`, r.row)
		}
		if len(keep) > 0 {
			line = append(appendKept(append(line[:len(line)-1], `,"kept":`...), keep, r.kept), '}')
		}
		_, err = w.Write(append(line, '\n'))
		return err
	}
}

func showTable(w io.Writer, top int) func(result) error {
	return func(r result) error {
		file, a := r.question, r.answer
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		if a.Classes != nil && len(a.Classes) == 0 {
			printable.Fprintf(t, "%s\t(no label is over its threshold)\n", file)
		}
		for _, c := range best(a, top).Classes {
			score := fmt.Sprintf("%5.1f%%", 100*c.Score)
			if math.IsNaN(float64(c.Score)) || c.Score < 0 || c.Score > 1 { // no probability: a bare model may give logits
				score = fmt.Sprintf("%.4g", c.Score)
			}
			printable.Fprintf(t, "%s\t%s\t%s\n", file, c.Label, score)
		}
		for _, name := range slices.Sorted(maps.Keys(a.Outputs)) {
			text, err := a.Outputs[name].MarshalJSON()
			if err != nil {
				return err
			}
			printable.Fprintf(t, "%s\t%s\t%s\n", file, name, text)
		}
		return t.Flush()
	}
}

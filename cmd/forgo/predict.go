package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/forgo-ml/forgo/internal/printable"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/payload"
)

func predictCommand() *cobra.Command {
	var load loadFlags
	var bare bareFlags
	var top int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "predict MODEL FILE...",
		Short: "Label pictures or JSON rows with a bundle, a SavedModel or an ONNX file",
		Long: "Predict answers each FILE: a JPEG, PNG, GIF, BMP, TIFF or WebP picture, or a JSON row if the model takes\n" +
			"tensors. It also takes folders, with everything in them, and files of rows: .jsonl with a JSON row per\n" +
			"line, pictures as {\"file\": \"PATH\"}; .json with a row or a list of rows; .npy; .npz with an array for each\n" +
			"input; .csv with a header or without; with the Python package, .parquet. - is standard input, in any of\n" +
			"these forms except the last. Predict reports the\n" +
			"files in a folder that it skips. If a file cannot be read, it reports that file, answers the others, and\n" +
			"exits with code 1.\n\n" +
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
			model, takes, err := openModel(cmd, args[0], &load, &bare, asJSON)
			if err != nil {
				return err
			}
			defer model.Close()
			show := showTable(cmd.OutOrStdout(), top)
			if asJSON {
				show = showJSON(cmd.OutOrStdout(), top)
			}
			return predictAll(cmd, model, takes, args[1:], show)
		},
	}
	cmd.Flags().IntVar(&top, "top", 1, "show the `N` best classes; 0 shows all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	load.add(cmd.Flags())
	bare.add(cmd.Flags())
	return cmd
}

// answerer is a model that answers, from a bundle or bare.
type answerer interface {
	Answer(ctx context.Context, raw []byte) (predict.Answer, error)
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
		return model, takes, nil
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

type result struct {
	question
	answer predict.Answer
	err    error
}

// predictAll answers files concurrently and shows the answers in order. It bounds the number in flight.
func predictAll(cmd *cobra.Command, model answerer, takes payload.Inputs, files []string, show func(question, predict.Answer) error) error {
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	width := runtime.GOMAXPROCS(0)
	slots, results := make(chan struct{}, width), make(chan chan result, 4*width)
	var asking asker
	go func() {
		defer close(results)
		push := func(q question, answer func() (predict.Answer, error)) bool {
			r := make(chan result, 1)
			select {
			case results <- r:
			case <-ctx.Done():
				return false
			}
			slots <- struct{}{}
			go func() {
				a, err := answer()
				r <- result{q, a, err}
				<-slots
			}()
			return true
		}
		asking = asker{takes: takes, stdin: cmd.InOrStdin(), ask: func(q question) bool {
			return push(q, func() (predict.Answer, error) { return answerOne(ctx, model, q) })
		}}
		for _, file := range files {
			if err := asking.file(file); err != nil {
				push(question{file: file}, func() (predict.Answer, error) { return predict.Answer{}, err })
			}
		}
	}()
	failed := false
	for next := range results {
		if ctx.Err() != nil {
			break
		}
		r := <-next
		if r.err != nil {
			failed = true
			printable.Fprintf(cmd.ErrOrStderr(), "forgo: %s: %s\n", r.question, oneLine(r.err))
			continue
		}
		if err := show(r.question, r.answer); err != nil {
			return fmt.Errorf("write answer: %w", err)
		}
	}
	if err := cmd.Context().Err(); err != nil {
		return err
	}
	for _, note := range asking.notes {
		printable.Fprintf(cmd.ErrOrStderr(), "forgo: %s\n", note)
	}
	if failed {
		return errShown
	}
	return nil
}

func best(a predict.Answer, top int) predict.Answer {
	if top > 0 && top < len(a.Classes) {
		a.Classes = a.Classes[:top]
	}
	return a
}

func showJSON(w io.Writer, top int) func(question, predict.Answer) error {
	return func(q question, a predict.Answer) error {
		line, err := best(a, top).AppendJSON(nil, &q.file)
		if err != nil {
			return err
		}
		if q.row > 0 {
			line = fmt.Appendf(line[:len(line)-1], `,"row":%d}`, q.row)
		}
		_, err = w.Write(append(line, '\n'))
		return err
	}
}

func showTable(w io.Writer, top int) func(question, predict.Answer) error {
	return func(file question, a predict.Answer) error {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		if a.Classes != nil && len(a.Classes) == 0 {
			printable.Fprintf(t, "%s\t(no label is over its threshold)\n", file)
		}
		for _, c := range best(a, top).Classes {
			score := fmt.Sprintf("%5.1f%%", 100*c.Score)
			if c.Score < 0 || c.Score > 1 { // no probability: a bare model may give logits
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

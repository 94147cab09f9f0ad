package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"runtime"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/forgo-ml/forgo/internal/printable"
	"github.com/forgo-ml/forgo/predict"
)

func predictCommand() *cobra.Command {
	var load loadFlags
	var bare bareFlags
	var top int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "predict MODEL FILE...",
		Short: "Label pictures, or JSON rows, with a bundle, a SavedModel or an ONNX file",
		Long: "Predict answers each FILE: a JPEG, PNG, GIF or BMP picture, or a JSON row where the model takes tensors.\n" +
			"A file that cannot be read is reported, the others are answered, and the exit code is 1.\n\n" +
			"MODEL is a bundle, a SavedModel's folder or an ONNX file. A bundle's golden cases are replayed\n" +
			"first; if an answer differs, nothing is predicted. For the others, flags say what a bundle\n" +
			"would: which graph, input and output, where the model leaves a choice, and how pictures were\n" +
			"made in training. forgo inspect lists the names. Nothing proves the answers.",
		Example: "  forgo predict digits.forgo seven.png\n" +
			"  forgo predict --json --top 0 digits.forgo photos/*.jpg\n" +
			"  forgo predict forGo --tag tags --input input_1 --output inferenceLayer/Softmax photo.jpg",
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if top < 0 {
				return usageError{fmt.Errorf("--top is 0 (all classes) or more, not %d", top)}
			}
			model, err := openModel(cmd, args[0], &load, &bare, asJSON)
			if err != nil {
				return err
			}
			defer model.Close()
			show := showTable(cmd.OutOrStdout(), top)
			if asJSON {
				show = showJSON(cmd.OutOrStdout(), top)
			}
			return predictAll(cmd, model, args[1:], show)
		},
	}
	cmd.Flags().IntVar(&top, "top", 1, "show the `N` best classes; 0 shows all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	load.add(cmd.Flags())
	bare.add(cmd.Flags())
	return cmd
}

// answerer is a model that predict asks: of a bundle, or a bare one.
type answerer interface {
	Answer(ctx context.Context, raw []byte) (predict.Answer, error)
	Close() error
}

// openModel opens what a path is, and says on stderr how far its answers are proven.
func openModel(cmd *cobra.Command, path string, load *loadFlags, bare *bareFlags, quiet bool) (answerer, error) {
	kind, err := kindOf(path)
	switch {
	case err != nil:
		return nil, err
	case kind == kindKeras:
		return nil, fmt.Errorf("%s: it is a Keras file, which only Python runs: forgo export %s -o NAME.forgo", path, path)
	case kind != kindBundle:
		return bare.open(cmd, path, kind, load.Threads, quiet)
	}
	if err := bare.refuse(cmd, path); err != nil {
		return nil, err
	}
	model, err := load.load(cmd.Context(), path)
	if err != nil {
		return nil, err
	}
	if !quiet {
		printable.Fprintf(cmd.ErrOrStderr(), "%s\n", model.Parity())
	}
	return model, nil
}

type result struct {
	answer predict.Answer
	err    error
}

// predictAll answers the files side by side and shows them in the order given.
func predictAll(cmd *cobra.Command, model answerer, files []string, show func(string, predict.Answer) error) error {
	results := make([]chan result, len(files))
	for i := range results {
		results[i] = make(chan result, 1)
	}
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	go func() {
		for i, file := range files {
			slots <- struct{}{}
			go func() {
				answer, err := predictFile(cmd.Context(), model, file)
				results[i] <- result{answer, err}
				<-slots
			}()
		}
	}()
	failed := false
	for i, file := range files {
		r := <-results[i]
		if r.err != nil {
			failed = true
			printable.Fprintf(cmd.ErrOrStderr(), "forgo: %s: %s\n", file, oneLine(r.err))
			continue
		}
		if err := show(file, r.answer); err != nil {
			return fmt.Errorf("write answer: %w", err)
		}
	}
	if failed {
		return errShown
	}
	return nil
}

func predictFile(ctx context.Context, model answerer, file string) (predict.Answer, error) {
	info, err := os.Stat(file)
	if err == nil && info.IsDir() {
		return predict.Answer{}, errors.New("it is a folder; name the files in it")
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return predict.Answer{}, err
	}
	return model.Answer(ctx, raw)
}

func best(a predict.Answer, top int) predict.Answer {
	if top > 0 && top < len(a.Classes) {
		a.Classes = a.Classes[:top]
	}
	return a
}

func showJSON(w io.Writer, top int) func(string, predict.Answer) error {
	return func(file string, a predict.Answer) error {
		line, err := best(a, top).AppendJSON(nil, &file)
		if err != nil {
			return err
		}
		_, err = w.Write(append(line, '\n'))
		return err
	}
}

func showTable(w io.Writer, top int) func(string, predict.Answer) error {
	return func(file string, a predict.Answer) error {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
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

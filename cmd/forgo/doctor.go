package main

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	forgo "github.com/forgo-ml/forgo"
	"github.com/forgo-ml/forgo/internal/printable"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/pixels"
	"github.com/forgo-ml/forgo/predict/tensorflow"
)

type diagnosis struct {
	Version          string          `json:"version"`
	Go               string          `json:"go"`
	Platform         string          `json:"platform"`
	Binary           string          `json:"binary"`
	Threads          int             `json:"threads"`
	JPEG             string          `json:"jpeg_decoder"`
	JPEGVersion      string          `json:"jpeg_decoder_version,omitempty"` // of a C library
	JPEGExact        bool            `json:"jpeg_exact"`
	ONNX             predict.Library `json:"onnxruntime"`
	ONNXFailed       string          `json:"onnxruntime_error,omitempty"`
	TensorFlow       predict.Library `json:"tensorflow"`
	TensorFlowFailed string          `json:"tensorflow_error,omitempty"`
	// Libraries are the shared libraries of this process, those of C and C++ among them.
	Libraries []predict.Library `json:"libraries"`
}

func doctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Show what this machine and this binary can do",
		Long: "Doctor shows the libraries that were found, what is lost where one is missing, and the version\n" +
			"of every C library that is linked or loaded. Exit code 1 means that nothing could be predicted on this machine as it is.",
		Example: "  forgo doctor",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := diagnosis{
				Version: forgo.Version(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
				Threads: runtime.GOMAXPROCS(0), JPEG: pixels.Decoder(), JPEGVersion: linkedTurbo(), JPEGExact: true,
			}
			d.Binary, _ = os.Executable()
			var err error
			if d.ONNX, err = onnx.Engine().Library(); err != nil {
				d.ONNXFailed = oneLine(err)
			}
			// Only SavedModels need it, so that its absence is no failure.
			var noTensorFlow error
			if d.TensorFlow, noTensorFlow = tensorflow.Engine().Library(); noTensorFlow != nil {
				d.TensorFlowFailed = oneLine(noTensorFlow)
			}
			d.Libraries = d.loaded()
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				if err := enc.Encode(d); err != nil {
					return err
				}
			} else {
				d.print(cmd)
			}
			if err != nil {
				return errShown
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// loaded are the libraries of this process, once the engines' are.
func (d diagnosis) loaded() []predict.Library {
	var known []predict.Library
	for _, l := range []predict.Library{d.ONNX, d.TensorFlow} {
		if l.Path != "" {
			known = append(known, l)
		}
	}
	return loadedLibraries(known...)
}

func (d diagnosis) print(cmd *cobra.Command) {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	defer w.Flush()
	printable.Fprintf(w, "forgo\t%s, %s, %s\n", d.Version, d.Go, d.Platform)
	printable.Fprintf(w, "binary\t%s\n", d.Binary)
	printable.Fprintf(w, "threads\t%d (the CPU limit of this process)\n", d.Threads)
	printable.Fprintf(w, "JPEG\t%s: the same pixels as in training\n", strings.TrimSpace(d.JPEG+" "+d.JPEGVersion))
	if d.ONNXFailed != "" {
		printable.Fprintf(w, "ONNX Runtime\tMISSING: %s\n", d.ONNXFailed)
	} else {
		printable.Fprintf(w, "ONNX Runtime\t%s at %s\n", d.ONNX.Version, d.ONNX.Path)
	}
	if d.TensorFlowFailed != "" {
		printable.Fprintf(w, "TensorFlow\tnone, which only SavedModels need: %s\n", d.TensorFlowFailed)
	} else {
		printable.Fprintf(w, "TensorFlow\t%s at %s\n", d.TensorFlow.Version, d.TensorFlow.Path)
	}
	for _, l := range d.Libraries {
		printable.Fprintf(w, "  %s\t%s at %s\n", filepath.Base(l.Path), cmp.Or(l.Version, "(version unknown)"), l.Path)
	}
}

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"text/tabwriter"

	"github.com/spf13/cobra"

	forgo "github.com/forgo-ml/forgo"
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
	JPEGExact        bool            `json:"jpeg_exact"`
	ONNX             predict.Library `json:"onnxruntime"`
	ONNXFailed       string          `json:"onnxruntime_error,omitempty"`
	TensorFlow       predict.Library `json:"tensorflow"`
	TensorFlowFailed string          `json:"tensorflow_error,omitempty"`
}

func doctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Show what this machine and this binary can do",
		Long: "Doctor shows the libraries that were found, with their versions, and what is lost where one is\n" +
			"missing. Exit code 1 means that nothing could be predicted on this machine as it is.",
		Example: "  forgo doctor",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := diagnosis{
				Version: forgo.Version(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
				Threads: runtime.GOMAXPROCS(0), JPEG: pixels.Decoder(), JPEGExact: pixels.Exact(),
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

func (d diagnosis) print(cmd *cobra.Command) {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	defer w.Flush()
	fmt.Fprintf(w, "forgo\t%s, %s, %s\n", d.Version, d.Go, d.Platform)
	fmt.Fprintf(w, "binary\t%s\n", d.Binary)
	fmt.Fprintf(w, "threads\t%d (the CPU limit of this process)\n", d.Threads)
	if d.JPEGExact {
		fmt.Fprintf(w, "JPEG\t%s: the same pixels as in training\n", d.JPEG)
	} else {
		fmt.Fprintf(w, "JPEG\t%s: off by up to 3 of 255; bundles with JPEG cases need --approximate-decode 3\n", d.JPEG)
	}
	if d.ONNXFailed != "" {
		fmt.Fprintf(w, "ONNX Runtime\tMISSING: %s\n", d.ONNXFailed)
	} else {
		fmt.Fprintf(w, "ONNX Runtime\t%s at %s\n", d.ONNX.Version, d.ONNX.Path)
	}
	if d.TensorFlowFailed != "" {
		fmt.Fprintf(w, "TensorFlow\tnone, which only SavedModels need: %s\n", d.TensorFlowFailed)
	} else {
		fmt.Fprintf(w, "TensorFlow\t%s at %s\n", d.TensorFlow.Version, d.TensorFlow.Path)
	}
}

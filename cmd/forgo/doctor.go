package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"text/tabwriter"

	"github.com/spf13/cobra"

	forgo "github.com/forgo-ml/forgo"
	"github.com/forgo-ml/forgo/internal/printable"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/pixels"
	"github.com/forgo-ml/forgo/serve/openapi"
)

type diagnosis struct {
	Version   string
	Go        string
	Platform  string
	Binary    string
	Threads   int
	JPEG      string
	Turbo     string // the version of libjpeg-turbo in this binary, or ""
	JPEGExact bool
	Engines   []foundEngine
	// Libraries are the shared libraries of this process, those of C and C++ among them.
	Libraries []engines.Library
}

// foundEngine is an engine with its library, or the reason why it is missing.
type foundEngine struct {
	engines.Info
	lib engines.Library
	err error
}

// report is the JSON object, with each engine under its name, and why it is missing under NAME_error.
func (d diagnosis) report() openapi.Ordered[any] {
	o := openapi.JSON("version", d.Version, "go", d.Go, "platform", d.Platform, "binary", d.Binary, "threads", d.Threads, "jpeg_decoder", d.JPEG)
	if d.Turbo != "" {
		o = append(o, openapi.JSON("libjpeg_turbo", d.Turbo)...)
	}
	o = append(o, openapi.JSON("jpeg_exact", d.JPEGExact)...)
	for _, e := range d.Engines {
		o = append(o, openapi.JSON(e.Name, e.lib)...)
		if e.err != nil {
			o = append(o, openapi.JSON(e.Name+"_error", oneLine(e.err))...)
		}
	}
	return append(o, openapi.JSON("libraries", d.Libraries)...)
}

func doctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Show what this machine and this binary can do",
		Long: "Doctor shows which libraries it found, what does not work because one is missing, and the version of\n" +
			"every C library that is linked or loaded. Exit code 1 means that this machine can predict nothing yet.",
		Example: "  forgo doctor",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := diagnosis{
				Version: forgo.Version(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
				Threads: runtime.GOMAXPROCS(0), JPEG: pixels.Decoder(), Turbo: linkedTurbo(), JPEGExact: true,
			}
			d.Binary, _ = os.Executable()
			missing := false
			for _, e := range allEngines() {
				found := foundEngine{Info: e.Info()}
				found.lib, found.err = e.Library()
				missing = missing || found.err != nil && found.OnlyFor == ""
				d.Engines = append(d.Engines, found)
			}
			d.Libraries = d.loaded()
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				if err := enc.Encode(d.report()); err != nil {
					return err
				}
			} else {
				d.print(cmd)
			}
			if missing {
				return errShown
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// loaded are the libraries of this process, once the engines' are.
func (d diagnosis) loaded() []engines.Library {
	var known []engines.Library
	for _, e := range d.Engines {
		if e.lib.Path != "" {
			known = append(known, e.lib)
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
	linked := ""
	if d.Turbo != "" {
		linked = fmt.Sprintf(" (libjpeg-turbo %s is linked, for processors without AVX2)", d.Turbo)
	}
	printable.Fprintf(w, "JPEG\t%s: the same pixels as in training%s\n", d.JPEG, linked)
	for _, e := range d.Engines {
		switch {
		case e.err == nil:
			printable.Fprintf(w, "%s\t%s at %s\n", e.Title, e.lib.Version, e.lib.Path)
		case e.OnlyFor == "":
			printable.Fprintf(w, "%s\tMISSING: %s\n", e.Title, oneLine(e.err))
		default:
			printable.Fprintf(w, "%s\tnone, needed only for %s: %s\n", e.Title, e.OnlyFor, oneLine(e.err))
		}
	}
	for _, l := range d.Libraries {
		printable.Fprintf(w, "  %s\t%s at %s\n", filepath.Base(l.Path), cmp.Or(l.Version, "(version unknown)"), l.Path)
	}
}

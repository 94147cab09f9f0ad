package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/spf13/cobra"

	"github.com/forgo-ml/forgo/client/replay"
	"github.com/forgo-ml/forgo/internal/printable"
	access "github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
)

func verifyCommand() *cobra.Command {
	var load loadFlags
	var remote urlFlags
	var asJSON, allowUnproven bool
	cmd := &cobra.Command{
		Use:   "verify BUNDLE",
		Short: "Prove that this binary, or a server, answers as the training framework did",
		Long: "Verify checks every digest of a bundle and replays its golden cases: raw inputs with the training\n" +
			"framework's answers. If an answer differs, it names the stage where the difference begins: decode,\n" +
			"preprocess, model or label. Exit code 0 means proven; a bundle without golden cases is refused unless\n" +
			"you pass --allow-unproven.\n\n" +
			"With --url, verify sends the cases to a running server, forgo's or another, in each protocol that it\n" +
			"speaks, alone and in batches. It reports a difference by protocol, form and batch, at stage serve. It loads\n" +
			"nothing itself, so it needs no engine.",
		Example: "  forgo verify digits.forgo\n" +
			"  forgo verify --json digits.forgo\n" +
			"  forgo verify --url http://127.0.0.1:8080 --url grpc://127.0.0.1:8081 digits.forgo",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(remote.urls) > 0 {
				return remote.run(cmd, args[0], asJSON)
			}
			load.RequireProof = !allowUnproven
			model, err := load.load(cmd.Context(), args[0])
			if errors.Is(err, predict.ErrUnproven) {
				err = fmt.Errorf("%w; --allow-unproven accepts it", err)
			}
			if err != nil {
				if !asJSON || errors.As(err, new(usageError)) {
					return err
				}
				_ = json.NewEncoder(cmd.OutOrStdout()).Encode(refusal(err))
				return errShown
			}
			defer model.Close()
			warnOfEngines(cmd, model)
			if asJSON {
				m := model.Manifest()
				return json.NewEncoder(cmd.OutOrStdout()).Encode(verified{true, m.Name, model.Digest(), model.Parity(), m.Provenance.Formats, engineReport(access.Of(model).Engine())})
			}
			printable.Fprintf(cmd.OutOrStdout(), "%s  sha256:%.12s\n%s\nengine: %s\n", args[0], model.Digest(), model.Parity(), engineReport(access.Of(model).Engine()))
			if only := model.Manifest().OnlyFormat(); only != "" {
				printable.Fprintf(cmd.OutOrStdout(), "training saw only %s pictures; others are accepted\n", only)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().BoolVar(&allowUnproven, "allow-unproven", false, "accept a bundle without golden cases")
	commandLineOnly(cmd.Flags(), "allow-unproven")
	load.add(cmd.Flags())
	remote.add(cmd.Flags())
	return cmd
}

type verified struct {
	OK     bool           `json:"ok"`
	Name   string         `json:"name"`
	Digest string         `json:"digest"`
	Parity predict.Parity `json:"parity"`
	// Formats are the media types of the pictures that training saw.
	Formats []string    `json:"formats,omitempty"`
	Engine  engineNames `json:"engine"`
}

type refused struct {
	OK         bool     `json:"ok"`
	Stage      string   `json:"stage"` // a predict.Stage, or "bundle" where the folder is at fault
	File       string   `json:"file,omitempty"`
	Protocol   string   `json:"protocol,omitempty"` // of a server, with its form and the batch
	Form       string   `json:"form,omitempty"`
	Batch      int      `json:"batch,omitempty"`
	Case       string   `json:"case,omitempty"`
	Difference *float64 `json:"difference,omitempty"` // left out where there is no number for it
	Tolerance  *float64 `json:"tolerance,omitempty"`
	Error      string   `json:"error"`
}

func refusal(err error) refused {
	r := refused{Error: oneLine(err)}
	var parity *predict.ParityError
	var served *replay.Failure
	var folder *bundle.Error
	if errors.As(err, &served) {
		r.Protocol, r.Form, r.Batch = string(served.Protocol), served.Form, served.Batch
	}
	switch {
	case errors.As(err, &parity):
		r.Stage, r.Case, r.Tolerance = string(parity.Stage), parity.Case, &parity.Tolerance
		if !math.IsInf(parity.Difference, 0) {
			r.Difference = &parity.Difference
		}
	case errors.As(err, &folder):
		r.Stage, r.File = "bundle", folder.File
	default:
		r.Stage = "engine"
	}
	return r
}

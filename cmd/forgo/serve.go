package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/repository"
)

func serveCommand() *cobra.Command {
	var load loadFlags
	var at serve.Addresses
	var name string
	var versions repository.Policy
	var watch time.Duration
	var options serve.Options
	var log logFlags
	var safety safetyFlags
	cmd := &cobra.Command{
		Use:   "serve BUNDLE... | MODELS",
		Short: "Answer over HTTP and gRPC, once parity is proven",
		Long: "Serve loads bundles, or a folder of models with a bundle at NAME/VERSION, replays their golden\n" +
			"cases in the process that will serve, and only then answers: POST /models/NAME with a picture,\n" +
			"a form of files, JSON rows or a CSV as body; the Open Inference Protocol v2 over REST at /v2 and\n" +
			"over gRPC; TensorFlow Serving's REST API at /v1. The folder of models is watched: a new version\n" +
			"is loaded and verified beside the one that answers, and then takes its place. SIGTERM lets\n" +
			"requests under way finish.",
		Example: "  forgo serve digits.forgo\n" +
			"  forgo serve /srv/models --versions latest:2\n" +
			"  curl --data-binary @seven.png http://127.0.0.1:8080/models/digits",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for flag, address := range map[string]*string{"http": &at.HTTP, "grpc": &at.GRPC, "admin": &at.Admin} {
				if err := readAddress(address); err != nil {
					return usageError{fmt.Errorf("--%s: %w", flag, err)}
				}
			}
			if err := notNegative(cmd.Flags()); err != nil {
				return err
			}
			if err := safety.read(&options); err != nil {
				return err
			}
			if err := load.check(); err != nil {
				return err
			}
			var err error
			if options.Log, err = log.logger(cmd.ErrOrStderr()); err != nil {
				return err
			}
			provider, end, err := traces(cmd.Context(), cmd.OutOrStdout(), options.Log)
			if err != nil {
				return err
			}
			defer end()
			options.Traces = provider
			models, err := repository.Open(cmd.Context(), args, name, repository.Options{
				Load: func(ctx context.Context, path string, s repository.Settings) (*predict.Model, error) {
					o := load.Options
					o.Threads, o.Instances = s.Threads, s.Instances
					o.MaxBatchRows, o.MaxDelay, o.MaxQueueRows = s.MaxBatchRows, s.MaxDelay, s.MaxQueueRows
					return o.Load(ctx, path, onnx.Engine())
				},
				Defaults: repository.Settings{
					Versions: versions, Threads: load.Threads, Instances: load.Instances,
					MaxBatchRows: load.MaxBatchRows, MaxDelay: load.MaxDelay, MaxQueueRows: load.MaxQueueRows,
				},
				Limits: options.Limits, Log: options.Log,
			})
			if err != nil {
				return err
			}
			defer models.Close()
			if watch > 0 {
				go models.Watch(cmd.Context(), watch)
			}
			return serve.Repository(models, options).Serve(cmd.Context(), at)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&at.HTTP, "http", "127.0.0.1:8080", "`HOST:PORT` to answer on over HTTP, or off")
	flags.StringVar(&at.GRPC, "grpc", "127.0.0.1:8081", "`HOST:PORT` to answer on over gRPC, or off")
	flags.StringVar(&at.Admin, "admin", "127.0.0.1:8082", "`HOST:PORT` for operators, or off")
	flags.StringVar(&at.Socket, "socket", "", "`PATH` of a Unix socket to answer on over HTTP as well")
	flags.StringVar(&name, "name", "", "the model's name in URLs (default: the bundle's folder name without .forgo)")
	flags.Var(&versions, "versions", "versions of each model to load: latest, latest:N, all, or numbers such as 1,3")
	flags.DurationVar(&watch, "watch", time.Second, "how often to look for changed models (0: only when asked to on the admin port)")
	safety.add(flags, &options)
	load.add(flags)
	log.add(flags)
	addLimits(flags, &load.Options, &options)
	return cmd
}

// readAddress checks HOST:PORT, and empties what is off.
func readAddress(address *string) error {
	if *address == "off" {
		*address = ""
		return nil
	}
	if _, _, err := net.SplitHostPort(*address); err != nil {
		return fmt.Errorf("%q is neither HOST:PORT nor off", *address)
	}
	return nil
}

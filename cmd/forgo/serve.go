package main

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/forgo-ml/forgo/serve"
)

func serveCommand() *cobra.Command {
	var load loadFlags
	var at serve.Addresses
	var name string
	var options serve.Options
	var log logFlags
	cmd := &cobra.Command{
		Use:   "serve BUNDLE",
		Short: "Answer over HTTP and gRPC, once parity is proven",
		Long: "Serve loads a bundle, replays its golden cases in the process that will serve, and only then\n" +
			"answers: POST /models/NAME with a picture, a form of files, JSON rows or a CSV as body; the\n" +
			"Open Inference Protocol v2 over REST at /v2 and over gRPC; TensorFlow Serving's REST API at\n" +
			"/v1. SIGTERM lets requests under way finish.",
		Example: "  forgo serve digits.forgo\n" +
			"  curl --data-binary @seven.png http://127.0.0.1:8080/models/digits",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for flag, address := range map[string]*string{"http": &at.HTTP, "grpc": &at.GRPC, "admin": &at.Admin} {
				if err := readAddress(address); err != nil {
					return usageError{fmt.Errorf("--%s: %w", flag, err)}
				}
			}
			if err := notNegative(cmd.Flags()); err != nil {
				return err
			}
			logger, err := log.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			model, err := load.load(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer model.Close()
			if name == "" {
				name = modelName(args[0])
			}
			options.Log = logger
			return serve.New(serve.Models{name: model}, options).Serve(cmd.Context(), at)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&at.HTTP, "http", "127.0.0.1:8080", "`HOST:PORT` to answer on over HTTP, or off")
	flags.StringVar(&at.GRPC, "grpc", "127.0.0.1:8081", "`HOST:PORT` to answer on over gRPC, or off")
	flags.StringVar(&at.Admin, "admin", "127.0.0.1:8082", "`HOST:PORT` for operators, or off")
	flags.StringVar(&at.Socket, "socket", "", "`PATH` of a Unix socket to answer on over HTTP as well")
	flags.StringVar(&name, "name", "", "the model's name in URLs (default: the bundle's folder name without .forgo)")
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

func modelName(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return strings.TrimSuffix(filepath.Base(path), ".forgo")
}

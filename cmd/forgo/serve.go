package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/forgo-ml/forgo/serve"
)

// drain is how long requests under way may take after the signal to stop.
const drain = 30 * time.Second

func serveCommand() *cobra.Command {
	var load loadFlags
	var address, name string
	cmd := &cobra.Command{
		Use:   "serve BUNDLE",
		Short: "Answer over HTTP, once parity is proven",
		Long: "Serve loads a bundle, replays its golden cases in the process that will serve, and only then\n" +
			"answers: POST /models/NAME with a picture or a JSON row as body, and the Open Inference\n" +
			"Protocol v2 over REST at /v2. SIGTERM lets requests under way finish.",
		Example: "  forgo serve digits.forgo\n" +
			"  curl --data-binary @seven.png http://127.0.0.1:8080/models/digits",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			model, err := load.load(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer model.Close()
			if name == "" {
				name = modelName(args[0])
			}
			listener, err := net.Listen("tcp", address)
			if err != nil {
				return fmt.Errorf("listen on --http %s: %w", address, err)
			}
			log.Info("serving", "model", name, "digest", model.Digest()[:12], "parity", model.Parity().String(),
				"url", "http://"+listener.Addr().String())
			return serveHTTP(cmd.Context(), listener, serve.New(serve.Models{name: model}, serve.Options{Log: log}).Handler(), log)
		},
	}
	cmd.Flags().StringVar(&address, "http", "127.0.0.1:8080", "`HOST:PORT` to answer on")
	cmd.Flags().StringVar(&name, "name", "", "the model's name in URLs (default: the bundle's folder name without .forgo)")
	load.add(cmd.Flags())
	return cmd
}

func modelName(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return strings.TrimSuffix(filepath.Base(path), ".forgo")
}

// serveHTTP serves until ctx ends, then lets requests under way finish.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	log.Info("stopping")
	//nolint:contextcheck // ctx has ended: that is why the server stops
	bounded, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	if err := server.Shutdown(bounded); err != nil {
		return fmt.Errorf("stop: requests were still under way after %s: %w", drain, err)
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

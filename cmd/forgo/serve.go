package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/forgo-ml/forgo/internal/bytesize"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/repository"
)

// server holds the settings of serve from flags, variables and the file.
type server struct {
	load      loadFlags
	log       logFlags
	safety    safetyFlags
	at        serve.Addresses
	options   serve.Options
	name      string
	versions  repository.Policy
	watch     time.Duration
	file      string
	strict    bool
	readiness string
	printOnly bool
	maxMemory int64
	withStdin bool

	fileFlags map[string]bool // set by the file
	lines     *logWriter
}

// gcHeadroom is allocated and never touched, so that none of it is resident. The server's own heap is a few
// megabytes, because models live in the engine's memory, so Go would collect it every 300 requests. With the
// headroom it collects only once requests have allocated as much again.
const gcHeadroom = 16 << 20

func serveCommand() *cobra.Command {
	var s server
	cmd := &cobra.Command{
		Use:   "serve BUNDLE... | MODELS",
		Short: "Serve models over HTTP and gRPC, once parity is proven",
		Long: "Serve loads bundles, or a folder of models with a bundle at NAME/VERSION, and replays their golden cases\n" +
			"in the process that will serve. Only then does it answer:\n" +
			"  POST /models/NAME with a picture, a form of files, JSON rows or CSV as the body;\n" +
			"  the Open Inference Protocol v2, over REST at /v2 and over gRPC;\n" +
			"  TensorFlow Serving's API, over REST at /v1 and over gRPC.\n" +
			"It watches a folder of models: it loads and verifies a new version while the old one answers, then\n" +
			"switches over. It listens at once, and is ready when the models are loaded.\n\n" +
			"SIGTERM lets requests in flight finish; SIGHUP reads configuration, keys, certificates and models again.\n" +
			"You can also set each flag by a variable, FORGO_MAX_BATCH_ROWS for --max-batch-rows, and in a YAML file,\n" +
			"as max_batch_rows.",
		Example: "  forgo serve digits.forgo\n" +
			"  forgo serve /srv/models --versions latest:2\n" +
			"  curl --data-binary @seven.png http://127.0.0.1:8080/models/digits",
		Args: cobra.ArbitraryArgs,
		RunE: s.run,
	}
	flags := cmd.Flags()
	flags.StringVar(&s.at.HTTP, "http", "127.0.0.1:8080", "listen for HTTP on `HOST:PORT`, or off")
	flags.StringVar(&s.at.GRPC, "grpc", "127.0.0.1:8081", "listen for gRPC on `HOST:PORT`, or off")
	flags.StringVar(&s.at.Admin, "admin", "127.0.0.1:8082", "listen for operators on `HOST:PORT`, or off")
	flags.StringVar(&s.at.Socket, "socket", "", "also listen for HTTP on a Unix socket at `PATH`")
	flags.StringVar(&s.name, "name", "", "the model's name in URLs (default: the bundle's folder name without .forgo)")
	flags.Var(&s.versions, "versions", "versions of each model to load: latest, latest:N, all, or numbers such as 1,3")
	flags.DurationVar(&s.watch, "watch", time.Second, "how often to look for changed models (0: only on request, on the admin port)")
	flags.BoolVar(&s.strict, "strict", false, "fail at the start if any model has no version that answers (default: fail only if no model has one)")
	flags.StringVar(&s.readiness, "ready", "any", "report ready while models answer; `WHEN` is any (one model is enough) or all")
	flags.StringVar(&s.file, "config", "", "YAML `FILE` of settings; the command line and variables override it; its models are read again when it changes")
	flags.BoolVar(&s.printOnly, "print-config", false, "print the configuration as a YAML file and exit")
	flags.BoolVar(&s.load.RequireProof, "require-proof", false, "refuse bundles without golden cases")
	flags.BoolVar(&s.withStdin, "stop-with-stdin", false, "stop when standard input ends, so that a program that starts forgo leaves no server behind")
	flags.Bool(noVariables, false, "ignore FORGO_* variables, which may belong to the program that starts forgo")
	commandLineOnly(flags, noVariables)
	s.safety.add(flags, &s.options)
	s.load.add(flags)
	s.log.add(flags)
	addLimits(flags, &s.load.Options, &s.options, &s.maxMemory)
	return cmd
}

func (s *server) run(cmd *cobra.Command, args []string) error {
	s.lines = newLogWriter(cmd.ErrOrStderr())
	cmd.SetErr(s.lines) // what run says at the end goes there, too
	conf, err := s.configure(cmd, args)
	if err != nil {
		return err
	}
	if s.printOnly {
		return conf.print(cmd.OutOrStdout(), cmd.Flags())
	}
	if len(conf.Paths) == 0 && !conf.hasPath() {
		return usageError{errors.New("give a bundle or a folder of models to serve")}
	}
	if err := noneExists(conf.Paths); err != nil && !conf.hasPath() {
		return err
	}
	if s.withStdin {
		ctx, stop := context.WithCancel(cmd.Context())
		defer stop()
		go func() {
			defer stop()
			_, _ = io.Copy(io.Discard, cmd.InOrStdin()) // an error is its end, too
		}()
		cmd.SetContext(ctx)
	}
	s.limitMemory()
	s.load.isolate.say(s.options.Log)
	provider, end, err := traces(cmd.Context(), cmd.OutOrStdout(), s.options.Log)
	if err != nil {
		return err
	}
	s.options.Traces = provider
	models, err := repository.New(conf.Paths, s.name, repository.Options{
		Load: s.open, Defaults: s.defaults(), Models: conf.Models, Limits: s.options.Limits, Log: s.options.Log,
		Strict: s.strict, Readiness: repository.Readiness(s.readiness), Packed: own.name(),
	})
	if err != nil {
		return err
	}
	for _, address := range []*string{&s.at.HTTP, &s.at.GRPC, &s.at.Admin} {
		if *address == "off" {
			*address = ""
		}
	}
	signal.Ignore(syscall.SIGPIPE) // whoever read the log has died; the server has not
	server := serve.Repository(models, s.options)
	hangUp := make(chan os.Signal, 1)
	signal.Notify(hangUp, syscall.SIGHUP)
	defer signal.Stop(hangUp)
	go s.keepUp(cmd.Context(), hangUp, server, models, &reloader{
		path: s.file, flags: cmd.Flags(), log: s.options.Log, begun: conf, now: conf, paths: len(args) > 0,
		overridden: func(flag string) bool {
			f := cmd.Flags().Lookup(flag)
			return f != nil && f.Changed && !s.fileFlags[flag]
		},
	})
	headroom := make([]byte, gcHeadroom)
	defer runtime.KeepAlive(headroom)
	done := make(chan error, 1)
	go func() {
		err := server.Serve(cmd.Context(), s.at)
		within(closing, models.Close) // a load or a run that does not end is left behind
		done <- err
	}()
	err = s.ended(cmd.Context(), done)
	// It bounds its own time, in case the collector does not answer.
	end()
	return err
}

// ended returns what the server does, and no later than it has time to stop.
func (s *server) ended(ctx context.Context, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(s.options.ShutdownDelay + s.options.Drain + closing):
		return fmt.Errorf("stop: cut off what was still in flight after --drain %s", s.options.Drain)
	}
}

// noneExists returns an error where no path exists: a mistake, told in one line before anything is
// listened on. A single path that is missing may yet come, and does not stop the others.
func noneExists(paths []string) error {
	var first error
	for _, path := range paths {
		if path == own.name() {
			return nil
		}
		_, err := os.Stat(path)
		if err == nil {
			return nil
		}
		if first == nil {
			first = fmt.Errorf("serve %s: %w", path, errors.Unwrap(err))
		}
	}
	return first
}

// closing is how long models may take to close after the last request.
const closing = time.Second

// within returns when f does, or after a time.
func within(limit time.Duration, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(limit):
	}
}

// keepUp looks for changes at every --watch interval, and on SIGHUP.
func (s *server) keepUp(ctx context.Context, hangUp <-chan os.Signal, server *serve.Server, models *repository.Repository, conf *reloader) {
	var tick <-chan time.Time
	if s.watch > 0 {
		ticker := time.NewTicker(s.watch)
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		asked := false
		select {
		case <-ctx.Done():
			return
		case <-hangUp:
			asked = true
			s.options.Log.Info("reloading on SIGHUP")
			server.Reload()
		case <-tick:
		}
		settings, changed := conf.read()
		if changed {
			models.Configure(ctx, settings)
		}
		switch {
		case asked:
			models.Reload(ctx)
			s.options.Log.Info("reloaded")
		case !changed:
			models.Refresh(ctx)
		}
	}
}

// configure reads the file and checks all settings, wherever they come from.
func (s *server) configure(cmd *cobra.Command, args []string) (conf config, err error) {
	if readsVariables(cmd.Flags()) {
		if err := checkVariables(cmd.Root(), os.Environ()); err != nil {
			return conf, usageError{err}
		}
	}
	if s.file != "" {
		before := map[string]bool{}
		cmd.Flags().Visit(func(f *pflag.Flag) { before[f.Name] = true })
		defer func() {
			s.fileFlags = map[string]bool{}
			cmd.Flags().Visit(func(f *pflag.Flag) { s.fileFlags[f.Name] = !before[f.Name] })
		}()
		if conf, err = readConfig(s.file, cmd.Flags(), true); err != nil {
			return conf, usageError{err}
		}
	}
	if len(args) > 0 {
		conf.Paths = args
	}
	for _, listener := range []struct{ flag, address string }{{"http", s.at.HTTP}, {"grpc", s.at.GRPC}, {"admin", s.at.Admin}} {
		if err := checkAddress(listener.address); err != nil {
			return conf, usageError{fmt.Errorf("--%s: %w", listener.flag, err)}
		}
	}
	if err := notNegative(cmd.Flags()); err != nil {
		return conf, err
	}
	if err := s.safety.read(&s.options); err != nil {
		return conf, err
	}
	if err := s.load.check(); err != nil {
		return conf, err
	}
	if s.readiness != string(repository.ReadyAny) && s.readiness != string(repository.ReadyAll) {
		return conf, usageError{fmt.Errorf("--ready must be any or all, not %q", s.readiness)}
	}
	s.options.LogDropped = s.lines.Dropped
	s.options.Log, err = s.log.logger(s.lines)
	return conf, err
}

// defaults returns the settings of models without their own.
func (s *server) defaults() repository.Settings {
	o := s.load.Options
	return repository.Settings{
		Versions: s.versions, Threads: o.Threads, Instances: o.Instances, MaxBatchRows: o.MaxBatchRows, MaxDelay: o.MaxDelay,
		MaxQueueRows: o.MaxQueueRows, MaxQueueBytes: bytesize.Size(o.MaxQueueBytes), MaxWait: o.MaxWait,
	}
}

// open loads a bundle with a model's settings.
func (s *server) open(ctx context.Context, path string, m repository.Settings) (*predict.Model, error) {
	o := s.load.Options
	o.Threads, o.Instances, o.MaxBatchRows, o.MaxDelay = m.Threads, m.Instances, m.MaxBatchRows, m.MaxDelay
	o.MaxQueueRows, o.MaxQueueBytes, o.MaxWait = m.MaxQueueRows, int64(m.MaxQueueBytes), m.MaxWait
	return s.load.open(ctx, o, path)
}

func checkAddress(address string) error {
	if address == "off" {
		return nil
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return fmt.Errorf("%q is neither HOST:PORT nor off", address)
	}
	return nil
}

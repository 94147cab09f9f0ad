// Command forgo predicts with, verifies, inspects and serves forgo bundles.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	forgo "github.com/forgo-ml/forgo"
	"github.com/forgo-ml/forgo/internal/printable"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/isolated"
)

// Exit codes, the same for every verb.
const (
	exitDone    = 0
	exitRefused = 1 // a refusal that says what to do
	exitUsage   = 2
)

func main() {
	isolated.Main(allEngines()...)
	useCPULimit()
	var err error
	if own, err = unpack(); err != nil {
		printable.Fprintf(os.Stderr, "forgo: %v\n", err)
		os.Exit(exitRefused)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends at once
	code := run(ctx, own.arguments(os.Args[1:]), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// errShown is returned by a verb that has already said what went wrong.
var errShown = errors.New("already reported")

// usageError is a mistake in the command line itself.
type usageError struct{ error }

// run is the command. What it prints is printable, wherever it comes from.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	out, errs := printable.NewWriter(stdout), printable.NewWriter(stderr)
	defer out.Close()
	defer errs.Close()
	return execute(ctx, args, out, errs)
}

func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:   "forgo",
		Short: "Predict with Go what was trained with Python",
		Long: "forgo predicts with, verifies, inspects and serves model bundles.\n" +
			"The Python package adds the verbs train, export and batch: pip install '.[keras]' in the clone.",
		Example: "  forgo predict digits.forgo seven.png\n" +
			"  forgo serve digits.forgo",
		Version:       forgo.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown verb %q", args[0])
			}
			return nil
		},
		ValidArgsFunction: pythonVerbs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return fromEnvironment(cmd.Flags()) },
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetVersionTemplate("forgo {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(predictCommand(), evaluateCommand(), verifyCommand(), inspectCommand(), serveCommand(), packCommand(), benchCommand(), keyCommand(), doctorCommand(), versionCommand())
	root.InitDefaultCompletionCmd(args...)
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Example = "  source <(forgo completion bash)"
		}
	}
	for _, c := range append(root.Commands(), root) {
		check := c.Args
		c.Args = func(cmd *cobra.Command, args []string) error {
			err := modeApart(cmd.Flags(), args)
			if err == nil {
				err = check(cmd, args)
			}
			if err != nil {
				return usageError{err}
			}
			return nil
		}
	}

	cmd, err := root.ExecuteContextC(ctx)
	if w, ok := cmd.ErrOrStderr().(*logWriter); ok {
		stderr = w
		defer w.Close(time.Second)
	}
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		printable.Fprintf(stderr, "forgo: %v (see '%s --help')\n", err, cmd.CommandPath())
		return exitUsage
	case errors.Is(err, errShown):
	default:
		printable.Fprintf(stderr, "forgo: %v\n", oneLine(err))
	}
	return exitRefused
}

// pythonVerbs completes the verbs that the Python command adds where it has handed over.
func pythonVerbs(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	if os.Getenv("FORGO_PYTHON") == "" {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return []string{"train\tTrain a classifier on pictures", "export\tWrite a trained model as a bundle", "batch\tAnswer a large input and write one table"}, cobra.ShellCompDirectiveNoFileComp
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Example: "  forgo version", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := printable.Fprintf(cmd.OutOrStdout(), "forgo %s\n", forgo.Version())
			return err
		},
	}
}

// fromEnvironment sets the flags that the command line left out from FORGO_* variables:
// --max-body from FORGO_MAX_BODY.
func fromEnvironment(flags *pflag.FlagSet) error {
	if !readsVariables(flags) {
		return nil
	}
	var err error
	flags.VisitAll(func(f *pflag.Flag) {
		name := variable(f.Name)
		if value, ok := os.LookupEnv(name); ok && !f.Changed && err == nil && f.Name != "help" && f.Name != "version" && f.Annotations[onlyThere] == nil {
			if e := flags.Set(f.Name, value); e != nil {
				err = usageError{fmt.Errorf("%s=%s: %w", name, value, e)}
			}
		}
	})
	return err
}

// noVariables is the flag that leaves every setting to the command line.
const noVariables = "no-variables"

func readsVariables(flags *pflag.FlagSet) bool {
	no, err := flags.GetBool(noVariables)
	return err != nil || !no // most verbs do not have it
}

const onlyThere = "for the command line only"

// commandLineOnly keeps a flag from being set by a variable, where a verb must not come to mean
// another thing unseen.
func commandLineOnly(flags *pflag.FlagSet, name string) {
	_ = flags.SetAnnotation(name, onlyThere, []string{}) // fails if there is no such flag
}

// variable is the one that sets a flag.
func variable(flag string) string { return "FORGO_" + strings.ToUpper(key(flag)) }

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// loadFlags are the flags of every verb that loads a bundle.
type loadFlags struct {
	verify  string
	engine  engineFlag
	isolate isolateFlags
	predict.Options
}

func (f *loadFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.verify, "verify", "full", "golden cases to replay before answering: full for all, quick for the four least certain")
	flags.DurationVar(&f.LoadTimeout, "load-timeout", 10*time.Minute, "how long checking, opening and proving a bundle may take (0: no limit)")
	flags.DurationVar(&f.RunTimeout, "run-timeout", 5*time.Minute, "how long one run of a model, and all runs of one request together, may take (0: no limit)")
	sizeVar(flags, &f.MaxOutputBytes, "max-output-bytes", 512<<20, "the outputs of one request may take up to `SIZE` (0: no limit)")
	f.engine.add(flags)
	f.isolate.add(flags)
	flags.IntVar(&f.Threads, "threads", 0, "threads of one run (0: as many as the CPU limit allows)")
}

func (f *loadFlags) check() error {
	switch f.verify {
	case "full":
		f.Verify = predict.VerifyFull
	case "quick":
		f.Verify = predict.VerifyQuick
	default:
		return usageError{fmt.Errorf("--verify must be full or quick, not %q", f.verify)}
	}
	return f.isolate.check()
}

func (f *loadFlags) load(ctx context.Context, path string) (*predict.Model, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	return f.open(ctx, f.Options, path)
}

// open loads a bundle from a folder or from this program.
func (f *loadFlags) open(ctx context.Context, o predict.Options, path string) (*predict.Model, error) {
	if path == own.name() {
		return o.LoadFS(ctx, own.archive, own.folder, f.engines()...)
	}
	return o.Load(ctx, path, f.engines()...)
}

package main

// The flags that limit a server's requests.

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/forgo-ml/forgo/internal/bytesize"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve"
)

func addLimits(flags *pflag.FlagSet, p *predict.Options, s *serve.Options, maxMemory *int64) {
	flags.IntVar(&p.MaxBatchRows, "max-batch-rows", predict.DefaultMaxBatchRows, "run waiting requests together, up to `ROWS` rows")
	flags.DurationVar(&p.MaxDelay, "max-delay", 0, "how long a request may wait for others to fill its batch while the engine is idle")
	flags.IntVar(&p.MaxQueueRows, "max-queue-rows", predict.DefaultMaxQueueRows, "refuse requests when more than `ROWS` rows are being prepared or waiting for a model")
	sizeVar(flags, &p.MaxQueueBytes, "max-queue-bytes", predict.DefaultMaxQueueBytes, "refuse requests when those waiting for a model take more than `SIZE`")
	sizeVar(flags, maxMemory, "max-memory", 0, "requests to all models together may take up to `SIZE` (0: half of the cgroup's or the machine's memory, 2 GiB at most)")
	flags.DurationVar(&p.MaxWait, "max-wait", 0, "refuse requests that would wait longer than this in the queue (0: no limit)")
	flags.IntVar(&p.Instances, "instances", 0, "run a model up to `N` times at once (0: once, or as often as the cores allow with --threads each)")
	flags.IntVar(&p.MaxPixels, "max-pixels", 0, "a picture's width times height may be up to `N` (0: 89478485)")
	sizeVar(flags, &s.MaxBody, "max-body", serve.DefaultMaxBody, "a request's body may have up to `SIZE`, both as sent and decompressed")
	flags.DurationVar(&s.Timeout, "timeout", 0, "how long a request may take, unless its caller sets a shorter deadline (0: no limit)")
	flags.DurationVar(&s.Drain, "drain", serve.DefaultDrain, "after SIGTERM and --shutdown-delay, how long requests in flight may take")
	flags.DurationVar(&s.ShutdownDelay, "shutdown-delay", 0, "after SIGTERM, keep accepting connections this long while reporting not ready")
	flags.IntVar(&s.MaxPictures, "max-pictures", serve.DefaultLimits.MaxPictures, "a request may have up to `N` pictures")
	flags.IntVar(&s.MaxElements, "max-elements", serve.DefaultLimits.MaxElements, "a request's tensors may have up to `N` elements")
	flags.IntVar(&s.MaxJSONDepth, "max-json-depth", serve.DefaultLimits.MaxJSONDepth, "lists and objects in JSON may nest up to `N` deep")
}

// sizeVar adds a flag that takes a size with or without a unit: 10MB, 64MiB, 1048576.
func sizeVar(flags *pflag.FlagSet, to *int64, name string, value int64, usage string) {
	*to = value
	flags.Var((*bytesize.Size)(to), name, usage)
}

// notNegative refuses numbers and durations below 0.
func notNegative(flags *pflag.FlagSet) error {
	var err error
	flags.VisitAll(func(f *pflag.Flag) {
		switch f.Value.Type() {
		case "int", "int64", "duration":
			if value := f.Value.String(); value[0] == '-' && err == nil {
				err = usageError{fmt.Errorf("--%s must not be negative, but is %s", f.Name, value)}
			}
		}
	})
	return err
}

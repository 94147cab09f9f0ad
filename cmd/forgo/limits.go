package main

// The flags that bound what a server takes on.

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/forgo-ml/forgo/internal/bytesize"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve"
)

func addLimits(flags *pflag.FlagSet, p *predict.Options, s *serve.Options, maxMemory *int64) {
	flags.IntVar(&p.MaxBatchRows, "max-batch-rows", predict.DefaultMaxBatchRows, "waiting requests run together, up to `ROWS`")
	flags.DurationVar(&p.MaxDelay, "max-delay", 0, "how long a request may wait for others to fill its batch while the engine is free")
	flags.IntVar(&p.MaxQueueRows, "max-queue-rows", predict.DefaultMaxQueueRows, "up to `ROWS` may wait for a model; requests beyond them are refused")
	sizeVar(flags, &p.MaxQueueBytes, "max-queue-bytes", predict.DefaultMaxQueueBytes, "requests that wait for a model take up to `SIZE`")
	sizeVar(flags, maxMemory, "max-memory", 0, "requests to all models take up to `SIZE` (0: half of the memory there is, by the cgroup's limit, and 2 GiB at most)")
	flags.DurationVar(&p.MaxWait, "max-wait", 0, "a request that would wait longer for those before it is refused (0: as long as the queue allows)")
	flags.IntVar(&p.Instances, "instances", 0, "up to `N` runs of a model at once (0: one, or as many as the cores hold with --threads each)")
	flags.IntVar(&p.MaxPixels, "max-pixels", 0, "a picture's width times height is up to `N` (0: 89478485)")
	sizeVar(flags, &s.MaxBody, "max-body", serve.DefaultMaxBody, "a request's body is up to `SIZE`, as it is sent and once it is unpacked")
	flags.DurationVar(&s.Timeout, "timeout", 0, "how long a request may take where its caller gives it no less (0: as long as it takes)")
	flags.DurationVar(&s.Drain, "drain", serve.DefaultDrain, "how long requests under way may take once the server is to stop")
	flags.DurationVar(&s.ShutdownDelay, "shutdown-delay", 0, "after SIGTERM, keep accepting connections this long while reporting not ready")
	flags.IntVar(&s.MaxPictures, "max-pictures", serve.DefaultLimits.MaxPictures, "a request has up to `N` pictures")
	flags.IntVar(&s.MaxElements, "max-elements", serve.DefaultLimits.MaxElements, "a request's tensors have up to `N` elements")
	flags.IntVar(&s.MaxJSONDepth, "max-json-depth", serve.DefaultLimits.MaxJSONDepth, "lists and objects in JSON are up to `N` deep in each other")
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
				err = usageError{fmt.Errorf("--%s is %s; it is 0 or more", f.Name, value)}
			}
		}
	})
	return err
}

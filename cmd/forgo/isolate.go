package main

// The flags that run engines in processes of their own.

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/pflag"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/isolated"
)

// isolation says whether engines run apart.
type isolation string

const (
	together  isolation = "off"
	strict    isolation = "strict"
	available isolation = "available"
)

func (i *isolation) String() string { return string(*i) }
func (i *isolation) Type() string   { return "isolation" }

func (i *isolation) Set(value string) error {
	switch value {
	case "off", "false":
		*i = together
	case "strict", "true":
		*i = strict
	case "available":
		*i = available
	default:
		return fmt.Errorf("must be off, strict or available, not %q", value)
	}
	return nil
}

type isolateFlags struct {
	mode   isolation
	memory int64
}

func (f *isolateFlags) add(flags *pflag.FlagSet) {
	f.mode = together
	flags.Var(&f.mode, "isolate", "run each model's engine in a process of its own, without network or files; `MODE` is strict, or available to use only what the kernel offers")
	flags.Lookup("isolate").NoOptDefVal = string(strict)
	sizeVar(flags, &f.memory, "isolate-memory", 0, "with --isolate: a model and its runs may take up to `SIZE` (0: half of the cgroup's or the machine's memory)")
}

// modeApart refuses a mode that follows --isolate after a space: the mode needs =, so it would be taken for a bundle.
func modeApart(flags *pflag.FlagSet, args []string) error {
	if f := flags.Lookup("isolate"); f == nil || !f.Changed {
		return nil
	}
	for _, arg := range args {
		if _, err := os.Stat(arg); new(isolation).Set(arg) == nil && err != nil {
			return fmt.Errorf("--isolate %s: write the mode behind =, as in --isolate=%s", arg, arg)
		}
	}
	return nil
}

// check refuses --isolate where the kernel cannot do what it says.
func (f *isolateFlags) check() error {
	if f.mode != strict {
		return nil
	}
	if err := isolated.Kernel().Err(); err != nil {
		return fmt.Errorf("--isolate: %w; --isolate=available uses only what the kernel offers", err)
	}
	return nil
}

// engines returns the binary's engines, isolated if the flags say so.
func (f *isolateFlags) engines(all ...predict.Engine) []predict.Engine {
	if f.mode == together {
		return all
	}
	for i, e := range all {
		all[i] = isolated.Engine(e, isolated.Options{Memory: f.bytes(), Available: f.mode == available})
	}
	return all
}

// say has one line in the log of how models are confined.
func (f *isolateFlags) say(log *slog.Logger) {
	if f.mode == together {
		return
	}
	kernel := isolated.Kernel()
	attributes := []any{"isolate", string(f.mode), "landlock", kernel.Landlock, "seccomp", kernel.Seccomp, "memory", f.bytes()}
	if err := kernel.Err(); err != nil {
		log.Warn("engines run in processes of their own, not fully sandboxed", append(attributes, "error", err.Error())...)
		return
	}
	log.Info("engines run in processes of their own", attributes...)
}

func (f *isolateFlags) bytes() int64 {
	if f.memory > 0 {
		return f.memory
	}
	return availableMemory(os.ReadFile) / 2
}

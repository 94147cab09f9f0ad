//go:build linux

// Command history runs a seeded random history against a real forgo serve: versions are copied, damaged and
// deleted, models loaded and unloaded, the configuration and the process changed, and the system refuses files
// and descriptors, while clients send requests in five protocols. A model of the server then checks every
// answer. No value may be unproven, none may come from a content that was replaced or unloaded before the
// request was sent, and every status must have a cause. Once nothing changes any more, the server must answer
// as the folder says.
//
// The idea is that of etcd's robustness tests. Each content answers with its own number, so that an answer
// shows which content gave it.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := command(ctx, os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "history:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("history", flag.ContinueOnError)
	seed := flags.Uint64("seed", 0, "of the operations and requests (0: a random one)")
	seconds := flags.Float64("seconds", 20, "of operations")
	binary := flags.String("binary", "src/forgo/bin/forgo", "the forgo command to test")
	isolating := flags.String("isolating", "", "the one that runs engines in processes of their own (default: the same; one with the race detector cannot)")
	root := flags.String("root", ".", "the repository")
	keep := flags.String("o", "build/stress/history", "a failing history goes to this folder")
	again := flags.String("check", "", "check the history in a `FILE` again, and run nothing")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *again != "" {
		_, events, err := open(*again)
		if err != nil {
			return err
		}
		return report(out, check(events))
	}
	if *seed == 0 {
		*seed = rand.Uint64N(1 << 32)
	}
	var b binaries
	var err error
	if b.plain, err = filepath.Abs(*binary); err != nil {
		return err
	}
	if b.isolating, err = filepath.Abs(cmp.Or(*isolating, *binary)); err != nil {
		return err
	}
	return run(ctx, out, b, *root, *keep, *seed, *seconds)
}

// run runs one history and checks it. One that fails is kept.
func run(ctx context.Context, out io.Writer, b binaries, root, keep string, seed uint64, seconds float64) error {
	fmt.Fprintf(out, "history: seed %d, %g s\n", seed, seconds)
	folder, err := os.MkdirTemp("", "forgo-history-")
	if err != nil {
		return err
	}
	d, err := newDriver(folder, b, root, seed)
	if err != nil {
		return err
	}
	err = d.run(ctx, seconds, math.MaxInt)
	events := d.record.all()
	var found []string
	if err != nil {
		found = append(found, err.Error())
	}
	found = slices.Concat(found, d.found, check(events))
	d.summary(out, events)
	if len(found) == 0 {
		return os.RemoveAll(folder)
	}
	if err := os.MkdirAll(keep, 0o755); err != nil {
		return err
	}
	file := filepath.Join(keep, fmt.Sprintf("%d.jsonl", seed))
	if err := save(file, header{Seed: seed, Seconds: seconds, Findings: found, Watch: watch}, events); err != nil {
		return err
	}
	fmt.Fprintf(out, "history: seed %d; the history is in %s, what was on disk in %s\n", seed, file, folder)
	return report(out, found)
}

// mostShown is how many findings are printed; the file has all of them.
const mostShown = 10

func report(out io.Writer, found []string) error {
	for _, f := range found[:min(len(found), mostShown)] {
		fmt.Fprintln(out, "history:", f)
	}
	if len(found) > 0 {
		return fmt.Errorf("%d findings", len(found))
	}
	return nil
}

// summary says what was tried, so that a history in which nothing happened shows.
func (d *driver) summary(out io.Writer, events []Event) {
	answers, byProtocol := 0, map[string]int{}
	for _, e := range events {
		if e.Kind == Answer && e.Status == 200 {
			answers++
			byProtocol[e.Protocol]++
		}
	}
	fmt.Fprintf(out, "history: %d answers, %d contents, %d starts, %v\n", answers, d.content-1, d.starts, byProtocol)
	for _, name := range slices.Sorted(maps.Keys(d.performed)) {
		fmt.Fprintf(out, "history:   %4d × %s\n", d.performed[name], name)
	}
	for _, name := range slices.Sorted(maps.Keys(d.skipped)) {
		fmt.Fprintf(out, "history:   skipped: %s: %s\n", name, d.skipped[name])
	}
}

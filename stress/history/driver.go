//go:build linux

package main

// The driver draws operations from a seed and performs them, one after another. What it draws depends
// on the seed and on its own view of the folder alone, so that a seed gives the same operations again.

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	watch       = 100 * time.Millisecond // how often the server looks at the folder
	versions    = 6                      // of each model, at most
	clients     = 6
	pause       = 40 * time.Millisecond // between a client's requests, at most
	settleTime  = 2 * time.Minute       // by when all must be as the folder says
	stopTime    = time.Minute           // by when a process must have ended
	settleEvery = 12                    // operations
	spare       = 40                    // descriptors that may be open beyond those at the first rest
)

// models are changed all the time. still is TensorFlow's and never changes.
var models = []string{"m0", "m1"}

const still = "t0"

var served = append([]string{still}, models...)

// shelf is what the driver knows of one model.
type shelf struct {
	disk     map[string]int // contents by version; 0 is one that is damaged
	unloaded bool
	unsure   bool // loads and unloads raced
}

// settings of a model in the configuration.
type settings struct {
	policy string
	labels map[string]string
	batch  int
}

type driver struct {
	folder  string
	started start
	graph   graph
	chance  *rand.Rand
	record  *record

	server    *process
	asker     *client // the driver's own
	at        atomic.Pointer[addresses]
	starts    int
	content   int
	shelves   map[string]*shelf
	config    map[string]settings
	sure      bool // the server has read the configuration
	most      int  // descriptors at rest that are no leak
	performed map[string]int
	skipped   map[string]string
	found     []string
}

func newDriver(folder string, binaries binaries, root string, seed uint64) (*driver, error) {
	g, err := readGraph(root)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"models", "tmp"} {
		if err := os.MkdirAll(filepath.Join(folder, name), 0o755); err != nil {
			return nil, err
		}
	}
	d := &driver{
		folder: folder, started: start{binaries: binaries, folder: folder}, graph: g, chance: rand.New(rand.NewPCG(seed, 0)), record: newRecord(), content: 1,
		shelves: map[string]*shelf{}, config: map[string]settings{}, performed: map[string]int{}, skipped: map[string]string{},
	}
	for _, m := range served {
		d.shelves[m] = &shelf{disk: map[string]int{}}
	}
	files, err := savedModelFiles(root)
	if err != nil {
		return nil, err
	}
	d.shelves[still].disk["1"] = savedModel
	d.record.add(Event{Kind: Write, Model: still, Version: "1", Content: savedModel, Proven: true})
	return d, write(d.path(still, "1"), files, d.chance, func() {})
}

// operation is something that operators or the system may do at any time.
type operation struct {
	name   string
	weight int
	do     func(d *driver, ctx context.Context) error
}

var operations = []operation{
	{"copy", 8, func(d *driver, _ context.Context) error { return d.put(d.model(), d.version(), false) }},
	{"copy a file at a time", 6, func(d *driver, _ context.Context) error { return d.put(d.model(), d.version(), true) }},
	{"copy what is not proven", 4, func(d *driver, _ context.Context) error { return d.skew(d.model(), d.version()) }},
	{"truncate", 4, (*driver).truncate},
	{"change a bit", 3, (*driver).flip},
	{"remove a file", 3, (*driver).removeFile},
	{"delete a version", 4, (*driver).deleteVersion},
	{"delete a model", 2, func(d *driver, _ context.Context) error { return d.deleteModel(d.model()) }},
	{"take the folder away and bring it back", 2, (*driver).unmount},
	{"unload", 5, func(d *driver, ctx context.Context) error { d.unload(ctx, d.any()); return nil }},
	{"load", 6, func(d *driver, ctx context.Context) error { d.load(ctx, d.any()); return nil }},
	{"race loads and unloads", 3, (*driver).race},
	{"configure", 5, func(d *driver, _ context.Context) error { return d.configure(d.settings(false), d.chance.IntN(2) == 0) }},
	{"configure wrongly", 2, (*driver).misconfigure},
	{"SIGHUP", 4, func(d *driver, _ context.Context) error { return d.server.cmd.Process.Signal(syscall.SIGHUP) }},
	{"SIGTERM and a new start", 3, func(d *driver, ctx context.Context) error { return d.restart(ctx, syscall.SIGTERM) }},
	{"SIGKILL and a new start", 2, func(d *driver, ctx context.Context) error { return d.restart(ctx, syscall.SIGKILL) }},
	{"SIGSTOP and SIGCONT", 2, (*driver).freeze},
	{"EMFILE", 3, (*driver).starve},
	{"EIO", 3, (*driver).damage},
	{"ENOSPC in TMPDIR", 3, (*driver).fill},
	{"SIGKILL of an engine's process", 4, (*driver).killEngine},
}

// run performs operations until the time is over, or as many as there may be, and comes to rest.
func (d *driver) run(ctx context.Context, seconds float64, most int) error {
	if err := d.begin(ctx); err != nil {
		return err
	}
	over, stop := context.WithCancel(ctx)
	var traffic sync.WaitGroup
	for range clients {
		chance := rand.New(rand.NewPCG(d.chance.Uint64(), d.chance.Uint64()))
		traffic.Go(func() { d.client(over, chance) })
	}
	err := d.operate(ctx, time.Now().Add(time.Duration(seconds*float64(time.Second))), most)
	stop()
	traffic.Wait()
	if err == nil {
		err = d.server.end(syscall.SIGTERM, stopTime)
	} else {
		_ = d.server.end(syscall.SIGKILL, stopTime)
	}
	d.found = append(d.found, d.server.complaints()...)
	d.asker.close()
	return err
}

func (d *driver) operate(ctx context.Context, end time.Time, most int) error {
	total := 0
	for _, o := range operations {
		total += o.weight
	}
	for n := 1; (time.Now().Before(end) && n <= most) || n%settleEvery != 1; n++ {
		pick := d.chance.IntN(total)
		i := 0
		for ; pick >= operations[i].weight; i++ {
			pick -= operations[i].weight
		}
		o := operations[i]
		if err := o.do(d, ctx); errors.Is(err, errNoInjection) || errors.Is(err, errNoMount) {
			d.skipped[o.name] = err.Error()
		} else if err != nil {
			return fmt.Errorf("operation %d, %s: %w", n, o.name, err)
		} else {
			d.performed[o.name]++
		}
		time.Sleep(time.Duration(d.chance.IntN(250)) * time.Millisecond)
		if n%settleEvery == 0 {
			if err := d.settle(ctx); err != nil {
				return fmt.Errorf("after operation %d, %s: %w", n, o.name, err)
			}
			d.performed["rest"]++
		}
	}
	return nil
}

// begin writes the first versions and starts the server.
func (d *driver) begin(ctx context.Context) error {
	for _, m := range models {
		if err := d.put(m, "1", false); err != nil {
			return err
		}
	}
	if err := d.configure(d.settings(true), true); err != nil {
		return err
	}
	if err := d.start(ctx, d.record.now()); err != nil {
		return err
	}
	return d.settle(ctx)
}

// client asks until the context ends; each process that is started has a connection of its own.
func (d *driver) client(ctx context.Context, chance *rand.Rand) {
	var c *client
	for ctx.Err() == nil {
		at := d.at.Load()
		if c == nil || c.at != *at {
			if c != nil {
				c.close()
			}
			var err error
			if c, err = newClient(*at); err != nil {
				panic(err) // the addresses are this program's own
			}
		}
		// A question that was begun is waited for: its answer counts.
		switch chance.IntN(20) {
		case 0:
			c.isReady(context.WithoutCancel(ctx), d.record)
		case 1:
			rude(ctx, *at, chance)
		default:
			c.ask(context.WithoutCancel(ctx), d.record, newQuestion(chance, served, versions))
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(chance.Int64N(int64(pause)))):
		}
	}
	if c != nil {
		c.close()
	}
}

// model draws one that changes, any one of all.
func (d *driver) model() string { return models[d.chance.IntN(len(models))] }

func (d *driver) any() string { return served[d.chance.IntN(len(served))] }

func (d *driver) version() string { return strconv.Itoa(1 + d.chance.IntN(versions)) }

// present draws a version that lies on disk, of any model.
func (d *driver) present() (model, version string, ok bool) {
	model = d.model()
	list := slices.Sorted(maps.Keys(d.shelves[model].disk))
	if len(list) == 0 {
		return model, "", false
	}
	return model, list[d.chance.IntN(len(list))], true
}

func (d *driver) path(model, version string) string {
	return filepath.Join(d.folder, "models", model, version)
}

// disturb records a change of what lies on disk.
func (d *driver) disturb(what, model string, change func() error) error {
	e := Event{Kind: Disturb, Operation: what, Model: model, Start: d.record.now()}
	err := change()
	e.End = d.record.now()
	d.record.add(e)
	return err
}

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
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/forgo-ml/forgo/predict/isolated"
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

// put writes a new content into a version's folder: at once, or file by file over what is there.
func (d *driver) put(model, version string, slowly bool) error {
	d.content++
	k := d.content
	files := d.graph.files(model, k, false)
	path := d.path(model, version)
	e := Event{Kind: Write, Model: model, Version: version, Content: k, Proven: true, Start: d.record.now()}
	var err error
	if slowly {
		err = write(path, files, d.chance, func() { time.Sleep(time.Duration(d.chance.IntN(60)) * time.Millisecond) })
	} else {
		err = d.place(path, files)
	}
	e.End = d.record.now()
	d.record.add(e)
	d.shelves[model].disk[version] = k
	return err
}

// place writes files beside a path and renames them there, as a deployment does.
func (d *driver) place(path string, files map[string][]byte) error {
	beside := filepath.Join(filepath.Dir(path), ".coming")
	if err := write(beside, files, d.chance, func() {}); err != nil {
		return err
	}
	old := filepath.Join(filepath.Dir(path), ".going")
	if err := os.Rename(path, old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(beside, path); err != nil {
		return err
	}
	return os.RemoveAll(old)
}

// skew puts a content there whose golden case does not hold.
func (d *driver) skew(model, version string) error {
	d.content++
	e := Event{Kind: Write, Model: model, Version: version, Content: d.content, Start: d.record.now()}
	err := d.place(d.path(model, version), d.graph.files(model, d.content, true))
	e.End = d.record.now()
	d.record.add(e)
	d.shelves[model].disk[version] = 0
	return err
}

// file draws a file of a version that is on disk, which will be damaged.
func (d *driver) file() (model, path string, ok bool) {
	model, version, ok := d.present()
	names := []string{"model.onnx", "golden/000.json", "golden/000.safetensors", "forgo.json", "forgo.sha256"}
	name := names[d.chance.IntN(len(names))]
	if !ok {
		return model, "", false
	}
	path = filepath.Join(d.path(model, version), filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		return model, "", false
	}
	d.shelves[model].disk[version] = 0
	return model, path, true
}

func (d *driver) truncate(context.Context) error {
	model, path, ok := d.file()
	share := d.chance.Float64()
	if !ok {
		return nil
	}
	return d.disturb("truncate", model, func() error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		return os.Truncate(path, int64(share*float64(info.Size())))
	})
}

func (d *driver) flip(context.Context) error {
	model, path, ok := d.file()
	at, bit := d.chance.Float64(), d.chance.IntN(8)
	if !ok {
		return nil
	}
	return d.disturb("change a bit", model, func() error {
		data, err := os.ReadFile(path)
		if err != nil || len(data) == 0 {
			return err
		}
		data[int(at*float64(len(data)))] ^= 1 << bit
		return os.WriteFile(path, data, 0o600)
	})
}

func (d *driver) removeFile(context.Context) error {
	model, path, ok := d.file()
	if !ok {
		return nil
	}
	return d.disturb("remove a file", model, func() error { return os.Remove(path) })
}

func (d *driver) deleteVersion(context.Context) error {
	model, version, ok := d.present()
	if !ok {
		return nil
	}
	delete(d.shelves[model].disk, version)
	return d.disturb("delete a version", model, func() error { return os.RemoveAll(d.path(model, version)) })
}

func (d *driver) deleteModel(model string) error {
	clear(d.shelves[model].disk)
	return d.disturb("delete a model", model, func() error { return os.RemoveAll(d.path(model, "")) })
}

func (d *driver) unmount(context.Context) error {
	away := time.Duration(d.chance.IntN(600)) * time.Millisecond
	path := filepath.Join(d.folder, "models")
	return d.disturb("take the folder away", "", func() error {
		if err := os.Rename(path, path+".away"); err != nil {
			return err
		}
		time.Sleep(away)
		return os.Rename(path+".away", path)
	})
}

func (d *driver) unload(ctx context.Context, model string) {
	e := d.asker.change(ctx, d.record, Unload, model)
	d.shelves[model].unloaded = true
	d.shelves[model].unsure = e.Status != 200
}

// load asks for a load. Where all is known it is known afterwards what answers.
func (d *driver) load(ctx context.Context, model string) {
	e := d.asker.change(ctx, d.record, Load, model)
	if e.Status == 404 {
		return // there is nothing to load, and what was unloaded stays so
	}
	s := d.shelves[model]
	s.unloaded, s.unsure = false, false
	if e.Status == 200 && d.sure && d.whole(model) && d.named(model) {
		d.exact(model, e.Start, e.End)
	}
}

// whole says whether there are versions on disk, and every one of them is whole.
func (d *driver) whole(model string) bool {
	disk := d.shelves[model].disk
	for _, k := range disk {
		if k == 0 {
			return false
		}
	}
	return len(disk) > 0
}

// named says whether the versions that the settings name are on disk: one whose folder is gone may answer on.
func (d *driver) named(model string) bool {
	disk, s := d.shelves[model].disk, d.config[model]
	for v := range strings.SplitSeq(s.policy, ",") {
		if isVersion := v[0] >= '0' && v[0] <= '9'; isVersion && disk[v] == 0 {
			return false
		}
	}
	for _, v := range s.labels {
		if disk[v] == 0 {
			return false
		}
	}
	return true
}

// race has many callers load and unload a model at once.
func (d *driver) race(ctx context.Context) error {
	model := d.any()
	kinds := make([][]Kind, 2+d.chance.IntN(4))
	for i := range kinds {
		for range 1 + d.chance.IntN(4) {
			kinds[i] = append(kinds[i], []Kind{Load, Unload}[d.chance.IntN(2)])
		}
	}
	var group sync.WaitGroup
	for _, list := range kinds {
		group.Go(func() {
			for _, kind := range list {
				d.asker.change(ctx, d.record, kind, model)
			}
		})
	}
	group.Wait()
	d.shelves[model].unsure = true
	return nil
}

// settings draws a configuration. A good one names versions that are there.
func (d *driver) settings(good bool) map[string]settings {
	all := map[string]settings{}
	for _, m := range models {
		there := slices.Sorted(maps.Keys(d.shelves[m].disk))
		version := func() string {
			any := d.version()
			if i := d.chance.IntN(versions); len(there) > 0 && (good || i > 2) {
				return there[i%len(there)]
			}
			return any
		}
		s := settings{labels: map[string]string{}, batch: 1 + d.chance.IntN(8)}
		s.policy = []string{"latest", "latest:2", "latest:3", "all", version(), version() + "," + version()}[d.chance.IntN(6)]
		for _, label := range []string{"stable", "canary"} {
			if v := version(); d.chance.IntN(3) == 0 && (!good || len(there) > 0) {
				s.labels[label] = v
			}
		}
		all[m] = s
	}
	all[still] = settings{policy: "latest"} // which nothing says: it is the default
	return all
}

// configure writes the configuration: at once, or over the file that is there.
func (d *driver) configure(all map[string]settings, whole bool) error {
	var text strings.Builder
	text.WriteString("models:\n")
	for _, m := range models {
		s := all[m]
		fmt.Fprintf(&text, "  %s:\n    versions: %q\n    max_batch_rows: %d\n    labels: {", m, s.policy, s.batch)
		for i, label := range slices.Sorted(maps.Keys(s.labels)) {
			if i > 0 {
				text.WriteString(", ")
			}
			fmt.Fprintf(&text, "%s: %s", label, s.labels[label])
		}
		text.WriteString("}\n")
	}
	d.config, d.sure = all, false
	return d.writeConfig(text.String(), whole)
}

func (d *driver) writeConfig(text string, whole bool) error {
	path := filepath.Join(d.folder, "forgo.yaml")
	return d.disturb("configure", "", func() error {
		if whole {
			if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		}
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		defer f.Close()
		for _, half := range []string{text[:len(text)/2], text[len(text)/2:]} {
			if _, err := f.WriteString(half); err != nil {
				return err
			}
			time.Sleep(time.Duration(d.chance.IntN(200)) * time.Millisecond)
		}
		return nil
	})
}

// misconfigure writes what is no configuration; the one before stays in force until the next.
func (d *driver) misconfigure(context.Context) error {
	d.sure = false
	texts := []string{"models: [", "models:\n  m0: {versions: newest}\n", "modles: {}\n", "\x00", "models:\n  m0:\n    max_batch_rows: -1\n"}
	return d.writeConfig(texts[d.chance.IntN(len(texts))], true)
}

// restart ends the process and starts another, over a folder in which some model can be proven.
func (d *driver) restart(ctx context.Context, signal syscall.Signal) error {
	start := d.record.now()
	err := d.server.end(signal, stopTime)
	d.found = append(d.found, d.server.complaints()...)
	if err != nil {
		return err
	}
	for _, m := range models {
		if !d.whole(m) {
			if err := d.repair(m); err != nil {
				return err
			}
		}
	}
	for _, s := range d.shelves {
		s.unloaded, s.unsure = false, false
	}
	if err := d.configure(d.settings(true), true); err != nil {
		return err
	}
	return d.start(ctx, start)
}

// start starts a process. since is when the one before was told to end.
func (d *driver) start(ctx context.Context, since int64) error {
	d.started.full = d.chance.IntN(4) == 0 && d.starts > 0
	d.started.isolate = d.chance.IntN(2) == 0 && isolated.Kernel().Err() == nil
	if d.asker != nil {
		d.asker.close()
	}
	var err error
	for range 5 { // another program may take an address meanwhile
		if d.server, err = launch(ctx, d.started, d.starts); err != nil {
			return err
		}
		d.starts++
		if err = d.server.ready(ctx, settleTime); err == nil || !strings.Contains(err.Error(), "address already in use") {
			break
		}
	}
	d.record.add(Event{Kind: Down, Start: since, End: d.record.now()})
	if err != nil {
		return err
	}
	d.most = 0
	d.at.Store(&d.server.at)
	d.asker, err = newClient(d.server.at)
	return err
}

func (d *driver) freeze(context.Context) error {
	long := time.Duration(50+d.chance.IntN(500)) * time.Millisecond
	p := d.server.cmd.Process
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	time.Sleep(long)
	return p.Signal(syscall.SIGCONT)
}

// fault records the time in which the system refuses the process something.
func (d *driver) fault(what string, cause func() error) error {
	e := Event{Kind: Fault, Operation: what, Start: d.record.now()}
	err := cause()
	e.End = d.record.now()
	d.record.add(e)
	return err
}

func (d *driver) starve(context.Context) error {
	more, long := d.chance.IntN(6), time.Duration(200+d.chance.IntN(800))*time.Millisecond
	return d.fault("EMFILE", func() error { return d.server.starve(more, long) })
}

// damage makes reading the files of a version fail.
func (d *driver) damage(ctx context.Context) error {
	model, version, ok := d.present()
	long := time.Duration(200+d.chance.IntN(600)) * time.Millisecond
	if !ok {
		return nil
	}
	var files []string
	for name := range d.graph.files(model, 2, false) {
		if path := filepath.Join(d.path(model, version), filepath.FromSlash(name)); exists(path) {
			files = append(files, path)
		}
	}
	if len(files) == 0 {
		return nil
	}
	return d.fault("EIO", func() error { return d.server.inject(ctx, "openat,read,pread64", "EIO", files, long) })
}

// fill leaves no room in TMPDIR, where a load of TensorFlow's model makes a copy.
func (d *driver) fill(ctx context.Context) error {
	unload, long := d.chance.IntN(2) == 0, time.Duration(d.chance.IntN(400))*time.Millisecond
	return d.fault("ENOSPC in TMPDIR", func() error {
		free, err := d.server.fill()
		if err != nil {
			return err
		}
		if unload {
			d.unload(ctx, still)
		}
		e := d.asker.change(ctx, d.record, Load, still)
		d.shelves[still].unsure = e.Status != 200
		time.Sleep(long)
		return free()
	})
}

// killEngine kills the process of one of the engines, where they have some.
func (d *driver) killEngine(context.Context) error {
	which := d.chance.Int()
	engines, err := d.server.engines()
	if err != nil || len(engines) == 0 {
		return err
	}
	e := Event{Kind: Kill, Start: d.record.now()}
	err = kill(engines[which%len(engines)], stopTime)
	e.End = d.record.now()
	d.record.add(e)
	return err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// repair removes what is damaged and leaves a model at least one version.
func (d *driver) repair(model string) error {
	s := d.shelves[model]
	for _, version := range slices.Sorted(maps.Keys(s.disk)) {
		if s.disk[version] != 0 {
			continue
		}
		delete(s.disk, version)
		if err := d.disturb("repair", model, func() error { return os.RemoveAll(d.path(model, version)) }); err != nil {
			return err
		}
	}
	if len(s.disk) > 0 {
		return nil
	}
	return d.put(model, d.version(), false)
}

// settle makes the folder and the configuration whole, and waits until all answers are what these say.
func (d *driver) settle(ctx context.Context) error {
	for _, m := range models {
		if err := d.repair(m); err != nil {
			return err
		}
	}
	if err := d.configure(d.settings(true), true); err != nil {
		return err
	}
	for _, m := range served {
		if s := d.shelves[m]; s.unloaded || s.unsure {
			e := d.asker.change(ctx, d.record, Load, m)
			if e.Status != 200 && e.Status != 409 { // the configuration of before may want what is not there
				return fmt.Errorf("load of %s: %s", m, e)
			}
			s.unloaded, s.unsure = false, false
		}
	}
	wait := time.Millisecond
	for end := time.Now().Add(settleTime); ; {
		since := d.record.now()
		why := d.unsettled(ctx)
		if why == "" {
			d.sure = true
			for _, m := range served {
				d.exact(m, since, d.record.now())
			}
			return d.leaks()
		}
		if time.Now().After(end) {
			return fmt.Errorf("it does not come to rest: %s%s", why, d.server.tail())
		}
		time.Sleep(wait)
		wait = min(2*wait, 200*time.Millisecond)
	}
}

// leaks compares the descriptors at rest with those after the process's start.
func (d *driver) leaks() error {
	n, err := d.server.descriptors()
	if err != nil {
		return err
	}
	if d.most == 0 {
		d.most = n + spare
	}
	if n > d.most {
		return fmt.Errorf("%d descriptors are open at rest; %d were at the first rest", n, d.most-spare)
	}
	return nil
}

// unsettled says what does not yet answer as the folder and the configuration say.
func (d *driver) unsettled(ctx context.Context) string {
	one := [][]float32{{1, 2, 3}}
	if e := d.asker.isReady(ctx, d.record); e.Status != 200 {
		return "the server is not ready"
	}
	answering := 0
	for _, m := range served {
		want, labels := d.expected(m)
		answering += len(want)
		for _, label := range []string{"stable", "canary"} {
			k := want[labels[label]]
			e := d.asker.ask(ctx, d.record, question{protocol: "tfserving", model: m, label: label, rows: one})
			if (e.Status == 200) != (k != 0) || e.Content != k {
				return fmt.Sprintf("label %s of %s is to answer %d: %s", label, m, k, e)
			}
		}
		for v := range versions {
			version := strconv.Itoa(v + 1)
			e := d.asker.ask(ctx, d.record, question{protocol: "oip_http", model: m, version: version, rows: one})
			if k := want[version]; (e.Status == 200) != (k != 0) || e.Content != k {
				return fmt.Sprintf("version %s of %s is to answer %d: %s", version, m, k, e)
			}
		}
	}
	if engines, err := d.server.engines(); err == nil && d.started.isolate && len(engines) != answering {
		return fmt.Sprintf("%d processes run the engines of %d versions", len(engines), answering)
	}
	return ""
}

// exact records that it is known what a model answers.
func (d *driver) exact(model string, since, now int64) {
	want, labels := d.expected(model)
	d.record.add(Event{Kind: Exact, Model: model, Start: since, End: now, Versions: want, Labels: labels})
}

// expected is what a model answers by the folder and the configuration, where every version is whole: contents by
// version, and versions by label, that of requests which name none being stable.
func (d *driver) expected(model string) (want map[string]int, labels map[string]string) {
	disk, s := d.shelves[model].disk, d.config[model]
	highest := slices.Sorted(maps.Keys(disk)) // of one digit each
	slices.Reverse(highest)
	want, labels = map[string]int{}, map[string]string{}
	switch s.policy {
	case "latest", "latest:2", "latest:3":
		n := 1
		_, _ = fmt.Sscanf(s.policy, "latest:%d", &n)
		for _, v := range highest[:min(n, len(highest))] {
			want[v] = disk[v]
		}
	case "all":
		maps.Copy(want, disk)
	default:
		for v := range strings.SplitSeq(s.policy, ",") {
			if disk[v] != 0 {
				want[v] = disk[v]
			}
		}
	}
	for label, v := range s.labels {
		if disk[v] != 0 {
			want[v], labels[label] = disk[v], v
		}
	}
	if labels["stable"] == "" {
		for _, v := range highest {
			if want[v] != 0 {
				labels["stable"] = v
				break
			}
		}
	}
	return want, labels
}

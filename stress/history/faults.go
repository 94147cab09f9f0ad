//go:build linux

package main

// What the system does to the server: signals, killed engines, full disks, files that change.

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/forgo-ml/forgo/predict/isolated"
)

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

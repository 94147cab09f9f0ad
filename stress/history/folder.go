//go:build linux

package main

// What operators do to the folder of models.

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

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

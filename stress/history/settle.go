//go:build linux

package main

// What must hold once the server has settled.

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

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

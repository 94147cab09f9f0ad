//go:build linux

package main

import (
	"strings"
	"testing"
)

// The model holds histories to its promises: each of these differs from an innocent one in one thing.
func TestCheck(t *testing.T) {
	// Of model m, version 1 has content 2 from the first second on and content 3 from the fifth; version 2 has
	// content 4, which was not proven.
	base := []Event{
		{Kind: Down, Start: 0, End: 10},
		{Kind: Write, Start: 1, End: 2, Model: "m", Version: "1", Content: 2, Proven: true},
		{Kind: Write, Start: 3, End: 4, Model: "m", Version: "2", Content: 4},
		{Kind: Write, Start: 50, End: 52, Model: "m", Version: "1", Content: 3, Proven: true},
		{Kind: Write, Start: 5, End: 6, Model: "other", Version: "1", Content: 5, Proven: true},
	}
	answer := func(start, end int64, content int) Event {
		return Event{Kind: Answer, Start: start, End: end, Model: "m", Content: content, Status: 200, Protocol: "native"}
	}
	status := func(start, end int64, status int) Event {
		return Event{Kind: Answer, Start: start, End: end, Model: "m", Status: status, Protocol: "native"}
	}
	named := func(e Event, version, label, said string) Event {
		e.Version, e.Label, e.Said = version, label, said
		return e
	}
	unload, load := Event{Kind: Unload, Start: 60, End: 62, Model: "m", Status: 200}, Event{Kind: Load, Start: 80, End: 85, Model: "m", Status: 200}
	exact := Event{Kind: Exact, Start: 55, End: 58, Model: "m", Versions: map[string]int{"1": 3}, Labels: map[string]string{"stable": "1"}}
	for name, c := range map[string]struct {
		events []Event
		want   string // "": nothing is found
	}{
		"right answers":                                   {[]Event{answer(20, 21, 2), answer(53, 54, 3)}, ""},
		"the old answer while the new one comes":          {[]Event{answer(51, 53, 3), answer(52, 54, 2), answer(55, 56, 3)}, ""},
		"a version that is named":                         {[]Event{named(answer(20, 21, 2), "1", "", "1")}, ""},
		"an unloaded model that says so":                  {[]Event{answer(53, 54, 3), unload, status(63, 64, 503), load, answer(81, 82, 3)}, ""},
		"an answer that came while the unload did":        {[]Event{answer(53, 54, 3), unload, answer(59, 70, 3), answer(61, 63, 3)}, ""},
		"a load at the same time as the unload":           {[]Event{unload, {Kind: Load, Start: 61, End: 63, Model: "m", Status: 200}, answer(70, 71, 3)}, ""},
		"no answer while the process was down":            {[]Event{{Kind: Down, Start: 60, End: 70}, status(59, 61, lost)}, ""},
		"no answer for want of descriptors":               {[]Event{{Kind: Fault, Start: 60, End: 70}, status(59, 61, lost)}, ""},
		"an engine was killed":                            {[]Event{answer(53, 54, 3), {Kind: Kill, Start: 55, End: 56}, status(55, 57, 503), status(58, 59, 503), answer(60, 61, 3)}, ""},
		"another version is not ready":                    {[]Event{answer(53, 54, 3), named(status(56, 57, 503), "2", "", "")}, ""},
		"not ready before any answer":                     {[]Event{status(20, 21, 503), {Kind: Ready, Start: 20, End: 21, Status: 503}}, ""},
		"exactly what is known":                           {[]Event{exact, answer(59, 60, 3), named(status(59, 60, 404), "2", "", "")}, ""},
		"after a change what was known need not be":       {[]Event{exact, {Kind: Disturb, Start: 60, End: 61}, answer(61, 62, 2)}, ""},
		"a refused load":                                  {[]Event{{Kind: Load, Start: 20, End: 21, Model: "m", Status: 409}}, ""},
		"a value of no content":                           {[]Event{answer(20, 21, wrong)}, "no content gives"},
		"another model's answer":                          {[]Event{answer(20, 21, 5)}, "another model"},
		"what was not proven":                             {[]Event{answer(20, 21, 4)}, "never proven"},
		"another version than the one named":              {[]Event{named(answer(20, 21, 2), "2", "", "")}, "of version 1"},
		"an answer that names another version":            {[]Event{named(answer(20, 21, 2), "", "", "2")}, "says that it is 2's"},
		"an answer from the future":                       {[]Event{answer(20, 21, 3)}, "before it was written"},
		"back to what was overwritten":                    {[]Event{answer(53, 54, 3), answer(55, 56, 2)}, "in the folder before"},
		"an answer of an unloaded model":                  {[]Event{unload, answer(63, 64, 3)}, "unloaded by"},
		"an answer of an unloaded model, before the load": {[]Event{unload, answer(63, 64, 3), load}, "unloaded by"},
		"no answer":         {[]Event{status(20, 21, lost)}, "without an answer"},
		"an internal error": {[]Event{status(20, 21, 500)}, "nothing explains"},
		"too many requests": {[]Event{status(20, 21, 429)}, "nothing explains"},
		"a model that stopped answering by itself":       {[]Event{answer(53, 54, 3), status(55, 56, 503)}, "names no version did not"},
		"one that stopped after it was loaded again":     {[]Event{unload, load, answer(86, 87, 3), status(88, 89, 404)}, "names no version did not"},
		"one that was not answered after its engine was": {[]Event{answer(53, 54, 3), {Kind: Kill, Start: 55, End: 56}, answer(57, 58, 3), status(59, 60, 503)}, "names no version did not"},
		"another version than is known":                  {[]Event{exact, answer(59, 60, 2)}, "answers 3 by then"},
		"a version that is not served":                   {[]Event{exact, named(answer(59, 60, 3), "2", "", "")}, "answers, which does not"},
		"a label on nothing":                             {[]Event{exact, named(answer(59, 60, 3), "", "canary", "")}, "answers, which does not"},
		"not ready though a model answers":               {[]Event{answer(53, 54, 3), {Kind: Ready, Start: 55, End: 56, Status: 503}}, "not ready, after"},
		"a load that fails without a reason":             {[]Event{{Kind: Load, Start: 20, End: 21, Model: "m", Status: 500}}, "nothing explains"},
		"an unload that is refused":                      {[]Event{{Kind: Unload, Start: 20, End: 21, Model: "m", Status: 409}}, "nothing explains"},
	} {
		t.Run(name, func(t *testing.T) {
			found := strings.Join(check(append(base[:len(base):len(base)], c.events...)), "\n")
			if c.want == "" && found != "" || !strings.Contains(found, c.want) {
				t.Errorf("found %q, want %q", found, c.want)
			}
		})
	}
}

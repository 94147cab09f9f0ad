// Package replay checks a running server, forgo's or another, against a bundle's golden cases: it sends
// their recorded inputs and compares the answers with the training framework's.
//
// It sends every case in each [Protocol] that the server speaks and in each of the protocol's forms,
// alone and in batches, from one caller and from several at once. The tolerance is the bundle's own. It
// loads no model and needs no engine.
package replay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/forgo-ml/forgo/client"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
)

// Options tune Run.
type Options struct {
	// Protocols that may be replayed. Required: [github.com/forgo-ml/forgo/serve.Replays] returns those of
	// forgo's server.
	Protocols []Protocol
	// Only names the protocols to replay, which the server must speak. Optional: all in which it offers the model.
	Only []string
	// Header is sent with every request. Optional.
	Header http.Header
	// TLS is for https and grpcs URLs. Optional: the system's certificates are trusted.
	TLS *tls.Config
	// Model is the model's name on the server. Optional: the bundle's.
	Model string
	// Version of the model. Optional: the server's default.
	Version string
	// Batches lists the numbers of cases in one request; a bundle with fewer cases repeats them.
	// Optional: 1 and 8.
	Batches []int
	// Callers is the number of concurrent requests, after each request was sent alone. Optional: 8. With
	// 1, requests are only sent alone.
	Callers int
	// Timeout bounds one request. Optional: 30 seconds.
	Timeout time.Duration
}

// Report is the result of a replay.
type Report struct {
	Name      string
	Digest    string
	Cases     int
	Tolerance float64
	Results   []Result
}

// Err returns the first failure, or nil if every answer is right.
func (r Report) Err() error {
	for _, result := range r.Results {
		if result.Failure != nil {
			return result.Failure
		}
	}
	return nil
}

// Result says how a server's answers in one protocol compare with the recorded ones.
type Result struct {
	URL      string `json:"url"`
	Protocol string `json:"protocol"`
	// Server is the name that the server reports, or "".
	Server string   `json:"server,omitempty"`
	Forms  []string `json:"forms"`
	// Requests sent, and Rows compared.
	Requests int `json:"requests"`
	Rows     int `json:"rows"`
	// LargestDifference among all rows, as [tensor.Difference] measures it; +Inf if an answer had no number
	// to compare.
	LargestDifference float64 `json:"largest_difference"`
	// Top1Agreement is the share of rows, 0 to 1, whose best label is the recorded one; nil unless
	// the model is a classifier.
	Top1Agreement *float64 `json:"top1_agreement,omitempty"`
	// Failure is the first difference above the tolerance.
	Failure *Failure `json:"-"`

	agreed int
}

// Failure says where a server's answers differ from the training framework's.
type Failure struct {
	Protocol string
	Form     string // "" where it concerns all
	Batch    int    // cases in the request; 0 where it concerns all
	Callers  int    // requests under way at once
	*predict.ParityError
}

func (f *Failure) Unwrap() error { return f.ParityError }

func (o Options) withDefaults(b *bundle.Bundle) Options {
	if o.Model == "" {
		o.Model = b.Manifest.Name
	}
	if o.Version != "" {
		o.Model += "/versions/" + o.Version
	}
	if len(o.Batches) == 0 {
		o.Batches = []int{1, 8}
	}
	if o.Callers == 0 {
		o.Callers = 8
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	return o
}

// Run replays a bundle's golden cases against the server at some URLs, as [client.New] takes
// them. An error means that the replay could not run: the server is unreachable, say, or does not know the
// model. Wrong answers are in the report.
func (o Options) Run(ctx context.Context, b *bundle.Bundle, urls ...string) (Report, error) {
	o = o.withDefaults(b)
	report := Report{Name: b.Manifest.Name, Digest: b.Digest, Tolerance: b.Manifest.Tolerance.Model}
	var cases []bundle.Recorded
	for _, c := range b.Manifest.Golden.Cases {
		recorded, err := b.ReadCase(c)
		if err != nil {
			return report, err
		}
		cases = append(cases, recorded)
	}
	if report.Cases = len(cases); len(cases) == 0 {
		return report, fmt.Errorf("nothing to replay: the bundle has no golden cases (%s)", b.Manifest.Golden.None)
	}
	protocols, err := o.protocols(urls)
	if err != nil {
		return report, err
	}
	signed, err := readSigned(b)
	if err != nil {
		return report, err
	}
	for _, url := range urls {
		if len(o.Only) > 0 && !slices.ContainsFunc(protocols, func(p Protocol) bool { return overGRPC(url) == p.GRPC }) {
			continue
		}
		s := Server{URL: url, Model: o.Model, Manifest: &b.Manifest, Signed: signed, Asked: len(o.Only) > 0, options: o, digest: b.Digest}
		targets, closeClients, err := s.targets(ctx, protocols)
		if err != nil {
			closeClients()
			return report, err
		}
		for _, t := range targets {
			if err = t.run(ctx, o, &b.Manifest, cases); err != nil {
				break
			}
			report.Results = append(report.Results, t.Result)
		}
		closeClients()
		if err != nil {
			return report, err
		}
	}
	return report, nil
}

// target is one protocol of one server.
type target struct {
	Result
	forms []Form
}

func (t *target) run(ctx context.Context, o Options, m *bundle.Manifest, cases []bundle.Recorded) error {
	for _, f := range t.forms {
		t.Forms = append(t.Forms, f.Name)
		m, cases := m, cases
		if f.Of != nil {
			m, cases = f.Of.Manifest, f.Of.Cases
		}
		for _, n := range o.Batches {
			if f.Alone && n != 1 {
				continue
			}
			for _, callers := range []int{1, o.Callers} {
				if err := t.pass(ctx, o, m, f, requests(cases, n, callers), callers); err != nil {
					return fmt.Errorf("%s (%s) at %s: %w", t.Protocol, f.Name, t.URL, err)
				}
				if o.Callers == 1 {
					break
				}
			}
		}
	}
	if m.Task == bundle.Classification && t.Rows > 0 {
		share := float64(t.agreed) / float64(t.Rows)
		t.Top1Agreement = &share
	}
	return nil
}

// requests groups cases by n. Every case is in one request or more, each request holds n cases
// whose tensors fit one batch, and there are no fewer requests than callers.
func requests(cases []bundle.Recorded, n, callers int) [][]bundle.Recorded {
	var groups [][]bundle.Recorded
next:
	for _, c := range cases {
		for i, group := range groups {
			if _, err := bundle.Stack([]bundle.Recorded{group[0], c}); err == nil {
				groups[i] = append(group, c)
				continue next
			}
		}
		groups = append(groups, []bundle.Recorded{c})
	}
	var all [][]bundle.Recorded
	for _, group := range groups {
		for at := 0; at < len(group) || len(all) < callers; at += n {
			request := make([]bundle.Recorded, n)
			for i := range request {
				// One further each time round, so that no two requests hold the same rows.
				request[i] = group[(at+i+at/len(group))%len(group)]
			}
			all = append(all, request)
		}
	}
	return all
}

// pass sends requests, several at once, and compares what comes back.
func (t *target) pass(ctx context.Context, o Options, m *bundle.Manifest, f Form, requests [][]bundle.Recorded, callers int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make([][]Row, len(requests))
	errs := make([]error, len(requests))
	slots := make(chan struct{}, callers)
	var group sync.WaitGroup
	for i, cases := range requests {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			ctx, cancelOne := context.WithTimeout(ctx, o.Timeout)
			defer cancelOne()
			if answers[i], errs[i] = f.Ask(ctx, cases); silent(errs[i]) {
				cancel() // the others would wait as long
			}
		})
	}
	group.Wait()
	var stopped error
	for i, cases := range requests {
		if silent(errs[i]) {
			if stopped == nil || errors.Is(stopped, context.Canceled) {
				stopped = errs[i]
			}
			continue
		}
		t.Requests++
		how := fmt.Sprintf("in a batch of %d", len(cases))
		if len(cases) == 1 {
			how = "alone"
		}
		if callers > 1 {
			how += fmt.Sprintf(", %d callers at once", callers)
		}
		if errs[i] == nil && len(answers[i]) != len(cases) {
			errs[i] = fmt.Errorf("%d answers for %d cases", len(answers[i]), len(cases))
		}
		for j, c := range cases {
			difference, matches, err := math.Inf(1), false, errs[i]
			if err == nil {
				difference, matches, err = compare(m, c, answers[i][j])
			}
			t.Rows++
			t.LargestDifference = max(t.LargestDifference, difference)
			if matches {
				t.agreed++
			}
			if err != nil && t.Failure == nil {
				t.Failure = &Failure{t.Protocol, f.Name, len(cases), callers, &predict.ParityError{
					Stage: predict.StageServe, Case: c.ID, Source: c.Source,
					Difference: difference, Tolerance: m.Tolerance.Model,
					Err: fmt.Errorf("%s (%s) at %s, row %d %s: %w", t.Protocol, f.Name, t.URL, j, how, err),
				}}
			}
		}
	}
	return stopped
}

// silent reports whether an error says nothing about the server's answers.
func silent(err error) bool {
	for _, kind := range []error{client.ErrUnavailable, client.ErrDenied, client.ErrBusy, context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

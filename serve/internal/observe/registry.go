package observe

// The metrics. Those of a model are read from the models that are served at that moment, so that they
// disappear with the model.

import (
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	forgo "github.com/forgo-ml/forgo"
	"github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/pixels"
)

// family is a metric with all its labels.
type family struct {
	name, help string
	desc       *prometheus.Desc
}

func newFamily(name, help string, labels ...string) *family {
	return &family{name, help, prometheus.NewDesc(name, help, labels, nil)}
}

// docs/operations.md lists these in a table. A test compares the two.
var (
	buildInfo = newFamily("forgo_build_info", "Always 1; the labels give the versions of forgo and Go, and the JPEG decoder.", "version", "go_version", "decoder")
	modelInfo = newFamily("forgo_model_info", "Always 1 for a served model version; the labels give its bundle's digest, engine and task.",
		"model", "version", "digest", "engine", "task")
	modelReady     = newFamily("forgo_model_ready", "1 if a model version answers, 0 if it does not.", "model", "version")
	loadsTotal     = newFamily("forgo_model_loads_total", "Loads of model versions, by outcome: loaded or refused.", "model", "outcome")
	folderGone     = newFamily("forgo_model_folder_missing", "1 if a model version answers although its folder is gone, 0 if the folder is there.", "model", "version")
	ready          = newFamily("forgo_ready", "1 while the server reports ready, 0 while it does not.")
	logDropped     = newFamily("forgo_log_dropped_lines_total", "Log lines dropped because nothing read them in time.")
	clientsGivenUp = newFamily("forgo_clients_given_up_total",
		"Clients dropped in favour of others, by reason: connections closed to make room, slow requests ended to free memory.", "reason")
	parityDifference = newFamily("forgo_model_parity_difference",
		"Largest difference in the replay at load, by stage: in steps of 255 for decoded pictures, otherwise in the units of the tolerances.", "model", "version", "stage")
	parityTolerance = newFamily("forgo_model_parity_tolerance", "Largest difference in the model's outputs that the bundle allows.", "model", "version")
	parityTop1      = newFamily("forgo_model_parity_top1_ratio",
		"Share of golden cases, 0 to 1, whose best label was right in the replay at load. Only for classifiers.", "model", "version")
	parityCases = newFamily("forgo_model_parity_cases", "Golden cases replayed at load.", "model", "version")
	parityGraph = newFamily("forgo_model_parity_expected_from_graph",
		"1 if a model version's golden cases hold the converted graph's own answers, 0 if they hold the training framework's.", "model", "version")

	requestsTotal = newFamily("forgo_requests_total",
		"Completed inference requests, and failed requests of any kind. The model is empty if none was found.", "model", "version", "protocol")
	failuresTotal = newFamily("forgo_request_failures_total", "Requests answered with an error, by reason.",
		"model", "version", "protocol", "reason")
	requestSeconds   = newFamily("forgo_request_duration_seconds", "Duration of requests answered without an error.", "model", "version", "protocol")
	requestsInFlight = newFamily("forgo_requests_in_flight", "Inference requests in flight.", "model", "version")
	rowsTotal        = newFamily("forgo_rows_total", "Rows or pictures answered.", "model", "version")
	stageSeconds     = newFamily("forgo_stage_duration_seconds",
		"Duration of a request's stages: read (waiting for the body), decode, preprocess, queue, infer, encode.", "model", "version", "stage")

	queueRows       = newFamily("forgo_queue_rows", "Rows waiting for the engine.", "model", "version")
	queueRequests   = newFamily("forgo_queue_requests", "Requests waiting for the engine.", "model", "version")
	queueRowsLimit  = newFamily("forgo_queue_limit_rows", "Limit of forgo_queue_rows; requests beyond it are refused.", "model", "version")
	queueBytes      = newFamily("forgo_queue_bytes", "Memory of requests that are being read, waiting or running.", "model", "version")
	queueBytesLimit = newFamily("forgo_queue_limit_bytes", "Limit of forgo_queue_bytes; requests beyond it are refused.", "model", "version")
	queueWait       = newFamily("forgo_queue_wait_seconds", "Expected wait of a request that arrives now, estimated from recent requests.", "model", "version")
	queueWaitLimit  = newFamily("forgo_queue_limit_wait_seconds",
		"Limit of forgo_queue_wait_seconds; requests beyond it are refused. Absent without --max-wait.", "model", "version")

	engineRestarts = newFamily("forgo_engine_restarts_total",
		"Restarts of the model's isolated engine, each with a replay of the golden cases; 0 without --isolate.", "model", "version")

	batchRows   = newFamily("forgo_batch_rows", "Rows in each run of the engine.", "model", "version")
	engineTotal = newFamily("forgo_engine_busy_seconds_total", "Total duration of all engine runs; its rate is the average number in flight.", "model", "version")
	engineRuns  = newFamily("forgo_engine_runs_in_flight", "Engine runs in flight.", "model", "version")
	engineLimit = newFamily("forgo_engine_limit_runs", "Limit of forgo_engine_runs_in_flight.", "model", "version")
)

// batchBounds are the bucket bounds of forgo_batch_rows.
var batchBounds = []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}

func newRegistry(o *Observer) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(o, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Metrics returns a handler for the metrics in Prometheus's formats.
func (o *Observer) Metrics() http.Handler {
	return promhttp.HandlerFor(o.registry, promhttp.HandlerOpts{})
}

// Describe sends nothing, since the metrics depend on the models.
func (o *Observer) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (o *Observer) Collect(out chan<- prometheus.Metric) {
	one(out, buildInfo, prometheus.GaugeValue, 1, forgo.Version(), runtime.Version(), pixels.Decoder())
	o.nowhere.collect(out, o.protocols, "", "")
	state := o.state()
	one(out, ready, prometheus.GaugeValue, oneIf(state.Ready))
	one(out, logDropped, prometheus.CounterValue, float64(state.LogDropped))
	one(out, clientsGivenUp, prometheus.CounterValue, float64(state.Closed), "connections")
	one(out, clientsGivenUp, prometheus.CounterValue, float64(state.GivenUp), "memory")
	for _, v := range state.Versions {
		one(out, modelReady, prometheus.GaugeValue, oneIf(v.Ready), v.Name, v.Version)
		if v.Ready {
			one(out, folderGone, prometheus.GaugeValue, oneIf(v.Gone), v.Name, v.Version)
		}
	}
	for _, l := range state.Loads {
		one(out, loadsTotal, prometheus.CounterValue, float64(l.Loaded), l.Name, "loaded")
		one(out, loadsTotal, prometheus.CounterValue, float64(l.Refused), l.Name, "refused")
	}
	for _, m := range state.Models {
		m.outcomes.collect(out, o.protocols, m.Name, m.Version)
		m.collect(out)
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func one(out chan<- prometheus.Metric, f *family, kind prometheus.ValueType, value float64, labels ...string) {
	out <- prometheus.MustNewConstMetric(f.desc, kind, value, labels...)
}

// collect sends a series for each protocol in which a model can be called and, for a protocol in use, for
// each reason of failure. They start at 0, so that the first request and the first failure are an
// increase.
func (o *outcomes) collect(out chan<- prometheus.Metric, protocols []*Protocol, name, version string) {
	for _, p := range append([]*Protocol{Other}, protocols...) {
		c := new(counts)
		if used, ok := o.counts.Load(p.key); ok {
			c = used.(*counts)
		}
		total := c.answered.Load()
		var failed [reasons]uint64
		for reason := range reasons {
			failed[reason] = c.failed[reason].Load()
			total += failed[reason]
		}
		if total > 0 || name != "" && p != Other {
			one(out, requestsTotal, prometheus.CounterValue, float64(total), name, version, p.Name)
		}
		if total == 0 {
			continue
		}
		for reason, n := range failed {
			one(out, failuresTotal, prometheus.CounterValue, float64(n), name, version, p.Name, Reason(reason).String())
		}
		c.duration.collect(out, requestSeconds, name, version, p.Name)
	}
}

func (m Model) collect(out chan<- prometheus.Metric) {
	gauge := func(f *family, value float64, labels ...string) {
		one(out, f, prometheus.GaugeValue, value, append([]string{m.Name, m.Version}, labels...)...)
	}
	counter := func(f *family, value float64) {
		one(out, f, prometheus.CounterValue, value, m.Name, m.Version)
	}
	manifest, parity, stats := m.Manifest(), m.Parity(), m.Stats()
	gauge(modelInfo, 1, m.Digest(), m.Engine().Info.Name, manifest.Task)
	for stage, d := range map[predict.Stage]float64{
		predict.StageDecode: parity.Differences.Decode, predict.StagePreprocess: parity.Differences.Preprocess,
		predict.StageModel: parity.Differences.Model, predict.StageLabel: parity.Differences.Label,
	} {
		gauge(parityDifference, d, string(stage))
	}
	gauge(parityTolerance, parity.Tolerance)
	gauge(parityCases, float64(parity.Cases))
	gauge(parityGraph, oneIf(parity.ExpectedFrom == bundle.ConvertedGraph))
	if parity.Top1Agreement > 0 {
		gauge(parityTop1, parity.Top1Agreement)
	}

	gauge(requestsInFlight, float64(m.inFlight.Load()))
	counter(rowsTotal, float64(m.rows.Load()))
	for stage := range m.stages {
		m.stages[stage].collect(out, stageSeconds, m.Name, m.Version, stageNames[stage])
	}

	gauge(queueRows, float64(stats.QueueRows))
	gauge(queueRequests, float64(stats.QueueCalls))
	gauge(queueRowsLimit, float64(stats.MaxQueueRows))
	gauge(queueBytes, float64(stats.QueueBytes))
	gauge(queueBytesLimit, float64(stats.MaxQueueBytes))
	gauge(queueWait, stats.Wait.Seconds())
	if stats.MaxWait > 0 {
		gauge(queueWaitLimit, stats.MaxWait.Seconds())
	}
	gauge(engineRuns, float64(stats.Running))
	gauge(engineLimit, float64(stats.Instances))
	counter(engineRestarts, float64(m.Engine().Restarts))
	m.batches(out, stats.Batches)
}

// batches sends a histogram of counts that are known by exact size.
func (m Model) batches(out chan<- prometheus.Metric, list []serving.BatchStats) {
	var runs uint64
	var rows, busy float64
	buckets := map[float64]uint64{}
	for _, bound := range batchBounds {
		buckets[float64(bound)] = 0
	}
	for _, b := range list {
		runs += b.Runs
		rows += float64(b.Runs) * float64(b.Rows)
		busy += b.Infer.Seconds()
		for _, bound := range batchBounds {
			if b.Rows <= bound {
				buckets[float64(bound)] += b.Runs
			}
		}
	}
	if runs > 0 {
		out <- prometheus.MustNewConstHistogram(batchRows.desc, runs, rows, buckets, m.Name, m.Version)
	}
	one(out, engineTotal, prometheus.CounterValue, busy, m.Name, m.Version)
}

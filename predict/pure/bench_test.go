package pure

import (
	"testing"
	"time"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/onnx"
)

// How many times as fast as ONNX Runtime a run is: both take turns, so that what else the machine does
// slows both down. make bench-pure runs it.
func BenchmarkAgainstONNXRuntime(b *testing.B) {
	if _, err := onnx.Engine().Library(); err != nil {
		b.Skip(err)
	}
	for _, name := range []string{"iris", "shapes", "halves"} {
		opened, err := bundle.Open("../../conformance/bundles/" + name + ".forgo")
		if err != nil {
			b.Fatal(err)
		}
		defer opened.Close()
		m := &opened.Manifest
		graph, err := opened.ReadFile(m.Graph.Path)
		if err != nil {
			b.Fatal(err)
		}
		var cases []bundle.Recorded
		for _, c := range m.Golden.Cases {
			r, err := opened.ReadCase(c)
			if err != nil {
				b.Fatal(err)
			}
			cases = append(cases, r)
		}
		for rows, label := range map[int]string{1: "1 row", len(cases): "16 rows"} {
			b.Run(name+"/"+label, func(b *testing.B) {
				stacked, err := bundle.Stack(cases[:rows])
				if err != nil {
					b.Fatal(err)
				}
				in := predict.Tensors{}
				for _, info := range m.Inputs {
					in[info.GraphName] = stacked[info.Name]
				}
				var outputs []string
				for _, info := range m.Outputs {
					outputs = append(outputs, info.GraphName)
				}
				var took [2]time.Duration
				var sessions [2]engines.Session
				for i, e := range []predict.Engine{onnx.Engine(), Engine()} {
					if sessions[i], err = e.Open(b.Context(), predict.Graph{Data: graph, Path: name}, predict.SessionOptions{Threads: 1}); err != nil {
						b.Fatal(err)
					}
					defer sessions[i].Close()
				}
				for b.Loop() {
					for i, s := range sessions {
						start := time.Now()
						for range 20 {
							if _, err := s.Run(b.Context(), in, outputs); err != nil {
								b.Fatal(err)
							}
						}
						took[i] += time.Since(start)
					}
				}
				b.ReportMetric(float64(took[0])/float64(took[1]), "times-as-fast")
			})
		}
	}
}

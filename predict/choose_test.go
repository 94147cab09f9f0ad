package predict_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/pure"
)

// absent is ONNX Runtime where its library is not installed.
type absent struct{ predict.Engine }

func (absent) Open(context.Context, predict.Graph, predict.SessionOptions) (engines.Session, error) {
	return nil, errors.New("no library")
}

// stuck is a real engine whose first runs do not come back by themselves: it loses as many comparisons.
func stuck(e predict.Engine, first int32) predict.Engine {
	var ran atomic.Int32
	return tampered{e, func(ctx context.Context, s engines.Session, in predict.Tensors, out []string) (predict.Tensors, error) {
		if ran.Add(1) <= first {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return s.Run(ctx, in, out)
	}}
}

// slow is a real engine that takes longer than a call of a library, whatever the machine.
func slow(e predict.Engine) predict.Engine {
	return tampered{e, func(ctx context.Context, s engines.Session, in predict.Tensors, out []string) (predict.Tensors, error) {
		time.Sleep(20 * time.Microsecond)
		return s.Run(ctx, in, out)
	}}
}

// wrong is a real engine whose answers differ.
func wrong(e predict.Engine) predict.Engine {
	return tampered{e, func(ctx context.Context, s engines.Session, in predict.Tensors, names []string) (predict.Tensors, error) {
		out, err := s.Run(ctx, in, names)
		for _, t := range out {
			if x, ok := t.Data.([]float32); ok {
				x[0] += 0.1
			}
		}
		return out, err
	}}
}

// passed are the engines that were passed over, each with why.
func passed(m *predict.Model) string {
	var all []string
	for _, p := range serving.Of(m).Engine().Passed {
		all = append(all, p.String())
	}
	return strings.Join(all, "\n")
}

func TestEngineIsChosen(t *testing.T) {
	for name, c := range map[string]struct {
		engines []predict.Engine
		runs    string
		why     string // an engine is passed over
		warn    bool
	}{
		"pure alone":                 {[]predict.Engine{pure.Engine()}, "pure", "", false},
		"no library":                 {[]predict.Engine{absent{onnx.Engine()}, slow(pure.Engine())}, "pure", "onnxruntime does not run model.onnx: no library", true},
		"ONNX Runtime hangs":         {[]predict.Engine{stuck(onnx.Engine(), 1), slow(pure.Engine())}, "pure", "pure answers faster", false},
		"pure comes to nothing":      {[]predict.Engine{onnx.Engine(), stuck(pure.Engine(), 2)}, "onnxruntime", "onnxruntime answers faster", false},
		"pure answers wrong":         {[]predict.Engine{stuck(onnx.Engine(), 1), wrong(slow(pure.Engine()))}, "onnxruntime", "parity refused at stage model", true},
		"ONNX Runtime answers wrong": {[]predict.Engine{wrong(onnx.Engine()), stuck(pure.Engine(), 2)}, "pure", "onnxruntime does not run model.onnx: parity refused", true},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := options().Load(t.Context(), iris, c.engines...)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			s := serving.Of(m).Engine()
			if s.Info.Name != c.runs || !strings.Contains(passed(m), c.why) || c.why == "" && len(s.Passed) > 0 {
				t.Errorf("%s runs it; %s", s.Info.Name, passed(m))
			}
			warn := false
			for _, p := range s.Passed {
				warn = warn || p.Warn()
			}
			if warn != c.warn {
				t.Errorf("warns: %v; %s", warn, passed(m))
			}
			if m.Parity().Mode != "full" {
				t.Error(m.Parity())
			}
		})
	}
}

// No engine is trusted: where each differs, the bundle is refused, and the stage is named.
func TestNoEngineAnswers(t *testing.T) {
	_, err := options().Load(t.Context(), iris, wrong(onnx.Engine()), wrong(pure.Engine()))
	var parity *predict.ParityError
	if !errors.As(err, &parity) || parity.Stage != predict.StageModel {
		t.Errorf("got %v", err)
	}
	_, err = options().Load(t.Context(), iris, absent{onnx.Engine()}, absent{pure.Engine()})
	if err == nil || !strings.Contains(err.Error(), "model.onnx: no library; and no library") {
		t.Errorf("got %v", err)
	}
	if _, err = options().Load(t.Context(), iris); err == nil || !strings.Contains(err.Error(), "it needs the engine onnxruntime") {
		t.Errorf("got %v", err)
	}
}

// counted is a real engine whose open sessions are counted; its opening ends the load's context, if it has one to end.
type counted struct {
	predict.Engine
	open *atomic.Int32
	end  context.CancelFunc
}

type openSession struct {
	engines.Session
	open *atomic.Int32
}

func (c counted) Open(ctx context.Context, g predict.Graph, o predict.SessionOptions) (engines.Session, error) {
	s, err := c.Engine.Open(ctx, g, o)
	if err != nil {
		return nil, err
	}
	c.open.Add(1)
	if c.end != nil {
		c.end()
	}
	return openSession{s, c.open}, nil
}

func (s openSession) Close() error {
	s.open.Add(-1)
	return s.Session.Close()
}

// A load that is called off while engines are compared leaves none of their sessions open: each may be a process.
func TestALoadThatEndsWhileItChoosesLeavesNothingOpen(t *testing.T) {
	var open atomic.Int32
	for name, ends := range map[string]int{"first": 0, "second": 1} {
		ctx, end := context.WithCancel(t.Context())
		offered := []counted{{onnx.Engine(), &open, nil}, {slow(pure.Engine()), &open, nil}}
		offered[ends].end = end
		m, err := options().Load(ctx, iris, offered[0], offered[1])
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, %v", name, m, err)
		}
		// An opening that nobody waits for any more closes what it opened once it is done.
		for end := time.Now().Add(10 * time.Second); open.Load() != 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %d sessions are open", name, open.Load())
			}
		}
		end()
	}
}

// recorded is a real engine whose openings are counted.
type recorded struct {
	predict.Engine
	times *atomic.Int32
}

func (r recorded) Open(ctx context.Context, g predict.Graph, o predict.SessionOptions) (engines.Session, error) {
	r.times.Add(1)
	return r.Engine.Open(ctx, g, o)
}

// An engine that is tried before any library is loaded takes part in the comparison with the session that it has.
func TestEachEngineOpensAGraphOnce(t *testing.T) {
	for name, last := range map[string]predict.Engine{"slow": slow(pure.Engine()), "unable": absent{pure.Engine()}} {
		var times [2]atomic.Int32
		m, err := options().Load(t.Context(), iris, recorded{onnx.Engine(), &times[0]}, recorded{last, &times[1]})
		if err != nil {
			t.Fatal(err)
		}
		if times[0].Load() != 1 || times[1].Load() != 1 {
			t.Errorf("%s: %d and %d openings", name, times[0].Load(), times[1].Load())
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

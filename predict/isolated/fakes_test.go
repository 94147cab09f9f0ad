//go:build linux

package isolated

// Engines that run in a child and do what no engine should.

import (
	"context"
	"fmt"
	"time"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// fake is an engine whose session calls run with what the caller sent.
type fake struct {
	name string
	load func() // as its library is loaded, before the process is confined
	open func() error
	run  func(ctx context.Context, x []float32) (float32, error)
}

func (f fake) Info() engines.Info { return engines.Info{Name: f.name} }
func (f fake) Library() (engines.Library, error) {
	if f.load != nil {
		f.load()
	}
	return engines.Library{Path: "none", Version: "0"}, nil
}

func (f fake) Open(context.Context, predict.Graph, predict.SessionOptions) (engines.Session, error) {
	if f.open != nil {
		if err := f.open(); err != nil {
			return nil, err
		}
	}
	return fakeSession{f}, nil
}

type fakeSession struct{ fake }

func (fakeSession) Inputs() []tensor.Spec {
	return []tensor.Spec{{Name: "x", DType: tensor.Float32, Shape: []int64{-1}}}
}

func (fakeSession) Outputs() []tensor.Spec {
	return []tensor.Spec{{Name: "y", DType: tensor.Float32, Shape: []int64{-1}}, {Name: "words", DType: tensor.String}, {Name: "flags", DType: tensor.Bool}}
}
func (fakeSession) Close() error { return nil }

func (s fakeSession) Run(ctx context.Context, inputs predict.Tensors, _ []string) (predict.Tensors, error) {
	y, err := s.run(ctx, inputs["x"].Data.([]float32))
	if err != nil {
		return nil, err
	}
	return predict.Tensors{"y": {Shape: []int64{1}, Data: []float32{y}}}, nil
}

// fakes are those that Main is called with.
func fakes() []predict.Engine {
	all := append(sandboxed(), []predict.Engine{
		fake{name: "dying", run: func(_ context.Context, x []float32) (float32, error) {
			if x[0] < 0 {
				deaths[-int(x[0])-1]()
				select {}
			}
			return 2 * x[0], nil
		}},
		fake{name: "endless", run: func(ctx context.Context, x []float32) (float32, error) {
			if x[0] < 0 {
				select {}
			}
			return 2 * x[0], nil
		}},
		fake{name: "liar", run: func(_ context.Context, x []float32) (float32, error) {
			say(lies[int(x[0])].bytes)
			if lies[int(x[0])].then {
				return 1, nil
			}
			select {}
		}},
		fake{name: "never opens", open: func() error { select {} }},
		fake{name: "hog", run: func(_ context.Context, x []float32) (float32, error) {
			var held [][]byte
			for range int(x[0]) {
				piece := make([]byte, 1<<20)
				for i := 0; i < len(piece); i += 4096 {
					piece[i] = 1
				}
				held = append(held, piece)
			}
			return float32(len(held)), nil
		}},
		fake{name: "slow", run: func(ctx context.Context, x []float32) (float32, error) {
			select {
			case <-time.After(time.Duration(x[0]) * time.Millisecond):
				return x[0], nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}},
	}...)
	for i, l := range openings {
		all = append(all, fake{name: "liar at once " + string(rune('0'+i)), open: func() error {
			say(l.bytes)
			select {}
		}})
	}
	return all
}

func answered(out predict.Tensors, err error) (float32, error) {
	if err != nil {
		return 0, err
	}
	y, err := tensor.Values[float32](out["y"])
	if err != nil || len(y) != 1 {
		return 0, fmt.Errorf("got %v: %v", out, err)
	}
	return y[0], nil
}

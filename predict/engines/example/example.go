// Package example is the smallest engine: linear models in JSON, y = x * weights + bias.
package example

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// Engine runs linear models.
type Engine struct{}

// Info describes the engine.
func (Engine) Info() engines.Info {
	return engines.Info{Name: "linear", Title: "linear models", Format: engines.Format{
		Name: "linear", Kind: "linear", Noun: "a linear model", Files: []string{".linear"},
		Platform: "linear_json", TritonPlatform: "linear_json", TritonBackend: "linear",
	}}
}

// Library is this package.
func (Engine) Library() (engines.Library, error) {
	return engines.Library{Path: "example", Version: "1"}, nil
}

// Open reads a model.
func (Engine) Open(ctx context.Context, g engines.Graph, _ engines.SessionOptions) (engines.Session, error) {
	m := &model{}
	if err := errors.Join(ctx.Err(), json.Unmarshal(g.Data, m)); err != nil {
		return nil, fmt.Errorf("open linear model: %w", err)
	}
	if len(m.Weights) == 0 || slices.ContainsFunc(m.Weights, func(w []float32) bool { return len(w) != len(m.Bias) }) {
		return nil, fmt.Errorf("open linear model: its weights do not fit its %d biases", len(m.Bias))
	}
	return m, nil
}

type model struct {
	Weights [][]float32
	Bias    []float32
	closed  atomic.Bool
}

func (m *model) Inputs() []tensor.Spec {
	return []tensor.Spec{{Name: "x", DType: tensor.Float32, Shape: []int64{-1, int64(len(m.Weights))}}}
}

func (m *model) Outputs() []tensor.Spec {
	return []tensor.Spec{{Name: "y", DType: tensor.Float32, Shape: []int64{-1, int64(len(m.Bias))}}}
}

func (m *model) Run(ctx context.Context, inputs tensor.Map, outputs []string) (tensor.Map, error) {
	if m.closed.Load() {
		return nil, errors.New("run linear model: it is closed")
	}
	if err := errors.Join(ctx.Err(), engines.Check(m, inputs, outputs)); err != nil {
		return nil, fmt.Errorf("run linear model: %w", err)
	}
	var y []float32
	for row := range slices.Chunk(inputs["x"].Data.([]float32), len(m.Weights)) {
		for j, sum := range m.Bias {
			for i, x := range row {
				sum += x * m.Weights[i][j]
			}
			y = append(y, sum)
		}
	}
	t, err := tensor.New(y, inputs["x"].Shape[0], int64(len(m.Bias)))
	return tensor.Map{"y": t}, err
}

func (m *model) Close() error {
	m.closed.Store(true)
	return nil
}

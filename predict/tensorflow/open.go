package tensorflow

import (
	"context"

	"github.com/forgo-ml/forgo/predict"
)

// OpenOption says what of a SavedModel is meant. Each is optional where the model leaves no
// choice: it has one graph, or a signature that is the default or the only one.
type OpenOption func(*predict.Graph)

// Tags are those of the graph, all of them.
func Tags(tags ...string) OpenOption { return func(g *predict.Graph) { g.Tags = tags } }

// Signature names the graph's inputs and outputs.
func Signature(name string) OpenOption { return func(g *predict.Graph) { g.Signature = name } }

// Input names inputs: of the signature, or operations as in "input_1" or "input_1:0".
func Input(names ...string) OpenOption { return func(g *predict.Graph) { g.Inputs = names } }

// Output names outputs: of the signature, or operations as in "inferenceLayer/Softmax".
func Output(names ...string) OpenOption { return func(g *predict.Graph) { g.Outputs = names } }

// Open opens a SavedModel that came without a bundle. Where the model leaves a choice that no
// option makes, the error lists the candidates.
//
//	m, err := tensorflow.Open(ctx, "forGo",
//		tensorflow.Tags("tags"), tensorflow.Input("input_1"), tensorflow.Output("inferenceLayer/Softmax"))
//
// [predict.Open] opens it with other settings of the engine or the session.
func Open(ctx context.Context, dir string, options ...OpenOption) (*predict.Bare, error) {
	g := predict.Graph{Path: dir}
	for _, o := range options {
		o(&g)
	}
	return predict.Open(ctx, Engine(), g, predict.SessionOptions{})
}

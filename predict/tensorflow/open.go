package tensorflow

import (
	"context"

	"github.com/forgo-ml/forgo/predict"
)

// OpenOption chooses parts of a SavedModel. Each is optional if the model has only one choice: one graph,
// or a signature that is the default or the only one.
type OpenOption func(*predict.Opening)

// Tags lists all tags of the graph.
func Tags(tags ...string) OpenOption { return func(o *predict.Opening) { o.Tags = tags } }

// Signature names the graph's inputs and outputs.
func Signature(name string) OpenOption { return func(o *predict.Opening) { o.Signature = name } }

// Input names inputs: those of the signature, or operations, as in "input_1" or "input_1:0".
func Input(names ...string) OpenOption { return func(o *predict.Opening) { o.Inputs = names } }

// Output names outputs: those of the signature, or operations, as in "inferenceLayer/Softmax".
func Output(names ...string) OpenOption { return func(o *predict.Opening) { o.Outputs = names } }

// Pictures makes the graph take encoded pictures instead of rows. by is an engine for ONNX graphs, such as
// onnx.Engine(), that prepares them.
func Pictures(by predict.Engine, p predict.Pictures) OpenOption {
	return func(o *predict.Opening) { o.Pictures, o.PreparedBy = &p, by }
}

// Open opens a SavedModel without a bundle. If the model has a choice that no option makes, the error
// lists the candidates.
//
//	m, err := tensorflow.Open(ctx, "forGo",
//		tensorflow.Tags("tags"), tensorflow.Input("input_1"), tensorflow.Output("inferenceLayer/Softmax"))
//
// [predict.Open] opens it with other settings of the engine or the session.
func Open(ctx context.Context, dir string, options ...OpenOption) (*predict.Bare, error) {
	opening := predict.Opening{Graph: predict.Graph{Path: dir}}
	for _, o := range options {
		o(&opening)
	}
	return predict.Open(ctx, Engine(), opening)
}

package tensorflow

import (
	"context"

	"github.com/forgo-ml/forgo/predict"
)

// OpenOption says what of a SavedModel is meant. Each is optional where the model leaves no
// choice: it has one graph, or a signature that is the default or the only one.
type OpenOption func(*predict.Opening)

// Tags are those of the graph, all of them.
func Tags(tags ...string) OpenOption { return func(o *predict.Opening) { o.Tags = tags } }

// Signature names the graph's inputs and outputs.
func Signature(name string) OpenOption { return func(o *predict.Opening) { o.Signature = name } }

// Input names inputs: of the signature, or operations as in "input_1" or "input_1:0".
func Input(names ...string) OpenOption { return func(o *predict.Opening) { o.Inputs = names } }

// Output names outputs: of the signature, or operations as in "inferenceLayer/Softmax".
func Output(names ...string) OpenOption { return func(o *predict.Opening) { o.Outputs = names } }

// Pictures has the graph take encoded pictures in place of rows. by prepares them: an engine for ONNX
// graphs, as onnx.Engine().
func Pictures(by predict.Engine, p predict.Pictures) OpenOption {
	return func(o *predict.Opening) { o.Pictures, o.PreparedBy = &p, by }
}

// Open opens a SavedModel that came without a bundle. Where the model leaves a choice that no
// option makes, the error lists the candidates.
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

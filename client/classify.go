package client

// Classification over gRPC. The protocol has no call for it, so the client requests the best classes by the
// classification extension, as Triton's clients do.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
)

func (r *rpc) classify(ctx context.Context, m model, picture []byte) ([]Class, error) {
	about, err := r.metadata(ctx, m)
	if err != nil {
		return nil, err
	}
	inputs, err := oneRow(about.Inputs, picture)
	if err != nil {
		return nil, fmt.Errorf("classify: %w", err)
	}
	if len(about.Outputs) == 0 {
		return nil, fmt.Errorf("classify: the server says that model %q has no outputs", m.name)
	}
	output := about.Outputs[0].Name // a classifier's probabilities
	answer, err := r.inferOutputs(ctx, m, inputs, &pb.ModelInferRequest_InferRequestedOutputTensor{
		Name: output,
		Parameters: map[string]*pb.InferParameter{
			"classification": {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: math.MaxInt32}},
		},
	})
	if err != nil {
		return nil, err
	}
	values, err := tensor.Values[string](answer.outputs[output])
	if err != nil {
		return nil, fmt.Errorf("classify: the server does not name the classes of output %q: %w", output, errors.ErrUnsupported)
	}
	classes := make([]Class, len(values))
	for i, text := range values {
		if classes[i], err = parseClass(text); err != nil {
			return nil, fmt.Errorf("classify: output %q: %w", output, err)
		}
	}
	return classes, nil
}

// parseClass reads VALUE:INDEX or VALUE:INDEX:LABEL. Without a label the index is it.
func parseClass(text string) (Class, error) {
	value, rest, found := strings.Cut(text, ":")
	score, err := strconv.ParseFloat(value, 32)
	if !found || err != nil {
		return Class{}, fmt.Errorf("class %.100q is not VALUE:INDEX:LABEL", text)
	}
	index, label, named := strings.Cut(rest, ":")
	if !named {
		label = index
	}
	return Class{Label: label, Score: float32(score)}, nil
}

// oneRow makes a batch of one of a JSON row or, for a model that takes nothing else, of a picture.
func oneRow(specs []tensor.Spec, body []byte) (tensor.Map, error) {
	isPicture := func(s tensor.Spec) bool { return s.Name == payload.Picture && s.DType == tensor.String }
	in := payload.Inputs{Picture: slices.ContainsFunc(specs, isPicture)}
	for _, s := range specs {
		if !isPicture(s) {
			in.Specs = append(in.Specs, s)
		}
	}
	text := bytes.TrimLeft(body, " \t\r\n")
	isJSON := len(text) > 0 && (text[0] == '{' || text[0] == '[')
	if in.Picture && len(in.Specs) == 0 && !isJSON {
		return tensor.Map{payload.Picture: {Shape: []int64{1}, Data: []string{string(body)}}}, nil
	}
	row, picture, err := payload.ParseRow(body, in)
	if err != nil {
		return nil, err
	}
	if in.Picture {
		row[payload.Picture] = tensor.Tensor{Shape: []int64{1}, Data: []string{string(picture)}}
	}
	return row, nil
}

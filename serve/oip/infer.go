package oip

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/reply"
)

type inferRequest struct {
	ID      string        `json:"id"`
	Inputs  []inferTensor `json:"inputs"`
	Outputs []struct {
		Name string `json:"name"`
	} `json:"outputs"`
}

type inferTensor struct {
	Name     string  `json:"name"`
	Shape    []int64 `json:"shape"`
	Datatype string  `json:"datatype"`
	Data     any     `json:"data"`
}

type inferResponse struct {
	ModelName    string        `json:"model_name"`
	ModelVersion string        `json:"model_version"`
	ID           string        `json:"id,omitempty"`
	Outputs      []inferOutput `json:"outputs"`
}

type inferOutput struct {
	Name     string   `json:"name"`
	Datatype string   `json:"datatype"`
	Shape    []int64  `json:"shape"`
	Data     flatData `json:"data"`
}

// flatData is written as the protocol asks: one list in row-major order.
type flatData tensor.Tensor

func (f flatData) MarshalJSON() ([]byte, error) {
	t := tensor.Tensor(f)
	out := []byte{'['}
	for i := range t.Len() {
		if i > 0 {
			out = append(out, ',')
		}
		out = t.AppendJSON(out, i)
	}
	return append(out, ']'), nil
}

func (h handler) infer(w http.ResponseWriter, req *http.Request, name string, model *predict.Model) {
	var in inferRequest
	dec := json.NewDecoder(req.Body)
	dec.UseNumber()
	if err := dec.Decode(&in); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			reply.Failure(w, err)
			return
		}
		reply.Error(w, http.StatusBadRequest, fmt.Errorf("the body is not an inference request: %w", err))
		return
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		reply.Error(w, http.StatusBadRequest, errors.New("the body has more than one JSON value"))
		return
	}
	wanted, err := wantedOutputs(model, in)
	if err != nil {
		reply.Error(w, http.StatusBadRequest, err)
		return
	}
	inputs, err := toInputs(req.Context(), model, in.Inputs)
	if err != nil {
		reply.Failure(w, err)
		return
	}
	results, err := model.Run(req.Context(), inputs)
	if err != nil {
		reply.Failure(w, err)
		return
	}
	out := inferResponse{ModelName: name, ModelVersion: h.version, ID: in.ID}
	for _, name := range wanted {
		t := results[name]
		out.Outputs = append(out.Outputs, inferOutput{name, datatypes[t.DType()], t.Shape, flatData(t)})
	}
	reply.JSON(w, http.StatusOK, out)
}

func wantedOutputs(model *predict.Model, in inferRequest) ([]string, error) {
	var all, wanted []string
	for _, o := range model.Manifest().Outputs {
		all = append(all, o.Name)
	}
	for _, o := range in.Outputs {
		if !slices.Contains(all, o.Name) {
			return nil, fmt.Errorf("outputs: the model has no output %q; it has %v", o.Name, all)
		}
		wanted = append(wanted, o.Name)
	}
	if len(wanted) == 0 {
		return all, nil
	}
	return wanted, nil
}

// badRequest marks an error as the caller's.
type badRequest struct{ error }

func (badRequest) Is(target error) bool { return target == predict.ErrInput }

func toInputs(ctx context.Context, model *predict.Model, given []inferTensor) (predict.Tensors, error) {
	m := model.Manifest()
	inputs := predict.Tensors{}
	for i, g := range given {
		if _, ok := inputs[g.Name]; ok {
			return nil, badRequest{fmt.Errorf("inputs[%d]: input %q is given twice", i, g.Name)}
		}
		if m.Picture != nil && g.Name == Picture {
			if len(given) != 1 {
				return nil, badRequest{fmt.Errorf("inputs[%d]: %q is the only input to give", i, Picture)}
			}
			t, err := pictures(ctx, model, g)
			if err != nil {
				return nil, fmt.Errorf("inputs[%d] %q: %w", i, g.Name, err)
			}
			inputs[m.Picture.Input] = t
			continue
		}
		t, err := g.tensor()
		if err != nil {
			return nil, badRequest{fmt.Errorf("inputs[%d] %q: %w", i, g.Name, err)}
		}
		inputs[g.Name] = t
	}
	return inputs, nil
}

// pictures turns BYTES elements, base64 in JSON, into one batch of the model's input.
func pictures(ctx context.Context, model *predict.Model, g inferTensor) (predict.Tensor, error) {
	if g.Datatype != "BYTES" {
		return predict.Tensor{}, badRequest{fmt.Errorf("it takes datatype BYTES, not %q", g.Datatype)}
	}
	encoded, err := g.tensor()
	if err != nil {
		return predict.Tensor{}, badRequest{err}
	}
	texts, err := tensor.Values[string](encoded)
	if err != nil {
		return predict.Tensor{}, badRequest{err}
	}
	var rows []predict.Tensor
	for i, text := range texts {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return predict.Tensor{}, badRequest{fmt.Errorf("element %d is not base64: %w", i, err)}
		}
		in, err := model.Prepare(ctx, raw)
		if err != nil {
			return predict.Tensor{}, fmt.Errorf("element %d: %w", i, err)
		}
		rows = append(rows, in[model.Manifest().Picture.Input])
	}
	t, err := tensor.Concat(rows...)
	if err != nil {
		return predict.Tensor{}, badRequest{fmt.Errorf("send at least one picture: %w", err)}
	}
	return t, nil
}

// tensor reads JSON data, nested or flat, into the declared type and shape.
func (g inferTensor) tensor() (tensor.Tensor, error) {
	dtype := tensor.DType("")
	for d, name := range datatypes {
		if name == g.Datatype {
			dtype = d
		}
	}
	if dtype == "" {
		return tensor.Tensor{}, fmt.Errorf("there is no datatype %q", g.Datatype)
	}
	if g.Shape == nil {
		return tensor.Tensor{}, errors.New("it has no shape")
	}
	if g.Data == nil {
		return tensor.Tensor{}, errors.New("it has no data")
	}
	t, err := tensor.FromJSON(g.Data, dtype)
	if err != nil {
		return tensor.Tensor{}, err
	}
	t.Shape = g.Shape
	return t, t.Check()
}

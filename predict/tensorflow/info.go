package tensorflow

// What the engine reports about itself.

import (
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
)

func (e engine) Info() engines.Info {
	return engines.Info{
		Name: "tensorflow", Title: "TensorFlow", OnlyFor: "SavedModels", NotPacked: "too large to pack",
		Environment: []string{EnvLibrary, "TF_"},
		Format: engines.Format{
			Name: "tensorflow", Kind: "savedmodel", Noun: "a SavedModel", Folder: true, Tags: true,
			Files:    append([]string{GraphFile}, otherForms...),
			Platform: "tensorflow_savedmodel", TritonPlatform: "tensorflow_savedmodel", TritonBackend: "tensorflow",
		},
	}
}

func (e engine) AllowFiles() predict.Engine {
	e.files = true
	return e
}

func (e engine) Check(g predict.Graph) error { return Check(g) }

func (e engine) Inspect(g predict.Graph) (i engines.Inspection, err error) {
	var graphs []MetaGraph
	if g.Data != nil {
		graphs, err = Read(g.Data)
	} else {
		graphs, err = Inspect(g.Path)
	}
	if err != nil {
		return i, err
	}
	for _, g := range graphs {
		found := engines.InspectedGraph{
			Tags: g.Tags, TensorFlow: g.Version, Operations: g.Ops, Signatures: []engines.InspectedSignature{},
			Placeholders: engines.TensorInfos(g.Placeholders), Unconsumed: engines.TensorInfos(g.Results),
		}
		in, out := found.Placeholders, found.Unconsumed
		for _, s := range g.Signatures {
			signature := engines.InspectedSignature{Name: s.Name, Method: s.Method, Inputs: signedTensors(s.Inputs), Outputs: signedTensors(s.Outputs)}
			found.Signatures = append(found.Signatures, signature)
			if s.Name == DefaultSignature || len(g.Signatures) == 1 {
				in, out = signature.Inputs, signature.Outputs
			}
		}
		i.Graphs = append(i.Graphs, found)
		if len(graphs) == 1 {
			i.Inputs, i.Outputs, i.Operations = in, out, g.Ops
		}
	}
	return i, nil
}

func signedTensors(signed []NamedTensor) []engines.TensorInfo {
	out := []engines.TensorInfo{}
	for _, e := range signed {
		out = append(out, engines.TensorInfo{Name: e.Name, GraphName: e.Tensor, DType: e.DType, Shape: e.Shape})
	}
	return out
}

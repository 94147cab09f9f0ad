package engines

import "github.com/forgo-ml/forgo/predict/tensor"

// Inspector is an [Engine] that reads graphs outside of bundles without its library, for forgo inspect.
type Inspector interface {
	Engine
	// Check refuses what Open refuses of g before it loads anything.
	Check(g Graph) error
	// Inspect reads a graph. Where g.Data is not nil it is the file's content, or that of the first of
	// [Format.Files] in the folder.
	Inspect(g Graph) (Inspection, error)
}

// Truster is an [Engine] that can run graphs that read and write files.
type Truster interface {
	Engine
	// AllowFiles returns an engine that lets graphs do so, with the rights of this process.
	AllowFiles() Engine
}

// Inspection is what can be read of a graph without running it, as forgo inspect --json prints it.
type Inspection struct {
	Inputs     []TensorInfo   `json:"inputs"`
	Outputs    []TensorInfo   `json:"outputs"`
	Operations map[string]int `json:"operations"`
	Opsets     map[string]int `json:"opsets,omitempty"`
	// Graphs are those of a SavedModel. Inputs, Outputs and Operations are the graph's where there is one.
	Graphs []InspectedGraph `json:"graphs,omitempty"`
}

// InspectedGraph is one graph of a SavedModel.
type InspectedGraph struct {
	Tags       []string             `json:"tags"`
	TensorFlow string               `json:"tensorflow_version,omitempty"`
	Signatures []InspectedSignature `json:"signatures"`
	// What the graph itself takes and gives, by operations: what --input and --output may name
	// where there is no signature.
	Placeholders []TensorInfo   `json:"placeholders"`
	Unconsumed   []TensorInfo   `json:"unconsumed"`
	Operations   map[string]int `json:"operations"`
}

// InspectedSignature is one way to call a graph.
type InspectedSignature struct {
	Name    string       `json:"name"`
	Method  string       `json:"method,omitempty"`
	Inputs  []TensorInfo `json:"inputs"`
	Outputs []TensorInfo `json:"outputs"`
}

// TensorInfo describes an input or an output.
type TensorInfo struct {
	Name      string       `json:"name"`
	GraphName string       `json:"graph_name,omitempty"`
	DType     tensor.DType `json:"dtype"`
	Shape     []int64      `json:"shape"` // -1 is free; null where nothing is known of it
	Hidden    bool         `json:"hidden,omitempty"`
}

// TensorInfos describes inputs or outputs that have one name.
func TensorInfos(specs []tensor.Spec) []TensorInfo {
	infos := []TensorInfo{}
	for _, s := range specs {
		infos = append(infos, TensorInfo{Name: s.Name, DType: s.DType, Shape: s.Shape})
	}
	return infos
}

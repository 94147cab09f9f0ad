package engines

import "github.com/forgo-ml/forgo/predict/tensor"

// Inspector is an [Engine] that can describe graphs outside bundles without loading its library.
type Inspector interface {
	Engine
	// Check returns the error with which Open would refuse g before it loads anything.
	Check(g Graph) error
	// Inspect reads a graph. If g.Data is not nil, it is the content of the file or, for a folder, of the
	// first of [Format.Files].
	Inspect(g Graph) (Inspection, error)
}

// Truster is an [Engine] that can run graphs that read and write files.
type Truster interface {
	Engine
	// AllowFiles returns an engine that lets graphs read and write files, with this process's rights.
	AllowFiles() Engine
}

// Inspection describes a graph without running it. forgo inspect --json prints it.
type Inspection struct {
	Inputs     []TensorInfo   `json:"inputs"`
	Outputs    []TensorInfo   `json:"outputs"`
	Operations map[string]int `json:"operations"`
	Opsets     map[string]int `json:"opsets,omitempty"`
	// Graphs are the graphs of a SavedModel. If there is only one, Inputs, Outputs and Operations describe
	// it.
	Graphs []InspectedGraph `json:"graphs,omitempty"`
}

// InspectedGraph is one graph of a SavedModel.
type InspectedGraph struct {
	Tags       []string             `json:"tags"`
	TensorFlow string               `json:"tensorflow_version,omitempty"`
	Signatures []InspectedSignature `json:"signatures"`
	// Placeholders and Unconsumed are the operations that --input and --output may name if the graph has
	// no signature.
	Placeholders []TensorInfo   `json:"placeholders"`
	Unconsumed   []TensorInfo   `json:"unconsumed"`
	Operations   map[string]int `json:"operations"`
}

// InspectedSignature is a signature of a graph.
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

// TensorInfos describes inputs or outputs that have a single name.
func TensorInfos(specs []tensor.Spec) []TensorInfo {
	infos := []TensorInfo{}
	for _, s := range specs {
		infos = append(infos, TensorInfo{Name: s.Name, DType: s.DType, Shape: s.Shape})
	}
	return infos
}

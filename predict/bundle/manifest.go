package bundle

import (
	"fmt"
	"slices"
	"time"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// Tasks of a manifest.
const (
	Classification = "classification"
	MultiLabel     = "multi-label"
	Regression     = "regression"
	Ranking        = "ranking"
	Embedding      = "embedding"
	Tensors        = "tensors"
)

// PreprocessEngine is the engine key of every preprocessing graph.
const PreprocessEngine = "onnxruntime"

// Manifest is forgo.json. spec/bundle.md defines each key.
type Manifest struct {
	Format  int          `json:"format"`
	Name    string       `json:"name"`
	Task    string       `json:"task"`
	Engine  string       `json:"engine"`
	Graph   Graph        `json:"graph"`
	Inputs  []TensorInfo `json:"inputs"`
	Outputs []TensorInfo `json:"outputs"`
	// Columns are the columns of a table model, in the order of the frame that it was trained on.
	Columns    []Column  `json:"columns,omitempty"`
	Labels     []string  `json:"labels,omitempty"`
	Thresholds []float64 `json:"thresholds,omitempty"`
	Picture    *Picture  `json:"picture,omitempty"`
	Tolerance  Tolerance `json:"tolerance"`
	Golden     Golden    `json:"golden"`
	// Signatures are the SavedModel's other signatures, which clients ask for by name.
	Signatures []Signature     `json:"signatures,omitempty"`
	Files      map[string]File `json:"files"`
	Provenance Provenance      `json:"provenance"`
}

// Types of columns.
const (
	Number   = "number"
	Integer  = "integer"
	Bool     = "bool"
	Text     = "text"
	Category = "category"
)

// Column is a column of a table: its name in training, the input that it becomes, and the values that its
// cells may have.
type Column struct {
	Name  string `json:"name"`
	Input string `json:"input"`
	Type  string `json:"type"`
	// Missing says whether a number may be NaN.
	Missing bool `json:"missing"`
	// Values lists all values of a category.
	Values []string `json:"values,omitempty"`
}

// Graph is the file or SavedModel folder that the engine opens.
type Graph struct {
	Path      string   `json:"path"`
	Tags      []string `json:"tags,omitempty"`
	Signature string   `json:"signature,omitempty"`
	// Method is the purpose of the signature. Empty means [Predict].
	Method string `json:"method,omitempty"`
	// Batch is the only number of rows that the graph takes at once, or nil if it takes any number. 0
	// means one row without a batch dimension.
	Batch *int `json:"batch,omitempty"`
}

// TensorInfo is one input or output. Clients see Name; GraphName is its name in the graph.
type TensorInfo struct {
	Name      string       `json:"name"`
	GraphName string       `json:"graph_name"`
	DType     tensor.DType `json:"dtype"`
	Shape     []*int64     `json:"shape"` // nil for a free dimension; the first is the batch
	// Hidden marks an output that exists for the proof. Clients see it only if they ask for it by name.
	Hidden bool `json:"hidden,omitempty"`
}

// OnlyFormat returns the media type of all pictures in training, if that is known and the model takes
// other types too, and "" otherwise.
func (m *Manifest) OnlyFormat() string {
	if m.Picture == nil || len(m.Provenance.Formats) != 1 || len(m.Picture.Accept) == 1 {
		return ""
	}
	return m.Provenance.Formats[0]
}

// Labelled reports whether the model's answers are labels: the best one, or those above their thresholds.
func (m *Manifest) Labelled() bool { return m.Task == Classification || m.Task == MultiLabel }

// Shown returns the outputs that answers and metadata list: those that are not Hidden.
func (m *Manifest) Shown() []TensorInfo {
	return slices.DeleteFunc(slices.Clone(m.Outputs), func(o TensorInfo) bool { return o.Hidden })
}

// Spec returns the tensor's type and shape, with -1 for free dimensions.
func (t TensorInfo) Spec() tensor.Spec {
	shape := make([]int64, len(t.Shape))
	for i, d := range t.Shape {
		shape[i] = -1
		if d != nil {
			shape[i] = *d
		}
	}
	return tensor.Spec{Name: t.Name, DType: t.DType, Shape: shape}
}

// Picture says how an encoded picture becomes the model's input.
type Picture struct {
	Input       string   `json:"input"`
	Preprocess  string   `json:"preprocess"`
	Channels    int      `json:"channels"`
	Orientation string   `json:"orientation"`
	Alpha       string   `json:"alpha,omitempty"` // drop, white or black; "" refuses transparent pixels
	Rules       *Rules   `json:"rules,omitempty"` // nil if the bundle does not say
	Accept      []string `json:"accept"`
}

// Rules describe the preprocessing graph. They count only if the graph is the one that forgo writes for
// them.
type Rules struct {
	Resize      string `json:"resize"`
	Fit         string `json:"fit"` // stretch, crop, shorter-side or pad
	ShorterSide int    `json:"shorter_side,omitempty"`
	PadColour   []int  `json:"pad_colour,omitempty"` // red, green and blue
}

// String returns the rules in one line.
func (r Rules) String() string {
	said := r.Resize + ", " + r.Fit
	switch {
	case r.ShorterSide > 0:
		return fmt.Sprintf("%s %d", said, r.ShorterSide)
	case r.PadColour != nil:
		return fmt.Sprintf("%s %v", said, r.PadColour)
	}
	return said
}

// Tolerance bounds the difference at each stage, as [tensor.Difference] measures it. Decode is in steps of
// 255, and always 0.
type Tolerance struct {
	Decode     float64 `json:"decode"`
	Preprocess float64 `json:"preprocess"`
	Model      float64 `json:"model"`
}

// Golden lists the recorded cases. None is the reason if there are none. Made says whose answers the cases
// record, if their pictures were generated rather than taken from examples. ExpectedFrom is
// [ConvertedGraph] if the training framework's answers were not available, and "" otherwise.
type Golden struct {
	Cases        []Case `json:"cases"`
	None         string `json:"none,omitempty"`
	Made         string `json:"made,omitempty"`
	ExpectedFrom string `json:"expected_from,omitempty"`
}

// Synthesized returns the number of cases whose rows export made.
func (g Golden) Synthesized() (n int) {
	for _, c := range g.Cases {
		if c.Synthesized {
			n++
		}
	}
	return n
}

// ConvertedGraph is the value of expected_from for cases that record the graph's own answers. They prove
// that the graph answers here as it did at export, not that its conversion is right.
const ConvertedGraph = "converted graph"

// Case names the files of one raw input and of what training recorded for it.
type Case struct {
	ID          string `json:"id"`
	Input       string `json:"input"`
	ContentType string `json:"content_type"`
	Pixels      string `json:"pixels,omitempty"`
	Tensors     string `json:"tensors"`
	Label       string `json:"label,omitempty"`
	// Labels are the labels above their thresholds, possibly none, of a multi-label model.
	Labels []string `json:"labels,omitzero"`
	Source string   `json:"source,omitempty"`
	// Synthesized says that export made the row from examples, and the training framework answered it.
	Synthesized bool `json:"synthesized,omitempty"`
}

// File is the digest and size that a file of the bundle must have.
type File struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Provenance says where the model comes from. It is free-form; only the keys that this library shows are
// typed.
type Provenance struct {
	Created time.Time          `json:"created,omitzero"`
	Command string             `json:"command,omitempty"`
	Metrics map[string]float64 `json:"metrics,omitempty"`
	// Formats are the media types of the pictures in training or, if forgo did not train the model, in
	// export's examples. Other formats decode exactly too, but look different: JPEG leaves artefacts.
	Formats []string `json:"formats,omitempty"`
	// Normalization is what export added to the model's graph, or nil if the model has its own.
	Normalization *Normalization `json:"normalization,omitempty"`
	// Accuracy is what export measured, or nil if the examples had no labels.
	Accuracy *Accuracy `json:"accuracy,omitempty"`
}

// Normalization is (pixel × Scale − Mean) / Std. Mean and Std have one value for each channel, in the
// order of Channels.
type Normalization struct {
	Channels string    `json:"channels"`
	Scale    float64   `json:"scale"`
	Mean     []float64 `json:"mean"`
	Std      []float64 `json:"std"`
}

// Accuracy is the share of labelled examples for which the finished bundle gives the right answer: a
// classifier's best label, or all labels of a multi-label model. The examples pass through the bundle as
// clients send them.
type Accuracy struct {
	Examples int `json:"examples"`
	Right    int `json:"right"`
	// Chance is the share that the same answers would get right in random order.
	Chance float64 `json:"chance"`
	// Balanced is the mean of the labels' balanced accuracies, 0.5 by chance, or nil unless the model is
	// multi-label.
	Balanced *float64 `json:"balanced,omitempty"`
	// Accepted says why export would have refused the accuracy if it had not been told to accept it.
	Accepted string `json:"accepted,omitempty"`
}

package bundle

import (
	"fmt"
	"slices"
	"time"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// Tasks that a manifest may name.
const (
	Classification = "classification"
	MultiLabel     = "multi-label"
	Regression     = "regression"
	Embedding      = "embedding"
	Tensors        = "tensors"
)

// PreprocessEngine is what the engine key would say of a picture's preprocessing graph.
const PreprocessEngine = "onnxruntime"

// Manifest is forgo.json; spec/bundle.md says what each key means.
type Manifest struct {
	Format  int          `json:"format"`
	Name    string       `json:"name"`
	Task    string       `json:"task"`
	Engine  string       `json:"engine"`
	Graph   Graph        `json:"graph"`
	Inputs  []TensorInfo `json:"inputs"`
	Outputs []TensorInfo `json:"outputs"`
	// Columns are those of a model of tables, in the order of the frame that it was trained on.
	Columns    []Column  `json:"columns,omitempty"`
	Labels     []string  `json:"labels,omitempty"`
	Thresholds []float64 `json:"thresholds,omitempty"`
	Picture    *Picture  `json:"picture,omitempty"`
	Tolerance  Tolerance `json:"tolerance"`
	Golden     Golden    `json:"golden"`
	// Signatures are others of the SavedModel, which clients ask for by name.
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

// Column is a column of a table: the name that the training side has for it, the input that it becomes, and what its
// cells may be.
type Column struct {
	Name  string `json:"name"`
	Input string `json:"input"`
	Type  string `json:"type"`
	// Missing says whether a number may be NaN.
	Missing bool `json:"missing"`
	// Values are all that a category may be.
	Values []string `json:"values,omitempty"`
}

// Graph is the file, or the SavedModel folder, that the engine opens.
type Graph struct {
	Path      string   `json:"path"`
	Tags      []string `json:"tags,omitempty"`
	Signature string   `json:"signature,omitempty"`
	// Method is what the signature is for: [Predict] where it is empty.
	Method string `json:"method,omitempty"`
	// Batch is how many rows the graph takes at once, where it takes no other number; nil for any. 0 is
	// one row without a dimension for it.
	Batch *int `json:"batch,omitempty"`
}

// TensorInfo is one input or output. Clients see Name; the graph knows GraphName.
type TensorInfo struct {
	Name      string       `json:"name"`
	GraphName string       `json:"graph_name"`
	DType     tensor.DType `json:"dtype"`
	Shape     []*int64     `json:"shape"` // nil for a free dimension; the first is the batch
	// Hidden is an output that is there for the proof: clients see it only when they ask for it by name.
	Hidden bool `json:"hidden,omitempty"`
}

// OnlyFormat is the media type of all pictures that training saw, where the model takes others too and it is known; or "".
func (m *Manifest) OnlyFormat() string {
	if m.Picture == nil || len(m.Provenance.Formats) != 1 || len(m.Picture.Accept) == 1 {
		return ""
	}
	return m.Provenance.Formats[0]
}

// Labelled reports whether the model is answered with labels: one, or those over their thresholds.
func (m *Manifest) Labelled() bool { return m.Task == Classification || m.Task == MultiLabel }

// Shown returns the outputs that answers and metadata list: all that are not hidden.
func (m *Manifest) Shown() []TensorInfo {
	return slices.DeleteFunc(slices.Clone(m.Outputs), func(o TensorInfo) bool { return o.Hidden })
}

// Spec returns the tensor's type and shape with -1 for free dimensions.
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
	Rules       *Rules   `json:"rules,omitempty"` // nil of bundles that do not say it
	Accept      []string `json:"accept"`
}

// Rules say what the preprocessing graph does. They count only where the graph is the one that forgo writes for them.
type Rules struct {
	Resize      string `json:"resize"`
	Fit         string `json:"fit"` // stretch, crop, shorter-side or pad
	ShorterSide int    `json:"shorter_side,omitempty"`
	PadColour   []int  `json:"pad_colour,omitempty"` // red, green and blue
}

// String says them in a line.
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

// Tolerance bounds each stage's difference, measured as [tensor.Difference] does; decode
// is in steps of 255 and always 0.
type Tolerance struct {
	Decode     float64 `json:"decode"`
	Preprocess float64 `json:"preprocess"`
	Model      float64 `json:"model"`
}

// Golden lists the recorded cases; None gives the reason where there are none. Made says whose answers
// they hold where their pictures were made, in place of the examples'. ExpectedFrom is [ConvertedGraph]
// where nobody had the training framework's answers, and "" where the cases hold them.
type Golden struct {
	Cases        []Case `json:"cases"`
	None         string `json:"none,omitempty"`
	Made         string `json:"made,omitempty"`
	ExpectedFrom string `json:"expected_from,omitempty"`
}

// ConvertedGraph is what expected_from says of cases that hold the answers of the graph itself: they
// prove that it answers here as it did at export, not that it was converted well.
const ConvertedGraph = "converted graph"

// Case is one raw input and what the training side saw of it, by file name.
type Case struct {
	ID          string `json:"id"`
	Input       string `json:"input"`
	ContentType string `json:"content_type"`
	Pixels      string `json:"pixels,omitempty"`
	Tensors     string `json:"tensors"`
	Label       string `json:"label,omitempty"`
	// Labels are those over their thresholds, of a multi-label model; there may be none.
	Labels []string `json:"labels,omitzero"`
	Source string   `json:"source,omitempty"`
}

// File is the digest and size that a file of the bundle must have.
type File struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Provenance says where the model came from. It is free-form: only the keys that this
// library shows are typed.
type Provenance struct {
	Created time.Time          `json:"created,omitzero"`
	Command string             `json:"command,omitempty"`
	Metrics map[string]float64 `json:"metrics,omitempty"`
	// Formats are the media types of the pictures that training saw or, where forgo did not train the model, of export's
	// examples. Others are decoded as exactly, but look otherwise: JPEG leaves traces, for one.
	Formats []string `json:"formats,omitempty"`
	// Normalization is what export put into the model's graph; nil where the model came with its own.
	Normalization *Normalization `json:"normalization,omitempty"`
	// Accuracy is what export measured; nil where the examples had no labels.
	Accuracy *Accuracy `json:"accuracy,omitempty"`
}

// Normalization is (pixel × Scale − Mean) / Std. Mean and Std have a number for each channel, in the
// order of Channels.
type Normalization struct {
	Channels string    `json:"channels"`
	Scale    float64   `json:"scale"`
	Mean     []float64 `json:"mean"`
	Std      []float64 `json:"std"`
}

// Accuracy is how often a classifier's best label was right, or all labels of a multi-label model, on
// labelled examples that went through the finished bundle as clients send them.
type Accuracy struct {
	Examples int `json:"examples"`
	Right    int `json:"right"`
	// Chance is the share that the same answers would have had right in any order.
	Chance float64 `json:"chance"`
	// Balanced is the mean of the labels' balanced accuracies, 0.5 by chance; nil of other models than multi-label ones.
	Balanced *float64 `json:"balanced,omitempty"`
	// Accepted is what export would have refused, had it not been told to accept the accuracy.
	Accepted string `json:"accepted,omitempty"`
}

package predict

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/pixels"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// Pictures says how decoded, upright pictures become the input of a graph without a bundle. They are
// resized; each value then becomes (pixel × Scale − Mean) / Std.
type Pictures struct {
	// Height and Width are the size after resizing, in pixels. Optional if the graph's input fixes them.
	Height, Width int
	// Resize is the filter, one of [Resizes]. Optional: "bilinear".
	Resize string
	// Fit says how to treat the aspect ratio, one of [Fits]. Optional: "stretch".
	Fit string
	// ShorterSide is the length of the shorter side before the centre is cut out, in pixels, for the fit
	// "shorter-side". Optional: the larger of Height and Width.
	ShorterSide int
	// PadColour is the border's colour for the fit "pad": red, green and blue. Optional: black.
	PadColour [3]uint8
	// Channels is the order of the graph's channels, "RGB" or "BGR". Optional: RGB.
	Channels string
	// Layout places the channels of the graph's input: "NHWC", last, or "NCHW", first. Optional if the
	// input's shape decides; otherwise NHWC is a guess, which String reports.
	Layout string
	// Scale multiplies pixel values, 0 to 255. Optional: 1.
	Scale float32
	// Mean and Std have one value for each channel, in the graph's order, or one for all. Optional: 0 and
	// 1.
	Mean, Std []float32

	guessed bool // Layout, because nothing tells
}

// Guessed reports whether the layout is a guess.
func (p Pictures) Guessed() bool { return p.guessed }

// String returns the settings as a formula.
func (p Pictures) String() string {
	list := func(values []float32) string {
		if slices.Equal(values, slices.Repeat(values[:1], len(values))) {
			values = values[:1]
		}
		var out []string
		for _, v := range values {
			out = append(out, strconv.FormatFloat(float64(v), 'g', -1, 32))
		}
		return strings.Join(out, ",")
	}
	layout := p.Layout
	if p.guessed {
		layout += " (a guess: the input's shape does not show where the channels are)"
	}
	how := p.Resize
	switch p.Fit {
	case "crop":
		how += ", crop"
	case "shorter-side":
		how += fmt.Sprintf(", shorter-side %d", p.ShorterSide)
	case "pad":
		how += fmt.Sprintf(", pad %d,%d,%d", p.PadColour[0], p.PadColour[1], p.PadColour[2])
	}
	return fmt.Sprintf("%d x %d pixels (%s), %s, %s, (pixel * %s - %s) / %s", p.Height, p.Width, how, p.Channels, layout,
		list([]float32{p.Scale}), list(p.Mean), list(p.Std))
}

// The graphs that prepare pictures are written by the Python code that writes preprocess.onnx
// (make preprocess): there is one implementation of each way to resize.
//
//go:embed preprocess/*.onnx
var preprocessors embed.FS

// Resizes returns the names of the ways to resize. A plain filter name means TensorFlow's and Keras's
// filter; the suffix "-antialias" adds antialias=True, and "-pillow" means Pillow's filter. "bilinear-tf1"
// puts the origin at the corner, as TensorFlow 1 does. "bicubic-torch" is PyTorch's. "nearest" is
// Pillow's, which Keras's load_img uses. docs/pictures.md lists the equivalent calls.
func Resizes() []string {
	files, _ := fs.Glob(preprocessors, "preprocess/*.onnx")
	for i, f := range files {
		files[i] = strings.TrimSuffix(strings.TrimPrefix(f, "preprocess/"), ".onnx")
	}
	return files
}

// Fits returns the names of the ways to fit a picture into a size. "stretch" ignores its aspect ratio.
// "crop" cuts out the largest centred part with the size's aspect ratio, and resizes that. "shorter-side"
// resizes the shorter side and cuts out the centre. "pad" resizes the whole picture and fills the rest
// with a colour.
func Fits() []string { return []string{"stretch", "crop", "shorter-side", "pad"} } // in the graphs' order

// preparer runs one of those graphs, with its settings.
type preparer struct {
	how      Pictures
	session  engines.Session
	settings Tensors
	input    string // of the graph that takes the picture
	dtype    tensor.DType
}

// preparing opens the graph that prepares pictures for a graph with the given inputs.
func preparing(ctx context.Context, engine Engine, inputs []tensor.Spec, p Pictures) (*preparer, error) {
	if err := p.complete(); err != nil {
		return nil, err
	}
	input, planes, err := p.fit(inputs)
	if err != nil {
		return nil, err
	}
	graph, err := preprocessors.ReadFile("preprocess/" + p.Resize + ".onnx")
	if err != nil {
		return nil, err
	}
	// One thread: concurrent callers already use the other cores.
	s, err := engine.Open(ctx, Graph{Data: graph, Path: p.Resize}, SessionOptions{Threads: 1})
	if err != nil {
		return nil, err
	}
	order := []int64{0, 1, 2}
	if p.Channels == "BGR" {
		slices.Reverse(order)
	}
	return &preparer{how: p, session: s, input: input, dtype: inputs[0].DType, settings: Tensors{
		"size":           {Shape: []int64{2}, Data: []int64{int64(p.Height), int64(p.Width)}},
		"fit":            {Data: []int64{int64(slices.Index(Fits(), p.Fit))}},
		"shorter_side":   {Data: []int64{int64(p.ShorterSide)}},
		"pad_colour":     {Shape: []int64{3}, Data: slices.Clone(p.PadColour[:])},
		"order":          {Shape: []int64{3}, Data: order},
		"scale":          {Data: []float32{p.Scale}},
		"mean":           {Shape: []int64{3}, Data: p.Mean},
		"std":            {Shape: []int64{3}, Data: p.Std},
		"channels_first": {Data: []bool{planes}},
	}}, nil
}

// fit checks the settings against the graph's input, and takes the size from it.
func (p *Pictures) fit(inputs []tensor.Spec) (name string, planes bool, err error) {
	if len(inputs) != 1 {
		var have []string
		for _, s := range inputs {
			have = append(have, s.Name)
		}
		return "", false, fmt.Errorf("the graph has %d inputs, and a picture fills one: choose one of %s", len(inputs), strings.Join(have, ", "))
	}
	in := inputs[0]
	shape := in.Shape
	if shape == nil {
		shape = []int64{-1, -1, -1, -1}
	}
	unfit := fmt.Errorf("input %q is %s%v, not float pictures with three channels", in.Name, in.DType, in.Shape)
	if !floats(in.DType) || len(shape) != 4 || shape[0] > 1 {
		return "", false, unfit
	}
	first, last := shape[1] == 3 || shape[1] < 0, shape[3] == 3 || shape[3] < 0 // where the channels can be
	if p.Layout == "" {
		p.Layout = "NHWC"
		if shape[3] != 3 && (shape[1] == 3 || !last) {
			p.Layout = "NCHW"
		}
		p.guessed = first && last && (shape[1] == 3) == (shape[3] == 3)
	}
	planes = p.Layout == "NCHW"
	if planes && !first || !planes && !last {
		if p.Layout == "NCHW" && last || p.Layout == "NHWC" && first {
			return "", false, fmt.Errorf("%w in the layout %s", unfit, p.Layout)
		}
		return "", false, unfit
	}
	height, width := shape[1], shape[2]
	if planes {
		height, width = shape[2], shape[3]
	}
	for _, side := range []struct {
		name string
		want *int
		have int64
	}{{"height", &p.Height, height}, {"width", &p.Width, width}} {
		switch {
		case side.have > 0 && *side.want == 0:
			*side.want = int(side.have)
		case side.have > 0 && int64(*side.want) != side.have:
			return "", false, fmt.Errorf("input %q has the %s %d, not %d", in.Name, side.name, side.have, *side.want)
		case *side.want <= 0:
			return "", false, fmt.Errorf("input %q leaves the %s free: give one", in.Name, side.name)
		}
	}
	if p.Height > pixels.MaxPixels/p.Width {
		return "", false, fmt.Errorf("%d x %d is more than the limit of %d pixels", p.Height, p.Width, pixels.MaxPixels)
	}
	if p.Fit == "shorter-side" {
		largest := max(p.Height, p.Width)
		if p.ShorterSide == 0 {
			p.ShorterSide = largest
		}
		if p.ShorterSide < largest {
			return "", false, fmt.Errorf("the shorter side is %d, less than the crop of %d x %d: give %d or more",
				p.ShorterSide, p.Height, p.Width, largest)
		}
	}
	return in.Name, planes, nil
}

// maxShorterSide is the limit in the manifest's schema.
const maxShorterSide = 1 << 16

// Check returns an error if the settings are wrong for every graph.
func (p Pictures) Check() error { return p.complete() }

// complete fills in the optional settings.
func (p *Pictures) complete() error {
	if p.Resize == "" {
		p.Resize = "bilinear"
	}
	if ways := Resizes(); !slices.Contains(ways, p.Resize) {
		return fmt.Errorf("unknown resize %q: give one of %s", p.Resize, strings.Join(ways, ", "))
	}
	if p.Fit == "" {
		p.Fit = "stretch"
	}
	if !slices.Contains(Fits(), p.Fit) {
		return fmt.Errorf("unknown fit %q: give one of %s", p.Fit, strings.Join(Fits(), ", "))
	}
	if p.ShorterSide != 0 && p.Fit != "shorter-side" {
		return errors.New("a shorter side needs the fit shorter-side")
	}
	if p.ShorterSide < 0 || p.ShorterSide > maxShorterSide {
		return fmt.Errorf("the shorter side is %d: give 1 to %d", p.ShorterSide, maxShorterSide)
	}
	if p.PadColour != [3]uint8{} && p.Fit != "pad" {
		return errors.New("a pad colour needs the fit pad")
	}
	if p.Channels == "" {
		p.Channels = "RGB"
	}
	if p.Channels != "RGB" && p.Channels != "BGR" {
		return fmt.Errorf("unknown channels %q: give RGB or BGR", p.Channels)
	}
	if !slices.Contains([]string{"", "NHWC", "NCHW"}, p.Layout) {
		return fmt.Errorf("unknown layout %q: give NHWC or NCHW", p.Layout)
	}
	if p.Scale == 0 {
		p.Scale = 1
	}
	for _, list := range []struct {
		name   string
		values *[]float32
		other  float32
	}{{"mean", &p.Mean, 0}, {"std", &p.Std, 1}} {
		switch len(*list.values) {
		case 0:
			*list.values = []float32{list.other, list.other, list.other}
		case 1:
			*list.values = slices.Repeat(*list.values, 3)
		case 3:
		default:
			return fmt.Errorf("the %s has %d values: give one, or one for each of three channels", list.name, len(*list.values))
		}
	}
	if slices.Contains(p.Std, 0) {
		return errors.New("std is 0: give a number other than 0")
	}
	return nil
}

// prepare decodes one picture and converts it to the graph's input.
func (p *preparer) prepare(ctx context.Context, raw []byte) (Tensors, error) {
	img, err := pixels.Decode(ctx, raw, pixels.Options{Alpha: pixels.AlphaDropped})
	if err != nil {
		return nil, inputError{err}
	}
	in := Tensors{"image": {Shape: []int64{int64(img.Height), int64(img.Width), 3}, Data: img.Pix}}
	for name, t := range p.settings {
		in[name] = t
	}
	out, err := p.session.Run(ctx, in, []string{"pixels"})
	if err != nil {
		return nil, fmt.Errorf("preprocess: %w", err)
	}
	prepared := out["pixels"].Batch()
	if p.dtype != tensor.Float32 {
		if prepared, err = narrow(prepared, p.dtype); err != nil {
			return nil, fmt.Errorf("preprocess: %w", err)
		}
	}
	return Tensors{p.input: prepared}, nil
}

// floats reports whether d can hold prepared pictures.
func floats(d tensor.DType) bool {
	return d == tensor.Float32 || d == tensor.Float16 || d == tensor.BFloat16
}

// narrow rounds float32 values to 16 bits.
func narrow(t tensor.Tensor, to tensor.DType) (tensor.Tensor, error) {
	wide, err := tensor.Values[float32](t)
	if err != nil {
		return t, err
	}
	if to == tensor.Float16 {
		data := make([]tensor.Float16Bits, len(wide))
		for i, x := range wide {
			data[i] = tensor.ToFloat16(float64(x))
		}
		return tensor.New(data, t.Shape...)
	}
	data := make([]tensor.BFloat16Bits, len(wide))
	for i, x := range wide {
		data[i] = tensor.ToBFloat16(float64(x))
	}
	return tensor.New(data, t.Shape...)
}

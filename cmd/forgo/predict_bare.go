package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/forgo-ml/forgo/internal/printable"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// bareFlags describe a model without a bundle.
type bareFlags struct {
	graphFlags
	allowFiles bool
	imageSize  string
	resize     string
	fit        string
	shorter    int
	padColour  string
	scale      string
	mean       string
	std        string
	channels   string
	layout     string
	labels     string

	all, pictures []string // names of these flags
}

func (f *bareFlags) add(flags *pflag.FlagSet) {
	f.graphFlags.add(flags)
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	own.BoolVar(&f.allowFiles, "allow-files", false, "let a SavedModel read and write files; only if you trust it as you trust a program")
	own.StringVar(&f.labels, "labels", "", "`FILE` of labels, one per line, in the order of the output")

	pictures := pflag.NewFlagSet("", pflag.ContinueOnError)
	pictures.StringVar(&f.imageSize, "image-size", "", "resize pictures to `N` or HEIGHTxWIDTH (default: the input's size)")
	pictures.StringVar(&f.resize, "resize", "bilinear", "filter for resizing: "+strings.Join(predict.Resizes(), ", "))
	pictures.StringVar(&f.fit, "fit", "stretch", "stretch; crop: cut to the aspect ratio, then resize; shorter-side: resize the shorter side, then cut out the centre; pad: fit the whole picture and fill the rest")
	pictures.IntVar(&f.shorter, "shorter-side", 0, "with --fit shorter-side: resize the shorter side to `N` pixels (default: the larger side of the input)")
	pictures.StringVar(&f.padColour, "pad-colour", "0,0,0", "with --fit pad: fill with the colour `R,G,B`, from 0 to 255")
	pictures.StringVar(&f.scale, "scale", "1", "multiply pixel values, 0 to 255, by `X`, such as 1/255")
	pictures.StringVar(&f.mean, "mean", "0", "after --scale, subtract `X`, or one value per channel: 103.939,116.779,123.68")
	pictures.StringVar(&f.std, "std", "1", "after --mean, divide by `X`, or one value per channel")
	pictures.StringVar(&f.channels, "channels", "RGB", "the order of the channels: RGB or BGR")
	pictures.StringVar(&f.layout, "layout", "", "order of the input's dimensions: NHWC (channels last) or NCHW (channels first) (default: from its shape, or NHWC)")
	f.pictures = named(pictures)
	f.all = slices.Concat(f.graphFlags.names, named(own), f.pictures)

	flags.AddFlagSet(own)
	flags.AddFlagSet(pictures)
}

// refuse fails if one of the flags was given for a bundle. Only --signature makes sense for those.
func (f *bareFlags) refuse(cmd *cobra.Command, bundle string) error {
	if err := f.complete(cmd.Flags()); err != nil {
		return err
	}
	set := slices.DeleteFunc(changedFlags(cmd.Flags(), f.all), func(name string) bool { return name == "signature" })
	if len(set) > 0 {
		return usageError{fmt.Errorf("--%s is only for models without a bundle; %s defines it", set[0], bundle)}
	}
	return nil
}

// open opens a SavedModel or an ONNX file, and prints on stderr how it prepares pictures. picture reports whether
// the model takes pictures.
func (f *bareFlags) open(cmd *cobra.Command, path string, kind kind, load *loadFlags, quiet bool) (_ *predict.Bare, picture bool, err error) {
	if err := f.complete(cmd.Flags()); err != nil {
		return nil, false, err
	}
	pictures, err := f.settings()
	if err != nil {
		return nil, false, usageError{err}
	}
	if f.allowFiles && load.isolate.mode != together {
		return nil, false, usageError{errors.New("--allow-files and --isolate exclude each other")}
	}
	if err := load.isolate.check(); err != nil {
		return nil, false, err
	}
	f.graph.Path = path
	all := allEngines()
	if f.allowFiles {
		for i, e := range all {
			if t, ok := e.(engines.Truster); ok {
				all[i] = t.AllowFiles()
			}
		}
	}
	all = load.isolate.engines(load.among(all)...)
	engine, err := engineOf(all, kind.format)
	if err != nil {
		return nil, false, err
	}
	opening := predict.Opening{
		Graph: f.graph, Pictures: &pictures,
		Session: predict.SessionOptions{Threads: load.Threads, RunTimeout: load.RunTimeout, MaxOutputBytes: load.MaxOutputBytes},
	}
	preparer, none := engineOf(all, bundle.PreprocessEngine)
	if none == nil {
		opening.PreparedBy = preparer
	}
	if len(changedFlags(cmd.Flags(), f.pictures)) == 0 {
		opening.Where = takesPictures
	}
	ctx := cmd.Context()
	if load.LoadTimeout > 0 {
		late := fmt.Errorf("loading takes longer than %v: %w", load.LoadTimeout, context.DeadlineExceeded)
		bounded, cancel := context.WithTimeoutCause(ctx, load.LoadTimeout, late)
		defer cancel()
		ctx = bounded
	}
	m, err := predict.Open(ctx, engine, opening)
	switch {
	case err != nil && ctx.Err() != nil && cmd.Context().Err() == nil:
		err = context.Cause(ctx)
	case errors.Is(err, predict.ErrPictures) && none != nil:
		err = none
	case errors.Is(err, predict.ErrPictures):
		err = fmt.Errorf("%w (--input, --image-size, --resize, --fit, --shorter-side, --scale, --mean, --std, --channels, --layout)", err)
	}
	if err != nil {
		return nil, false, err
	}
	defer func() {
		if err != nil {
			_ = m.Close()
		}
	}()
	if f.labels != "" {
		if m.Labels, err = readLabels(f.labels); err != nil {
			return nil, false, err
		}
	}
	says := "parity NOT PROVEN: this is no bundle"
	if pictures, picture = m.Pictures(); picture {
		says += "; pictures: " + pictures.String()
	}
	if !quiet || pictures.Guessed() { // a program that reads the results cannot see a guess in them
		printable.Fprintf(cmd.ErrOrStderr(), "%s\n", says)
	}
	return m, picture, nil
}

// takesPictures reports whether inputs look like a picture's, when no flag says so.
func takesPictures(inputs []tensor.Spec) bool {
	if len(inputs) != 1 || len(inputs[0].Shape) != 4 {
		return false
	}
	switch inputs[0].DType {
	case tensor.Float32, tensor.Float16, tensor.BFloat16:
	default:
		return false
	}
	return inputs[0].Shape[1] == 3 || inputs[0].Shape[3] == 3
}

func (f *bareFlags) settings() (p predict.Pictures, err error) {
	p = predict.Pictures{Resize: f.resize, Fit: f.fit, ShorterSide: f.shorter, Channels: strings.ToUpper(f.channels), Layout: strings.ToUpper(f.layout)}
	if f.imageSize != "" {
		height, width, both := strings.Cut(f.imageSize, "x")
		if !both {
			width = height
		}
		var errs [2]error
		p.Height, errs[0] = strconv.Atoi(height)
		p.Width, errs[1] = strconv.Atoi(width)
		if errors.Join(errs[:]...) != nil || p.Height < 1 || p.Width < 1 {
			return p, fmt.Errorf("--image-size %q is neither N nor HEIGHTxWIDTH", f.imageSize)
		}
	}
	colour := strings.Split(f.padColour, ",")
	for i, part := range colour {
		value, err := strconv.ParseUint(strings.TrimSpace(part), 10, 8)
		if err != nil || len(colour) != len(p.PadColour) {
			return p, fmt.Errorf("--pad-colour %q is not R,G,B from 0 to 255", f.padColour)
		}
		p.PadColour[i] = uint8(value)
	}
	scale, err := numbers("scale", f.scale)
	if err != nil {
		return p, err
	}
	if len(scale) != 1 || scale[0] == 0 {
		return p, fmt.Errorf("--scale must be one number other than 0, not %q", f.scale)
	}
	p.Scale = scale[0]
	if p.Mean, err = numbers("mean", f.mean); err != nil {
		return p, err
	}
	if p.Std, err = numbers("std", f.std); err != nil {
		return p, err
	}
	if err := p.Check(); err != nil {
		return p, fmt.Errorf("%w (--resize, --fit, --shorter-side, --pad-colour, --channels, --layout, --mean, --std)", err)
	}
	return p, nil
}

// numbers reads X,Y,Z, each a number or a fraction as in 1/255.
func numbers(flag, text string) ([]float32, error) {
	var out []float32
	for part := range strings.SplitSeq(text, ",") {
		above, below, fraction := strings.Cut(strings.TrimSpace(part), "/")
		x, err := strconv.ParseFloat(above, 64)
		if err == nil && fraction {
			var y float64
			y, err = strconv.ParseFloat(below, 64)
			x /= y
		}
		if err != nil || x-x != 0 { // NaN or infinite
			return nil, fmt.Errorf("--%s %q: %q is not a number", flag, text, part)
		}
		out = append(out, float32(x))
	}
	return out, nil
}

func readLabels(path string) ([]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read labels: %w", err)
	}
	defer file.Close()
	var labels []string
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		label := strings.TrimSpace(lines.Text())
		switch {
		case label == "":
			continue
		case slices.Contains(labels, label):
			return nil, fmt.Errorf("read labels: %s: label %q appears twice", path, label)
		}
		labels = append(labels, label)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read labels: %s: %w", path, err)
	}
	if len(labels) == 0 {
		return nil, fmt.Errorf("read labels: %s is empty", path)
	}
	return labels, nil
}

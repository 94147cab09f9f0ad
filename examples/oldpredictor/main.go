// Oldpredictor prepares a photograph as Go programs did before forgo, to show what it does to the
// answers: see docs/coming-from-a-go-predictor.md. It decodes with image/jpeg, takes pixels with
// At, resizes, and subtracts a mean; nothing of that is how the model was trained.
//
//	go run ./examples/oldpredictor -mean 117 -corner forGo photo.jpg
//
// It prints a JSON object a photograph: the model's input, and its scores. With -forgo pictures are
// prepared by forgo instead; the model may then be a bundle, too.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"image"
	_ "image/jpeg" // what the old programs decoded with
	_ "image/png"
	"os"
	"strings"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/tensorflow"
)

func main() {
	mean := flag.Float64("mean", 0, "what is subtracted from every value")
	corner := flag.Bool("corner", false, "resize from the corner, as TensorFlow 1 does, not from pixels' centres")
	byForgo := flag.Bool("forgo", false, "let forgo prepare the photographs")
	tag := flag.String("tag", "tags", "the graph's tag")
	input := flag.String("input", "input_1", "the input layer's name")
	output := flag.String("output", "inferenceLayer/Softmax", "the inference layer's name")
	flag.Parse()
	if flag.NArg() < 2 {
		fmt.Fprintln(os.Stderr, "oldpredictor: give a SavedModel and photographs")
		os.Exit(2)
	}
	ctx, model, photos := context.Background(), flag.Arg(0), flag.Args()[1:]
	var err error
	if *byForgo && strings.HasSuffix(model, ".forgo") {
		err = runBundle(ctx, model, photos)
	} else {
		err = run(ctx, model, photos, *tag, *input, *output, float32(*mean), *corner, *byForgo)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "oldpredictor:", err)
		os.Exit(1)
	}
}

func runBundle(ctx context.Context, model string, photos []string) error {
	m, err := predict.Load(ctx, model, onnx.Engine())
	if err != nil {
		return err
	}
	defer m.Close()
	manifest := m.Manifest()
	return each(photos, func(photo []byte) (x, scores predict.Tensor, err error) {
		in, err := m.Prepare(ctx, photo)
		if err != nil {
			return x, scores, err
		}
		out, err := m.Run(ctx, in)
		return in[manifest.Inputs[0].Name], out[manifest.Outputs[0].Name], err
	})
}

func run(ctx context.Context, model string, photos []string, tag, input, output string, mean float32, corner, byForgo bool) error {
	options := []tensorflow.OpenOption{tensorflow.Tags(tag), tensorflow.Input(input), tensorflow.Output(output)}
	if byForgo {
		options = append(options, tensorflow.Pictures(onnx.Engine(), predict.Pictures{}))
	}
	m, err := tensorflow.Open(ctx, model, options...)
	if err != nil {
		return err
	}
	defer m.Close()
	in, out := m.Inputs()[0], m.Outputs()[0]
	return each(photos, func(photo []byte) (x, scores predict.Tensor, err error) {
		inputs := predict.Tensors{}
		if byForgo {
			inputs, err = m.Prepare(ctx, photo)
		} else {
			inputs[in.Name], err = old(photo, in.Shape[1], in.Shape[2], corner, mean)
		}
		if err != nil {
			return x, scores, err
		}
		results, err := m.Run(ctx, inputs)
		return inputs[in.Name], results[out.Name], err
	})
}

// each answers photographs, and prints a line for each.
func each(photos []string, answer func(photo []byte) (x, scores predict.Tensor, err error)) error {
	for _, photo := range photos {
		raw, err := os.ReadFile(photo)
		if err != nil {
			return err
		}
		x, scores, err := answer(raw)
		if err != nil {
			return fmt.Errorf("%s: %w", photo, err)
		}
		if err := json.NewEncoder(os.Stdout).Encode(map[string]any{"input": x.Data, "scores": scores.Data}); err != nil {
			return err
		}
	}
	return nil
}

// old prepares a photograph as the old programs did.
func old(photo []byte, height, width int64, corner bool, mean float32) (predict.Tensor, error) {
	img, _, err := image.Decode(bytes.NewReader(photo))
	if err != nil {
		return predict.Tensor{}, fmt.Errorf("decode: %w", err)
	}
	pixels := resize(img, int(height), int(width), corner)
	for i := range pixels {
		pixels[i] -= mean
	}
	return predict.Tensor{Shape: []int64{1, height, width, 3}, Data: pixels}, nil
}

// resize interpolates between the four pixels around a place, [height, width, 3].
func resize(img image.Image, height, width int, corner bool) []float32 {
	bounds := img.Bounds()
	at := func(x, y, channel int) float32 {
		r, g, b, _ := img.At(bounds.Min.X+x, bounds.Min.Y+y).RGBA()
		return float32([]uint32{r, g, b}[channel] >> 8)
	}
	place := func(i, from, to int) (int, int, float32) {
		p := float32(i) * float32(from) / float32(to)
		if !corner {
			p = max(0, (float32(i)+0.5)*float32(from)/float32(to)-0.5)
		}
		low := min(int(p), from-1)
		return low, min(low+1, from-1), p - float32(low)
	}
	pixels := make([]float32, 0, height*width*3)
	for i := range height {
		top, bottom, v := place(i, bounds.Dy(), height)
		for j := range width {
			left, right, h := place(j, bounds.Dx(), width)
			for c := range 3 {
				upper := at(left, top, c)*(1-h) + at(right, top, c)*h
				lower := at(left, bottom, c)*(1-h) + at(right, bottom, c)*h
				pixels = append(pixels, upper*(1-v)+lower*v)
			}
		}
	}
	return pixels
}

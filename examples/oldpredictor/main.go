// Oldpredictor prepares a photograph as Go programs did before forgo, to show what it does to the
// answers: see docs/coming-from-a-go-predictor.md. It decodes with image/jpeg, takes pixels with
// At, resizes, and subtracts a mean; nothing of that is how the model was trained.
//
//	go run ./examples/oldpredictor -mean 117 -corner forGo photo.jpg
//
// It prints a JSON object a photograph: the model's input, and its scores.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"image"
	_ "image/jpeg" // what the old programs decoded with
	_ "image/png"
	"os"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/tensorflow"
)

func main() {
	mean := flag.Float64("mean", 0, "what is subtracted from every value")
	corner := flag.Bool("corner", false, "resize from the corner, as TensorFlow 1 does, not from pixels' centres")
	tag := flag.String("tag", "tags", "the graph's tag")
	input := flag.String("input", "input_1", "the input layer's name")
	output := flag.String("output", "inferenceLayer/Softmax", "the inference layer's name")
	flag.Parse()
	if flag.NArg() < 2 {
		fmt.Fprintln(os.Stderr, "oldpredictor: give a SavedModel and photographs")
		os.Exit(2)
	}
	if err := run(flag.Arg(0), flag.Args()[1:], *tag, *input, *output, float32(*mean), *corner); err != nil {
		fmt.Fprintln(os.Stderr, "oldpredictor:", err)
		os.Exit(1)
	}
}

func run(model string, photos []string, tag, input, output string, mean float32, corner bool) error {
	ctx := context.Background()
	m, err := tensorflow.Open(ctx, model, tensorflow.Tags(tag), tensorflow.Input(input), tensorflow.Output(output))
	if err != nil {
		return err
	}
	defer m.Close()
	in, out := m.Inputs()[0], m.Outputs()[0]
	for _, photo := range photos {
		pixels, err := read(photo, int(in.Shape[1]), int(in.Shape[2]), corner)
		if err != nil {
			return err
		}
		for i := range pixels {
			pixels[i] -= mean
		}
		x := predict.Tensor{Shape: []int64{1, in.Shape[1], in.Shape[2], 3}, Data: pixels}
		results, err := m.Run(ctx, predict.Tensors{in.Name: x})
		if err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(map[string]any{"input": pixels, "scores": results[out.Name].Data}); err != nil {
			return err
		}
	}
	return nil
}

// read decodes and resizes, [height, width, 3].
func read(photo string, height, width int, corner bool) ([]float32, error) {
	file, err := os.Open(photo)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	img, _, err := image.Decode(file)
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", photo, err)
	}
	return resize(img, height, width, corner), nil
}

// resize interpolates between the four pixels around a place.
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

package tensorflow_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/tensorflow"
)

// A model that came without a bundle, by its tag and its layers' names, with pictures made as
// they were in its training.
func ExampleOpen() {
	ctx := context.Background()
	m, err := tensorflow.Open(ctx, "../../conformance/savedmodels/forGo",
		tensorflow.Tags("tags"), tensorflow.Input("input_1"), tensorflow.Output("inferenceLayer/Softmax"),
		tensorflow.Pictures(onnx.Engine(), predict.Pictures{Resize: "bilinear-tf1", Mean: []float32{117}}))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	m.Labels = []string{"female", "male"}
	picture, err := os.ReadFile("../../conformance/pictures/rgb.png")
	if err != nil {
		log.Fatal(err)
	}
	classes, err := m.Classify(ctx, picture)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s %.2f\n", classes[0].Label, classes[0].Score)
	// Output: female 0.55
}

package tensorflow_test

import (
	"context"
	"fmt"
	"os"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/tensorflow"
)

// docs/coming-from-a-go-predictor.md shows the bodies of these functions.

func byThreeNames(ctx context.Context, photo []byte) ([]predict.Class, error) {
	// The same model by its three names. You state once how training prepared pictures.
	m, err := tensorflow.Open(ctx, "forGo",
		tensorflow.Tags("tags"), tensorflow.Input("input_1"), tensorflow.Output("inferenceLayer/Softmax"),
		tensorflow.Pictures(onnx.Engine(), predict.Pictures{Channels: "BGR", Mean: []float32{103.939, 116.779, 123.68}}))
	if err != nil {
		return nil, err
	}
	defer m.Close()
	m.Labels = []string{"female", "male"}
	return m.Classify(ctx, photo) // labels with scores, best first
}

func fromBundle(ctx context.Context, photo []byte) ([]predict.Class, error) {
	// Better, a bundle: it contains all of this, and is proven before it answers.
	m, err := predict.Load(ctx, "faces.forgo", tensorflow.Engine(), onnx.Engine())
	if err != nil {
		return nil, err
	}
	defer m.Close()
	return m.Classify(ctx, photo)
}

func Example_oldPredictor() {
	photo, err := os.ReadFile("../../conformance/bundles/shapes.forgo/golden/000.jpg")
	if err != nil {
		fmt.Println(err)
		return
	}
	// A committed model with two classes, as the old tag adder wrote it.
	where, err := os.Getwd()
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := os.Chdir("../../conformance/savedmodels"); err != nil {
		fmt.Println(err)
		return
	}
	defer os.Chdir(where)
	classes, err := byThreeNames(context.Background(), photo)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(classes), classes[0].Score > classes[1].Score)
	_, err = fromBundle(context.Background(), photo)
	fmt.Println(err)
	// Output:
	// 2 true
	// bundle faces.forgo: no such file or directory
}

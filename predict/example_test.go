package predict_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
)

// Load replays the bundle's golden cases first: a model that it returns answers as training did.
func ExampleLoad() {
	ctx := context.Background()
	m, err := predict.Load(ctx, "../conformance/bundles/iris.forgo", onnx.Engine())
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	classes, err := m.Classify(ctx, []byte("[5.1, 3.5, 1.4, 0.2]"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s %.2f\n", classes[0].Label, classes[0].Score)
	// Output: setosa 1.00
}

// Options bound what a model takes. A process without the bundle's engine, or with another answer, fails to load it.
func ExampleOptions_Load() {
	o := predict.Options{Threads: 1, MaxBatchRows: 8, RunTimeout: time.Second, RequireProof: true}
	_, err := o.Load(context.Background(), "../conformance/bundles/iris.forgo")
	fmt.Println(err)
	// Output: bundle ../conformance/bundles/iris.forgo: model.onnx: it needs the engine onnxruntime; this process has []
}

// Classify takes a picture's bytes or a JSON row, and returns every label, best first.
func ExampleModel_Classify() {
	ctx := context.Background()
	m, err := predict.Load(ctx, "../conformance/bundles/shapes.forgo", onnx.Engine())
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	picture, err := os.ReadFile("../conformance/bundles/shapes.forgo/golden/000.jpg")
	if err != nil {
		log.Fatal(err)
	}
	classes, err := m.Classify(ctx, picture)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(classes[0].Label, classes[0].Score >= classes[1].Score, len(classes))
	_, err = m.Classify(ctx, []byte("no picture"))
	fmt.Println(errors.Is(err, predict.ErrInput))
	// Output:
	// red true 3
	// true
}

// Run takes and gives tensors, a row in each of their first dimension.
func ExampleModel_Run() {
	ctx := context.Background()
	m, err := predict.Load(ctx, "../conformance/bundles/iris.forgo", onnx.Engine())
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	rows := predict.Tensor{Shape: []int64{2, 4}, Data: []float32{5.1, 3.5, 1.4, 0.2, 6.7, 3, 5.2, 2.3}}
	out, err := m.Run(ctx, predict.Tensors{"input": rows})
	if err != nil {
		log.Fatal(err)
	}
	for i := range rows.Shape[0] {
		answer, err := m.Label(out, int(i))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(answer.Classes[0].Label)
	}
	_, err = m.Run(ctx, predict.Tensors{"input": {Shape: []int64{1, 3}, Data: []float32{1, 2, 3}}})
	fmt.Println(errors.Is(err, predict.ErrInput))
	// Output:
	// setosa
	// virginica
	// true
}

package client_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http/httptest"
	"os"

	"github.com/forgo-ml/forgo/client"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve"
)

const bundles = "../conformance/bundles/"

// start serves the repository's bundles, as forgo serve does.
func start() (url string, stop func()) {
	models := serve.Models{}
	for _, name := range []string{"shapes", "iris"} {
		m, err := predict.Load(context.Background(), bundles+name+".forgo", onnx.Engine())
		if err != nil {
			log.Fatal(err)
		}
		models[name] = m
	}
	web := httptest.NewServer(serve.New(models, serve.Options{Log: slog.New(slog.DiscardHandler)}).Handler())
	return web.URL, func() {
		web.Close()
		for _, m := range models {
			_ = m.Close()
		}
	}
}

func Example() {
	url, stop := start() // or the URL of a forgo serve
	defer stop()
	ctx := context.Background()

	c, err := client.New(url)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	picture, err := os.ReadFile(bundles + "shapes.forgo/golden/000.jpg")
	if err != nil {
		log.Fatal(err)
	}
	classes, err := c.Classify(ctx, "shapes", picture)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(classes[0].Label)

	flowers, err := tensor.New([]float32{5.1, 3.5, 1.4, 0.2, 6.7, 3.1, 5.6, 2.4}, 2, 4)
	if err != nil {
		log.Fatal(err)
	}
	outputs, err := c.Infer(ctx, "iris", tensor.Map{"input": flowers})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(outputs["probabilities"].Shape)
	// Output:
	// red
	// [2 3]
}

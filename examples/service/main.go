// Command service labels pictures of digits over HTTP. Its model is embedded, and no C library is needed:
//
//	CGO_ENABLED=0 go build ./examples/service && ./service 127.0.0.1:8080
//	curl --data-binary @seven.png http://127.0.0.1:8080/
package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/pure"
)

//go:embed digits.forgo
var files embed.FS

func main() {
	m, err := predict.LoadFS(context.Background(), files, "digits.forgo", pure.Engine())
	if err != nil {
		log.Fatal(err) // an answer differs from the training framework's, say
	}
	http.HandleFunc("POST /", func(w http.ResponseWriter, req *http.Request) {
		picture, err := io.ReadAll(http.MaxBytesReader(w, req.Body, 10<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		classes, err := m.Classify(req.Context(), picture)
		switch {
		case errors.Is(err, predict.ErrInput):
			http.Error(w, err.Error(), http.StatusBadRequest)
		case err != nil:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		default:
			_ = json.NewEncoder(w).Encode(classes[0])
		}
	})
	server := http.Server{Addr: append(os.Args[1:], "127.0.0.1:8080")[0], ReadTimeout: time.Minute}
	log.Printf("%s; listening on %s", m.Parity(), server.Addr)
	log.Fatal(server.ListenAndServe())
}

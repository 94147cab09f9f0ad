// Command chi is hello world as chi's README has it, and a POST that reads what it is sent:
// the least that a JSON request can cost.
//
//	chi HOST:PORT
package main

import (
	"io"
	"log"
	"net/http"
	"os"
	"strconv"

	"github.com/go-chi/chi/v5"
)

func main() {
	r := chi.NewRouter()
	r.Get("/", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("Hello, World!"))
	})
	r.Post("/", func(w http.ResponseWriter, req *http.Request) {
		n, err := io.Copy(io.Discard, req.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(append(strconv.AppendInt([]byte(`{"bytes":`), n, 10), '}'))
	})
	log.Fatal(http.ListenAndServe(os.Args[1], r))
}

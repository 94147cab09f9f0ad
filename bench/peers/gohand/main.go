// Gohand is what a Go engineer writes without forgo: net/http, encoding/json and ONNX Runtime's cgo binding, a
// session a core. No goldens, limits, metrics or batches. MODEL is the bundle; ONNXRUNTIME the shared library.
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"
	"runtime"

	ort "github.com/yalue/onnxruntime_go"
)

type session struct {
	run     *ort.AdvancedSession
	input   *ort.Tensor[float32]
	answers *ort.Tensor[float32]
}

func open(path string) *session {
	ins, outs, err := ort.GetInputOutputInfo(path)
	must(err)
	s := &session{}
	s.input, err = ort.NewEmptyTensor[float32](ort.NewShape(1, 64))
	must(err)
	s.answers, err = ort.NewEmptyTensor[float32](ort.NewShape(1, 10))
	must(err)
	options, err := ort.NewSessionOptions()
	must(err)
	must(options.SetIntraOpNumThreads(1))
	s.run, err = ort.NewAdvancedSession(path, []string{ins[0].Name}, []string{outs[0].Name},
		[]ort.Value{s.input}, []ort.Value{s.answers}, options)
	must(err)
	return s
}

func main() {
	ort.SetSharedLibraryPath(os.Getenv("ONNXRUNTIME"))
	must(ort.InitializeEnvironment())
	free := make(chan *session, runtime.NumCPU())
	for range cap(free) {
		free <- open(os.Getenv("MODEL") + "/model.onnx")
	}
	http.HandleFunc("POST /predict", func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Rows [1][64]float32 `json:"rows"`
		}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s := <-free
		copy(s.input.GetData(), body.Rows[0][:])
		err := s.run.Run()
		var answers [1][10]float32
		copy(answers[0][:], s.answers.GetData())
		free <- s
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"answers": answers})
	})
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

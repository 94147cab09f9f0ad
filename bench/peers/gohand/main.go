// Gohand is what a Go engineer writes without forgo: net/http, encoding/json and ONNX Runtime's cgo binding, a
// session a core. No goldens, limits, metrics or batches. MODEL is the bundle; ONNXRUNTIME the shared library.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"runtime"
	"slices"

	ort "github.com/yalue/onnxruntime_go"
)

type session struct {
	run     *ort.AdvancedSession
	input   *ort.Tensor[float32]
	shape   ort.Shape
	answers *ort.Tensor[float32]
}

// one is the shape of one row.
func one(dimensions ort.Shape) ort.Shape {
	shape := dimensions.Clone()
	shape[0] = 1
	return shape
}

func open(path string) *session {
	ins, outs, err := ort.GetInputOutputInfo(path)
	must(err)
	s := &session{shape: one(ins[0].Dimensions)}
	s.input, err = ort.NewEmptyTensor[float32](s.shape)
	must(err)
	s.answers, err = ort.NewEmptyTensor[float32](one(outs[0].Dimensions))
	must(err)
	options, err := ort.NewSessionOptions()
	must(err)
	must(options.SetIntraOpNumThreads(1))
	s.run, err = ort.NewAdvancedSession(path, []string{ins[0].Name}, []string{outs[0].Name},
		[]ort.Value{s.input}, []ort.Value{s.answers}, options)
	must(err)
	return s
}

// sessions are those that no request has.
type sessions chan *session

// answer runs a session on what fill writes into its input, and returns a copy of its first output.
func (free sessions) answer(fill func(s *session) error) ([]float32, error) {
	s := <-free
	defer func() { free <- s }()
	if err := fill(s); err != nil {
		return nil, err
	}
	if err := s.run.Run(); err != nil {
		return nil, err
	}
	return slices.Clone(s.answers.GetData()), nil
}

func main() {
	ort.SetSharedLibraryPath(os.Getenv("ONNXRUNTIME"))
	must(ort.InitializeEnvironment())
	free := make(sessions, runtime.NumCPU())
	for range cap(free) {
		free <- open(os.Getenv("MODEL") + "/model.onnx")
	}
	http.HandleFunc("POST /predict", func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Rows [][]float32 `json:"rows"`
		}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer, err := free.answer(func(s *session) error {
			if len(body.Rows) != 1 || len(body.Rows[0]) != len(s.input.GetData()) {
				return fmt.Errorf("give one row of %d numbers", len(s.input.GetData()))
			}
			copy(s.input.GetData(), body.Rows[0])
			return nil
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		reply(w, map[string]any{"answers": [][]float32{answer}})
	})
	http.HandleFunc("POST /classify", free.classify(os.Getenv("MODEL")))
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}

func reply(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

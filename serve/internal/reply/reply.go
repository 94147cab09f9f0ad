// Package reply writes JSON answers and errors, the same way for every protocol.
package reply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/forgo-ml/forgo/predict"
)

// JSON writes v with a status.
func JSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"write answer as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that has gone needs no answer
}

// Error writes {"error": …}, the form that the Open Inference Protocol and TensorFlow
// Serving share.
func Error(w http.ResponseWriter, status int, err error) {
	JSON(w, status, map[string]string{"error": err.Error()})
}

// Failure writes an error with the status that its kind asks for.
func Failure(w http.ResponseWriter, err error) {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		Error(w, http.StatusRequestEntityTooLarge, fmt.Errorf("the body is longer than %d bytes", tooLarge.Limit))
	case errors.Is(err, predict.ErrInput):
		Error(w, http.StatusBadRequest, err)
	case errors.Is(err, context.DeadlineExceeded):
		Error(w, http.StatusGatewayTimeout, err)
	default:
		Error(w, http.StatusInternalServerError, err)
	}
}

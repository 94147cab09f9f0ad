package reply_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve/internal/reply"
)

// A client that asks again after Retry-After is never too early.
func TestRetryAfterIsRoundedUp(t *testing.T) {
	for after, want := range map[time.Duration]string{0: "1", time.Millisecond: "1", time.Second: "1", 1100 * time.Millisecond: "2", 2*time.Second + 1: "3"} {
		w := httptest.NewRecorder()
		reply.Failure(w, &predict.BusyError{RetryAfter: after})
		if got := w.Header().Get("Retry-After"); got != want || w.Code != 429 {
			t.Errorf("%s: %d, Retry-After %s, want %s", after, w.Code, got, want)
		}
	}
}

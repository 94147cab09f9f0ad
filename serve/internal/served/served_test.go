package served

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/predict"
)

func TestSideBySideCallsEachOnce(t *testing.T) {
	for _, n := range []int{0, 1, 2, 100} {
		calls := make([]int, n)
		sideBySide(n, func(i int) { calls[i]++ })
		for i, c := range calls {
			if c != 1 {
				t.Errorf("%d of %d was called %d times", i, n, c)
			}
		}
	}
}

// A panic on a helping goroutine is the caller's, who can recover from it.
func TestSideBySidePanics(t *testing.T) {
	defer func() {
		if p := recover(); p != "here" {
			t.Errorf("recovered %v", p)
		}
	}()
	sideBySide(10, func(i int) {
		if i == 3 {
			panic("here")
		}
	})
	t.Error("the panic was lost")
}

func TestErrorsKeepTheirKind(t *testing.T) {
	cause := errors.New("cause")
	err := fmt.Errorf("inputs[0]: %w", BadInput("shape: %w", cause))
	if !errors.Is(err, predict.ErrInput) || !errors.Is(err, cause) || errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
	if err := NotFound("no %q", "x"); !errors.Is(err, ErrNotFound) || errors.Is(err, predict.ErrInput) || err.Error() != `no "x"` {
		t.Errorf("%v", err)
	}
}

func TestStatsCountSuccessAndFailureApart(t *testing.T) {
	m := Model{stats: &stats{}}
	m.stats.add(observation{rows: 3, total: 10 * time.Millisecond, queue: time.Millisecond, infer: 6 * time.Millisecond}, time.Now())
	m.stats.add(observation{rows: 2, total: time.Millisecond, failed: true}, time.Now())
	s := m.Calls()
	if s.Inferences != 3 || s.Success.Count != 1 || s.Fail.Count != 1 || s.Queue.NS != time.Millisecond || s.Infer.NS != 6*time.Millisecond || s.LastInference.IsZero() {
		t.Errorf("%+v", s)
	}
}

// A request that has ended is nobody's to give up, also where its answer broke off.
func TestARequestThatEndsIsNotGivenUp(t *testing.T) {
	r := &Request{Model: &Model{stats: &stats{}}, start: time.Now(), writer: httptest.NewRecorder()}
	r.Reading(1)
	if r.client == nil {
		t.Fatal("a client that sends cannot be given up")
	}
	if _ = r.end(nil); r.client != nil {
		t.Error("it can be given up after its end")
	}
}

package serve_test

// Pictures that take long to decode keep nobody out, and end with their callers.

import (
	"bytes"
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/pixels/pixelstest"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

func TestScansKeepNobodyOut(t *testing.T) {
	budget := predict.NewBudget(1 << 30)
	m, err := predict.Options{Threads: 1, Budget: budget}.Load(t.Context(), servetest.Bundles+"shapes.forgo", onnx.Engine())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s := servetest.RunWith(t, serve.Models{"shapes": m}, serve.Options{Memory: budget}, serve.Addresses{HTTP: servetest.AnyPort})
	post := func(ctx context.Context, picture []byte) (int, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Addresses["url"]+"/models/shapes", bytes.NewReader(picture))
		if err != nil {
			return 0, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	small, _ := servetest.Golden(t, m, "shapes", 0)
	for name, picture := range map[string][]byte{ // 2,000 and 19,651 scans in 24 and 240 KB, and as many as there may be
		"2,000 scans": pixelstest.Scans(500, 500, 2_000, false), "19,651 scans": pixelstest.Scans(500, 500, 19_651, false),
	} {
		if status, err := post(t.Context(), picture); status != http.StatusBadRequest {
			t.Errorf("%s: %d, %v", name, status, err)
		}
	}
	heavy := pixelstest.Scans(4000, 4000, 256, true)
	const callers = 12
	left, leave := context.WithCancel(t.Context())
	defer leave()
	var others sync.WaitGroup
	for range callers {
		others.Go(func() {
			for left.Err() == nil {
				if status, err := post(left, heavy); err == nil && status != http.StatusOK && status != http.StatusTooManyRequests {
					t.Errorf("a picture of 256 scans: %d", status)
				}
			}
		})
	}
	until := func(what string, is func() bool) {
		t.Helper()
		for end := time.Now().Add(2 * time.Minute); !is(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("in two minutes not: " + what)
			}
		}
	}
	until("pictures are decoded", func() bool { return budget.Used() > 16<<20 })
	for range 20 {
		if status, err := post(t.Context(), small); status != http.StatusOK {
			t.Errorf("a good caller: %d, %v", status, err)
		}
	}
	leave()
	others.Wait()
	until("decoding has ended with its callers", func() bool {
		http.DefaultClient.CloseIdleConnections()
		return budget.Used() <= callers*servetest.AConnection && serving.Of(m).Stats().QueueBytes == 0
	})
	if status, err := post(t.Context(), small); status != http.StatusOK {
		t.Errorf("afterwards: %d, %v", status, err)
	}
}

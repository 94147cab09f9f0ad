package oip_test

// The memory of binary tensor data: the engine reads it where it was received, and later requests
// have it again, but never too early.

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// placed notes where the last part of a body was read to.
type placed struct {
	*bytes.Reader
	last []byte
}

func (p *placed) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	if n > 0 {
		p.last = b[:n]
	}
	return n, err
}

func (p *placed) Close() error { return nil }

func TestBinaryBodiesAreNotCopied(t *testing.T) {
	var ran []float32
	m, err := predict.Options{Threads: 1}.Load(t.Context(), servetest.GraphBundle(t, "same-float32", "tensors"),
		servetest.Shown{Engine: onnx.Engine(), Saw: func(in predict.Tensors) { ran = in["x"].Data.([]float32) }})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	h := serve.New(serve.Models{"same": m}, serve.Options{Log: slog.New(slog.DiscardHandler)}).Handler()
	for _, rows := range []int{1, 100, 1 << 17, 1<<17 + 1, 1 << 19} { // 1 MiB is what is set aside unseen
		data := make([]byte, 8*rows)
		for i := range 2 * rows {
			binary.LittleEndian.PutUint32(data[4*i:], uint32(i))
		}
		header := fmt.Sprintf(`{"inputs":[{"name":"x","datatype":"FP32","shape":[%d,2],"parameters":{"binary_data_size":%d}}],"parameters":{"binary_data_output":true}}`, rows, len(data))
		for _, form := range []string{header, ""} { // "" is the data alone
			for _, known := range []bool{true, false} {
				body := &placed{Reader: bytes.NewReader(append([]byte(form), data...))}
				req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v2/models/same/infer", nil)
				req.Body, req.ContentLength = body, -1
				if known {
					req.ContentLength = int64(len(form) + len(data))
				}
				req.Header.Set(servetest.HeaderLength, strconv.Itoa(len(form)))
				w := servetest.Record(h, req)
				if w.Code != http.StatusOK || !bytes.HasSuffix(w.Body.Bytes(), data) {
					t.Fatalf("%d rows, length known %v: %d %.200q", rows, known, w.Code, w.Body)
				}
				seen := unsafe.Slice((*byte)(unsafe.Pointer(&ran[0])), 4*len(ran))
				// Of many rows, which run in parts, it is the last part.
				if &seen[len(seen)-1] != &body.last[len(body.last)-1] {
					t.Errorf("%d rows, length known %v, header %q: the engine reads a copy", rows, known, form)
				}
			}
		}
	}
}

// Many callers at once, in batches and alone, some of whom go away: each is answered with what it
// sent, and with no other's.
func TestBinaryBodiesAreNotMixedUp(t *testing.T) {
	o := predict.Options{Threads: 1, MaxBatchRows: 8}
	models := serve.Models{}
	for _, name := range []string{"same-float32", "same-string"} {
		m, err := o.Load(t.Context(), servetest.GraphBundle(t, name, "tensors"), onnx.Engine())
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		models[name] = m
	}
	h := servetest.New(models).Handler()
	var callers sync.WaitGroup
	for caller := range 8 {
		callers.Go(func() {
			for turn := range 100 {
				name, datatype, data := "same-float32", "FP32", strings.Repeat(string(binary.LittleEndian.AppendUint32(nil, uint32(caller<<16+turn))), 2*(1+turn%3))
				if turn%2 == 0 {
					name, datatype, data = "same-string", "BYTES", strings.Repeat(servetest.AsBytes(fmt.Sprintf("%d of caller %d", turn, caller)), 2*(1+turn%3))
				}
				header := fmt.Sprintf(`{"inputs":[{"name":"x","datatype":%q,"shape":[%d,2],"parameters":{"binary_data_size":%d}}],"parameters":{"binary_data_output":true}}`,
					datatype, 1+turn%3, len(data))
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if turn%5 == caller%5 {
					ctx, cancel = context.WithTimeout(ctx, time.Duration(turn)*2*time.Microsecond)
				}
				req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v2/models/"+name+"/infer", strings.NewReader(header+data))
				req.Header.Set(servetest.HeaderLength, strconv.Itoa(len(header)))
				w := servetest.Record(h, req)
				gone := ctx.Err() != nil
				cancel()
				if !(w.Code == http.StatusOK && strings.HasSuffix(w.Body.String(), "}"+data) || gone && w.Code == http.StatusGatewayTimeout) {
					t.Errorf("caller %d, turn %d: %d %.200q", caller, turn, w.Code, w.Body)
				}
			}
		})
	}
	callers.Wait()
}

//go:build linux

package isolated

import (
	"bufio"
	"bytes"
	"testing"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// FuzzHear has a parent hear what a child could send: it never panics, and takes no more than it is sent.
func FuzzHear(f *testing.F) {
	for _, l := range lies {
		f.Add(l.bytes)
	}
	f.Add(result(1, heads(0, float32Type, 1, 4, 1), 0, 0, 128, 63))
	f.Add(frame{kind: kindFailed, more: true, id: 1, meta: appendFault(nil, faultMemory, "no memory")}.head())
	f.Fuzz(func(t *testing.T, sent []byte) {
		outputs := fakeSession{}.Outputs()
		s := &session{most: 1 << 30, pending: map[uint64]*pending{}}
		one, p := s.begin(outputs, []int{0})
		_, _ = s.begin(outputs, []int{1, 2})
		r := bufio.NewReader(bytes.NewReader(sent))
		for s.next(r) == nil {
		}
		select {
		case got := <-p.answer:
			if got.err != nil {
				return
			}
			y := got.out.tensors[0]
			if len(got.out.tensors) != 1 || y.DType() != tensor.Float32 || y.Check() != nil || y.Size() > int64(len(sent)) {
				t.Errorf("run %d is answered with %v", one, got.out)
			}
		default:
		}
	})
}

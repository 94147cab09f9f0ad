package oip

import (
	"testing"

	pb "github.com/forgo-ml/forgo/internal/oippb"
)

// A format is said only where the sizes leave no doubt which is the channels'.
func TestFormat(t *testing.T) {
	for _, c := range []struct {
		dims []int64
		want pb.ModelInput_Format
	}{
		{[]int64{224, 224, 3}, pb.ModelInput_FORMAT_NHWC},
		{[]int64{-1, -1, 3}, pb.ModelInput_FORMAT_NHWC},
		{[]int64{1, 28, 28}, pb.ModelInput_FORMAT_NCHW},
		{[]int64{3, -1, -1}, pb.ModelInput_FORMAT_NCHW},
		{[]int64{3, 32, 3}, pb.ModelInput_FORMAT_NONE},
		{[]int64{-1, -1, -1}, pb.ModelInput_FORMAT_NONE},
		{[]int64{28, 3}, pb.ModelInput_FORMAT_NONE},
		{[]int64{4}, pb.ModelInput_FORMAT_NONE},
		{nil, pb.ModelInput_FORMAT_NONE},
	} {
		if got := format(c.dims); got != c.want {
			t.Errorf("%v: %v, want %v", c.dims, got, c.want)
		}
	}
}

// Package preprocess resizes decoded pictures for a model exactly as the graphs do that forgo writes:
// preprocess.onnx in a bundle.
//
// The graph is the definition. If a bundle's graph is, byte for byte, the one for its rules ([Rules.Is]),
// a [Kernel] computes the same in Go: faster, and in a known amount of memory. The replay of golden cases
// uses the same of the two as callers do.
package preprocess

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Rules say how to resize a picture.
type Rules struct {
	Height, Width int
	Channels      int    // 3, or 1: grey
	Resize        string // a key of filters
	Fit           string // stretch, crop, shorter-side or pad
	ShorterSide   int    // of shorter-side
	PadColour     [3]uint8
}

// Kernel prepares pictures. It is safe for concurrent use.
type Kernel struct {
	rules  Rules
	filter filter
}

// New returns a kernel for rules that [Rules.Is] knows.
func New(r Rules) (*Kernel, error) {
	f, known := filters[r.Resize]
	if !known || !slices.Contains([]string{"stretch", "crop", "shorter-side", "pad"}, r.Fit) || r.Height < 1 || r.Width < 1 ||
		r.Channels != 1 && r.Channels != 3 {
		return nil, fmt.Errorf("no kernel implements the rules %+v", r)
	}
	return &Kernel{rules: r, filter: f}, nil
}

// Shape returns the shape of Run's result.
func (k *Kernel) Shape() []int64 {
	return []int64{int64(k.rules.Height), int64(k.rules.Width), int64(k.rules.Channels)}
}

// ErrTooLong is wrapped by the error of Run for a picture that is too long and thin for the rules.
var ErrTooLong = errors.New("the picture is too long and thin")

// longestAxis bounds an axis after resizing, in pixels, where they are counted one by one.
const longestAxis = 1 << 26

// Memory returns the most memory that Run takes apart from a picture of the size, in bytes.
func (k *Kernel) Memory(width, height int) int64 {
	rows, columns := k.rules.fit(height, width)
	n := 4 * int64(k.rules.Height) * int64(k.rules.Width) * int64(k.rules.Channels)
	if k.rules.Channels == 1 {
		n += int64(height) * int64(width)
	}
	return n + k.filter.memory(rows) + k.filter.memory(columns) + k.filter.work(rows, columns, width, k.rules.Channels)
}

// Run converts a picture of three bytes for each pixel, in rows, to the model's input: [height, width,
// channels] with values from 0 to 255. If ctx ends, Run returns early with its error.
func (k *Kernel) Run(ctx context.Context, pix []byte, width, height int) ([]float32, error) {
	r := &k.rules
	rows, columns := r.fit(height, width)
	if k.filter.steps && max(rows.total, columns.total) > longestAxis {
		return nil, fmt.Errorf("%w: %d x %d pixels become %d x %d by the model's rules (limit %d a side)",
			ErrTooLong, width, height, columns.total, rows.total, longestAxis)
	}
	channels := r.Channels
	if channels == 1 {
		pix = grey(pix)
	}
	out := make([]float32, r.Height*r.Width*channels)
	if rows.wanted() < r.Height || columns.wanted() < r.Width {
		ground := r.PadColour[:]
		if channels == 1 {
			ground = grey(ground)
		}
		for i := range out {
			out[i] = float32(ground[i%channels])
		}
	}
	if rows.wanted() == 0 || columns.wanted() == 0 {
		return out, nil
	}
	p := picture{pix: pix, stride: width * channels, channels: channels}
	o := output{values: out[(rows.at*r.Width+columns.at)*channels:], stride: r.Width * channels}
	if err := k.filter.run(ctx, p, o, rows, columns); err != nil {
		return nil, err
	}
	return out, nil
}

// picture is the input of resizing. output says where the wanted pixels go.
type (
	picture struct {
		pix      []byte
		stride   int // bytes from row to row
		channels int
	}
	output struct {
		values []float32
		stride int
	}
)

func (p picture) row(y int) []byte   { return p.pix[y*p.stride : (y+1)*p.stride : (y+1)*p.stride] }
func (o output) row(y int) []float32 { return o.values[y*o.stride:] }

// grey weights the colours like Pillow's convert("L").
func grey(pix []byte) []byte {
	out := make([]byte, len(pix)/3)
	for i := range out {
		p := pix[3*i : 3*i+3 : 3*i+3]
		out[i] = byte((19595*uint32(p[0]) + 38470*uint32(p[1]) + 7471*uint32(p[2]) + 1<<15) >> 16)
	}
	return out
}

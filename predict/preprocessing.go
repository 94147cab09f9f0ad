package predict

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/pixels"
	"github.com/forgo-ml/forgo/predict/preprocess"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// preprocessing runs a model's preprocessing graph: a kernel does if the graph is the one that the
// bundle's rules give, otherwise an engine.
type preprocessing struct {
	kernel        *preprocess.Kernel // nil where an engine runs the graph
	height, width int64              // of the model's input, as far as they are known
}

// openPreprocessing reads the graph, and opens it unless a kernel replaces it.
func (m *Model) openPreprocessing(ctx context.Context, b *bundle.Bundle, c *choice, o SessionOptions) error {
	p := m.manifest.Picture
	data, err := b.ReadFile(p.Preprocess)
	if err != nil {
		return err
	}
	spec := m.manifest.PictureInput()
	if len(spec.Shape) > 0 && !slices.Contains(spec.Shape[1:], -1) {
		n, _ := tensor.Count(spec.Shape[1:]) // the graph has just been opened with it
		m.batcher.RowBytes = n * int64(spec.ElementSize())
		if len(spec.Shape) == 4 {
			m.preprocessing.height, m.preprocessing.width = spec.Shape[1], spec.Shape[2]
			m.preprocessing.kernel = kernelFor(p, spec, data)
		}
	}
	if m.preprocessing.kernel != nil {
		return nil
	}
	// One thread: concurrent callers already use the other cores.
	o.Threads = 1
	s, err := c.open(ctx, b, bundle.PreprocessEngine, p.Preprocess, func(e Engine) (engines.Session, error) {
		s, err := openSession(ctx, e, Graph{Path: p.Preprocess, Data: data}, o)
		if err == nil {
			if err = matchPreprocess(s); err != nil {
				_ = s.Close()
			}
		}
		if err != nil {
			return nil, &bundle.Error{Bundle: b.Path, File: p.Preprocess, Err: err}
		}
		return s, nil
	}, func() ([]trial, error) { return m.pictureTrials(ctx, b) })
	if err != nil {
		return err
	}
	m.graphs.Load().preprocess = s
	return nil
}

// kernelFor returns the kernel that computes the same as a bundle's graph, or nil. It trusts the bundle's
// description only if the graph's bytes are the ones that it gives.
func kernelFor(p *bundle.Picture, input tensor.Spec, graph []byte) *preprocess.Kernel {
	if p.Rules == nil || input.DType != tensor.Float32 {
		return nil
	}
	r := preprocess.Rules{
		Height: int(input.Shape[1]), Width: int(input.Shape[2]), Channels: int(input.Shape[3]),
		Resize: p.Rules.Resize, Fit: p.Rules.Fit, ShorterSide: p.Rules.ShorterSide,
	}
	if len(p.Rules.PadColour) == 3 {
		for i, v := range p.Rules.PadColour {
			r.PadColour[i] = uint8(v)
		}
	}
	if r.Height > pixels.MaxPixels/max(r.Width, 1) || !r.Is(graph) {
		return nil
	}
	k, err := preprocess.New(r)
	if err != nil {
		return nil
	}
	return k
}

func matchPreprocess(s engines.Session) error {
	in, out := s.Inputs(), s.Outputs()
	if len(in) != 1 || len(out) != 1 || in[0].DType != tensor.Uint8 || len(in[0].Shape) != 3 {
		return errors.New("a preprocessing graph needs one input, uint8 [height, width, 3], and one output")
	}
	return nil
}

// memory returns the most that preprocessing takes for a stored picture of a size, without the picture
// itself, in bytes. It counts both orientations, since the picture may be turned upright.
func (p preprocessing) memory(width, height int) int64 {
	if p.kernel != nil {
		return max(p.kernel.Memory(width, height), p.kernel.Memory(height, width))
	}
	return max(p.ofEngine(int64(height), int64(width)), p.ofEngine(int64(width), int64(height)))
}

// ofEngine estimates the memory of an arbitrary graph that resizes: ten floats for each pixel, and the
// intermediate result of filters that take one axis after the other.
func (p preprocessing) ofEngine(h, w int64) int64 {
	const overhead = 8 << 20 // of the engine, whatever the size
	return overhead + 40*h*w + 64*p.height*p.width + 96*(p.height*w+h*p.width) + 2048*(h+w+p.height+p.width)
}

// preprocessed converts a decoded picture to the model's input.
func (m *Model) preprocessed(ctx context.Context, img pixels.RGB) (Tensors, error) {
	var made Tensor
	var err error
	if k := m.preprocessing.kernel; k != nil {
		err = m.bounds.within(ctx, func(ctx context.Context) error {
			data, err := k.Run(ctx, img.Pix, img.Width, img.Height)
			made = Tensor{Shape: k.Shape(), Data: data}
			return err
		})
	} else {
		g := m.graphs.Load()
		made, err = m.preprocessedIn(ctx, g.preprocess, img)
		err = m.replaced(g, err)
	}
	switch {
	case errors.Is(err, preprocess.ErrTooLong):
		return nil, inputError{err}
	case err != nil:
		return nil, fmt.Errorf("preprocess: %w", err)
	}
	return Tensors{m.manifest.Picture.Input: made.Batch()}, nil
}

// preprocessedIn converts it with a graph.
func (m *Model) preprocessedIn(ctx context.Context, s engines.Session, img pixels.RGB) (Tensor, error) {
	in, out := s.Inputs()[0].Name, s.Outputs()[0].Name
	picture := Tensor{Shape: []int64{int64(img.Height), int64(img.Width), 3}, Data: img.Pix}
	results, err := m.bounds.run(ctx, s, Tensors{in: picture}, []string{out})
	return results[out], err
}

package predict

// The trials that engines are compared by: runs of golden cases.

import (
	"context"

	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/pixels"
)

// trials returns a run of the first golden case alone and, if the graph takes any number of rows, one of
// the first few together. It returns none for a bundle without cases.
func (m *Model) trials(b *bundle.Bundle) ([]trial, error) {
	var cases []golden
	for _, c := range m.manifest.Golden.Cases[:min(replayBatch, len(m.manifest.Golden.Cases))] {
		g, err := b.ReadCase(c)
		if err != nil {
			return nil, err
		}
		cases = append(cases, g)
	}
	if len(cases) == 0 {
		return nil, nil
	}
	run := func(in Tensors, rows int) trial {
		return func(ctx context.Context, s engines.Session) error {
			_, err := m.computeIn(ctx, s, in, rows)
			return err
		}
	}
	all := []trial{run(cases[0].Inputs, 1)}
	if together, err := bundle.Stack(cases); err == nil && len(cases) > 1 && m.freeRows() {
		all = append(all, run(together, len(cases)))
	}
	return all, nil
}

// pictureTrials returns a run of the preprocessing graph on the first case's picture. It returns none if
// that cannot be decoded; the replay reports why.
func (m *Model) pictureTrials(ctx context.Context, b *bundle.Bundle) ([]trial, error) {
	if len(m.manifest.Golden.Cases) == 0 {
		return nil, nil
	}
	g, err := b.ReadCase(m.manifest.Golden.Cases[0])
	if err != nil {
		return nil, err
	}
	img, err := pixels.Decode(ctx, g.Picture, m.decode)
	if err != nil {
		return nil, ctx.Err()
	}
	return []trial{func(ctx context.Context, s engines.Session) error {
		_, err := m.preprocessedIn(ctx, s, img)
		return err
	}}, nil
}

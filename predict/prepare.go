package predict

// From a client's bytes to the model's inputs.

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/pixels"
)

// Prepare converts an encoded picture or a JSON row to the model's inputs, with a batch of one. If the
// model takes a picture beside other inputs, raw is a row that contains the picture: see
// [payload.Reader.Row].
func (m *Model) Prepare(ctx context.Context, raw []byte) (Tensors, error) {
	in, _, err := m.prepare(ctx, raw)
	return in, err
}

// prepare is like Prepare. It also returns how long decoding and preprocessing took, even if the call
// fails.
func (m *Model) prepare(ctx context.Context, raw []byte) (in Tensors, took serving.Timing, err error) {
	start := time.Now()
	if m.manifest.PictureAlone() {
		return m.preparePicture(ctx, raw)
	}
	in, picture, err := payload.ParseRow(raw, m.row)
	took.Decode = time.Since(start)
	if err != nil {
		return nil, took, inputError{err}
	}
	if m.manifest.Picture == nil {
		return in, took, nil
	}
	made, times, err := m.preparePicture(ctx, picture)
	took.Decode, took.Preprocess = took.Decode+times.Decode, times.Preprocess
	if err != nil {
		return nil, took, err
	}
	maps.Copy(in, made)
	return in, took, nil
}

// preparePicture converts one encoded picture to the input that takes it, with a batch of one. It also
// returns how long decoding and preprocessing took.
func (m *Model) preparePicture(ctx context.Context, raw []byte) (in Tensors, took serving.Timing, err error) {
	start, memory := time.Now(), int64(0)
	leave := func() {}
	defer func() {
		m.batcher.Budget.GiveBack(memory)
		leave()
	}()
	o := m.decode
	o.Reserve = func(bytes int64, width, height int) error {
		// More memory is not waited for: others may wait for what this picture holds.
		if memory > 0 {
			if err := m.batcher.Budget.More(memory, bytes); err != nil {
				return err
			}
			memory += bytes
			return nil
		}
		gate := decoder(width, height)
		if err := gate.enter(ctx); err != nil {
			return err
		}
		leave = gate.leave
		bytes += m.preprocessing.memory(width, height)
		if err := m.batcher.Budget.Wait(ctx, bytes); err != nil {
			return err
		}
		memory, start = bytes, time.Now()
		return nil
	}
	img, err := pixels.Decode(ctx, raw, o)
	decoded := time.Now()
	took.Decode = decoded.Sub(start)
	switch {
	case errors.Is(err, ErrBusy), ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return nil, took, fmt.Errorf("decode picture: %w", err)
	case err != nil:
		return nil, took, inputError{err}
	}
	in, err = m.preprocessed(ctx, img)
	took.Preprocess = time.Since(decoded)
	// The kernel is done with the pixels; an engine may not be.
	if err == nil && m.preprocessing.kernel != nil {
		img.Recycle()
	}
	return in, took, err
}

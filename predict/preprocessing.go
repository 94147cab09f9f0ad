package predict

import (
	"strings"

	"github.com/forgo-ml/forgo/predict/bundle"
)

// preprocessing knows how much memory a model's preprocessing graph takes for a picture.
type preprocessing struct {
	rules         *bundle.Rules // nil of bundles that do not say them
	height, width int64         // of the model's input
}

// memory is the most that the graph takes for a stored picture of a size, beside it, in bytes.
// A picture may be turned upright first, so both ways round are counted.
func (p preprocessing) memory(width, height int) int64 {
	w, h := int64(width), int64(height)
	return max(p.upright(h, w), p.upright(w, h))
}

// upright follows what src/forgo/_resample.py builds: see there.
func (p preprocessing) upright(h, w int64) int64 {
	const (
		overhead = 8 << 20 // of the engine, whatever the size
		block    = 256     // rows that one of Pillow's filters turns at once
		index    = 8       // int64 and double
	)
	if p.rules == nil { // ONNX's Resize, which takes floats; antialiased, in another layout
		return overhead + 40*h*w
	}
	resize := p.rules.Resize
	made := 64 * p.height * p.width // 3 channels, a few floats of each at a time
	total := overhead + made
	places := int64(0) // of the longest axis, once it is resized whole
	if p.rules.Fit == "shorter-side" {
		places = int64(p.rules.ShorterSide) * max(h/w, w/h, 1)
	}
	taps := 16 * index * (12*max(h, w) + 12*max(p.height, p.width)) // 5 on either side at most, times the widening
	switch {
	case strings.HasPrefix(resize, "nearest"):
		return total + 3*p.height*w + 4*index*(places+p.height+p.width)
	case resize == "bilinear", resize == "bilinear-tf1":
		return total + 3*p.height*w*6
	case strings.HasSuffix(resize, "-pillow"):
		rowsFirst := 3 * p.height * w * 16
		columnsFirst := 3*min(block, h)*w*3 + 3*block*p.width*16 + 3*(h+block)*p.width*3
		return total + taps + max(rowsFirst, columnsFirst)
	}
	return total + taps + 3*p.height*w*24
}

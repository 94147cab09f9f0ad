package pure

// The windows of Conv and the pooling operators.

import (
	"errors"
	"fmt"
)

// maxWindow bounds the dimensions of a window.
const maxWindow = 3

// window says how a kernel moves over the dimensions after batch and channel.
type window struct {
	rank                   int
	kernel, stride, dilate [maxWindow]int64
	before, after          [maxWindow]int64
	auto                   string
	ceil                   bool
}

// readWindow reads the settings. kernel is nil if the weights determine it.
func readWindow(s *settings, kernel []int64) (*window, error) {
	w := &window{auto: s.text("auto_pad", "NOTSET")}
	strides, dilations, pads := s.integers("strides"), s.integers("dilations"), s.integers("pads")
	w.rank = max(len(kernel), len(strides), len(dilations), len(pads)/2)
	if kernel != nil {
		w.rank = len(kernel)
	}
	if w.rank > maxWindow {
		return nil, fmt.Errorf("windows of %d dimensions are not supported (limit %d)", w.rank, maxWindow)
	}
	for i := range maxWindow {
		w.kernel[i], w.stride[i], w.dilate[i] = 1, 1, 1
	}
	for _, setting := range []struct {
		what string
		from []int64
		to   *[maxWindow]int64
	}{{"kernel_shape", kernel, &w.kernel}, {"strides", strides, &w.stride}, {"dilations", dilations, &w.dilate}} {
		if setting.from != nil && len(setting.from) != w.rank {
			return nil, fmt.Errorf("its %s %v do not fit %d dimensions", setting.what, setting.from, w.rank)
		}
		for i, x := range setting.from {
			if x < 1 || x > 1<<20 {
				return nil, fmt.Errorf("its %s %v are not supported", setting.what, setting.from)
			}
			setting.to[i] = x
		}
	}
	if pads != nil {
		if len(pads) != 2*w.rank || w.auto != "NOTSET" {
			return nil, fmt.Errorf("its pads %v do not fit %d dimensions", pads, w.rank)
		}
		for i := range w.rank {
			w.before[i], w.after[i] = pads[i], pads[w.rank+i]
			if w.before[i] < 0 || w.after[i] < 0 || w.before[i] > 1<<20 || w.after[i] > 1<<20 {
				return nil, fmt.Errorf("its pads %v are not supported", pads)
			}
		}
	}
	switch w.auto {
	case "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID":
	default:
		return nil, fmt.Errorf("its auto_pad %q is not supported", w.auto)
	}
	return w, nil
}

// over fits the window to the sizes of a picture: its pads and how many steps it takes.
func (w *window) over(sizes []int64) (fit window, steps [maxWindow]int64, err error) {
	fit = *w
	if len(sizes) != w.rank {
		return fit, steps, fmt.Errorf("%d dimensions for windows of %d", len(sizes), w.rank)
	}
	for i, n := range sizes {
		reach := (w.kernel[i]-1)*w.dilate[i] + 1
		if w.auto == "SAME_UPPER" || w.auto == "SAME_LOWER" {
			steps[i] = (n + w.stride[i] - 1) / w.stride[i]
			pad := max(0, (steps[i]-1)*w.stride[i]+reach-n)
			fit.before[i] = pad / 2
			if w.auto == "SAME_LOWER" {
				fit.before[i] = pad - pad/2
			}
			fit.after[i] = pad - fit.before[i]
			continue
		}
		room := n + fit.before[i] + fit.after[i] - reach
		if room < 0 {
			return fit, steps, errors.New("its window is larger than its input")
		}
		steps[i] = room/w.stride[i] + 1
		if w.ceil && room%w.stride[i] != 0 {
			// A window that starts beyond the picture does not count.
			if steps[i]*w.stride[i] < n+fit.before[i] {
				steps[i]++
			}
		}
	}
	return fit, steps, nil
}

// positions calls visit with the offset in a plane of each element under the window at a place. What lies
// outside the plane costs nothing, however large the window.
func (w *window) positions(sizes []int64, at [maxWindow]int64, visit func(offset int64)) {
	var start, first, last [maxWindow]int64
	for i := range w.rank {
		start[i] = at[i]*w.stride[i] - w.before[i]
		first[i] = (max(0, -start[i]) + w.dilate[i] - 1) / w.dilate[i]
		last[i] = min(w.kernel[i]-1, (sizes[i]-1-start[i])/w.dilate[i])
		if start[i] >= sizes[i] || first[i] > last[i] {
			return
		}
	}
	for k := first; ; {
		offset := int64(0)
		for i := range w.rank {
			offset = offset*sizes[i] + start[i] + k[i]*w.dilate[i]
		}
		visit(offset)
		i := w.rank - 1
		for ; i >= 0; i-- {
			if k[i]++; k[i] <= last[i] {
				break
			}
			k[i] = first[i]
		}
		if i < 0 {
			return
		}
	}
}

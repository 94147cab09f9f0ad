package preprocess

import "math"

// axis is one axis of a picture, with its size after resizing and the part of it that is wanted.
type axis struct {
	start, have int // the part of the picture that is resized
	total       int // pixels that it is resized to
	first, last int // of these, wanted: from first to before last
	at          int // where the first one goes in the output
}

func (a axis) wanted() int { return a.last - a.first }

// fit returns how a picture's rows and columns fit the rules' size, like _fitted in
// src/forgo/_preprocess.py.
func (r *Rules) fit(height, width int) (rows, columns axis) {
	have, size := [2]int{height, width}, [2]int{r.Height, r.Width}
	var axes [2]axis
	for side := range axes {
		axes[side] = axis{have: have[side], total: size[side], last: size[side]}
	}
	switch r.Fit {
	case "crop":
		for side := range axes {
			a := &axes[side]
			a.have = min(max(have[1-side]*size[side]/size[1-side], 1), have[side])
			a.start = (have[side] - a.have) / 2
		}
	case "shorter-side":
		for side := range axes {
			a := &axes[side]
			a.total = r.ShorterSide
			if have[side] > have[1-side] {
				a.total = r.ShorterSide * have[side] / have[1-side]
			}
			a.first = half(a.total - size[side])
			a.last = a.first + size[side]
		}
	case "pad":
		ratio, target := float64(width)/float64(height), float64(size[1])/float64(size[0])
		for side, tight := range [2]bool{ratio > target, ratio < target} {
			a := &axes[side]
			if tight {
				share := float64(have[side]) / float64(have[1-side])
				a.total = int(math.RoundToEven(share * float64(size[1-side])))
			}
			a.at = half(size[side] - a.total)
			a.last = min(a.total, size[side]-a.at)
		}
	}
	return axes[0], axes[1]
}

// half returns half of whole, rounded to even like Python's round.
func half(whole int) int { return int(math.RoundToEven(float64(whole) * 0.5)) }

package preprocess

import "math"

// taps say which pixels make up each wanted pixel of an axis, as weighted sums.
type taps[W int32 | float32] struct {
	ends      []int32 // the end of each pixel's taps in the lists below
	positions []int32 // in the picture
	weights   []W
}

// of returns the taps of one wanted pixel.
func (t *taps[W]) of(i int) (positions []int32, weights []W) {
	from := int32(0)
	if i > 0 {
		from = t.ends[i-1]
	}
	to := t.ends[i]
	return t.positions[from:to:to], t.weights[from:to:to]
}

func (t *taps[W]) add(place int, weight W) {
	t.positions = append(t.positions, int32(place))
	t.weights = append(t.weights, weight)
}

func (t *taps[W]) end() { t.ends = append(t.ends, int32(len(t.weights))) }

// span returns the part of the picture that the taps use.
func (t *taps[W]) span() (from, to int) {
	from = math.MaxInt
	for _, p := range t.positions {
		from, to = min(from, int(p)), max(to, int(p)+1)
	}
	return from, to
}

func newTaps[W int32 | float32](a axis, most float64) taps[W] {
	n := a.wanted()
	return taps[W]{ends: make([]int32, 0, n), positions: make([]int32, 0, n*int(most)), weights: make([]W, 0, n*int(most))}
}

// reach returns the largest number of taps of a pixel, for a filter whose support widens when the picture
// shrinks.
func (a axis) reach(support float64) float64 {
	return math.Ceil(2*support*max(float64(a.have)/float64(max(a.total, 1)), 1)) + 2
}

// Pillow's filters, in double precision and under Pillow's names. Here and below, products are converted
// before they are added. Otherwise the language allows fused operations, which round once where the graph
// rounds twice.

// weightBits is the number of fraction bits of Pillow's weights.
const weightBits = 22

func pillowTaps(a axis, support float64, kernel func(float64) float64) taps[int32] {
	scale := float64(a.have) / float64(a.total)
	widened := max(scale, 1)
	reach := widened * support
	t := newTaps[int32](a, a.reach(support))
	var weights []float64
	for place := a.first; place < a.last; place++ {
		centre := (float64(place) + 0.5) * scale
		first := max(int(centre-reach+0.5), 0)
		last := min(int(centre+reach+0.5), a.have)
		weights = weights[:0]
		total := 0.0
		for p := first; p < last; p++ {
			w := kernel((float64(p) - centre + 0.5) * (1 / widened))
			weights = append(weights, w)
			total += w
		}
		if total == 0 {
			total = 1
		}
		for i, w := range weights {
			w /= total
			rounding := 0.5
			if w < 0 {
				rounding = -0.5
			}
			t.add(a.start+first+i, int32(float64(w*(1<<weightBits))+rounding))
		}
		t.end()
	}
	return t
}

func pillowBox(x float64) float64 {
	if x > -0.5 && x <= 0.5 {
		return 1
	}
	return 0
}

func pillowTriangle(x float64) float64 { return max(1-math.Abs(x), 0) }

func pillowHamming(x float64) float64 {
	x = math.Abs(x)
	if x == 0 {
		return 1
	}
	if x >= 1 {
		return 0
	}
	x *= math.Pi
	return math.Sin(x) / x * (float64(math.Cos(x)*float64(float32(0.46))) + float64(float32(0.54)))
}

func pillowCubic(x float64) float64 {
	const a = -0.5
	switch x = math.Abs(x); {
	case x < 1:
		return float64((float64((a+2)*x)-(a+3))*x*x) + 1
	case x < 2:
		return (float64((float64((x-5)*x)+8)*x) - 4) * a
	}
	return 0
}

func pillowLanczos(x float64) float64 {
	sinc := func(x float64) float64 {
		if x == 0 {
			return 1
		}
		x *= math.Pi
		return math.Sin(x) / x
	}
	if x >= -3 && x < 3 {
		return sinc(x) * sinc(x/3)
	}
	return 0
}

// Filters in single precision.

// scale returns how many pixels a wanted pixel stands for.
func (a axis) scale() float32 { return float32(a.have) / float32(a.total) }

// spanTaps is TensorFlow's ScaleAndTranslate: if antialiased, the kernel widens when the picture shrinks.
func spanTaps(a axis, radius float32, antialias bool, kernel func(float32) float32) taps[float32] {
	enlarged := float32(a.total) / float32(a.have)
	scale := float32(1 / float64(enlarged))
	widened := float32(1)
	if antialias {
		widened = max(scale, 1)
	}
	reach := widened * radius
	t := newTaps[float32](a, a.reach(float64(radius)))
	for place := a.first; place < a.last; place++ {
		sample := (float32(place) + 0.5) * scale
		first := clamp(ceil(sample-reach-0.5), a.have)
		last := clamp(floor(sample+reach-0.5), a.have)
		from := len(t.weights)
		for p := first; p <= last; p++ {
			distance := float32(math.Abs(float64((float32(p) + 0.5 - sample) / widened)))
			w := float32(0)
			if distance <= radius {
				w = kernel(distance)
			}
			t.add(a.start+p, w)
		}
		normalize(t.weights[from:])
		t.end()
	}
	return t
}

func clamp(p, have int) int { return min(max(p, 0), have-1) }

func floor(x float32) int { return int(math.Floor(float64(x))) }
func ceil(x float32) int  { return int(math.Ceil(float64(x))) }

func normalize(weights []float32) {
	total := 0.0
	for _, w := range weights {
		total += float64(w)
	}
	for i := range weights {
		weights[i] /= float32(total)
	}
}

func triangle(x float32) float32 { return 1 - x }

// cubic is Keys's kernel with a = -0.5, evaluated in TensorFlow's order.
func cubic(x float32) float32 {
	if x >= 1 {
		far := float32(-0.5*x) + 2.5
		return float32((float32(far*x)-4)*x) + 2
	}
	return float32((float32(1.5*x)-2.5)*x*x) + 1
}

func lanczosOf(radius float64) func(float32) float32 {
	return func(f float32) float32 {
		x := float64(f)
		if x <= float64(float32(1e-3)) {
			return 1
		}
		x *= math.Pi
		return float32(math.Sin(x) * math.Sin(x/radius) * radius / float64(x*x))
	}
}

// fourTaps are cubic, two on either side. TensorFlow's look weights up in steps of 1/1024 and omit what
// lies outside; PyTorch's repeat the edge.
func fourTaps(a axis, factor float64, table bool) taps[float32] {
	c := float32(factor)
	two, three := float32(factor+2), float32(factor+3)
	t := newTaps[float32](a, 4)
	scale := a.scale()
	for place := a.first; place < a.last; place++ {
		at := float32((float32(place)+0.5)*scale) - 0.5
		below := floor(at)
		share := at - float32(below)
		if table {
			share = float32(math.RoundToEven(float64(share*1024))) / 1024
		}
		from := len(t.weights)
		for offset := -1; offset <= 2; offset++ {
			x := float32(math.Abs(float64(share - float32(offset))))
			w := float32(float32((float32(two*x)-three)*x)*x) + 1
			if x > 1 {
				w = (float32((float32((x-5)*x)+8)*x) - 4) * c
			}
			p := clamp(below+offset, a.have)
			if table && p != below+offset {
				w = 0
			}
			t.add(a.start+p, w)
		}
		if table {
			normalize(t.weights[from:])
		}
		t.end()
	}
	return t
}

// areaTaps weight each pixel by how much of it lies under the wanted one.
func areaTaps(a axis) taps[float32] {
	t := newTaps[float32](a, a.reach(0.5))
	scale := a.scale()
	for place := a.first; place < a.last; place++ {
		begin, end := float32(place)*scale, (float32(place)+1)*scale
		first := floor(begin)
		for p := first; p < ceil(end); p++ {
			left, right := float32(p), float32(p)+1
			over := float32(1)
			switch {
			case left >= end:
				over = 0
			case left < begin && right > end:
				over = scale
			case left < begin:
				over = right - begin
			case right > end:
				over = end - left
			}
			t.add(a.start+clamp(p, a.have), over/scale)
		}
		t.end()
	}
	return t
}

// Single pixels.

// nearestPillow adds steps in double precision, starting from half a step.
func nearestPillow(a axis) []int {
	step := float64(a.have) / float64(a.total)
	positions := make([]int, 0, a.wanted())
	at := step * 0.5
	for i := range a.last {
		if i > 0 {
			at += step
		}
		if i >= a.first {
			positions = append(positions, a.start+min(int(at), a.have-1))
		}
	}
	return positions
}

// nearestTF takes the pixel that contains the centre, in single precision.
func nearestTF(a axis) []int {
	positions := make([]int, 0, a.wanted())
	for place := a.first; place < a.last; place++ {
		positions = append(positions, a.start+min(floor((float32(place)+0.5)*a.scale()), a.have-1))
	}
	return positions
}

// between holds the two neighbours of a point, and its distance from the first.
type between struct {
	lower, upper int
	share        float32
}

func betweens(a axis, halfPixel bool) []between {
	made := make([]between, 0, a.wanted())
	scale := a.scale()
	for place := a.first; place < a.last; place++ {
		at := float32(place) * scale
		if halfPixel {
			at = float32((float32(place)+0.5)*scale) - 0.5
		}
		below := floor(at)
		made = append(made, between{
			lower: a.start + max(below, 0),
			upper: a.start + min(ceil(at), a.have-1),
			share: at - float32(below),
		})
	}
	return made
}

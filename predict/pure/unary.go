package pure

// Operators of one input, element by element.

import "math"

// loops holds an operator's loop for each element type, or nil if it has none.
type loops struct {
	f32 func(y, x []float32)
	f64 func(y, x []float64)
	i64 func(y, x []int64)
	i32 func(y, x []int32)
	i8  func(y, x []int8)
	u8  func(y, x []uint8)
}

func (l *loops) apply(out, in *value) error {
	switch x := in.data.(type) {
	case *[]float32:
		return each1(out, in, *x, l.f32)
	case *[]float64:
		return each1(out, in, *x, l.f64)
	case *[]int64:
		return each1(out, in, *x, l.i64)
	case *[]int32:
		return each1(out, in, *x, l.i32)
	case *[]int8:
		return each1(out, in, *x, l.i8)
	case *[]uint8:
		return each1(out, in, *x, l.u8)
	}
	return unsupported(in)
}

func each1[T number](out, in *value, x []T, loop func(y, x []T)) error {
	if loop == nil {
		return unsupported(in)
	}
	y, err := allocate[T](out, in.shape...)
	if err == nil {
		loop(y, x)
	}
	return err
}

func unaryOp(since int, l *loops) operator {
	return operator{since: since, inputs: [2]int{1, 1}, outputs: 1, inPlace: true, prepare: func(n *node) (kernel, error) {
		n.loops = l
		return func(in, out []*value) error { return l.apply(out[0], in[0]) }, n.settings().end()
	}}
}

func loopOf[T number](f func(T) T) func(y, x []T) {
	return func(y, x []T) {
		for i, v := range x {
			y[i] = f(v)
		}
	}
}

// floatLoops returns the loops of a function on floats.
func floatLoops(f32 func(float32) float32, f64 func(float64) float64) *loops {
	return &loops{f32: loopOf(f32), f64: loopOf(f64)}
}

// narrow returns a function that computes f on float32 numbers in float64.
func narrow(f func(float64) float64) func(float32) float32 {
	return func(x float32) float32 { return float32(f(float64(x))) }
}

func negate[T number](x T) T { return -x }

func absolute[T number](x T) T {
	if x < 0 {
		return -x
	}
	return x
}

func sign[T number](x T) T {
	switch {
	case x > 0:
		return 1
	case x < 0:
		var minus T
		return minus - 1
	}
	return x
}

func relu[T number](y, x []T) {
	for i, v := range x {
		if v < 0 {
			v = 0
		}
		y[i] = v
	}
}

// relu32 is relu, eight elements at a time where there are vectors.
func relu32(y, x []float32) {
	n := 0
	if hasVectors && len(x) >= 8 {
		n = len(x) &^ 7
		_ = y[n-1]
		rectify(&y[0], &x[0], n)
	}
	relu(y[n:], x[n:])
}

// sigmoid does not overflow.
func sigmoid64(x float64) float64 {
	if x < 0 {
		e := math.Exp(x)
		return e / (1 + e)
	}
	return 1 / (1 + math.Exp(-x))
}

func softplus64(x float64) float64 {
	if x > 0 {
		return x + math.Log1p(math.Exp(-x))
	}
	return math.Log1p(math.Exp(x))
}

func softsign64(x float64) float64   { return x / (1 + math.Abs(x)) }
func reciprocal64(x float64) float64 { return 1 / x }
func reciprocal32(x float32) float32 { return 1 / x }

var (
	absLoops  = &loops{loopOf(abs32), loopOf(math.Abs), loopOf(absolute[int64]), loopOf(absolute[int32]), loopOf(absolute[int8]), loopOf(absolute[uint8])}
	negLoops  = &loops{loopOf(negate[float32]), loopOf(negate[float64]), loopOf(negate[int64]), loopOf(negate[int32]), loopOf(negate[int8]), nil}
	signLoops = &loops{loopOf(sign[float32]), loopOf(sign[float64]), loopOf(sign[int64]), loopOf(sign[int32]), loopOf(sign[int8]), loopOf(sign[uint8])}
	reluLoops = &loops{relu32, relu[float64], relu[int64], relu[int32], relu[int8], nil}

	ceil64, floor64, round64 = math.Ceil, math.Floor, math.RoundToEven
	exp64, log64, sqrt64     = math.Exp, math.Log, math.Sqrt
	tanh64, erf64            = math.Tanh, math.Erf
	cos64, sin64             = math.Cos, math.Sin

	abs32   = narrow(math.Abs)
	ceil32  = narrow(math.Ceil)
	floor32 = narrow(math.Floor)
	round32 = narrow(math.RoundToEven)
	exp32   = narrow(math.Exp)
	log32   = narrow(math.Log)
	sqrt32  = narrow(math.Sqrt)
	tanh32  = narrow(math.Tanh)
	erf32   = narrow(math.Erf)
	cos32   = narrow(math.Cos)
	sin32   = narrow(math.Sin)

	sigmoid32, softplus32, softsign32 = narrow(sigmoid64), narrow(softplus64), narrow(softsign64)
)

// shaped returns an operator for a function with one or two settings.
func shaped(since, until int, read func(s *settings) func(float64) float64) operator {
	return operator{since: since, until: until, inputs: [2]int{1, 1}, outputs: 1, inPlace: true, prepare: func(n *node) (kernel, error) {
		s := n.settings()
		f := read(s)
		l := floatLoops(narrow(f), f)
		n.loops = l
		return func(in, out []*value) error { return l.apply(out[0], in[0]) }, s.end()
	}}
}

var leakyRelu = shaped(6, 0, func(s *settings) func(float64) float64 {
	alpha := float64(s.float("alpha", 0.01))
	return func(x float64) float64 {
		if x < 0 {
			return alpha * x
		}
		return x
	}
})

var elu = shaped(6, 0, func(s *settings) func(float64) float64 {
	alpha := float64(s.float("alpha", 1))
	return func(x float64) float64 {
		if x < 0 {
			return alpha * math.Expm1(x)
		}
		return x
	}
})

var celu = shaped(12, 0, func(s *settings) func(float64) float64 {
	alpha := float64(s.float("alpha", 1))
	return func(x float64) float64 { return max(0, x) + min(0, alpha*math.Expm1(x/alpha)) }
})

var selu = shaped(6, 0, func(s *settings) func(float64) float64 {
	alpha, gamma := float64(s.float("alpha", 1.67326319217681884765625)), float64(s.float("gamma", 1.05070102214813232421875))
	return func(x float64) float64 {
		if x <= 0 {
			return gamma * alpha * math.Expm1(x)
		}
		return gamma * x
	}
})

var hardSigmoid = shaped(6, 0, func(s *settings) func(float64) float64 {
	alpha, beta := float64(s.float("alpha", 0.2)), float64(s.float("beta", 0.5))
	return func(x float64) float64 { return max(0, min(1, alpha*x+beta)) }
})

var hardSwish = shaped(14, 0, func(*settings) func(float64) float64 {
	return func(x float64) float64 { return x * max(0, min(1, x/6+0.5)) }
})

var gelu = shaped(20, 0, func(s *settings) func(float64) float64 {
	if s.text("approximate", "none") == "tanh" {
		return func(x float64) float64 {
			return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
		}
	}
	return func(x float64) float64 { return 0.5 * x * (1 + math.Erf(x/math.Sqrt2)) }
})

var not = operator{since: 1, inputs: [2]int{1, 1}, outputs: 1, inPlace: true, prepare: func(n *node) (kernel, error) {
	return func(in, out []*value) error {
		x, ok := of[bool](in[0])
		if !ok {
			return unsupported(in[0])
		}
		y, err := allocate[bool](out[0], in[0].shape...)
		if err != nil {
			return err
		}
		for i, v := range x {
			y[i] = !v
		}
		return nil
	}, n.settings().end()
}}

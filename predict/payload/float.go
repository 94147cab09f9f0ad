package payload

// Parsing of floats.

import (
	"fmt"
	"math"
	"strconv"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// tens holds the powers of ten by which a number's fraction is scaled. All are exact.
var tens = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// decimal reads a number of at most 15 digits without an exponent at i, and returns where it ends. Its
// digits and the power of ten that divides them are exact, so one division gives the nearest float64. An
// end of i means that there is no such number.
func decimal(data []byte, i int) (x float64, end int) {
	start := i
	negative := i < len(data) && data[i] == '-'
	if negative {
		i++
	}
	whole, digits, places := i, uint64(0), 0
	for ; i < len(data) && data[i]-'0' <= 9; i++ {
		digits = 10*digits + uint64(data[i]-'0')
	}
	n := i - whole
	if n == 0 || n > 1 && data[whole] == '0' {
		return 0, start
	}
	if i < len(data) && data[i] == '.' {
		i++
		point := i
		for ; i < len(data) && data[i]-'0' <= 9; i++ {
			digits = 10*digits + uint64(data[i]-'0')
		}
		if places = i - point; places == 0 {
			return 0, start
		}
	}
	if n+places > 15 || i < len(data) && data[i]|0x20 == 'e' {
		return 0, start
	}
	if x = float64(digits) / tens[places]; negative {
		x = -x
	}
	return x, i
}

// decimal reads a number as the function does. If it returns false, it has read nothing.
func (r *Reader) decimal() (x float64, ok bool) {
	x, end := decimal(r.data, r.at)
	ok = end > r.at
	r.at = end
	return x, ok
}

// decimalsInto appends up to most plain decimals, with commas between them, to data. more says that a comma
// followed the last, so that another value must come.
func decimalsInto[T float32 | float64](r *Reader, data *[]T, most int64, to func(float64) (T, bool)) (read int64, more bool) {
	out, text, at := *data, r.data, r.at
	for read < most {
		if at < len(text) && text[at] == ' ' { // one, as most writers put after a comma
			at++
		}
		x, end := decimal(text, at)
		y, ok := to(x)
		if end == at || !ok {
			break
		}
		out = append(out, y)
		read++
		if at = end; at >= len(text) || text[at] != ',' {
			more = false
			break
		}
		more = true
		at++
	}
	*data, r.at = out, at
	if read > 0 && !more && r.Peek() == ',' { // after white space
		r.at++
		more = true
	}
	return read, more
}

func toFloat64(x float64) (float64, bool) { return x, true }

// toFloat32 rounds a number that was rounded before. That differs from rounding once only if the first
// rounding ended halfway between two float32 values. It then returns false.
func toFloat32(x float64) (float32, bool) {
	return float32(x), math.Float64bits(x)&(1<<29-1) != 1<<28
}

func float64s(r *Reader) (float64, error) {
	if r.Null() {
		return math.NaN(), nil
	}
	if x, ok := r.decimal(); ok {
		return x, nil
	}
	return parsed(r, float[float64])
}

// narrow reads 16-bit floats. As for wider ones, too large a number is an error.
func narrow[T tensor.Float16Bits | tensor.BFloat16Bits](round func(float64) T, widen func(T) float64, dtype tensor.DType) func(*Reader) (T, error) {
	return func(r *Reader) (T, error) {
		x, err := float64s(r)
		if err != nil {
			return 0, err
		}
		y := round(x)
		if math.IsInf(widen(y), 0) && !math.IsInf(x, 0) {
			return 0, fmt.Errorf("%v does not fit a %s", x, dtype)
		}
		return y, nil
	}
}

func float32s(r *Reader) (float32, error) {
	if r.Null() {
		return float32(math.NaN()), nil
	}
	at := r.at
	if x, ok := r.decimal(); ok {
		if y, exact := toFloat32(x); exact {
			return y, nil
		}
	}
	r.at = at
	return parsed(r, float[float32])
}

func float[T float32 | float64](token string) (T, error) {
	switch token {
	case "NaN":
		return T(math.NaN()), nil
	case "Infinity":
		return T(math.Inf(1)), nil
	case "-Infinity":
		return T(math.Inf(-1)), nil
	}
	bits := bitsOf(T(0))
	x, err := strconv.ParseFloat(token, bits)
	if err != nil {
		return 0, misfit(token, tensor.DType(fmt.Sprintf("float%d", bits)))
	}
	return T(x), nil
}

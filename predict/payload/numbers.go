package payload

// JSON numbers, as written; float.go parses them.

// Int reads a whole number.
func (r *Reader) Int() (int64, error) {
	token, err := r.number()
	if err != nil {
		return 0, err
	}
	return signed[int64](token)
}

// number reads a number, NaN or an infinity as written.
func (r *Reader) number() (string, error) {
	if r.Peek() == 0 {
		return "", r.unexpected("want a number")
	}
	start := r.at
	if r.word("NaN") || r.word("Infinity") || r.word("-Infinity") {
		return text(r.data[start:r.at]), nil
	}
	i := start
	if r.data[i] == '-' {
		i++
	}
	whole := digits(r.data, i)
	if whole == i || whole > i+1 && r.data[i] == '0' {
		return "", r.unexpected("want a number")
	}
	i = whole
	if i < len(r.data) && r.data[i] == '.' {
		fraction := digits(r.data, i+1)
		if fraction == i+1 {
			return "", r.fail("a number ends with its decimal point")
		}
		i = fraction
	}
	if i < len(r.data) && r.data[i]|0x20 == 'e' {
		i++
		if i < len(r.data) && (r.data[i] == '+' || r.data[i] == '-') {
			i++
		}
		exponent := digits(r.data, i)
		if exponent == i {
			return "", r.fail("a number has an empty exponent")
		}
		i = exponent
	}
	r.at = i
	return text(r.data[start:i]), nil
}

func digits(data []byte, i int) int {
	for i < len(data) && data[i]-'0' <= 9 {
		i++
	}
	return i
}

package tensor

import (
	"encoding/json"
	"math"
	"os"
	"strconv"
	"testing"
)

// TestDifferenceIsPythons: the cases are shared with Python's tests/test_golden.py.
func TestDifferenceIsPythons(t *testing.T) {
	file, err := os.ReadFile("../../conformance/differences.json")
	if err != nil {
		t.Fatal(err)
	}
	var shared struct {
		Cases []struct {
			Name       string
			DType      DType
			Got, Want  []any
			Difference any
		}
	}
	if err := json.Unmarshal(file, &shared); err != nil {
		t.Fatal(err)
	}
	if len(shared.Cases) < 25 {
		t.Fatalf("%d cases", len(shared.Cases))
	}
	for _, c := range shared.Cases {
		t.Run(c.Name, func(t *testing.T) {
			got, err := Difference(tensorOf(t, c.DType, c.Got), tensorOf(t, c.DType, c.Want))
			if c.Difference == nil {
				if err == nil {
					t.Fatalf("got %v, want an error", got)
				}
				return
			}
			if want := float(t, c.Difference); err != nil || got != want {
				t.Errorf("got %v, %v; want %v", got, err, want)
			}
		})
	}
}

func tensorOf(t *testing.T, dtype DType, values []any) Tensor {
	out := Tensor{Shape: []int64{int64(len(values))}}
	switch dtype {
	case Float32:
		out.Data = numbersOf[float32](t, values)
	case Float64:
		out.Data = numbersOf[float64](t, values)
	case Int64:
		out.Data = numbersOf[int64](t, values)
	case Uint8:
		out.Data = numbersOf[uint8](t, values)
	case Bool:
		data := make([]bool, len(values))
		for i, v := range values {
			data[i] = v.(bool)
		}
		out.Data = data
	case String:
		data := make([]string, len(values))
		for i, v := range values {
			data[i] = v.(string)
		}
		out.Data = data
	default:
		t.Fatalf("no test for %s", dtype)
	}
	return out
}

func numbersOf[T float32 | float64 | int64 | uint8](t *testing.T, values []any) []T {
	data := make([]T, len(values))
	for i, v := range values {
		data[i] = T(float(t, v))
	}
	return data
}

func float(t *testing.T, v any) float64 {
	switch v := v.(type) {
	case float64:
		return v
	case string:
		f, err := strconv.ParseFloat(v, 64)
		if err != nil || !math.IsNaN(f) && !math.IsInf(f, 0) {
			t.Fatal(v, err)
		}
		return f
	}
	t.Fatalf("%T", v)
	return 0
}

package payload_test

import (
	"bytes"
	"encoding/csv"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// A cell is read as JSON reads a value, and a line is taken apart as encoding/csv does it.
func FuzzTable(f *testing.F) {
	for _, seed := range []string{"a\n1\n", "\ufeff\"a\"\r\n\"x\"\"y\"\r\n\n\"z\nw\"", "a\nb\"c\n", "a\n\"b\"c\n", "a\n1,2\n", "a\r\n\r", "a\n\"b", "a\n\"\"\n"} {
		f.Add([]byte(seed))
	}
	specs := []tensor.Spec{{Name: "a", DType: tensor.String, Shape: []int64{-1}}}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := payload.Limits{}.Table(text, payload.Inputs{Specs: specs}, payload.HeaderPresent)
		r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff"))))
		all, wantErr := r.ReadAll()
		if wantErr != nil || len(all) == 0 || len(all[0]) != 1 || strings.TrimSpace(all[0][0]) != "a" {
			if err == nil && wantErr != nil {
				t.Fatalf("%q is taken; encoding/csv says %v", text, wantErr)
			}
			return
		}
		if err != nil {
			if strings.Contains(err.Error(), "UTF-8") {
				return
			}
			t.Fatalf("%q: %v; encoding/csv takes it", text, err)
		}
		values := got["a"].Data.([]string)
		if len(values) != len(all)-1 {
			t.Fatalf("%q: %q, want %q", text, values, all[1:])
		}
		for i := range values {
			if values[i] != all[i+1][0] {
				t.Fatalf("%q: row %d is %q, want %q", text, i, values[i], all[i+1][0])
			}
		}
	})
}

func TestTable(t *testing.T) {
	specs := []tensor.Spec{
		{Name: "x", DType: tensor.Float32, Shape: []int64{-1, 2}},
		{Name: "n", DType: tensor.Int64, Shape: []int64{-1}},
		{Name: "ok", DType: tensor.Bool, Shape: []int64{-1, 1}},
	}
	got, err := payload.Limits{}.Table([]byte("x[1], n ,x[0],ok\n 2.5,9007199254740993,null,True\n-Infinity,-1,1e3,false\n"), payload.Inputs{Specs: specs}, "")
	if err != nil {
		t.Fatal(err)
	}
	x := got["x"].Data.([]float32)
	if !math.IsNaN(float64(x[0])) || x[1] != 2.5 || x[2] != 1000 || !math.IsInf(float64(x[3]), -1) {
		t.Errorf("x: %v", x)
	}
	if n := got["n"].Data.([]int64); n[0] != 9007199254740993 || n[1] != -1 {
		t.Errorf("n: %v", n)
	}
	if b := got["ok"].Data.([]bool); !b[0] || b[1] {
		t.Errorf("ok: %v", b)
	}
	for text, says := range map[string]string{
		"":                                  "it is missing",
		"x[0],x[1],n\n":                     `"ok" is missing`,
		"x[0],x[1],n,n,ok\n":                `"n" occurs twice`,
		"x[2]\n":                            `no column "x[2]"`,
		"x[0],x[1],n,ok\n1,2,,true":         `line 2, column "n": the cell is empty`,
		"x[0],x[1],n,ok\n1,2,null,true":     `"null" is not int64`,
		"x[0],x[1],n,ok\n1,2,1.0,true":      `"1.0" is not int64`,
		"x[0],x[1],n,ok\n1,2,3,1":           `"1" is not bool`,
		"x[0],x[1],n,ok\n1,1e39,3,true":     `"1e39" is not float32`,
		"x[0],x[1],n,ok\n1,2,3,true\n1,2\n": "line 3: the number of cells is not the header's 4",
		"x[0],x[1],n,ok\n1,2,3,true,5\n":    "line 2",
		strings.Repeat("y", 5000) + "\n1":   "... (5000 bytes)",
		"x[0],x[1],n,ok\n[1],2,3,true":      `"[1]" is not float32`,
		"x[0],x[1],n,ok\n1,2," + strings.Repeat("1", 9000) + ",true": "... (9000 bytes) is not int64",
	} {
		if _, err := (payload.Limits{}).Table([]byte(text), payload.Inputs{Specs: specs}, ""); err == nil || !strings.Contains(err.Error(), says) || len(err.Error()) > 600 {
			t.Errorf("%.60q: %.300v; want %q", text, err, says)
		}
	}
	if _, err := (payload.Limits{Elements: 7}).Table([]byte("x[0],x[1],n,ok\n1,2,3,true\n1,2,3,true\n"), payload.Inputs{Specs: specs}, ""); err == nil || !strings.Contains(err.Error(), "more than 7 elements") {
		t.Errorf("elements: %v", err)
	}
}

type memory func(int64) error

func (m memory) Grow(n int64) error { return m(n) }

// What is read is asked for before it is taken, and what a table's growth frees is given back.
func TestMemoryIsAskedFor(t *testing.T) {
	var taken, peak int64
	asked := io.ErrShortBuffer
	limits := payload.Limits{Memory: memory(func(n int64) error {
		if taken += n; taken > 1<<20 {
			return asked
		}
		peak = max(peak, taken)
		return nil
	})}
	spec := tensor.Spec{Name: "x", DType: tensor.Float64, Shape: []int64{-1}}
	small := "[" + strings.Repeat("0,", 20_000) + "0]"
	if _, err := limits.New([]byte(small)).Input(spec, true); err != nil || taken < 20_000*8 || taken > 20_000*8*3 {
		t.Errorf("%d bytes for 20,000 float64: %v", taken, err)
	}
	for name, read := range map[string]func() error{
		"a list": func() error {
			_, err := limits.New([]byte("["+strings.Repeat("0,", 200_000)+"0]")).Input(spec, true)
			return err
		},
		"strings": func() error {
			_, err := limits.New([]byte("["+strings.Repeat(`"",`, 200_000)+`""]`)).Input(tensor.Spec{Name: "x", DType: tensor.String, Shape: []int64{-1}}, true)
			return err
		},
		"a table": func() error {
			_, err := limits.Table([]byte("x\n"+strings.Repeat("0\n", 200_000)), payload.Inputs{Specs: []tensor.Spec{spec}}, "")
			return err
		},
		"a table's columns": func() error {
			wide := tensor.Spec{Name: "x", DType: tensor.Float64, Shape: []int64{-1, 9000}}
			_, err := limits.Table([]byte("x\n0\n"), payload.Inputs{Specs: []tensor.Spec{wide}}, "")
			return err
		},
		"base64": func() error {
			_, err := limits.New([]byte(`{"b64":"` + strings.Repeat("AAAA", 1<<19) + `"}`)).Base64()
			return err
		},
		"keys": func() error {
			var b strings.Builder
			for i := range 60_000 {
				b.WriteString(`,"` + strings.Repeat("k", i%7) + string(rune('a'+i%26)) + strings.Repeat("z", i/300) + `":0`)
			}
			r := limits.New([]byte("{" + b.String()[1:] + "}"))
			return r.Object(func(string) error { _, err := r.Raw(); return err })
		},
	} {
		taken = 0
		if err := read(); err == nil || !strings.Contains(err.Error(), asked.Error()) && name != "keys" {
			t.Errorf("%s: %.200v, %d bytes were taken", name, err, taken)
		}
	}
	if peak > 1<<20 {
		t.Errorf("%d bytes were taken", peak)
	}
}

func TestTablesOfInputsThatCSVCannotHold(t *testing.T) {
	for _, spec := range []tensor.Spec{
		{Name: "x", DType: tensor.Float32, Shape: []int64{-1, -1}},
		{Name: "x", DType: tensor.Float16, Shape: []int64{-1, -1, 2}},
	} {
		_, err := payload.Limits{}.Table([]byte("1,2\n"), payload.Inputs{Specs: []tensor.Spec{spec}}, payload.HeaderAbsent)
		if err == nil || !strings.Contains(err.Error(), "which CSV cannot hold") {
			t.Errorf("%v: got %v", spec, err)
		}
	}
}

package payload_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// npy is a file as NumPy writes it.
func npy(descr, order, shape string, data []byte) []byte {
	header := fmt.Sprintf("{'descr': %s, 'fortran_order': %s, 'shape': %s, }\n", descr, order, shape)
	return append(binary.LittleEndian.AppendUint16([]byte("\x93NUMPY\x01\x00"), uint16(len(header))), header+string(data)...)
}

func floats(order binary.AppendByteOrder, values ...float32) (raw []byte) {
	for _, x := range values {
		raw = order.AppendUint32(raw, math.Float32bits(x))
	}
	return raw
}

// npz is an archive of files, in turns of name and content.
func npz(t *testing.T, method uint16, parts ...any) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(parts); i += 2 {
		file, err := w.CreateHeader(&zip.FileHeader{Name: parts[i].(string), Method: method})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write(parts[i+1].([]byte)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func readArrays(l payload.Limits, file []byte, specs []tensor.Spec) (tensor.Map, error) {
	var rows *payload.Rows
	var err error
	if bytes.HasPrefix(file, []byte(payload.ZipMagic)) {
		rows, err = l.NPZ(bytes.NewReader(file), int64(len(file)), specs)
	} else {
		rows, err = l.NPY(bytes.NewReader(file), int64(len(file)), specs)
	}
	if err != nil {
		return nil, err
	}
	return rows.Next(rows.Len())
}

var pair = []tensor.Spec{{Name: "x", DType: tensor.Float32, Shape: []int64{-1, 2}}}

// However an array is stored, its rows are the same.
func TestArraysHoweverTheyAreStored(t *testing.T) {
	little, big := binary.LittleEndian, binary.BigEndian
	for name, file := range map[string][]byte{
		"little-endian":        npy("'<f4'", "False", "(2, 2)", floats(little, 1, 2, 3.5, 4)),
		"big-endian":           npy("'>f4'", "False", "(2, 2)", floats(big, 1, 2, 3.5, 4)),
		"Fortran":              npy("'<f4'", "True", "(2, 2)", floats(little, 1, 3.5, 2, 4)),
		"Fortran, big-endian":  npy("'>f4'", "True", "(2, 2)", floats(big, 1, 3.5, 2, 4)),
		"double":               npy("'<f8'", "False", "(2, 2)", doubles(1, 2, 3.5, 4)),
		"archive":              npz(t, zip.Store, "x.npy", npy("'<f4'", "False", "(2, 2)", floats(little, 1, 2, 3.5, 4))),
		"archive without name": npz(t, zip.Deflate, "arr_0.npy", npy("'<f4'", "False", "(2, 2)", floats(little, 1, 2, 3.5, 4))),
	} {
		got, err := readArrays(payload.Limits{}, file, pair)
		if err != nil || fmt.Sprint(got["x"]) != "{[2 2] [1 2 3.5 4]}" {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	three := []tensor.Spec{{Name: "t", DType: tensor.String, Shape: []int64{-1}}, {Name: "n", DType: tensor.Int64, Shape: []int64{-1, 1, 2}}}
	got, err := readArrays(payload.Limits{}, npz(t, zip.Deflate,
		"n.npy", npy("'|i1'", "True", "(2, 1, 2)", []byte{1, 255, 3, 4}),
		"t.npy", npy("'<U2'", "False", "(2,)", []byte("a\x00\x00\x00\x00\x00\x00\x00\x2b\x73\x00\x00b\x00\x00\x00")),
	), three)
	if err != nil || fmt.Sprint(got["n"], got["t"]) != "{[2 1 2] [1 3 -1 4]} {[2] [a 猫b]}" {
		t.Errorf("%v, %v", got, err)
	}
	none := []tensor.Spec{{Name: "x", DType: tensor.Float32, Shape: []int64{-1, 0}}}
	got, err = readArrays(payload.Limits{}, npy("'<f4'", "True", "(3, 0)", nil), none)
	if err != nil || fmt.Sprint(got["x"]) != "{[3 0] []}" {
		t.Errorf("rows of nothing, in Fortran's order: %v, %v", got, err)
	}
	// The value of a float32 is its own, not that of its few digits.
	double := []tensor.Spec{{Name: "x", DType: tensor.Float64, Shape: []int64{-1}}}
	got, err = readArrays(payload.Limits{}, npy("'<f4'", "False", "(1,)", floats(little, 5.9)), double)
	if err != nil || got["x"].Data.([]float64)[0] != float64(float32(5.9)) {
		t.Errorf("%v, %v", got, err)
	}
}

// A matrix's rows are those that the replay at load reads as lists of values in the columns' order.
func TestAMatrixIsReadAsRowsWithoutNames(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	types := []tensor.DType{tensor.Float32, tensor.Float64, tensor.Int64, tensor.Int32, tensor.Uint8}
	for range 300 {
		var specs []tensor.Spec
		for i := range 2 + random.IntN(6) {
			specs = append(specs, tensor.Spec{Name: fmt.Sprint("c", i), DType: types[random.IntN(len(types))], Shape: []int64{-1}})
		}
		rows := 1 + random.IntN(40)
		var cells []float64
		var lists []tensor.Map
		for range rows {
			line := []byte{'['}
			for i, s := range specs {
				x := float64(random.IntN(256))
				switch {
				case s.DType == tensor.Float64 || s.DType == tensor.Float32:
					x = math.Float64frombits(random.Uint64N(1 << 63))
					if s.DType == tensor.Float32 {
						x = float64(math.Float32frombits(random.Uint32N(1 << 31)))
					}
					if math.IsInf(x, 0) || math.IsNaN(x) || random.IntN(9) == 0 {
						x = math.NaN()
					}
				case s.DType != tensor.Uint8:
					x = float64(random.IntN(1<<32) - 1<<31)
				}
				cells = append(cells, x)
				if i > 0 {
					line = append(line, ',')
				}
				line = tensor.AppendElements(line, tensor.Tensor{Shape: []int64{1}, Data: []float64{x}}, 0, 1, tensor.Bare)
			}
			row, _, err := payload.ParseRow(append(line, ']'), payload.Inputs{Specs: specs, Table: true})
			if err != nil {
				t.Fatal(err)
			}
			lists = append(lists, row)
		}
		file := npy("'<f8'", "False", fmt.Sprintf("(%d, %d)", rows, len(specs)), doubles(cells...))
		got, err := readArrays(payload.Limits{}, file, specs)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range specs {
			var want []byte
			for _, row := range lists {
				cell, err := row[s.Name].Bytes()
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, cell...)
			}
			if raw, err := got[s.Name].Bytes(); err != nil || !bytes.Equal(raw, want) || got[s.Name].DType() != s.DType {
				t.Fatalf("%v: %v, %x; want %x", s, err, raw, want)
			}
		}
	}
}

func doubles(values ...float64) (raw []byte) {
	for _, x := range values {
		raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(x))
	}
	return raw
}

// What is refused costs neither memory nor time, whatever it announces.
func TestArraysThatAreRefused(t *testing.T) {
	two := []tensor.Spec{pair[0], {Name: "y", DType: tensor.Float32, Shape: []int64{-1}}}
	good := npy("'<f4'", "False", "(1, 2)", floats(binary.LittleEndian, 1, 2))
	zeros := make([]byte, 8<<20)
	text := []tensor.Spec{{Name: "x", DType: tensor.String, Shape: []int64{-1}}}
	encrypted := npz(t, zip.Store, "x.npy", good)
	encrypted[6] |= 1
	encrypted[bytes.Index(encrypted, []byte("PK\x01\x02"))+8] |= 1
	changed := npz(t, zip.Store, "x.npy", good)
	changed = bytes.Replace(changed, floats(binary.LittleEndian, 1, 2), floats(binary.LittleEndian, 1, 3), 1)
	var many []any
	for i := range 30_000 {
		many = append(many, fmt.Sprint(i), []byte{})
	}
	for name, c := range map[string]struct {
		file  []byte
		specs []tensor.Spec
		says  string
	}{
		"terabytes":              {npy("'<f4'", "False", "(1099511627776, 2)", nil), pair, "2^40"},
		"gigabytes":              {npy("'<f4'", "False", "(1000000000, 2)", nil), pair, "ends too soon"},
		"a row of gigabytes":     {npy("'<f4'", "False", "(1, 100000000000)", nil), pair, "longer than"},
		"strings of gigabytes":   {npy("'<U2000000000'", "False", "(1,)", nil), text, "longer than"},
		"Fortran's gigabytes":    {npy("'<f4'", "True", "(1000000, 100)", nil), pair, "ends too soon"},
		"gigabytes of nothing":   {npy("'<f4'", "False", "(1000000000, 0)", nil), pair, "rows of no bytes"},
		"strings of nothing":     {npy("'|S0'", "False", "(1000000,)", nil), text, "rows of no bytes"},
		"a bomb":                 {npz(t, zip.Deflate, "x.npy", npy("'<f4'", "False", "(1000000000, 2)", zeros)), pair, "ends too soon"},
		"objects":                {npy("'|O'", "False", "(1,)", []byte("\x80\x04N.")), pair, "Python objects"},
		"fields":                 {npy("[('a', '<f4'), ('b', '<f4')]", "False", "(1,)", zeros[:8]), pair, "has fields"},
		"complex":                {npy("'<c8'", "False", "(1, 1)", zeros[:8]), pair, `type "<c8" is not supported`},
		"times":                  {npy("'<M8'", "False", "(1, 1)", zeros[:8]), pair, `type "<M8" is not supported`},
		"one number":             {npy("'<f4'", "False", "()", zeros[:4]), pair, "first dimension"},
		"another shape":          {npy("'<f4'", "False", "(1, 3)", zeros[:12]), pair, "got float32[1 3], want float32[-1 2]"},
		"strings for numbers":    {npy("'|S1'", "False", "(1, 2)", []byte("12")), pair, "got string"},
		"booleans for numbers":   {npy("'|b1'", "False", "(1, 2)", []byte{0, 1}), pair, "got bool"},
		"beyond the type":        {npy("'<f8'", "False", "(1, 2)", doubles(1, 1e39)), pair, "1e+39 does not fit float32"},
		"half a character":       {npy("'<U1'", "False", "(1,)", []byte("\x00\xd8\x00\x00")), text, "not Unicode"},
		"no UTF-8":               {npy("'|S1'", "False", "(1,)", []byte("\xff")), text, "not UTF-8"},
		"cut short":              {npy("'<f4'", "False", "(2, 2)", zeros[:12]), pair, "row 2: the array ends too soon"},
		"more than it says":      {npy("'<f4'", "False", "(1, 2)", zeros[:12]), pair, "data follows"},
		"a key twice":            {npy("'<f4', 'descr': '<f4'", "False", "(1, 2)", zeros[:8]), pair, "a header that NumPy does not write"},
		"no header":              {[]byte("\x93NUMPY\x01\x00\xff\xff{"), pair, "not a complete .npy"},
		"a header of megabytes":  {[]byte("\x93NUMPY\x02\x00\xff\xff\xff\xff{"), pair, "not a complete .npy"},
		"one for two":            {good, two, `takes ["x" "y"]`},
		"none of another":        {npz(t, zip.Store, "x.npy", good), two, `no array "y"`},
		"one too many":           {npz(t, zip.Store, "x.npy", good, "z.npy", good), pair, `no input "z"`},
		"the same name twice":    {npz(t, zip.Store, "x.npy", good, "x", good), pair, `"x" occurs twice`},
		"different rows":         {npz(t, zip.Store, "x.npy", good, "y.npy", npy("'<f4'", "False", "(2,)", zeros[:8])), two, "has 2 rows, another 1"},
		"encrypted":              {encrypted, pair, "encrypted"},
		"changed":                {changed, pair, "checksum"},
		"many files":             {npz(t, zip.Store, many...), pair, "list of files is longer"},
		"no archive":             {[]byte("PK\x03\x04 and more"), pair, "not an .npz"},
		"more elements than may": {npz(t, zip.Deflate, "x.npy", npy("'<f4'", "False", "(600000, 2)", zeros[:4800000])), pair, "limit 1000000"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := readArrays(payload.Limits{Elements: 1_000_000}, c.file, c.specs)
		if strings.Contains(c.says, "ends too soon") || strings.Contains(c.says, "longer than") { // whatever the limits
			_, err = readArrays(payload.Limits{}, c.file, c.specs)
		}
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 600 {
			t.Errorf("%s: %.300v, want %q", name, err, c.says)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 64<<20 {
			t.Errorf("%s: took %d bytes", name, took)
		}
	}
}

// Memory is asked for before an archive's bomb takes it.
func TestArraysAskForMemory(t *testing.T) {
	asked := errors.New("no room")
	var taken int64
	limits := payload.Limits{Memory: memory(func(n int64) error {
		if taken += n; taken > 4<<20 {
			return asked
		}
		return nil
	})}
	zeros := make([]byte, 8<<20)
	for name, file := range map[string][]byte{
		"rows":    npz(t, zip.Deflate, "x.npy", npy("'<f4'", "False", "(1048576, 2)", zeros)),
		"Fortran": npz(t, zip.Deflate, "x.npy", npy("'<f4'", "True", "(1048576, 2)", zeros)),
		"doubles": npz(t, zip.Deflate, "x.npy", npy("'<f8'", "True", "(262144, 2)", zeros[:4<<20])),
	} {
		taken = 0
		if _, err := readArrays(limits, file, pair); !errors.Is(err, asked) {
			t.Errorf("%s: %v after %d bytes", name, err, taken)
		}
	}
}

func FuzzArrays(f *testing.F) {
	f.Add(npy("'<f4'", "False", "(2, 2)", floats(binary.LittleEndian, 1, 2, 3.5, 4)))
	f.Add(npy("'>f8'", "True", "(2, 2)", doubles(1, 2, 3.5, 4)))
	f.Add(npy("'<U2'", "False", "(1, 2)", make([]byte, 16)))
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	if file, err := w.Create("x.npy"); err != nil {
		f.Fatal(err)
	} else if _, err := file.Write(npy("'|i1'", "False", "(1, 2)", []byte{1, 2})); err != nil {
		f.Fatal(err)
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, spec := range []tensor.Spec{pair[0], {Name: "x", DType: tensor.String}} {
			got, err := readArrays(payload.Limits{Elements: 1 << 16}, file, []tensor.Spec{spec})
			if err == nil {
				err = spec.Match(got["x"])
			}
			if err == nil && !errors.Is(err, io.EOF) && got["x"].Rows() == 0 {
				t.Errorf("no rows of %q", file)
			}
		}
	})
}

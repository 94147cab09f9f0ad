package predict

// The replay, at load, of the readers and writers that callers use. It writes each golden case in every
// form that a client may send, and reads that as the server does.

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"mime/multipart"
	"slices"
	"strings"

	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/internal/batching"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// json replays inputs as JSON: all of them, or those beside the picture; as recorded, and as this process
// writes them, since clients write floats with as few digits as possible.
func (r *replayer) json(g golden) error {
	if r.m.manifest.PictureAlone() {
		return nil
	}
	want := r.values(g)
	read := func(text []byte, how string) error {
		in, picture, err := payload.ParseRow(text, r.m.row)
		if err != nil {
			return r.fail(g, StageDecode, math.Inf(1), 0, fmt.Errorf("row %s: %w", how, err))
		}
		if !bytes.Equal(picture, g.Picture) {
			return r.fail(g, StageDecode, math.Inf(1), 0, fmt.Errorf("row %s: the picture's bytes differ", how))
		}
		return r.compare(g, StageDecode, in, want, how)
	}
	if err := read(g.Raw, "as recorded"); err != nil {
		return err
	}
	if r.m.row.Table {
		if err := read(r.appendCells(nil, g), "without names"); err != nil {
			return err
		}
	}
	return read(r.appendRow(nil, g), "as written here")
}

// values returns the inputs of a case that a row gives as values.
func (r *replayer) values(g golden) Tensors {
	values := Tensors{}
	for _, s := range r.m.row.Specs {
		values[s.Name] = g.Inputs[s.Name]
	}
	return values
}

// halves reports whether the model has an input that CSV does not carry.
func (r *replayer) halves() bool {
	return slices.ContainsFunc(r.m.row.Specs, func(s tensor.Spec) bool {
		return s.DType == tensor.Float16 || s.DType == tensor.BFloat16
	})
}

func (r *replayer) appendRow(dst []byte, g golden) []byte {
	dst = append(dst, '{')
	if r.m.row.Picture {
		dst = append(tensor.AppendText(dst, payload.Picture), `:{"b64":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, g.Picture)
		dst = append(dst, `"},`...)
	}
	for i, s := range r.m.row.Specs {
		if i > 0 {
			dst = append(dst, ',')
		}
		x := g.Inputs[s.Name]
		dst = append(tensor.AppendText(dst, s.Name), ':')
		dst = appendGiven(dst, tensor.Tensor{Shape: x.Shape[1:], Data: x.Data})
	}
	return append(dst, '}')
}

// appendCells writes a table's row as a list of its values.
func (r *replayer) appendCells(dst []byte, g golden) []byte {
	dst = append(dst, '[')
	for i, s := range r.m.row.Specs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendGiven(dst, tensor.Tensor{Shape: []int64{}, Data: g.Inputs[s.Name].Data})
	}
	return append(dst, ']')
}

// appendGiven writes values as clients do: strings that are not UTF-8 in base64.
func appendGiven(dst []byte, t tensor.Tensor) []byte {
	if values, ok := t.Data.([]string); ok && tensor.CheckText(t) != nil {
		return tensor.AppendNestedBase64(dst, t.Shape, values)
	}
	return tensor.AppendNested(dst, t, tensor.Bare)
}

// forms replays cases as files of a form, as a list and as a table.
func (r *replayer) forms(cases []golden) error {
	if err := r.form(cases); err != nil || len(r.m.row.Specs) == 0 {
		return err
	}
	stacked, err := bundle.Stack(cases)
	if err != nil { // rows of different shapes are no batch
		cases = cases[:1]
		stacked = cases[0].Inputs
	}
	for _, s := range r.m.row.Specs {
		text := appendGiven(nil, stacked[s.Name])
		reader := payload.New(text)
		got, err := reader.Input(s, true)
		if err == nil {
			err = reader.End()
		}
		if err := r.batched(cases, Tensors{s.Name: got}, "in a list", err); err != nil {
			return err
		}
	}
	if r.m.row.Picture {
		return nil
	}
	if err := r.arrays(cases, stacked); err != nil {
		return err
	}
	if r.halves() {
		return nil
	}
	for _, s := range r.m.row.Specs {
		if n, err := tensor.Count(s.Shape[min(1, len(s.Shape)):]); err != nil || n > 1<<12 {
			return nil //nolint:nilerr // it has no columns, or more than anyone sends as a table
		}
	}
	if !tabular(cases, r.m.row.Specs) {
		return nil
	}
	got, err := payload.Limits{}.Table(r.table(cases, true), r.m.row, "")
	if err := r.batched(cases, got, "in a table", err); err != nil {
		return err
	}
	got, err = payload.Limits{}.Table(r.table(cases, false), r.m.row, payload.HeaderAbsent)
	return r.batched(cases, got, "in a table without header", err)
}

// tabular reports whether a CSV can carry the cases. CSV changes carriage returns in strings, and in names,
// and has no line that holds only an empty text.
func tabular(cases []golden, specs []tensor.Spec) bool {
	for _, s := range specs {
		if strings.Contains(s.Name, "\r") {
			return false
		}
	}
	for _, g := range cases {
		for _, s := range specs {
			values, _ := g.Inputs[s.Name].Data.([]string)
			if tensor.CheckText(g.Inputs[s.Name]) != nil {
				return false
			}
			for _, text := range values {
				if strings.Contains(text, "\r") || text == "" && len(values) == 1 && len(specs) == 1 {
					return false
				}
			}
		}
	}
	return true
}

// batched compares each row that was read with its case.
func (r *replayer) batched(cases []golden, got Tensors, how string, err error) error {
	if err != nil {
		return r.fail(cases[0], StageDecode, math.Inf(1), 0, fmt.Errorf("%s: %w", how, err))
	}
	for i, g := range cases {
		want := Tensors{}
		for name, t := range got {
			if t.Rows() != len(cases) {
				return r.fail(g, StageDecode, math.Inf(1), 0, fmt.Errorf("%s: input %q has %d rows of %d", how, name, t.Rows(), len(cases)))
			}
			want[name] = g.Inputs[name]
		}
		if err := r.compare(g, StageDecode, batching.Rows(got, i, i+1), want, how); err != nil {
			return err
		}
	}
	return nil
}

// table writes cases as a CSV. With a header, the columns are in reverse order. Without one, cells of missing
// numbers are empty, where they may be.
func (r *replayer) table(cases []golden, header bool) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	line := 0
	if header {
		line = -1
	}
	for ; line < len(cases); line++ {
		var record []string
		for _, s := range r.m.row.Specs {
			x := cases[max(line, 0)].Inputs[s.Name]
			for i := range x.Len() {
				values, isText := x.Data.([]string)
				switch {
				case line < 0 && x.Len() == 1:
					record = append(record, s.Name)
				case line < 0:
					record = append(record, fmt.Sprintf("%s[%d]", s.Name, i))
				case isText:
					record = append(record, values[i])
				case r.m.row.Table && !header && isNaN(x) && len(r.m.row.Specs) > 1:
					record = append(record, "")
				default:
					record = append(record, string(tensor.AppendElements(nil, x, i, i+1, tensor.Bare)))
				}
			}
		}
		if header {
			slices.Reverse(record)
		}
		// This writes to memory and cannot fail.
		_ = w.Write(record)
	}
	w.Flush()
	return b.Bytes()
}

// isNaN reports whether the only element of a tensor is NaN.
func isNaN(x tensor.Tensor) bool {
	values, err := x.Floats()
	return err == nil && values[0] != values[0]
}

// arrays replays cases in NumPy's format, in each of its ways. It skips strings that are not UTF-8, since
// NumPy's are Unicode.
func (r *replayer) arrays(cases []golden, stacked Tensors) error {
	for _, t := range stacked {
		if tensor.CheckText(t) != nil {
			return nil
		}
	}
	for way := range 3 {
		file, err := numpyFile(stacked, way)
		if file == nil || err != nil {
			return err
		}
		rows, err := payload.Limits{}.NPZ(bytes.NewReader(file), int64(len(file)), r.m.row.Specs)
		var got Tensors
		if err == nil {
			got, err = rows.Next(rows.Len())
		}
		if err := r.batched(cases, got, "in NumPy's arrays", err); err != nil {
			return err
		}
	}
	if !payload.IsMatrix(r.m.row.Specs) {
		return nil
	}
	file, err := matrixFile(stacked, r.m.row.Specs)
	if file == nil || err != nil {
		return err
	}
	rows, err := payload.Limits{}.NPY(bytes.NewReader(file), int64(len(file)), r.m.row.Specs)
	var got Tensors
	if err == nil {
		got, err = rows.Next(rows.Len())
	}
	return r.batched(cases, got, "in a matrix of NumPy's", err)
}

// form replays cases as the files of a form.
func (r *replayer) form(cases []golden) error {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, g := range cases {
		part, err := w.CreateFormFile("file", g.ID)
		if err == nil {
			_, err = part.Write(g.Raw)
		}
		if err != nil {
			return fmt.Errorf("write form: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("write form: %w", err)
	}
	files, err := payload.Limits{}.Form(&b, w.Boundary(), len(cases))
	if err == nil && len(files) != len(cases) {
		err = fmt.Errorf("%d files of %d", len(files), len(cases))
	}
	for i, g := range cases {
		if err == nil && (files[i].Name != g.ID || !bytes.Equal(files[i].Data, g.Raw)) {
			err = errors.New("the file differs from what was sent")
		}
		if err != nil {
			return r.fail(g, StageDecode, math.Inf(1), 0, fmt.Errorf("in a form: %w", err))
		}
		if !r.m.manifest.PictureAlone() {
			continue
		}
		text := append([]byte(`{"b64":"`), base64.StdEncoding.EncodeToString(g.Raw)...)
		if got, e := payload.New(append(text, `"}`...)).Base64(); e != nil || got != string(g.Raw) {
			return r.fail(g, StageDecode, math.Inf(1), 0, fmt.Errorf("in base64: %w", cmpErr(e)))
		}
	}
	return nil
}

func cmpErr(err error) error {
	if err == nil {
		err = errors.New("the bytes differ")
	}
	return err
}

// written replays the writers: it writes the answer, reads that back, and compares.
func (r *replayer) written(g golden, out Tensors, answer Answer) error {
	fail := func(err error) error {
		return r.fail(g, StageLabel, math.Inf(1), 0, fmt.Errorf("the answer as JSON: %w", err))
	}
	text, err := answer.AppendJSON(nil, &g.ID)
	if err != nil {
		return fail(err)
	}
	got, file, err := ReadAnswer(&r.m.manifest, text)
	if err != nil {
		return fail(err)
	}
	if file != g.ID || len(got.Classes) != len(answer.Classes) || len(got.Outputs) != len(answer.Outputs) {
		return fail(errors.New("its fields differ from the answer's"))
	}
	for i, c := range answer.Classes {
		if d := got.Classes[i]; d.Label != c.Label || d.Score != c.Score && !(c.Score-c.Score != 0 && d.Score != d.Score) {
			return fail(fmt.Errorf("class %d is %q, %v for %q, %v", i, d.Label, d.Score, c.Label, c.Score))
		}
	}
	for name, t := range answer.Outputs {
		if err := same(got.Outputs[name], t, tensor.Null); err != nil {
			return fail(fmt.Errorf("output %q: %w", name, err))
		}
	}
	// As the inference protocols write them.
	for name, t := range out {
		for _, flat := range []bool{true, false} {
			shape := t.Shape
			text := tensor.AppendNested(nil, t, tensor.Bare)
			if flat {
				shape, text = []int64{int64(t.Len())}, tensor.AppendFlat(nil, t, tensor.Bare)
			}
			x, err := payload.New(text).Tensor(inJSON(t.DType()), 0)
			if err == nil && !slices.Equal(x.Shape, shape) && t.Len() > 0 {
				err = fmt.Errorf("its shape is %v, not %v", x.Shape, shape)
			}
			x.Shape = t.Shape
			if err == nil {
				err = same(x, t, tensor.Bare)
			}
			if err != nil {
				return fail(fmt.Errorf("output %q: %w", name, err))
			}
		}
		raw, err := t.Bytes()
		if err == nil {
			var x tensor.Tensor
			if x, err = tensor.FromBytes(t.DType(), raw, t.Shape...); err == nil {
				err = same(x, t, tensor.Bare)
			}
		}
		if err != nil {
			return fail(fmt.Errorf("output %q as bytes: %w", name, err))
		}
	}
	return nil
}

// same fails unless a tensor survives being written and read back. Null does not distinguish NaN from
// infinities.
func same(got, want tensor.Tensor, n tensor.Floats) error {
	if got.DType() != want.DType() || n == tensor.Null {
		a, errA := got.Floats()
		b, errB := want.Floats()
		if errA == nil && errB == nil {
			for i := range b {
				if n == tensor.Null && b[i]-b[i] != 0 {
					b[i] = math.NaN()
				}
			}
			got, want = tensor.Tensor{Shape: got.Shape, Data: a}, tensor.Tensor{Shape: want.Shape, Data: b}
		}
	}
	d, err := tensor.Difference(got, want)
	if err == nil && d > 0 {
		err = fmt.Errorf("it differs by %.3g", d)
	}
	return err
}

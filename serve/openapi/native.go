package openapi

// forgo's own protocol.

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"

	"github.com/forgo-ml/forgo/predict/tensor"
)

func (b *builder) native(d *model) {
	path := "/models/" + url.PathEscape(d.Name)
	op := &Operation{
		ID: d.id + "_predict", Tags: []string{d.tag}, Summary: "Predict: the thing itself for the labelled answer",
		Body: &Body{Required: true},
	}
	answer := b.answer(d)
	both := &Schema{OneOf: []*Schema{answer, list(answer, 0, -1)}}
	if d.picture {
		op.Description = "The body is one encoded picture, or a form with files that are pictures. " +
			"A picture is answered with one answer, a form with a list, in order, each with its file's name. " +
			"Any other Content-Type is taken for a picture too."
		b.pictureBodies(d, op, path)
	} else {
		table := "a CSV with a header, "
		if d.encoded != nil {
			table = ""
		}
		op.Description = "The body is a JSON row or a list of rows, " + table + "or a form with files that are JSON rows. " +
			"One row is answered with one answer, anything else with a list, in order. Any other Content-Type is taken for JSON."
		b.rowBodies(d, op, path)
	}
	if d.label != nil {
		op.Parameters = append(op.Parameters, Parameter{
			Name: "top", In: "query", Description: "How many of the best classes to give; 0 gives all.",
			Schema: &Schema{Type: "integer", Format: "int32", Minimum: 0, Maximum: math.MaxInt32},
		})
	}
	op.Parameters = append(op.Parameters, deadline())
	op.Responses = answers(inBody("The answer, or a list of answers.", media(jsonType, both, d.answerExample()...)), predictions...)
	b.add(http.MethodPost, path, op)
}

func (b *builder) pictureBodies(d *model, op *Operation, path string) {
	for _, kind := range d.takes() {
		op.Body.Content = append(op.Body.Content, media(kind, &Schema{ContentMediaType: kind}))
	}
	op.Body.Content = append(op.Body.Content, form(strings.Join(d.takes(), ", "), int64(d.MaxPictures)))
	op.Samples = []Sample{
		b.curl("One picture", path, "--data-binary @picture.jpg"),
		b.curl("Several pictures", path, "-F file=@picture.jpg -F file=@picture.jpg"),
	}
}

func (b *builder) rowBodies(d *model, op *Operation, path string) {
	var properties []Field[*Schema]
	most := int64(-1)
	for _, s := range d.sets()[0] {
		value := full(d.element(s.DType), s.Shape[1:])
		if d.isPicture(s) {
			value, most = inBase64(), int64(d.MaxPictures)
		}
		properties = append(properties, property(s.Name, value))
	}
	row := object(properties...).closed()
	forms := []*Schema{row, list(row, 1, most)}
	if len(d.inputs) == 1 {
		s := d.inputs[0]
		forms = append(forms, full(d.element(s.DType), s.Shape[1:]), full(d.element(s.DType), s.Shape))
	}
	body := media(jsonType, b.schema(d.prefix+"Rows", &Schema{AnyOf: forms}))
	if d.short() {
		one := d.bare(d.row)
		op.Samples = append(op.Samples, b.post(d, "One row", path, one))
		if d.encoded == nil {
			body.Value.Examples = append(
				body.Value.Examples, example("row", "One row", one), example("rows", "Two rows", []any{one, one}))
			op.Samples = append(op.Samples, b.post(d, "Two rows", path, []any{one, one}))
		}
	}
	op.Body.Content = Ordered[*Media]{body}
	if table, ok := d.csv(); ok {
		op.Body.Content = append(op.Body.Content, media(csvType, text(), example("table", "A header and one row", table)))
		op.Samples = append(op.Samples, b.curl("CSV", path, "-H 'Content-Type: text/csv' --data-binary "+quote(table)))
	}
	op.Body.Content = append(op.Body.Content, form(jsonType, most))
}

// form is a form of at most so many files; most < 0 is no bound.
func form(kinds string, most int64) Field[*Media] {
	files := list(&Schema{Type: "string", Format: "binary"}, 1, most)
	return Field[*Media]{formType, &Media{
		Schema:   object(property("file", files)).closed(),
		Encoding: Ordered[*Encoding]{{"file", &Encoding{kinds}}},
	}}
}

// csv is an example of a table, of a model that takes tables that people can read.
func (d *model) csv() (string, bool) {
	if d.encoded != nil {
		return "", false
	}
	var names, cells []string
	for i, s := range d.inputs {
		n, err := tensor.Count(s.Shape[1:])
		if err != nil || !d.short() {
			return "", false
		}
		for j, cell := range d.flat(d.examples[i]) {
			name := s.Name
			if n > 1 {
				name = fmt.Sprintf("%s[%d]", s.Name, j)
			}
			names, cells = append(names, name), append(cells, fmt.Sprint(cell))
		}
	}
	return strings.Join(names, ",") + "\n" + strings.Join(cells, ","), true
}

// answer is the labelled answer.
func (b *builder) answer(d *model) *Schema {
	file := property("file", about(text(), "The file that it answers, of a form."))
	if d.label == nil {
		outputs := object()
		for _, o := range d.outputs {
			e := given(o.DType)
			if strings.Contains(string(o.DType), "float") {
				e = about(orNull(e), "null for what is no finite number.")
			}
			outputs.Properties = append(outputs.Properties, property(o.Name, nested(e, o.Shape[1:])))
			outputs.Required = append(outputs.Required, o.Name)
		}
		return b.schema(d.prefix+"Answer", object(property("outputs", outputs.closed())).with(file).closed())
	}
	score := about(orNull(given(d.outputs[0].DType)), "The probability; null where it is no finite number.")
	least, what := int64(1), "Best first."
	if !d.Classifier() {
		least, what = 0, "The labels over their thresholds, best first; there may be none."
	}
	classes := list(object(property("label", d.label), property("score", score)).closed(), least, int64(len(d.Manifest().Labels)))
	return b.schema(d.prefix+"Answer", object(property("classes", about(classes, what))).with(file).closed())
}

// answerExample shows the first two labels, with scores made up.
func (d *model) answerExample() []Field[*Example] {
	labels := d.Manifest().Labels
	if d.label == nil || len(labels) < 2 {
		return nil
	}
	class := func(label string, score float64) any {
		return Ordered[any]{{"label", label}, {"score", score}}
	}
	return []Field[*Example]{example("answer", "The two best classes", Ordered[any]{
		{"classes", []any{class(labels[0], 0.875), class(labels[1], 0.0625)}},
	})}
}

package native

// The protocol's part of the OpenAPI document.

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"

	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/serve/openapi"
)

var document = openapi.Protocol{
	Title: "forgo's own protocol", About: "forgo's own, which takes the thing itself and gives the labelled answer",
	Model: func(b *openapi.Builder, d *openapi.Model, at openapi.At) {
		if at.Kind == "" {
			builder{b}.model(model{d})
		}
	},
	Server: func(b *openapi.Builder) { builder{b}.server() },
}

// Media types of rows. The reader also accepts other names for them.
var (
	lineTypes = []string{"application/x-ndjson", "application/jsonl"}
	npyType   = "application/x-npy"
	npzType   = "application/x-npz"
)

type (
	builder struct{ *openapi.Builder }
	model   struct{ *openapi.Model }
)

func (b builder) model(d model) {
	path := "/models/" + url.PathEscape(d.Name)
	op := &openapi.Operation{
		ID: d.ID + "_predict", Tags: []string{d.Tag}, Summary: "Predict: send the input itself, get the labelled answer",
		Body: &openapi.Body{Required: true},
	}
	answer := b.answer(d)
	both := &openapi.Schema{OneOf: []*openapi.Schema{answer, openapi.List(answer, 0, -1)}}
	if d.PictureAlone {
		op.Description = "The body is one encoded picture, a form with files that are pictures, or JSON that gives pictures in base64: " +
			"a row, a list of rows, or lines of them. One picture is answered with one answer, anything else with a list, in order, " +
			"of a form each with its file's name. Any other Content-Type is taken for a picture too, unless it begins as JSON."
		b.pictureBodies(d, op, path)
	} else {
		op.Description = "The body is a JSON row or a list of rows, one of the other forms below, or a form with files that are JSON rows. " +
			"One row is answered with one answer, anything else with a list, in order. Of another Content-Type the first bytes tell a NumPy file; the rest is JSON."
		b.rowBodies(d, op, path)
	}
	if d.Label != nil {
		op.Parameters = append(op.Parameters, openapi.Parameter{
			Name: "top", In: "query", Description: "How many of the best classes to return; 0 returns all.",
			Schema: &openapi.Schema{Type: "integer", Format: "int32", Minimum: 0, Maximum: math.MaxInt32},
		})
	}
	op.Parameters = append(op.Parameters, openapi.Deadline())
	op.Responses = openapi.Answers(openapi.InBody("The answer, or a list of answers.", openapi.Content(openapi.JSONType, both, d.answerExample()...)), openapi.Predictions...)
	b.Add(http.MethodPost, path, op)
}

func (b builder) pictureBodies(d model, op *openapi.Operation, path string) {
	for _, kind := range d.PictureTypes() {
		op.Body.Content = append(op.Body.Content, openapi.Content(kind, &openapi.Schema{ContentMediaType: kind}))
	}
	most := int64(d.MaxPictures)
	row := &openapi.Schema{OneOf: []*openapi.Schema{openapi.InBase64(), openapi.Object(openapi.Property(bundle.PictureName, openapi.InBase64())).Closed()}}
	rows := b.Schema(d.Prefix+"Rows", &openapi.Schema{OneOf: []*openapi.Schema{row, openapi.List(row, 1, most)}})
	op.Body.Content = append(op.Body.Content, form(strings.Join(d.PictureTypes(), ", "), most), openapi.Content(openapi.JSONType, rows))
	for _, kind := range lineTypes {
		op.Body.Content = append(op.Body.Content, openapi.Content(kind, &openapi.Schema{ContentMediaType: kind}))
	}
	op.Samples = []openapi.Sample{
		b.Curl("One picture", path, "--data-binary @picture.jpg"),
		b.Curl("Several pictures", path, "-F file=@picture.jpg -F file=@picture.jpg"),
	}
}

func (b builder) rowBodies(d model, op *openapi.Operation, path string) {
	var properties []openapi.Field[*openapi.Schema]
	most := int64(-1)
	for _, s := range d.Sets()[0] {
		value := openapi.Full(d.Element(s.DType), s.Shape[1:])
		if d.IsPicture(s) {
			value, most = openapi.InBase64(), int64(d.MaxPictures)
		}
		properties = append(properties, openapi.Property(s.Name, value))
	}
	row := openapi.Object(properties...).Closed()
	forms := []*openapi.Schema{row, openapi.List(row, 1, most)}
	if len(d.InputSpecs) == 1 {
		s := d.InputSpecs[0]
		forms = append(forms, openapi.Full(d.Element(s.DType), s.Shape[1:]), openapi.Full(d.Element(s.DType), s.Shape))
	}
	if cells := d.Cells(); cells != nil {
		forms = append(forms, cells, openapi.List(cells, 1, most))
	}
	var lines []openapi.Field[*openapi.Example]
	body := openapi.Content(openapi.JSONType, b.Schema(d.Prefix+"Rows", &openapi.Schema{AnyOf: forms}))
	if d.Short() {
		one := d.Bare(d.Row)
		op.Samples = append(op.Samples, b.Post(d.Model, "One row", path, one))
		if d.Encoded == nil {
			body.Value.Examples = append(
				body.Value.Examples, openapi.NewExample("row", "One row", one), openapi.NewExample("rows", "Two rows", []any{one, one}))
			lines = twoLines(one)
			op.Samples = append(op.Samples, b.Post(d.Model, "Two rows", path, []any{one, one}))
		}
	}
	op.Body.Content = openapi.Ordered[*openapi.Media]{body}
	for _, kind := range lineTypes {
		op.Body.Content = append(op.Body.Content, openapi.Content(kind, &openapi.Schema{ContentMediaType: kind}, lines...))
	}
	if d.tables() {
		content := openapi.Content(openapi.CSVType, openapi.Text())
		if d.Short() {
			table := d.csv()
			content.Value.Examples = openapi.Ordered[*openapi.Example]{openapi.NewExample("table", "A header and one row", table)}
			op.Samples = append(op.Samples, b.Curl("CSV", path, "-H 'Content-Type: text/csv' --data-binary "+openapi.Quote(table)))
		}
		op.Body.Content = append(op.Body.Content, content)
	}
	if d.Encoded == nil {
		kinds := []string{npzType}
		if len(d.InputSpecs) == 1 {
			kinds = []string{npyType, npzType}
		}
		for _, kind := range kinds {
			op.Body.Content = append(op.Body.Content, openapi.Content(kind, &openapi.Schema{ContentMediaType: kind}))
		}
	}
	op.Body.Content = append(op.Body.Content, form(openapi.JSONType, most))
}

// form describes a form with at most most files. A negative most is no bound.
func form(kinds string, most int64) openapi.Field[*openapi.Media] {
	files := openapi.List(&openapi.Schema{Type: "string", Format: "binary"}, 1, most)
	return openapi.NewField(openapi.FormType, &openapi.Media{
		Schema:   openapi.Object(openapi.Property("file", files)).Closed(),
		Encoding: openapi.Ordered[*openapi.Encoding]{openapi.NewField("file", &openapi.Encoding{ContentType: kinds})},
	})
}

// twoLines returns an example of two lines of JSON.
func twoLines(row any) []openapi.Field[*openapi.Example] {
	line, err := json.Marshal(row)
	if err != nil {
		return nil
	}
	return []openapi.Field[*openapi.Example]{openapi.NewExample("lines", "Two rows", string(line)+"\n"+string(line))}
}

// tables reports whether the model takes rows in CSV.
func (d model) tables() bool {
	return d.Encoded == nil && payload.Tabular(d.InputSpecs)
}

// csv returns an example of a table.
func (d model) csv() string {
	var names, cells []string
	for i, s := range d.InputSpecs {
		flat := d.Flat(d.Examples[i])
		for j, cell := range flat {
			name := s.Name
			if len(flat) > 1 {
				name = fmt.Sprintf("%s[%d]", s.Name, j)
			}
			names, cells = append(names, name), append(cells, fmt.Sprint(cell))
		}
	}
	return strings.Join(names, ",") + "\n" + strings.Join(cells, ",")
}

// answer describes the labelled answer.
func (b builder) answer(d model) *openapi.Schema {
	file := openapi.Property("file", openapi.About(openapi.Text(), "The file of a form that this answers."))
	if d.Label == nil {
		outputs := openapi.Object()
		for _, o := range d.OutputSpecs {
			e := openapi.Given(o.DType)
			if strings.Contains(string(o.DType), "float") {
				e = openapi.About(openapi.OrNull(e), "null for NaN and infinities.")
			}
			outputs.Properties = append(outputs.Properties, openapi.Property(o.Name, openapi.Nested(e, o.Shape[1:])))
			outputs.Required = append(outputs.Required, o.Name)
		}
		return b.Schema(d.Prefix+"Answer", openapi.Object(openapi.Property("outputs", outputs.Closed())).With(file).Closed())
	}
	score := openapi.About(openapi.OrNull(openapi.Given(d.OutputSpecs[0].DType)), "The probability; null if it is not finite.")
	least, what := int64(1), "Best first."
	if !d.Classifier() {
		least, what = 0, "The labels over their thresholds, best first; there may be none."
	}
	classes := openapi.List(openapi.Object(openapi.Property("label", d.Label), openapi.Property("score", score)).Closed(), least, int64(len(d.Manifest().Labels)))
	return b.Schema(d.Prefix+"Answer", openapi.Object(openapi.Property("classes", openapi.About(classes, what))).With(file).Closed())
}

// answerExample shows the first two labels with invented scores.
func (d model) answerExample() []openapi.Field[*openapi.Example] {
	labels := d.Manifest().Labels
	if d.Label == nil || len(labels) < 2 {
		return nil
	}
	class := func(label string, score float64) any {
		return openapi.JSON("label", label, "score", score)
	}
	return []openapi.Field[*openapi.Example]{openapi.NewExample("answer", "The two best classes", openapi.JSON(
		"classes", []any{class(labels[0], 0.875), class(labels[1], 0.0625)},
	))}
}

// server adds the list of models.
func (b builder) server() {
	states := openapi.OneOfStrings([]string{"READY", "LOADING", "UNAVAILABLE"})
	version := openapi.Object(openapi.Property("version", openapi.Text()), openapi.Property("state", states))
	version.Properties = append(version.Properties,
		openapi.Property("reason", openapi.About(openapi.Text(), "Why it is not ready; if it is ready, what is wrong with its folder.")),
		openapi.Property("labels", openapi.List(openapi.Text(), 0, -1)), openapi.Property("task", openapi.Text()), openapi.Property("digest", openapi.About(openapi.Text(), "The bundle's digest.")),
		openapi.Property("engine", openapi.About(openapi.Text(), "The engine that runs its graph.")))
	b.ServerGet("models", "/models", "The models and their versions", openapi.Answers(openapi.InBody("Every model, ready or not.", openapi.Content(openapi.JSONType, openapi.Object(
		openapi.Property("models", openapi.List(openapi.Object(
			openapi.Property("name", openapi.Text()), openapi.Property("path", openapi.About(openapi.Text(), "The path for POST requests.")),
			openapi.Property("ready", openapi.About(openapi.Boolean(), "Whether the version that answers unversioned requests is ready.")),
			openapi.Property("versions", openapi.List(version.Closed(), 1, -1)),
		).Closed(), 0, -1)),
	).Closed()))))
}

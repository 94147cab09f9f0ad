package tfserving

// The bodies of requests in the OpenAPI document.

import (
	"slices"

	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/openapi"
)

// signed describes a request's body. It may name the model's own signature, and must name any other.
// Unknown fields are ignored.
func (d model) signed(verb string, p openapi.Field[*openapi.Schema]) *openapi.Schema {
	if d.Other {
		return openapi.Object(p, openapi.Property("signature_name", openapi.Constant(d.Manifest().Graph.Signature)))
	}
	var names []string
	for name, m := range Signatures(d.Model.Model) {
		if m == d.Model.Model {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return openapi.Object(p).With(openapi.Property("signature_name", openapi.OneOfStrings(append(names, Method(verb), ""))))
}

// tfElement describes one element. Bytes are text or base64.
func (d model) tfElement(t tensor.DType) *openapi.Schema {
	if t == tensor.String {
		return &openapi.Schema{AnyOf: []*openapi.Schema{d.Element(t), openapi.InBase64()}}
	}
	return d.Element(t)
}

// taken describes lists nested by a shape. Trailing sizes of 1 may be omitted, down to least dimensions.
func (d model) taken(t tensor.DType, shape []int64, least int) *openapi.Schema {
	var ways []*openapi.Schema
	for _, s := range withoutOnes(shape, least) {
		ways = append(ways, openapi.Full(d.tfElement(t), s))
	}
	return openapi.AnyOf(ways)
}

// withoutOnes returns a shape and what remains of it without trailing sizes of 1.
func withoutOnes(shape []int64, least int) [][]int64 {
	all := [][]int64{shape}
	for len(shape) > least && shape[len(shape)-1] == 1 {
		shape = shape[:len(shape)-1]
		all = append(all, shape)
	}
	return all
}

// instances describes rows: values of the only input, objects that name values, or lists of a table's values.
func (d model) instances() *openapi.Schema {
	var ways []*openapi.Schema
	if d.PictureAlone {
		for _, one := range []*openapi.Schema{
			openapi.InBase64(), openapi.Object(openapi.Property(Picture, openapi.InBase64())).Closed(),
			openapi.Object(openapi.Property(Picture, openapi.List(openapi.InBase64(), 1, 1))).Closed(),
		} {
			ways = append(ways, openapi.List(one, 1, int64(d.MaxPictures)))
		}
	}
	if cells := d.Cells(); cells != nil {
		ways = append(ways, openapi.List(cells, 1, -1))
	}
	for _, set := range d.Sets() {
		var named []openapi.Field[*openapi.Schema]
		most := int64(-1)
		for _, s := range set {
			switch {
			case d.IsPicture(s):
				named, most = append(named, openapi.Property(s.Name, openapi.InBase64())), int64(d.MaxPictures)
			case openapi.InJSON(s.DType):
				named = append(named, openapi.Property(s.Name, d.taken(s.DType, s.Shape[1:], 0)))
			}
		}
		if len(named) < len(set) {
			continue
		}
		if len(set) == 1 {
			ways = append(ways, openapi.List(d.taken(set[0].DType, set[0].Shape[1:], 0), 1, -1))
		}
		ways = append(ways, openapi.List(openapi.Object(named...).Closed(), 1, most))
	}
	return openapi.AnyOf(ways)
}

// featureValue returns an example of one feature.
func (d model) featureValue(s tensor.Spec) any {
	if d.IsPicture(s) {
		return d.Row(s)
	}
	return d.Flat(s)
}

// columns describes whole inputs: the only one's batch, or an object that names batches.
func (d model) columns() *openapi.Schema {
	var ways []*openapi.Schema
	if d.PictureAlone {
		n := int64(d.MaxPictures)
		ways = append(ways, openapi.List(openapi.InBase64(), 1, n), openapi.Object(openapi.Property(Picture,
			&openapi.Schema{AnyOf: []*openapi.Schema{openapi.List(openapi.InBase64(), 0, n), openapi.List(openapi.List(openapi.InBase64(), 1, 1), 1, n)}})).Closed())
	}
	for _, set := range d.Sets() {
		var named []openapi.Field[*openapi.Schema]
		for _, s := range set {
			switch {
			case d.IsPicture(s):
				named = append(named, openapi.Property(s.Name, openapi.List(openapi.InBase64(), 1, int64(d.MaxPictures))))
			case openapi.InJSON(s.DType):
				named = append(named, openapi.Property(s.Name, d.taken(s.DType, s.Shape, 1)))
			}
		}
		if len(named) < len(set) {
			continue
		}
		if len(set) == 1 {
			ways = append(ways, named[0].Value)
		}
		ways = append(ways, openapi.Object(named...).Closed())
		if bare := d.bare(set); bare != nil {
			if len(set) == 1 {
				ways = append(ways, bare[0].Value)
			}
			ways = append(ways, openapi.Object(bare...).Closed())
		}
	}
	return openapi.AnyOf(ways)
}

// bare describes inputs whose only row may be a single element without a list around it. It returns nil if
// one may not.
func (d model) bare(set []tensor.Spec) (named []openapi.Field[*openapi.Schema]) {
	for _, s := range set {
		if len(s.Shape) != 1 || !openapi.InJSON(s.DType) || d.IsPicture(s) || d.Manifest().Picture != nil && s.Name == Picture {
			return nil
		}
		named = append(named, openapi.Property(s.Name, d.tfElement(s.DType)))
	}
	return named
}

// mostSplit bounds the inputs whose bare and listed forms are described separately, since each doubles the
// number of forms.
const mostSplit = 3

// examplesRequest describes the body of classify and regress: features in each example or, if all share
// them, in the context.
func (d model) examplesRequest(verb string) *openapi.Schema {
	if _, serialized := Examples(d.Model.Model); serialized { // only the graph knows the features
		value := &openapi.Schema{AnyOf: []*openapi.Schema{{Type: "number"}, openapi.Text(), openapi.InBase64()}}
		features := &openapi.Schema{Type: "object", Additional: &openapi.Schema{AnyOf: []*openapi.Schema{value, openapi.List(value, 0, -1)}}}
		return d.signed(verb, openapi.Property("examples", openapi.List(features, 1, -1))).With(openapi.Property("context", features))
	}
	var ways []*openapi.Schema
	for _, set := range d.featureSets() {
		if len(set) > mostSplit {
			some := (&openapi.Schema{Type: "object"}).With(set...).Closed()
			return d.signed(verb, openapi.Property("examples", openapi.List(some, 1, -1))).With(openapi.Property("context", some))
		}
		for shared := range 1 << len(set) { // a bit for each feature
			example, context := (&openapi.Schema{Type: "object"}).With(set...).Closed(), (&openapi.Schema{Type: "object"}).With(set...).Closed()
			for i, f := range set {
				if shared&(1<<i) != 0 {
					context.Required = append(context.Required, f.Name)
				} else {
					example.Required = append(example.Required, f.Name)
				}
			}
			way := d.signed(verb, openapi.Property("examples", openapi.List(example, 1, -1))).With(openapi.Property("context", context))
			if shared != 0 {
				way.Required = append(way.Required, "context")
			}
			ways = append(ways, way)
		}
	}
	return openapi.AnyOf(ways)
}

// featureSets returns the ways to name the contents of an example.
func (d model) featureSets() [][]openapi.Field[*openapi.Schema] {
	if d.PictureAlone { // the only input has several names
		sets := [][]openapi.Field[*openapi.Schema]{{openapi.Property("b64", openapi.InBase64().Properties[0].Value)}, {openapi.Property(Picture, openapi.InBase64())}}
		if f, ok := d.feature(d.InputSpecs[0]); ok && d.InputSpecs[0].Name != Picture {
			sets = append(sets, []openapi.Field[*openapi.Schema]{f})
		}
		return sets
	}
	var sets [][]openapi.Field[*openapi.Schema]
	for _, set := range d.Sets() {
		var features []openapi.Field[*openapi.Schema]
		for _, in := range set {
			if f, ok := d.feature(in); ok {
				features = append(features, f)
			}
		}
		if len(features) == len(set) {
			sets = append(sets, features)
		}
	}
	return sets
}

// feature describes the values of an input in an example, if JSON can express them.
func (d model) feature(in tensor.Spec) (openapi.Field[*openapi.Schema], bool) {
	if d.IsPicture(in) {
		return openapi.Property(in.Name, openapi.InBase64()), true
	}
	if !openapi.InJSON(in.DType) {
		return openapi.Field[*openapi.Schema]{}, false
	}
	e := d.tfElement(in.DType)
	ways := []*openapi.Schema{openapi.Full(e, in.Shape[1:])}
	if n, err := tensor.Count(in.Shape[1:]); err == nil && len(in.Shape) != 2 {
		ways = append(ways, openapi.List(e, n, n))
	}
	if n, err := tensor.Count(in.Shape[1:]); err == nil && n == 1 && len(in.Shape) != 1 {
		ways = append(ways, e)
	}
	return openapi.Property(in.Name, openapi.AnyOf(ways)), true
}

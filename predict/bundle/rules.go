package bundle

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// check enforces the rules between the manifest's parts, which the schema cannot express.
func (m *Manifest) check() error {
	if err := m.checkFiles(); err != nil {
		return err
	}
	if err := m.checkNames(); err != nil {
		return err
	}
	if m.Outputs[0].Hidden {
		return fmt.Errorf("the first output %q is hidden: clients see the first output", m.Outputs[0].Name)
	}
	if m.Labelled() {
		out := m.Outputs[0]
		if n := len(out.Shape); n != 2 || out.Shape[1] == nil || *out.Shape[1] != int64(len(m.Labels)) {
			return fmt.Errorf("output %q needs one score for each of the %d labels", out.Name, len(m.Labels))
		}
	}
	if n := len(m.Thresholds); n > 0 && n != len(m.Labels) {
		return fmt.Errorf("there are %d thresholds for %d labels", n, len(m.Labels))
	}
	if p := m.Picture; p != nil {
		beside := m.Beside()
		if len(beside) != len(m.Inputs)-1 {
			return fmt.Errorf("picture.input names %q, which inputs does not list", p.Input)
		}
		for _, s := range beside {
			if s.Name == PictureName {
				return fmt.Errorf("input %q takes the name that clients give the picture", s.Name)
			}
		}
	}
	if err := m.checkColumns(); err != nil {
		return err
	}
	if err := m.checkCases(); err != nil {
		return err
	}
	return m.checkSignatures()
}

// plain is what inputs' names look like, except for those that data frames gave.
var plain = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,127}$`)

// checkNames checks the names of inputs and outputs. An input that is a column has the name that its data frame
// gave it, which may be any, even an output's.
func (m *Manifest) checkNames() error {
	sameName := map[string]bool{}
	for _, c := range m.Columns {
		sameName[c.Input] = c.Input == c.Name
	}
	inputs, outputs := map[string]bool{}, map[string]bool{}
	for _, t := range m.Inputs {
		switch {
		case inputs[t.Name]:
			return fmt.Errorf("the name %s belongs to two inputs or outputs", tensor.Quote(t.Name))
		case len(t.Name) > payload.MaxName:
			return fmt.Errorf("the name %s of an input is longer than %d bytes", tensor.Quote(t.Name), payload.MaxName)
		case !sameName[t.Name] && !plain.MatchString(t.Name):
			return fmt.Errorf("the input name %s does not match %s, and is no column's", tensor.Quote(t.Name), plain)
		}
		inputs[t.Name] = true
	}
	for _, t := range m.Outputs {
		if outputs[t.Name] || inputs[t.Name] && !sameName[t.Name] {
			return fmt.Errorf("the name %q belongs to two inputs or outputs", t.Name)
		}
		outputs[t.Name] = true
	}
	return nil
}

// checkColumns checks that each column becomes one input, of the column's type and with one value for each
// row.
func (m *Manifest) checkColumns() error {
	types := map[string][]tensor.DType{
		Number: {tensor.Float32, tensor.Float64}, Integer: {tensor.Int64}, Bool: {tensor.Bool}, Text: {tensor.String}, Category: {tensor.String},
	}
	seen := map[string]bool{}
	for _, c := range m.Columns {
		at := slices.IndexFunc(m.Inputs, func(i TensorInfo) bool { return i.Name == c.Input })
		switch {
		case at < 0:
			return fmt.Errorf("column %q names the input %q, which inputs does not list", c.Name, c.Input)
		case seen[c.Input]:
			return fmt.Errorf("two columns name the input %q", c.Input)
		case !slices.Contains(types[c.Type], m.Inputs[at].DType) || len(m.Inputs[at].Shape) != 1:
			return fmt.Errorf("column %q has type %s, and its input %q another", c.Name, c.Type, c.Input)
		case (c.Type == Category) != (len(c.Values) > 0):
			return fmt.Errorf("column %q: only a category has values, and it needs them", c.Name)
		case c.Missing && c.Type != Number:
			return fmt.Errorf("column %q: only numbers may be missing", c.Name)
		}
		seen[c.Input] = true
	}
	if n := len(m.Columns); n > 0 && n != len(m.Inputs) {
		return fmt.Errorf("there are %d columns for %d inputs", n, len(m.Inputs))
	}
	return nil
}

func (m *Manifest) checkFiles() error {
	need := func(name, why string) error {
		if _, ok := m.Files[name]; !ok {
			return fmt.Errorf("%s names %q, which files does not list", why, name)
		}
		return nil
	}
	if !m.hasFolder(m.Graph.Path) { // whether it should be one is for the engine's format to say
		if err := need(m.Graph.Path, "graph"); err != nil {
			return err
		}
	}
	if m.Picture != nil {
		if err := need(m.Picture.Preprocess, "picture"); err != nil {
			return err
		}
	}
	for _, c := range m.Golden.Cases {
		for _, name := range []string{c.Input, c.Tensors, c.Pixels} {
			if name == "" {
				continue
			}
			if err := need(name, "golden case "+c.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *Manifest) hasFolder(dir string) bool {
	for name := range m.Files {
		if strings.HasPrefix(name, dir+"/") {
			return true
		}
	}
	return false
}

func (m *Manifest) checkCases() error {
	ids := map[string]bool{}
	labels := map[string]bool{}
	for _, l := range m.Labels {
		labels[l] = true
	}
	for _, c := range m.Golden.Cases {
		isPicture := strings.HasPrefix(c.ContentType, "image/")
		switch {
		case ids[c.ID]:
			return fmt.Errorf("two golden cases have the id %q", c.ID)
		case isPicture != m.PictureAlone():
			return fmt.Errorf("golden case %s has content type %s, which this model does not take", c.ID, c.ContentType)
		case m.Picture != nil && c.Pixels == "":
			return fmt.Errorf("golden case %s has no pixels", c.ID)
		case m.Task == Classification && !labels[c.Label]:
			return fmt.Errorf("golden case %s has label %q, which labels does not list", c.ID, c.Label)
		case m.Task == MultiLabel && c.Labels == nil:
			return fmt.Errorf("golden case %s does not list the labels above their thresholds", c.ID)
		}
		for _, l := range c.Labels {
			if !labels[l] {
				return fmt.Errorf("golden case %s has label %q, which labels does not list", c.ID, l)
			}
		}
		ids[c.ID] = true
	}
	if m.Golden.None == "" && len(m.Golden.Cases) == 0 {
		return errors.New("the manifest has no golden cases, and golden.none does not say why")
	}
	return nil
}

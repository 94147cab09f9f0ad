package bundle

import (
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict/tensor"
)

func TestColumnsFitTheirInputs(t *testing.T) {
	inputs := []TensorInfo{{Name: "age", DType: tensor.Float32, Shape: []*int64{nil}}, {Name: "city", DType: tensor.String, Shape: []*int64{nil}}}
	age, city := Column{"Age", "age", Number, true, nil}, Column{"City", "city", Category, false, []string{"Oslo"}}
	for name, c := range map[string]struct {
		columns []Column
		says    string
	}{
		"none":                   {nil, ""},
		"each":                   {[]Column{age, city}, ""},
		"one input is left out":  {[]Column{age}, "1 columns for 2 inputs"},
		"one input twice":        {[]Column{age, age}, "two columns"},
		"no such input":          {[]Column{age, {"City", "town", Text, false, nil}}, `"town"`},
		"another type":           {[]Column{age, {"City", "city", Integer, false, nil}}, "has type integer"},
		"a category of nothing":  {[]Column{age, {"City", "city", Category, false, nil}}, "has values"},
		"a text that has values": {[]Column{age, {"City", "city", Text, false, []string{"Oslo"}}}, "has values"},
		"a text that is missing": {[]Column{age, {"City", "city", Text, true, nil}}, "only numbers"},
	} {
		m := Manifest{Inputs: inputs, Columns: c.columns}
		err := m.checkColumns()
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
	}
}

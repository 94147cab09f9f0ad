package oip

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/internal/corpus"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// taking is a model that takes inputs of some specs.
func taking(specs ...tensor.Spec) inputs {
	return inputs{specs: specs, outputs: 2, maxPictures: 4, maxElements: 1 << 20}
}

// A scalar has the shape [] and one element, in a list or not.
func TestScalar(t *testing.T) {
	model := taking(tensor.Spec{Name: "x", DType: tensor.Int64, Shape: []int64{}})
	for _, data := range []string{"5", "[5]"} {
		c, _, err := parse(payload.Limits{}, model, []byte(`{"inputs":[{"name":"x","datatype":"INT64","shape":[],"data":`+data+`}]}`), nil)
		if err != nil || len(c.inputs[0].tensor.Shape) != 0 || c.inputs[0].tensor.Data.([]int64)[0] != 5 {
			t.Errorf("%s: %v, %v", data, c, err)
		}
	}
}

// Whatever is sent, the parser neither panics nor lets a tensor through that does not fill
// its shape, and it takes only what encoding/json takes.
func FuzzRequest(f *testing.F) {
	corpus.Add(f)
	const declared = `{"id":"7","inputs":[{"name":"x","shape":[1,2],"datatype":`
	for _, seed := range []struct{ header, data string }{
		{declared + `"FP32","data":[1,2.5]}],"outputs":[{"name":"y","parameters":{"binary_data":true}}]}`, ""},
		{declared + `"FP32","data":[[1,2.5]]}],"parameters":{"binary_data_output":true}}`, ""},
		{declared + `"FP32","parameters":{"binary_data_size":8}}]}`, "\x00\x00\x80\x3f\x00\x00\x80\x3f"},
		{declared + `"BYTES","parameters":{"binary_data_size":11}}]}`, "\x01\x00\x00\x00a\x02\x00\x00\x00bc"},
		{declared + `"BOOL","parameters":{"binary_data_size":2}}]}`, "\x01\x02"},
		{`{"inputs":[{"data":["a","b"],"datatype":"BYTES","shape":[2],"name":"x"}]}`, ""},
		{`{"inputs":[{"name":"x","datatype":"INT64","shape":[],"data":5},null]}`, "z"},
		{`{"inputs":[{"name":"x","datatype":"INT8","shape":[1099511627776,9],"data":[]}]}`, ""},
		{`{"outputs":[{"name":"a"}],"outputs":[]}`, ""},
	} {
		f.Add([]byte(seed.header), []byte(seed.data), seed.data != "")
	}
	f.Fuzz(func(t *testing.T, header, data []byte, hasData bool) {
		if !hasData {
			data = nil
		}
		var models []inputs
		for _, d := range []tensor.DType{tensor.Float32, tensor.String, tensor.Bool, tensor.Int64, tensor.Int8} {
			models = append(models, taking(tensor.Spec{Name: "x", DType: d}))
		}
		c, _, err := parse(payload.Limits{}, models[len(header)%len(models)], header, data)
		if err != nil {
			if !strings.Contains(err.Error(), "inference request") {
				t.Errorf("error without its context: %v", err)
			}
			return
		}
		for _, in := range c.inputs {
			if err := in.tensor.Check(); err != nil || in.name == "" {
				t.Errorf("input %q: %v", in.name, err)
			}
		}
		if !json.Valid(header) && !bytes.Contains(header, []byte("NaN")) && !bytes.Contains(header, []byte("Inf")) {
			t.Errorf("took %q, which is not JSON", header)
		}
	})
}

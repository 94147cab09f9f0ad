package serve_test

// Bad requests of the Open Inference Protocol's extensions over REST.

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// binaryFaults are those of the Open Inference Protocol's extensions over REST.
func binaryFaults(t *testing.T, models serve.Models) []bad {
	t.Helper()
	const iris, shapes, two, flags = "models/iris/infer", "models/shapes/infer", "models/two/infer", "models/flags/infer"
	in := func(fields string) string { return `{"inputs":[{` + fields + `}]}` }
	const named = `"name":"input","datatype":"FP32","shape":[1,4]`
	const ones = "0000111122223333"
	binary := func(n int) string { return in(named + fmt.Sprintf(`,"parameters":{"binary_data_size":%d}`, n)) }
	var all []bad
	for kind, c := range map[string]struct {
		path, header, tail string // header "" sends no length of it
		length             string // in place of the header's own
		headers            []string
		status             int
		names              string
	}{
		"length not a number":       {path: iris, header: binary(16), tail: ones, length: "many", status: 400, names: servetest.HeaderLength},
		"length below 0":            {path: iris, header: binary(16), tail: ones, length: "-1", status: 400, names: servetest.HeaderLength},
		"length over the body":      {path: iris, header: binary(16), tail: ones, length: "4000", status: 400, names: servetest.HeaderLength},
		"length cuts the JSON":      {path: iris, header: binary(16), tail: ones, length: "20", status: 400, names: "not JSON at byte 20"},
		"length includes data":      {path: iris, header: binary(16), tail: ones, length: strconv.Itoa(len(binary(16)) + 1), status: 400, names: "binary_data_size is 16"},
		"size without length":       {path: iris, tail: binary(16), status: 400, names: servetest.HeaderLength},
		"size over the data":        {path: iris, header: binary(17), tail: ones, status: 400, names: `inputs[0] "input": binary_data_size is 17`},
		"size under the data":       {path: iris, header: binary(12), tail: ones, status: 400, names: `inputs[0] "input": shape [1 4] of float32 needs 16 bytes`},
		"size below 0":              {path: iris, header: binary(-1), tail: ones, status: 400, names: "binary_data_size: -1 is not a size"},
		"size not a number":         {path: iris, header: in(named + `,"parameters":{"binary_data_size":"16"}`), tail: ones, status: 400, names: "binary_data_size"},
		"size and data":             {path: iris, header: in(named + `,"data":[1,2,3,4],"parameters":{"binary_data_size":16}`), tail: ones, status: 400, names: "both data and"},
		"data left over":            {path: iris, header: binary(16), tail: ones + "x", status: 400, names: "1 bytes of binary data are left"},
		"shared memory":             {path: iris, header: in(named + `,"parameters":{"shared_memory_region":"r"}`), status: 400, names: "shared_memory_region"},
		"shape not a list":          {path: iris, header: in(`"name":"input","datatype":"FP32","shape":4`), status: 400, names: `inputs[0] "input": shape: `},
		"shape of fractions":        {path: iris, header: in(`"name":"input","datatype":"FP32","shape":[1.5]`), status: 400, names: `inputs[0] "input": shape: 1.5`},
		"shape of the wrong rank":   {path: iris, header: in(`"name":"input","datatype":"FP32","shape":[4],"data":[1,2,3,4]`), status: 400, names: `"input": got FP32[4]`},
		"nested as another shape":   {path: iris, header: in(named + `,"data":[[1],[2],[3],[4]]`), status: 400, names: "nested as [4 1]"},
		"no name":                   {path: iris, header: in(`"datatype":"FP32","shape":[1,4],"data":[1,2,3,4]`), status: 400, names: "inputs[0]: it has no name"},
		"no datatype":               {path: iris, header: in(`"name":"input","shape":[1,4],"data":[1,2,3,4]`), status: 400, names: `inputs[0] "input": it has no datatype`},
		"name not a string":         {path: iris, header: in(`"name":5`), status: 400, names: "inputs[0] \"\": name: "},
		"inputs not a list":         {path: iris, header: `{"inputs":{}}`, status: 400, names: "inputs: at byte 10: want a list, got an object"},
		"id not a string":           {path: iris, header: `{"id":7,"inputs":[]}`, status: 400, names: "inference request: id: "},
		"output without name":       {path: iris, header: `{"inputs":[],"outputs":[{}]}`, status: 400, names: "outputs[0]: it has no name"},
		"output twice":              {path: iris, header: `{"inputs":[],"outputs":[{"name":"logits"},{"name":"logits"}]}`, status: 400, names: "outputs[1]"},
		"binary_data not a boolean": {path: iris, header: `{"inputs":[],"outputs":[{"name":"logits","parameters":{"binary_data":1}}]}`, status: 400, names: "outputs[0]: parameters: binary_data: "},
		"classification of 0":       {path: iris, header: `{"inputs":[],"outputs":[{"name":"logits","parameters":{"classification":0}}]}`, status: 400, names: "outputs[0]: parameters: classification: 0 is not a number of classes"},
		"classification of half":    {path: iris, header: `{"inputs":[],"outputs":[{"name":"logits","parameters":{"classification":0.5}}]}`, status: 400, names: "outputs[0]: parameters: classification: "},
		"classification of text":    {path: "models/strings/infer", header: `{"inputs":[],"outputs":[{"name":"y","parameters":{"classification":1}}]}`, status: 400, names: `outputs[0]: parameters: classification: output "y" is BYTES`},
		"base64 malformed":          {path: "models/strings/infer", header: in(`"name":"x","datatype":"BYTES","shape":[1,2],"data":["YQ==","***"],"parameters":{"content_type":"base64"}`), status: 400, names: `inputs[0] "x": element 1 is not base64, which content_type announces`},
		"base64 for numbers":        {path: iris, header: in(named + `,"data":[1,2,3,4],"parameters":{"content_type":"base64"}`), status: 400, names: "content_type: base64 is for BYTES, not FP32"},
		"elements encoded as JSON":  {path: "models/strings/infer", header: in(`"name":"x","datatype":"BYTES","shape":[1,2],"data":["\"a\"","1"],"parameters":{"content_type":"pd_json"}`), status: 400, names: `inputs[0] "x": parameters: content_type: elements encoded as JSON ("pd_json") are not supported`},
		"BYTES without lengths":     {path: shapes, header: in(`"name":"image","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":9}`), tail: "\x89PNG\r\n\x1a\nx", status: 400, names: "string 0 claims 1196314761 bytes of the 5 left; each string comes after its length, 4 bytes little-endian"},
		"sequence":                  {path: iris, header: `{"inputs":[],"parameters":{"sequence_id":7}}`, status: 400, names: "parameters: sequence_id"},
		"binary_data_output":        {path: iris, header: `{"inputs":[],"parameters":{"binary_data_output":"yes"}}`, status: 400, names: "binary_data_output"},
		"number beyond its type":    {path: iris, header: in(named + `,"data":[1e39,2,3,4]`), status: 400, names: "1e39 does not fit FP32"},
		"bytes as JSON text":        {path: "models/strings/infer", header: in(`"name":"x","datatype":"BYTES","shape":[1,2],"parameters":{"binary_data_size":10}`), tail: "\x01\x00\x00\x00a\x01\x00\x00\x00\xff", status: 400, names: `output "y": element 1`},
		"bool of 2":                 {path: flags, header: in(`"name":"x","datatype":"BOOL","shape":[1,2],"parameters":{"binary_data_size":2}`), tail: "\x00\x02", status: 400, names: `inputs[0] "x": byte 1 is 2`},
		"string past the end":       {path: shapes, header: in(`"name":"image","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":7}`), tail: "\xff\x00\x00\x00abc", status: 400, names: "claims 255 bytes"},
		"more strings than data":    {path: shapes, header: in(`"name":"image","datatype":"BYTES","shape":[9],"parameters":{"binary_data_size":4}`), tail: "\x00\x00\x00\x00", status: 400, names: `inputs[0] "image": 4 bytes are too few for 9 strings`},
		"pictures in a square":      {path: shapes, header: in(`"name":"image","datatype":"BYTES","shape":[1,2],"parameters":{"binary_data_size":8}`), tail: "\x00\x00\x00\x00\x00\x00\x00\x00", status: 400, names: "[N] or [N,1]"},
		"too many pictures":         {path: shapes, header: in(`"name":"image","datatype":"BYTES","shape":[300],"parameters":{"binary_data_size":1200}`), tail: strings.Repeat("\x00", 1200), status: 400, names: "at most 256"},
		"picture and more":          {path: shapes, header: `{"inputs":[{"name":"pixels","datatype":"FP32","shape":[0,16,16,3],"data":[]},{"name":"image","datatype":"BYTES","shape":[0],"data":[]}]}`, status: 400, names: `inputs[1]: send "image" and no other input`},
		"raw for two inputs":        {path: two, tail: ones, length: "0", status: 400, names: servetest.HeaderLength},
		"raw with a broken length":  {path: iris, tail: ones + "x", length: "0", status: 400, names: "a multiple of 16"},
		"index not an object":       {path: "repository/index", tail: "[]", status: 400, names: "repository index"},
		"index ready not a boolean": {path: "repository/index", tail: `{"ready":"yes"}`, status: 400, names: "repository index"},
		"load here":                 {path: "repository/models/iris/load", status: 403, names: "admin port"},
		"unload here":               {path: "repository/models/iris/unload", status: 403, names: "admin port"},
		"binary over the limit":     {path: iris, header: binary(16), tail: strings.Repeat("x", 2*servetest.MaxBody), status: 413, names: "longer"},
		"raw over the limit":        {path: iris, tail: strings.Repeat("x", 2*servetest.MaxBody), length: "0", status: 413, names: "longer"},
	} {
		headers := c.headers
		if length := c.length; length != "" || c.header != "" {
			if length == "" {
				length = strconv.Itoa(len(c.header))
			}
			headers = append(headers, servetest.HeaderLength, length)
		}
		all = append(all, bad{kind, "", "/v2/" + c.path, c.header + c.tail, headers, c.status, c.names})
	}
	return all
}

// binaryRequest has one input's binary data after its JSON.
func binaryRequest(path, input, data string) bad {
	header := `{"inputs":[{` + input + `,"parameters":{"binary_data_size":` + strconv.Itoa(len(data)) + `}}]}`
	return bad{path: path, body: header + data, headers: []string{servetest.HeaderLength, strconv.Itoa(len(header))}}
}

func TestBadBinaryRequests(t *testing.T) {
	models := badModels(t)
	refuse(t, servetest.Listen(t, models), binaryFaults(t, models))
}

package serve_test

// Faults of requests to forgo's own protocol.

import (
	"bytes"
	"mime/multipart"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// nativeFaults are those of forms, CSV and rows.
func nativeFaults(t *testing.T, models serve.Models) []bad {
	t.Helper()
	picture, _ := servetest.Golden(t, models["shapes"], "shapes", 0)
	row, _ := servetest.Golden(t, models["iris"], "iris", 0)
	good, goodKind := servetest.Form(t, [2]string{"a.png", string(picture)}, [2]string{"b.png", "hello"})
	noFiles, noFilesKind := servetest.Form(t)
	var field bytes.Buffer
	w := multipart.NewWriter(&field)
	if part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="top"`}}); err != nil {
		t.Fatal(err)
	} else if _, err := part.Write([]byte("1")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	badRow, badRowKind := servetest.Form(t, [2]string{"a.json", string(row)}, [2]string{"b.json", "[1]"})
	many, manyKind := servetest.Form(t, slices.Repeat([][2]string{{"x", "x"}}, 300)...)
	const header = "input[0],input[1],input[2],input[3]\n"
	var all []bad
	for kind, c := range map[string]struct {
		model, kind, body string
		status            int
		names             string
	}{
		"top not a number":        {"iris?top=many", "", string(row), 400, "top"},
		"top below 0":             {"iris?top=-1", "", string(row), 400, "top"},
		"CSV for pictures":        {"shapes", "text/csv", header, 400, "text/csv"},
		"form without boundary":   {"shapes", "multipart/form-data", "x", 400, "boundary"},
		"form cut short":          {"shapes", goodKind, string(good[:len(good)-20]), 400, "body"},
		"form cut before its end": {"shapes", goodKind, string(good[:bytes.LastIndex(good, []byte("\r\n--"))]) + "\r\n", 400, "body"},
		"form of another kind":    {"shapes", goodKind, "hello", 400, "body"},
		"form without files":      {"shapes", noFilesKind, string(noFiles), 400, "no files"},
		"form with a field":       {"shapes", w.FormDataContentType(), field.String(), 400, `"top"`},
		"form with a bad file":    {"shapes", goodKind, string(good), 400, `"b.png"`},
		"form with a bad row":     {"iris", badRowKind, string(badRow), 400, `"b.json"`},
		"too many pictures":       {"shapes", manyKind, string(many), 400, "at most 256"},
		"empty row":               {"iris", "", "", 400, `"input"`},
		"ragged rows":             {"iris", "", "[[1,2,3,4],[1]]", 400, "ragged"},
		"unknown input":           {"iris", "", `{"other":[1,2,3,4]}`, 400, `"input"`},
		"bad row of many":         {"iris", "", `[{"input":[1,2,3,4]},{"input":[1]}]`, 400, "row 1"},
		"rows cut short":          {"iris", "", `[{"input":[1,2,3,4]}`, 400, "JSON rows"},
		"bare row for two":        {"two", "", "[1,2]", 400, "2 inputs"},
		"CSV without header":      {"iris", "text/csv", "", 400, "header"},
		"CSV unknown column":      {"iris", "text/csv", "width\n1\n", 400, `"width"`},
		"CSV column missing":      {"iris", "text/csv", "input[0],input[1],input[2]\n1,2,3\n", 400, `"input[3]" is missing`},
		"CSV column twice":        {"iris", "text/csv", "input[0],input[0]\n1,2\n", 400, "twice"},
		"CSV short row":           {"iris", "text/csv", header + "1,2\n", 400, "line 2"},
		"CSV word":                {"iris", "text/csv", header + "1,2,3,4\n1,2,x,4\n", 400, `line 3, column "input[2]"`},
		"CSV empty cell":          {"iris", "text/csv", header + "1,,3,4\n", 400, `column "input[1]": the cell is empty`},
		"CSV list in a cell":      {"iris", "text/csv", header + "[1],2,3,4\n", 400, `column "input[0]"`},
		"CSV two in a cell":       {"iris", "text/csv", header + "\"1,2\",2,3,4\n", 400, `column "input[0]"`},
		"CSV open quote":          {"iris", "text/csv", header + "\"1,2,3,4\n", 400, "CSV"},
		"CSV of FP16":             {"halves", "text/csv", "x[0],x[1]\n1,2\n", 400, `"x"`},
		"CSV in another charset":  {"strings", "text/csv", "x[0],x[1]\na,Gr\xfcn\n", 400, `line 2, column "x[1]": "Gr\xfcn" is not UTF-8`},
		"form over the limit":     {"shapes", goodKind, string(good[:200]) + strings.Repeat("x", 2*servetest.MaxBody), 413, "longer"},
	} {
		var headers []string
		if c.kind != "" {
			headers = []string{"Content-Type", c.kind}
		}
		all = append(all, bad{kind, "", "/models/" + c.model, c.body, headers, c.status, c.names})
	}
	return all
}

func TestNativeBadRequests(t *testing.T) {
	models := badModels(t)
	refuse(t, servetest.Listen(t, models), nativeFaults(t, models))
}

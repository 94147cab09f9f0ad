package payload_test

import (
	"bytes"
	"mime/multipart"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict/payload"
)

// form writes one, of names and what the files hold in turn.
func form(t *testing.T, files ...string) (body []byte, boundary string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		part, err := w.CreateFormFile("file", files[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := part.Write([]byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), w.Boundary()
}

func TestForm(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	body, boundary := form(t, "a.jpg", "first", "b.jpg", "", "c.jpg", long)
	var taken, highest int64
	limit := memory(func(bytes int64) error {
		taken += bytes
		highest = max(highest, taken)
		return nil
	})
	files, err := payload.Limits{Memory: limit}.Form(bytes.NewReader(body), boundary, 3)
	if err != nil || len(files) != 3 || files[0].Name != "a.jpg" || string(files[0].Data) != "first" || len(files[1].Data) != 0 || string(files[2].Data) != long {
		t.Errorf("%v, %v", files, err)
	}
	held := int64(0)
	for _, f := range files {
		held += int64(cap(f.Data))
	}
	if taken != held+3*2<<10 || highest > taken+int64(cap(files[2].Data)) { // 2 KiB a file beside its data
		t.Errorf("%d bytes were taken, %d at once, for %d that are held", taken, highest, held)
	}

	for name, c := range map[string]struct {
		body string
		most int
		says string
	}{
		"too many":    {string(body), 2, "send at most 2"},
		"cut short":   {string(body[:len(body)-20]), 3, "EOF"},
		"no files":    {"--" + boundary + "--\r\n", 3, "has no files"},
		"no file":     {"--" + boundary + "\r\nContent-Disposition: form-data; name=f\r\n\r\n\r\n--" + boundary + "--\r\n", 3, `form field "f" is not a file`},
		"a long name": {strings.Replace(string(body), "a.jpg", long, 1), 3, "longer than"},
	} {
		if files, err := (payload.Limits{}).Form(strings.NewReader(c.body), boundary, c.most); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, %v; want %q", name, files, err, c.says)
		}
	}
}

package corpus

import (
	"reflect"
	"testing"
)

func TestParse(t *testing.T) {
	got, err := parse("go test fuzz v1\n[]byte(\"\\x00a\\n\")\nstring(\"C;\\\"\")\nbool(true)\nint(-3)\nbyte('\\x07')\nuint8(200)\nuint16(61)\n")
	want := []any{[]byte("\x00a\n"), `C;"`, true, -3, byte(7), byte(200), uint16(61)}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, %v; want %#v", got, err, want)
	}
	for _, bad := range []string{"", "go test fuzz v2\nint(1)\n", "go test fuzz v1\nint(1\n", "go test fuzz v1\n1\n", "go test fuzz v1\nfloat32(1)\n", "go test fuzz v1\nuint8(300)\n"} {
		if got, err := parse(bad); err == nil {
			t.Errorf("%q: got %v, want an error", bad, got)
		}
	}
}

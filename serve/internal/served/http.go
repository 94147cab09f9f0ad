package served

// Requests over HTTP.

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/forgo-ml/forgo/serve/internal/observe"
)

// HTTP answers a request as Do does, within the time in its header. If answer returns an error, it must
// have written nothing.
func (m *Model) HTTP(w http.ResponseWriter, req *http.Request, answer func(*Request) error) error {
	return m.Do(req.Context(), observe.Of(w), func(r *Request) error {
		r.writer = w
		if values := req.Header[Timeout]; len(values) > 0 {
			d, err := parseTimeout(values[0])
			if err != nil {
				return BadInput("header %s: %w", Timeout, err)
			}
			r.Within(d)
		}
		return answer(r)
	})
}

// Header returns a header's first value, or "". Unlike [http.Header.Get], it takes the name as net/http keeps it, and so
// costs a lookup and nothing else.
func Header(h http.Header, name string) string {
	if values := h[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// ModelPath parses NAME and NAME/versions/VERSION, as routes of models have them. The version is "" in a path without
// one.
func ModelPath(path string) (name, version string, ok bool) {
	name, version, versioned := strings.Cut(path, "/versions/")
	ok = name != "" && versioned == (version != "") && !strings.Contains(name, "/") && !strings.Contains(version, "/")
	return name, version, ok
}

// Timeout is gRPC's header for how long the client will wait, in the form that net/http gives it. gRPC's
// gateways accept it over HTTP too.
const Timeout = "Grpc-Timeout"

var units = map[byte]time.Duration{
	'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
}

// longestTimeout is the value of every longer timeout.
const longestTimeout = 365 * 24 * time.Hour

func parseTimeout(text string) (time.Duration, error) {
	last := max(0, len(text)-1)
	n, err := strconv.ParseUint(text[:last], 10, 32)
	unit := units[(text + " ")[last]]
	if unit == 0 || err != nil || len(text) > 9 {
		return 0, fmt.Errorf("%.20q needs up to 8 digits and a unit, one of H, M, S, m, u and n", text)
	}
	if n > uint64(longestTimeout/unit) { // as good as never; the product would overflow
		return longestTimeout, nil
	}
	return time.Duration(n) * unit, nil
}

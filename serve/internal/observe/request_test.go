package observe

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
)

// Every failure has one reason, whichever protocol it is answered in.
func TestReasons(t *testing.T) {
	for want, c := range map[Reason]struct {
		statuses []int
		codes    []codes.Code
	}{
		BadInput:        {[]int{400, 405, 411, 415, 422}, []codes.Code{codes.InvalidArgument, codes.OutOfRange, codes.FailedPrecondition}},
		Unauthenticated: {[]int{401}, []codes.Code{codes.Unauthenticated}},
		Forbidden:       {[]int{403}, []codes.Code{codes.PermissionDenied}},
		NotFound:        {[]int{404}, []codes.Code{codes.NotFound}},
		TooLarge:        {[]int{413}, nil},
		Busy:            {[]int{429}, []codes.Code{codes.ResourceExhausted}},
		Cancelled:       {[]int{499}, []codes.Code{codes.Canceled}},
		Deadline:        {[]int{408, 504}, []codes.Code{codes.DeadlineExceeded}},
		Unavailable:     {[]int{503}, []codes.Code{codes.Unavailable}},
		Unimplemented:   {[]int{501}, []codes.Code{codes.Unimplemented}},
		Internal:        {[]int{500, 502}, []codes.Code{codes.Internal, codes.Unknown, codes.DataLoss}},
	} {
		for _, s := range c.statuses {
			if got := ofStatus(s); got != want {
				t.Errorf("%d: %v, want %v", s, got, want)
			}
		}
		for _, code := range c.codes {
			if got := ofCode(code); got != want {
				t.Errorf("%v: %v, want %v", code, got, want)
			}
		}
	}
}

func TestIDs(t *testing.T) {
	for id, want := range map[string]bool{
		"7": true, "a-b_c.d:e/f": true, strings.Repeat("x", 128): true,
		"": false, strings.Repeat("x", 129): false, "a b": false, "a\nb": false, `a"b`: false, `a\b`: false, "ä": false, "\x7f": false,
	} {
		if got := validID(id); got != want {
			t.Errorf("%q: %v", id, got)
		}
	}
	var one, two Request
	id := one.ID()
	if one.ID() != id || two.ID() == id || !validID(id) {
		t.Errorf("%q, %q, %q", id, one.ID(), two.ID())
	}
}

type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestTheRequestBehindAWriter(t *testing.T) {
	x := &exchange{ResponseWriter: httptest.NewRecorder()}
	if Of(wrapped{wrapped{x}}) != &x.Request {
		t.Error("another request")
	}
	if r := Of(wrapped{httptest.NewRecorder()}); r == nil || r == &x.Request {
		t.Error("no request of its own where nobody watches")
	}
}

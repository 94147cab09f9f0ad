package connection

import (
	"strings"
	"testing"
)

func TestAcceptedHosts(t *testing.T) {
	var unknown *Conn
	unknown.Accept("localhost")
	if unknown.Accepted("localhost") {
		t.Error("an unknown connection remembers a host")
	}
	c := new(Conn)
	if c.Accepted("") || c.Accepted("localhost") {
		t.Error("a new connection has accepted a host")
	}
	c.Accept("localhost")
	if !c.Accepted("localhost") || c.Accepted("evil.example") || c.Accepted("localhost:1") || c.Accepted("") {
		t.Error("another host than the accepted one is accepted")
	}
	long := strings.Repeat("a", longestHost+1)
	if c.Accept(long); c.Accepted(long) {
		t.Error("a long host is kept")
	}
}

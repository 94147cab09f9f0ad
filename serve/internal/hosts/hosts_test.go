package hosts

import "testing"

func TestCheckHost(t *testing.T) {
	for host, ok := range map[string]bool{
		"*": true, "example.com": true, "*.example.com": true, "::1": true, "[::1]": true, "10.0.0.1": true,
		"": false, "*.": false, "https://example.com": false, "example.com:80": false, "a.*.example.com": false, "example.com/": false, "a b": false,
	} {
		if err := Valid(host); (err == nil) != ok {
			t.Errorf("%q: %v", host, err)
		}
	}
}

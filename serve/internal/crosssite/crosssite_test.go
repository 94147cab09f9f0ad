package crosssite

import "testing"

func TestCheckOrigin(t *testing.T) {
	for origin, ok := range map[string]bool{
		"*": true, "https://example.com": true, "http://localhost:3000": true, "https://*.example.com": true, "http://[::1]:3000": true,
		"": false, "example.com": false, "https://": false, "https://example.com/": false, "https://example.com/page": false,
		"https://example.com?q": false, "https://user@example.com": false, "https://*": false, "https://ex*mple.com": false,
		"https://*.*.example.com": false, "null": false, "https://a.example,https://b.example": false, "https://example.com#x": false,
	} {
		if err := Valid(origin); (err == nil) != ok {
			t.Errorf("%q: %v", origin, err)
		}
	}
}

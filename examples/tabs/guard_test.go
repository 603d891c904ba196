package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lastevent/sse"
)

func TestOnlyLocalNamesAreAnswered(t *testing.T) {
	s := newSite(t, sse.Config{})
	for host, want := range map[string]int{
		"localhost":            200,
		"LocalHost:1":          200,
		"localhost:8080":       200,
		"127.0.0.1":            200,
		"127.0.0.1:65535":      200,
		"[::1]":                200,
		"[::1]:8080":           200,
		"evil.example":         421,
		"evil.example:8080":    421,
		"localhost.evil.test":  421,
		"evil.test.localhost":  421,
		"127.0.0.1.evil.test":  421,
		"192.168.0.1:8080":     421,
		"[::2]:8080":           421,
		"0.0.0.0:8080":         421,
		"localhost@evil.test":  421,
		"[fe80::1]":            421,
		"xn--lcalhost-6xa.com": 421,
	} {
		for _, path := range []string{"/", "/sessions", "/page.js"} {
			status, _ := s.do("GET", path, "", "Host: "+host)
			assert.Equal(t, want, status, "%s %s", host, path)
		}
	}
	status, _ := s.do("GET", "/events", "", "Host: evil.example")
	assert.Equal(t, 421, status)
	status, _ = s.do("POST", "/broadcast", "", "Host: evil.example")
	assert.Equal(t, 421, status)
}

func TestPostsComeFromTheOwnPage(t *testing.T) {
	s := newSite(t, sse.Config{})
	tab := s.open("")
	for _, c := range []struct {
		fields []string
		status int
	}{
		{nil, 200}, // a script
		{[]string{"Sec-Fetch-Site: same-origin"}, 200},
		{[]string{"Sec-Fetch-Site: none"}, 200},
		{[]string{"Sec-Fetch-Site: same-site"}, 403},
		{[]string{"Sec-Fetch-Site: cross-site"}, 403},
		{[]string{"Origin: https://evil.example"}, 403},
		{[]string{"Origin: http://localhost:1"}, 403},
		{[]string{"Origin: null"}, 403},
		{[]string{"Origin: " + s.URL}, 200},
	} {
		for _, path := range []string{"/broadcast", "/room?room=r", "/send?id=" + tab.id, "/join?room=r&id=" + tab.id, "/leave?room=r&id=" + tab.id} {
			status, text := s.do("POST", path, "hello", c.fields...)
			assert.Equal(t, c.status, status, "%s %v: %s", path, c.fields, text)
		}
		if c.status != 200 {
			for _, path := range []string{"/drop?id=", "/close?id="} {
				status, _ := s.do("POST", path+tab.id, "", c.fields...)
				assert.Equal(t, c.status, status, "%s %v", path, c.fields)
			}
			status, _ := s.do("GET", "/events", "", c.fields...)
			assert.Equal(t, 403, status, "%v", c.fields)
		}
	}
}

func TestThePageRunsNothingOfOthers(t *testing.T) {
	s := newSite(t, sse.Config{})
	for _, path := range []string{"/", "/page.js", "/sessions", "/nothing"} {
		answer, err := http.Get(s.URL + path)
		require.NoError(t, err)
		answer.Body.Close()
		assert.Contains(t, answer.Header.Get("Content-Security-Policy"), "default-src 'self'", path)
		assert.Contains(t, answer.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'", path)
		assert.Equal(t, "nosniff", answer.Header.Get("X-Content-Type-Options"), path)
		assert.Equal(t, "no-referrer", answer.Header.Get("Referrer-Policy"), path)
	}
}

package session_test

import (
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lastevent/sse/session"
)

func TestAdmit(t *testing.T) {
	const (
		unset   = "-"
		here    = "https://example.com" // the request's host
		friend  = "https://app.example" // allowed
		friend2 = "http://dev.example:8443"
		foe     = "https://evil.example"
	)
	type answer struct {
		cors string
		ok   bool
	}
	yes, no := answer{"", true}, answer{"", false}
	echo := func(origin string) answer { return answer{origin, true} }

	// By column: what browsers with Sec-Fetch-Site say, and without.
	sites := []string{"same-origin", "none", "same-site", "cross-site", unset}
	for _, tt := range []struct {
		origin string
		want   [5]answer
	}{
		{unset, [5]answer{yes, yes, no, no, yes}},
		{"", [5]answer{yes, yes, no, no, yes}},
		{"null", [5]answer{yes, yes, no, no, no}},
		{here, [5]answer{yes, yes, no, no, yes}},
		{"https://EXAMPLE.com", [5]answer{yes, yes, no, no, yes}},
		{foe, [5]answer{yes, yes, no, no, no}},
		{"https://sub.example.com", [5]answer{yes, yes, no, no, no}},
		{"https://example.com:8443", [5]answer{yes, yes, no, no, no}},
		{"https://example.com.evil.example", [5]answer{yes, yes, no, no, no}},
		{"https://evil.example/example.com", [5]answer{yes, yes, no, no, no}},
		{"https://example.com@evil.example", [5]answer{yes, yes, no, no, no}},
		{"example.com", [5]answer{yes, yes, no, no, no}},
		{"://", [5]answer{yes, yes, no, no, no}},
		{"https://[", [5]answer{yes, yes, no, no, no}},
		{"https://", [5]answer{yes, yes, no, no, no}},
		{"*", [5]answer{yes, yes, no, no, no}},
		{friend, [5]answer{echo(friend), echo(friend), echo(friend), echo(friend), echo(friend)}},
		{friend2, [5]answer{echo(friend2), echo(friend2), echo(friend2), echo(friend2), echo(friend2)}},
		// The echo is for the browser to compare: as it was sent.
		{"HTTPS://App.Example", [5]answer{3: echo("HTTPS://App.Example"), 0: echo("HTTPS://App.Example"), 1: echo("HTTPS://App.Example"), 2: echo("HTTPS://App.Example"), 4: echo("HTTPS://App.Example")}},
		{"http://app.example", [5]answer{yes, yes, no, no, no}},
		{"https://app.example:8443", [5]answer{yes, yes, no, no, no}},
		{"https://app.example.evil.example", [5]answer{yes, yes, no, no, no}},
		{"https://evil-app.example", [5]answer{yes, yes, no, no, no}},
		{"https://app.example, https://evil.example", [5]answer{yes, yes, no, no, no}},
		{"http://dev.example", [5]answer{yes, yes, no, no, no}},
		{"https://dev.example:8443", [5]answer{yes, yes, no, no, no}},
	} {
		for i, site := range sites {
			for _, list := range []string{"nobody", "friends"} {
				r := httptest.NewRequest("GET", "https://example.com/events", nil)
				if tt.origin != unset {
					r.Header.Set("Origin", tt.origin)
				}
				if site != unset {
					r.Header.Set("Sec-Fetch-Site", site)
				}
				var o session.Origins // allows nobody
				want := tt.want[i]
				if list == "friends" {
					var err error
					o, err = session.NewOrigins([]string{friend, friend2})
					require.NoError(t, err)
				} else if want.cors != "" {
					want = [5]answer{yes, yes, no, no, no}[i]
				}
				cors, ok := o.Admit(r)
				assert.Equal(t, want, answer{cors, ok}, "Origin %q, Sec-Fetch-Site %q, %s allowed", tt.origin, site, list)
			}
		}
	}
}

// What no browser says opens nothing.
func TestAdmitUnknownSites(t *testing.T) {
	for _, site := range []string{"Same-Origin", "same-origin, cross-site", "cross-origin", "null", "?", " "} {
		r := httptest.NewRequest("GET", "/events", nil)
		r.Header.Set("Sec-Fetch-Site", site)
		_, ok := session.Origins{}.Admit(r)
		assert.False(t, ok, "%q", site)
	}
}

// A browser without Sec-Fetch-Site (any, on plain http) names its origin by
// scheme, host and port; the request has host and port.
func TestAdmitByHost(t *testing.T) {
	for _, tt := range []struct {
		host, origin string
		want         bool
	}{
		{"example.com", "https://example.com", true},
		{"Example.COM", "https://example.com", true},
		{"example.com", "http://example.com", true}, // TLS may end at a proxy
		{"example.com:8443", "https://example.com:8443", true},
		{"example.com:8443", "https://example.com", false},
		{"example.com:8443", "https://example.com:8444", false},
		{"192.0.2.1:8080", "http://192.0.2.1:8080", true},
		{"[::1]:8080", "http://[::1]:8080", true},
		{"localhost:8080", "http://127.0.0.1:8080", false},
		{"", "https://example.com", false},
		{"", "null", false},
		{"", "file://", false},
		{"null", "null", false},
		{"", "", true},
	} {
		r := httptest.NewRequest("GET", "/events", nil)
		r.Host = tt.host
		if tt.origin != "" {
			r.Header.Set("Origin", tt.origin)
		}
		cors, ok := session.Origins{}.Admit(r)
		assert.Equal(t, tt.want, ok, "host %q, origin %q", tt.host, tt.origin)
		assert.Empty(t, cors)
	}
}

func TestNewOrigins(t *testing.T) {
	for _, origin := range []string{
		"https://app.example", "http://app.example", "https://app.example:8443", "http://localhost:3000",
		"http://127.0.0.1:3000", "http://[::1]:3000", "https://xn--bcher-kva.example", "capacitor://localhost",
		"chrome-extension://abcdefghijklmnop", "https://a_b.example",
	} {
		o, err := session.NewOrigins([]string{"https://first.example", origin})
		require.NoError(t, err, origin)
		r := httptest.NewRequest("GET", "/events", nil)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Origin", origin)
		cors, ok := o.Admit(r)
		assert.True(t, ok, origin)
		assert.Equal(t, origin, cors)
	}
	for _, origin := range []string{
		"", "*", "null", "app.example", "//app.example", "://app.example", "localhost:3000", "app.example:8443", "https:",
		"https://", "https:///", "https:app.example", "https://:8443/", "https://app.example/", "https://app.example/app",
		"https://app.example?", "https://app.example?a=b", "https://app.example#", "https://app.example#top",
		"https://ann@app.example", "https://ann:pw@app.example", " https://app.example", "https://app.example ",
		"https://app.example\n", "https://app.example,https://b.example", "https://app.example https://b.example",
		"https://app.example:port", "https://[::1", "https://%zz",
	} {
		o, err := session.NewOrigins([]string{"https://first.example", origin})
		assert.ErrorIs(t, err, session.ErrOrigin, "%q", origin)
		assert.Zero(t, o, "%q", origin)
		if origin != "" && err != nil {
			assert.Contains(t, err.Error(), origin[:1])
		}
	}
	_, err := session.NewOrigins([]string{"https://app.example/app"})
	assert.ErrorContains(t, err, `"https://app.example/app"`)

	for _, list := range [][]string{nil, {}} {
		o, err := session.NewOrigins(list)
		require.NoError(t, err)
		r := httptest.NewRequest("GET", "/events", nil)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Origin", "https://app.example")
		_, ok := o.Admit(r)
		assert.False(t, ok)
	}
}

// Origin lines that no browser sends never match: the operator should hear so.
func TestNewOriginsRefusesWhatNoBrowserSends(t *testing.T) {
	for _, origin := range []string{
		"https://*.example", "https://*", "https://app.example:443", "http://app.example:80", "https://app.example:",
		"https://app.example:80:80", "https://app.example:99999", "https://bücher.example", "https://app.example;https://b.example",
		"https://app.example,b.example", "https://:8443", `https://"app.example"`, "https://%41pp.example", "https://app..example", "https://[fe80::1%25eth0]",
	} {
		_, err := session.NewOrigins([]string{origin})
		assert.ErrorIs(t, err, session.ErrOrigin, "%q", origin)
	}
}

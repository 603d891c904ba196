package main

import (
	"net"
	"net/http"
	"strings"
)

// local reports whether a host's name, without a port, is this machine's own
// and nobody else's to define.
func local(host string) bool {
	return strings.EqualFold(host, "localhost") || host == "127.0.0.1" || host == "::1"
}

// guarded lets requests through that are meant for this machine by name, and
// POSTs that come from the page or from no page at all.
//
// A web site can make its own name mean 127.0.0.1 (DNS rebinding), and its
// pages are then of one origin with whatever answers there. What gives them
// away is that name in the Host header.
func guarded(next http.Handler) http.Handler {
	next = http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		if !local(hostname(r.Host)) {
			http.Error(w, "This server answers to localhost, 127.0.0.1 and [::1] only.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostname is a Host header's value without the port.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	if name, ok := strings.CutPrefix(host, "["); ok {
		return strings.TrimSuffix(name, "]")
	}
	return host
}

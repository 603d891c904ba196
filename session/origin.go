package session

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// ErrOrigin is returned for an allowed origin that is none.
var ErrOrigin = errors.New("sse: not an origin")

// Origins are the sites whose pages may open streams here.
type Origins struct{ allowed map[string]bool }

// NewOrigins returns the origins listed, each as a browser sends it:
// "https://app.example", with the port only where it is not the scheme's own,
// names of other alphabets in punycode, and nothing behind it. All else is
// ErrOrigin: it would never match.
func NewOrigins(list []string) (Origins, error) {
	o := Origins{make(map[string]bool, len(list))}
	for _, text := range list {
		if !isOrigin(strings.ToLower(text)) {
			return Origins{}, fmt.Errorf("%w: %q (write it as a browser does, as in https://app.example or http://app.example:8080)", ErrOrigin, text)
		}
		o.allowed[strings.ToLower(text)] = true
	}
	return o, nil
}

func isOrigin(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Hostname() == "" || u.Scheme+"://"+u.Host != text {
		return false
	}
	if _, port, ok := strings.Cut(strings.TrimPrefix(u.Host, "["+u.Hostname()+"]"), ":"); ok {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || strconv.FormatUint(n, 10) != port || u.Scheme == "http" && n == 80 || u.Scheme == "https" && n == 443 {
			return false
		}
	}
	if strings.HasPrefix(u.Host, "[") {
		ip, err := netip.ParseAddr(u.Hostname())
		return err == nil && ip.Zone() == ""
	}
	for _, label := range strings.Split(u.Hostname(), ".") {
		if label == "" || !plain(label) {
			return false
		}
	}
	return true
}

// Admit reports whether the request comes from a page of this site, from an
// allowed origin, or from no page at all. cors is the origin to be echoed in
// Access-Control-Allow-Origin, where that is needed.
//
// A browser says by Sec-Fetch-Site where the page is from (W3C Fetch
// Metadata). Same-site is another origin as well, a subdomain that somebody
// else may run. Browsers without that header send Origin for an EventSource of
// another origin; what sends neither is no browser, or not cross-origin.
func (o Origins) Admit(r *http.Request) (cors string, ok bool) {
	origin := r.Header.Get("Origin")
	if o.allowed[strings.ToLower(origin)] {
		return origin, true
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return "", true
	case "":
		if origin == "" {
			return "", true
		}
		u, err := url.Parse(origin)
		return "", err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
	}
	return "", false
}
